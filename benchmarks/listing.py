"""How long a list of very many versions takes: `mlsnap log` beside `git log`, over the same commits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import BIN, Bar, environment, in_turns, process_seconds, ratio_bar, run, seconds_bar
from ci_mlsnap.domain.gates import Gate, judge
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.state import catalogue
from ci_mlsnap.storage.local import LocalDriver

_SETTINGS = 'train = "true"\nvolume = "models"\nproject = "octo/bench"\nmodel = "bench"\n'


def listing_bars(root: Path, count: int, *, limit: float | None, rounds: int) -> Iterator[Bar]:
    """Measure `mlsnap log` of `count` versions."""
    make_history(root, count)
    told, tree = f"`mlsnap log` of {count:,} versions", f"{count:,} commits"
    ours, theirs = (BIN / "mlsnap", "log", "-n", str(count)), ("git", "log", "-n", str(count))
    if len(run(*ours, cwd=root).splitlines()) != count + 1:
        raise SystemExit(f"{told}: it lists another number of lines")
    pair = in_turns(
        lambda: process_seconds(*ours, cwd=root), lambda: process_seconds(*theirs, cwd=root), rounds=rounds
    )
    yield seconds_bar(told, pair.ours, limit=limit, tree=tree)
    yield ratio_bar(f"{told} : `git log`", pair, limit=None, tree=tree)


def make_history(root: Path, count: int) -> LocalDriver:
    """Make a repository with a version of each commit, as runs of a CI would over months."""
    root.mkdir()
    run("git", "init", "--quiet", "--initial-branch=main", cwd=root)
    subprocess.run(
        ("git", "fast-import", "--quiet"), input=_commits(count), cwd=root, env=environment(), check=True
    )
    run("git", "checkout", "--quiet", "--force", "main", cwd=root)
    listed = run("git", "log", "--reverse", "--format=%H %T", cwd=root).splitlines()
    driver = LocalDriver(root / "models", root / ".git" / "mlsnap" / "models", "models")
    driver.initialise(project="octo/bench", model="bench")
    before = ""
    for number, line in enumerate(listed, 1):
        commit, tree = line.split()
        add_version(driver, root / "models", number, commit=commit, tree=tree, before=before)
        before = commit
    catalogue.read(driver, remember=True)  # as each run does before its version gets a number
    return driver


def _commits(count: int) -> bytes:
    stream = []
    for number in range(count):
        message = f"change {number}"
        stream.append(f"commit refs/heads/main\ncommitter Ada <ada@example.org> {1_700_000_000 + number} +0000\n")
        stream.append(f"data {len(message)}\n{message}\n")
        files = {"number.txt": str(number), **({"mlsnap.toml": _SETTINGS} if number == 0 else {})}
        stream += [f"M 644 inline {name}\ndata {len(text)}\n{text}\n" for name, text in files.items()]
    return "".join(stream).encode()


def add_version(driver: LocalDriver, live: Path, number: int, *, commit: str, tree: str, before: str) -> None:
    """Make one more version."""
    (live / "weights").write_text(str(number))
    frozen = driver.freeze(live, parent=None, full=False, inventory=True)
    gates, metrics = (Gate(metric="accuracy", min=0.6),), {"accuracy": 0.5 + number * 7919 % 1000 / 2000}
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=commit,
        volume="models",
        volume_id=driver.volume_id,
        members=("models",),
        project="octo/bench",
        model="bench",
        commit=commit,
        tree=tree,
        sequence=number,
        created="2026-11-25T00:00:00+00:00",
        metrics=dict(metrics),
        baseline=before,
        gates=gates,
        verdict=judge(gates, metrics, {}),
        files_mode="changed",
        files=frozen.inventory.files,
        bytes=frozen.inventory.bytes,
        content_digest=frozen.inventory.content_digest,
        tool="mlsnap bench",
    )
    manifest = Manifest(header=header, entries=frozen.inventory.entries)
    name, digest = SnapshotName.parse(commit), digest_of(encode(manifest))
    driver.seal(frozen, manifest, Marker(project="octo/bench", model="bench", name=name, digest=digest))
