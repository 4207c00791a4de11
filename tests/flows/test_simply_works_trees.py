"""What must simply work: whatever a file system can hold comes back as it was, at any size."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import IN_CI, need
from tests.flows.conftest import MLSNAP, QUIET, Place

MIB = 1 << 20

RICH = r"""
import os

os.chdir(os.environ["MLSNAP_MODEL_DIR"])


def put(name, content=b"content\n", mode=0o644):
    os.makedirs(os.path.dirname(name) or b".", exist_ok=True)
    with open(name, "wb") as file:
        file.write(content)
    os.chmod(name, mode)


names = [b"caf\xe9", b"new\nline", b"-rf", b"--json", b" ", b"\x01\x1b[2J", b"*", b"quotes'\"\\", b"..."]
for name in (*names, b"n" * 255, "Gr\u00f6\u00dfe".encode(), "Gro\u0308\u00dfe".encode(), b"\xff/\xfe/-"):
    put(name, name)
for mode in (0o000, 0o400, 0o444, 0o600, 0o640, 0o755, 0o750, 0o4755, 0o2755):
    put(b"modes/%o" % mode, mode=mode)
for mode in (0o700, 0o755, 0o1777, 0o2775):
    os.makedirs(b"folders/%o" % mode)
    os.chmod(b"folders/%o" % mode, mode)
os.makedirs("empty/in/empty")
put(b"nothing", b"")
with open("sparse", "wb") as file:
    file.seek(64 << 20)
    file.write(b"end")
    file.truncate(128 << 20)
put(b"hard/one", b"shared\n")
os.link("hard/one", "hard/two")
os.link("hard/one", "three")
os.symlink("hard/one", "link")
os.symlink("../modes/755", "hard/up")
os.symlink("nowhere", "dangling")
os.symlink("hard", "to-folder")
os.symlink("self", "self")
put(b".mlsnap-not", b"mine")
put(b"deep/.mlsnap/volume.json", b"mine")
put(b"deep/.snapshot/x", b"mine")
os.setxattr("nothing", "user.origin", b"a \xff value")
os.setxattr("hard", "user.folder", b"f")
os.utime("nothing", ns=(1, 1_234_567_890_123_456_789))
os.utime("sparse", ns=(0, 0))
os.utime("link", ns=(7, 7_000_000_007), follow_symlinks=False)
os.utime("empty/in", ns=(3, 3_000_000_003))
os.utime("three", ns=(5, -5_000_000_005))
"""

DEEP = r"""
import os

os.chdir(os.environ["MLSNAP_MODEL_DIR"])
for number in range(200):
    os.mkdir("d" * 40 + str(number))
    os.chdir("d" * 40 + str(number))
with open("bottom", "w") as file:
    file.write("reached")
"""

MANY = r"""
import os

os.chdir(os.environ["MLSNAP_MODEL_DIR"])
for folder in range(COUNT // 1000):
    os.makedirs(str(folder), exist_ok=True)
    for number in range(1000):
        with open(f"{folder}/{number}", "w") as file:
            file.write(f"{folder} {number}\n")
"""


def _train(place: Place, script: str) -> str:
    return place.repository.commit(
        "a script", {"train.py": script, "mlsnap.toml": f'train = ["{sys.executable}", "-S", "-E", "train.py"]\n'}
    )


def _picture(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Give all that a tree holds, read by no code of the package: kinds, modes, times, contents, links, xattrs."""
    found: dict[bytes, tuple[object, ...]] = {}
    inodes: dict[int, list[bytes]] = {}
    top = os.fsencode(root)
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            inner = os.path.relpath(path, top)
            if inner.split(b"/")[0] in (b".mlsnap", b".snapshot"):
                continue
            facts = os.lstat(path)
            inodes.setdefault(facts.st_ino, []).append(inner)
            kind, mode = stat.S_IFMT(facts.st_mode), facts.st_mode & 0o777  # setuid and the like are never carried
            found[inner] = (oct(kind), oct(mode), facts.st_mtime_ns, *_content(path, facts))
    hard = {path: sorted(paths) for paths in inodes.values() if len(paths) > 1 for path in paths}
    return {path: (*facts, hard.get(path)) for path, facts in found.items()}


def _content(path: bytes, facts: os.stat_result) -> tuple[object, ...]:
    if stat.S_ISLNK(facts.st_mode):
        return (os.readlink(path),)
    xattrs = sorted((name, os.getxattr(path, name)) for name in os.listxattr(path))
    if stat.S_ISDIR(facts.st_mode):
        return (xattrs,)
    with open(path, "rb") as file:
        return (facts.st_size, hashlib.file_digest(file, "sha256").hexdigest(), xattrs)


def _remove_content(volume: Path) -> None:
    for place in volume.iterdir():
        if place.name not in (".mlsnap", ".snapshot"):
            subprocess.run(("rm", "-rf", "--", place), check=True)


def test_all_that_a_file_system_can_hold_comes_back_as_it_was(
    place: Place, needs_root: None, tmp_path: Path
) -> None:
    sha = _train(place, RICH)
    place.mlsnap("run", env=QUIET)
    before = _picture(place.volume)
    assert len(before) >= 50
    assert before[b"nothing"][-2] == [("user.origin", b"a \xff value")]
    assert before[b"hard/two"][-1] == [b"hard/one", b"hard/two", b"three"]
    place.snapshot(sha)
    _remove_content(place.volume)
    assert _picture(place.volume) == {}
    place.mlsnap("recover")
    assert _picture(place.volume) == before
    sparse = place.volume / "sparse"
    assert sparse.stat().st_blocks * 512 < sparse.stat().st_size / 4
    place.mlsnap("restore", "HEAD", "--to", str(tmp_path / "copy"))
    assert _picture(tmp_path / "copy") == before
    assert stat.S_IMODE((tmp_path / "copy" / "modes" / "4755").stat().st_mode) == 0o755, "a setuid bit came back"
    assert "\x1b" not in place.mlsnap("show").stdout


def test_a_second_version_of_such_a_tree_shares_what_did_not_change(place: Place, needs_root: None) -> None:
    first = _train(place, RICH)
    place.mlsnap("run", env=QUIET)
    before = _picture(place.volume)
    second = _train(place, 'import os\nopen(os.environ["MLSNAP_MODEL_DIR"] + "/added", "w").write("more")\n')
    place.mlsnap("run", env=QUIET)
    kept = [place.snapshot(name) / "hard" / "one" for name in (first, second)]
    assert os.path.samefile(*kept)
    assert not os.path.samefile(kept[0], place.volume / "hard" / "one"), (
        "a snapshot shares a file with the live tree"
    )
    place.mlsnap("checkout", first)
    assert _picture(place.volume) == before


def test_a_file_of_two_names_that_is_changed_leaves_earlier_versions_alone(place: Place) -> None:
    first = place.repository.commit(
        "hard links", {"train.sh": "echo first > models/one; ln -f models/one models/two\n"}
    )
    (place.volume).mkdir()
    place.mlsnap("run", env=QUIET)
    second = place.train_with("echo second > models/one\n")
    place.mlsnap("run", env=QUIET)
    assert (place.snapshot(first) / "two").read_text() == "first\n"
    assert (place.snapshot(second) / "two").read_text() == "second\n"
    place.mlsnap("checkout", first)
    assert os.path.samefile(place.volume / "one", place.volume / "two")


def test_a_tree_of_200_folders_one_in_another_comes_back(place: Place) -> None:
    _train(place, DEEP)
    place.mlsnap("run", env=QUIET)
    subprocess.run(("rm", "-rf", *map(str, place.volume.glob("d*"))), check=True)
    place.mlsnap("recover")
    found = subprocess.run(
        ("find", str(place.volume), "-name", "bottom"), capture_output=True, text=True, check=True
    )
    assert found.stdout.count("/d") >= 200


def test_an_empty_model_folder_after_training_is_a_version_too(place: Place) -> None:
    place.volume.mkdir()
    (place.volume / "old").write_text("old")
    sha = place.train_with("rm models/old\n")
    place.mlsnap("run", env=QUIET)
    assert place.mlsnap("show", sha, "--json").facts["files"] == []


# -- sizes ---------------------------------------------------------------------------------------------


_MEASURED = """\
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def _most_memory(place: Place, *arguments: str) -> int:
    """Run a command that must work, and give the most memory that it or a child of its had, in bytes.

    A small process starts it: what the starting process holds counts for the started one too, since the kernel
    keeps the peak over an exec, and this one holds what many tests left.
    """
    command = (sys.executable, "-I", "-S", "-c", _MEASURED, str(MLSNAP), *arguments)
    done = subprocess.run(
        command, cwd=place.folder, env=place.environment, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout) * 1024


def test_a_log_of_1_gib_needs_little_memory(place: Place) -> None:
    size = 1024 if IN_CI else 256
    place.train_with(f"echo x > \"$MLSNAP_MODEL_DIR/x\"; head -c {size}M /dev/zero | tr '\\0' 'x'\n")
    assert _most_memory(place, "run") < 100 * MIB


@pytest.mark.parametrize("count", [2_000, 100_000])
def test_many_small_files_need_little_memory(place: Place, count: int) -> None:
    need(count < 10_000 or IN_CI, "takes a minute: done with CI=true")
    sha = _train(place, MANY.replace("COUNT", str(count)))
    assert _most_memory(place, "run") < 200 * MIB
    assert place.mlsnap("show", sha, "--json").facts["header"]["files"] == count
    subprocess.run(("rm", "-rf", *map(str, place.volume.glob("[0-9]*"))), check=True)
    assert _most_memory(place, "recover") < 200 * MIB
    assert len(list((place.volume / "1").iterdir())) == 1000
    assert "equals" in place.mlsnap("status").stdout
