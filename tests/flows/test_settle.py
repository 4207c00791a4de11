"""Training on several hosts: each other one settles, and without its word there is no version."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from ci_mlsnap.errors import StorageFailed, UsageError, VolumeMissing
from ci_mlsnap.flows.settle import settle
from ci_mlsnap.state import receipts
from ci_mlsnap.state.holder import this_process
from tests.conftest import need
from tests.flows.conftest import MLSNAP, QUIET, MakePlace, Place

NOW = "2026-01-01T00:00:00+00:00"
RUN = "aaaaaaaaaaaa-00000000"

TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
env | grep ^MLSNAP_ > "$SEEN"
"""

OTHER_HOST = """\
set -eu
mount --bind "$BOOT" /proc/sys/kernel/random/boot_id
echo "$NAME" > /proc/sys/kernel/hostname
exec "$MLSNAP" settle
"""
"""What makes another host of a process, as far as a kernel can tell: its own boot and its own name."""


@pytest.fixture
def place(make_place: MakePlace, tmp_path: Path) -> Place:
    """Give a place whose training writes from two hosts; what it saw in its environment is in the file `seen`."""
    volume = tmp_path / "shared/digits"
    settings = f"""\
[train]
command = "sh train.sh"
writers = 2
env = ["SEEN"]
[volumes.models]
path = "{volume}"
"""
    return make_place(shared=True, settings=settings, train=TRAIN)


@pytest.fixture
def seen(place: Place, tmp_path: Path) -> Callable[[], Mapping[str, str]]:
    """Give what training had in its environment."""
    return lambda: dict(line.split("=", 1) for line in (tmp_path / "seen").read_text().splitlines())


def run(place: Place, tmp_path: Path) -> dict[str, str]:
    return {**QUIET, "SEEN": str(tmp_path / "seen")}


@pytest.fixture
def other_host(needs_root: None, tmp_path: Path) -> Callable[..., int]:
    """Give `other_host(environment, boot=…)`: run `mlsnap settle` as another host would."""
    own = subprocess.run(("unshare", "--mount", "--uts", "true"), capture_output=True, check=False)
    need(own.returncode == 0, "no namespaces of its own for a process that plays another host")

    def act(environment: Mapping[str, str], *, boot: str = "other", name: str = "node2") -> int:
        file = tmp_path / f"boot-{boot}"
        file.write_text(f"{boot}\n")
        more = {"BOOT": str(file), "NAME": name, "MLSNAP": str(MLSNAP)}
        command = ("unshare", "--mount", "--uts", "sh", "-c", OTHER_HOST)
        return subprocess.run(command, env={**os.environ, **environment, **more}, check=True).returncode

    return act


def test_without_the_other_hosts_word_there_is_no_version_and_with_it_there_is(
    place: Place, tmp_path: Path, seen: Callable[[], Mapping[str, str]], other_host: Callable[..., int]
) -> None:
    said = place.refused("writer-unsettled", 11, "run", env=run(place, tmp_path))
    assert "0 of 1 other host" in said.error[0]
    assert "mlsnap conclude" in said.stderr
    assert place.snapshots() == []
    other_host(seen())
    other_host(seen(), name="node2-container")
    facts = place.mlsnap("conclude", "--json", env=QUIET).facts
    (receipt,) = facts["receipts"]
    assert receipt["commit"] == facts["commit"]
    assert (receipt["boot"], receipt["files"], receipt["folders"]) == ("other", 1, 1)
    assert receipt["path"] == seen()["MLSNAP_MODEL_DIR"]
    assert facts["commit"] in place.snapshots()
    place.require_rest()


def test_the_host_that_concludes_is_no_other_host(
    place: Place, tmp_path: Path, seen: Callable[[], Mapping[str, str]]
) -> None:
    place.train_with(TRAIN + f"{MLSNAP} settle\n")
    said = place.refused("writer-unsettled", 11, "run", env=run(place, tmp_path))
    assert "host that concludes" in said.stderr
    assert "settled: 1 file" in said.stdout


def test_forged_receipts_do_not_count_and_hurt_nobody(
    place: Place, tmp_path: Path, seen: Callable[[], Mapping[str, str]]
) -> None:
    forge = """\
mkdir -p "$MLSNAP_RECEIPTS"
cd "$MLSNAP_RECEIPTS"
ln -s /etc/passwd a.json
mkfifo b.json
truncate -s 10G c.json
printf '{"format": "mlsnap/receipt/1"' > d.json
"""
    place.train_with(TRAIN + forge)
    said = place.refused("writer-unsettled", 11, "run", env=run(place, tmp_path))
    for name in ("a.json", "b.json", "c.json", "d.json"):
        assert name in said.stderr
    assert "root:" not in said.stderr


def test_the_receipt_of_another_run_does_not_count(
    place: Place, tmp_path: Path, seen: Callable[[], Mapping[str, str]]
) -> None:
    place.refused("writer-unsettled", 11, "run", env=run(place, tmp_path))
    folder = Path(seen()["MLSNAP_RECEIPTS"])
    done = settle("", {**seen(), "MLSNAP_RECEIPTS": str(folder.with_name(RUN))}, now=NOW)
    told = json.loads(Path(done.place).read_bytes()) | {"boot": "other", "host": "node\x1b[2J"}
    folder.mkdir()
    (folder / "a.json").write_text(json.dumps(told))
    said = place.refused("writer-unsettled", 11, "conclude", env=QUIET)
    assert "node?[2J: its receipt is of another run" in said.stderr


def test_one_host_alone_needs_no_receipt(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place()
    assert "receipts" not in place.mlsnap("run", "--json", env=QUIET).facts


# -- on the other host -------------------------------------------------------------------------------------------


@pytest.fixture
def passed_on(tmp_path: Path) -> dict[str, str]:
    """Give what a launcher passes on to another host, with a model of one file there."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_text("x")
    out = tmp_path / "out"
    out.mkdir()
    folder = receipts.folder_of(out, RUN)
    return {"MLSNAP_MODEL_DIR": str(tmp_path / "model"), "MLSNAP_RECEIPTS": str(folder), "MLSNAP_COMMIT": "c" * 40}


def test_a_receipt_says_who_wrote_what_and_when(passed_on: dict[str, str], tmp_path: Path) -> None:
    done = settle("", passed_on, now=NOW)
    assert receipts.read(tmp_path / "out", RUN).receipts == (done.receipt,)
    assert (done.receipt.run, done.receipt.commit, done.receipt.at) == (RUN, "c" * 40, NOW)
    assert done.receipt.boot == this_process().boot
    assert (done.receipt.files, done.receipt.folders) == (1, 1)


def test_settling_needs_neither_a_repository_nor_a_token(passed_on: dict[str, str], tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], **passed_on}
    for arguments in ((), (passed_on["MLSNAP_MODEL_DIR"], "--json")):
        done = subprocess.run(
            (MLSNAP, "settle", *arguments), cwd="/", env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["receipt"]["files"] == 1


@pytest.mark.parametrize("missing", ["MLSNAP_MODEL_DIR", "MLSNAP_RECEIPTS"])
def test_a_variable_that_was_not_passed_on_is_named(passed_on: dict[str, str], missing: str) -> None:
    del passed_on[missing]
    with pytest.raises(UsageError, match=missing):
        settle("", passed_on, now=NOW)


def test_a_run_that_is_not_seen_here_is_told_and_nothing_is_made(
    passed_on: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "out").rmdir()
    with pytest.raises(VolumeMissing):
        settle("", passed_on, now=NOW)
    assert not (tmp_path / "out").exists()


def test_what_is_not_durable_is_an_error_and_the_receipt_says_so(
    passed_on: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/weights"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StorageFailed, match="not all of") as caught:
        settle("", passed_on, now=NOW)
    assert "'weights': Input/output error" in caught.value.why
    (receipt,) = receipts.read(tmp_path / "out", RUN).receipts
    assert (receipt.errors, receipt.files) == (1, 0)
