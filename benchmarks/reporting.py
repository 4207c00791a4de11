"""How long the pages of very many versions take: all of them, none, and those that one new version changes."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.listing import add_version, make_history
from benchmarks.measuring import BIN, Bar, plain_bar, process_seconds, seconds_bar
from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.metrics import Curve, Metrics
from ci_mlsnap.domain.record import Record, VolumeRecord
from ci_mlsnap.state import catalogue
from ci_mlsnap.storage.local import LocalDriver

_STEPS = tuple(float(step) for step in range(50))


def reporting_bars(root: Path, count: int, *, full: float, one: float, rounds: int) -> Iterator[Bar]:
    """Measure `mlsnap report` of `count` versions; `full` and `one` are bars in milliseconds."""
    driver = make_history(root, count)
    for version in catalogue.versions(driver):
        _write_record(driver, version.header.name, version.digest)
    out, told = root / "report", f"`mlsnap report` of {count:,} versions"
    command = (BIN / "mlsnap", "report", "--output", out)
    whole, added = [], []
    for _ in range(min(rounds, 3)):
        shutil.rmtree(out, ignore_errors=True)
        whole.append(process_seconds(*command, cwd=root))
    pages = len(list(out.glob("*/index.html")))
    if pages != count:
        raise SystemExit(f"{told}: it made {pages} pages")
    for number in range(rounds):
        _one_more(root, driver, count + number)
        added.append(process_seconds(*command, cwd=root))
    yield seconds_bar(f"{told}: all pages", whole, limit=full)
    yield seconds_bar(f"{told}: one version more", added, limit=one)
    shares = [one / min(whole) for one in added]
    yield plain_bar(f"{told}: one version more : all pages", shares, limit=None, tree="", unit="x", note="")
    size = (out / "index.html").stat().st_size / 1024
    yield plain_bar(f"{told}: size of its index", [size], limit=1024, tree="", unit=" KiB", note="")


def _one_more(root: Path, driver: LocalDriver, number: int) -> None:
    commit = hashlib.sha1(f"one more {number}".encode(), usedforsecurity=False).hexdigest()
    add_version(driver, root / "models", number + 1, commit=commit, tree=commit, before="")
    version = next(it for it in catalogue.versions(driver, remember=True) if it.header.name == commit)
    _write_record(driver, commit, version.digest)


def _write_record(driver: LocalDriver, name: str, digest: str) -> None:
    """Leave what the run that made a version would have left."""
    folder = driver.state_folder() / "runs" / f"{name[:12]}-{name[12:20]}"
    folder.mkdir(parents=True)
    curve = Curve(name="accuracy", steps=_STEPS, values=tuple(1 - 0.9**step for step in _STEPS))
    volume = VolumeRecord(
        name="models",
        driver="local",
        way="copy",
        volume_id=driver.volume_id,
        path="/models",
        snapshot=name,
        manifest_digest=digest,
    )
    record = Record(
        format="mlsnap/record/1",
        outcome="good",
        project="octo/bench",
        model="bench",
        commit=name,
        subject="A change",
        volume=volume,
        metrics=Metrics(curves=(curve,)),
        verdict=Verdict(good=True),
        tool="mlsnap bench",
    )
    (folder / "record.json").write_bytes(msgspec.json.encode(record))
