"""The metrics that training left: found where the usual tools put them, read without trusting them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.errors import MetricsInvalid
from ci_mlsnap.training.metrics import sources
from ci_mlsnap.training.metrics.opening import Beneath, refused
from ci_mlsnap.training.metrics.parsing import parse
from ci_mlsnap.training.metrics.sources import Look, Reading, Source

MAX_BYTES = 16 << 20


def find_metrics(
    roots: Sequence[Path],
    configured: str | None,
    *,
    since_ns: int | None = None,
    max_bytes: int = MAX_BYTES,
    seconds: float = 30.0,
    tell: Callable[[str], None] = lambda text: None,
) -> Metrics:
    """Read the metrics below the first of `roots` that has some; empty ones when there are none.

    Looked for are the `configured` file or folder, else what the usual tools leave, `metrics.json` first. Files
    that last changed before `since_ns` are not of this training, and count as absent. What has a tool's name and
    is no metrics is passed over, and `tell` says so.
    Raises `MetricsInvalid` when the configured file is absent, and when it, `metrics.json` or dvclive's files
    cannot be read: links, FIFOs, more than `max_bytes` bytes, broken content, more than 1000 metrics;
    `StorageFailed`.
    """
    beneath = Beneath(roots=roots, max_bytes=max_bytes, since_ns=since_ns)
    wanted = (Source(look=_look_for(_configured(configured)), meant=True),) if configured else sources.USUAL
    for root in roots:
        for source in wanted:
            found = _read(source, beneath, root, seconds, tell)
            if found is not None:
                return found
    if configured:
        raise _missing(configured, since_ns)
    return Metrics()


def _read(
    source: Source, beneath: Beneath, root: Path, seconds: float, tell: Callable[[str], None]
) -> Metrics | None:
    try:
        reading = source.look(beneath, root, PurePosixPath())
        found = parse(reading.files, source=reading.source, seconds=seconds) if reading else None
    except MetricsInvalid as error:
        if source.meant:
            raise
        tell(f"passed over: {error.what}: {error.why}")
        return None
    return found if source.meant or (found and found.scalars) else None


def _look_for(path: PurePosixPath) -> Look:
    """Look for what is configured: one file, or a folder as one of the tools leaves it."""

    def look(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
        if not beneath.is_folder(root, base / path):
            return _file(beneath, root, base / path)
        return next((it for it in _in_folder(beneath, root, base / path) if it is not None), None)

    return look


def _file(beneath: Beneath, root: Path, path: PurePosixPath) -> Reading | None:
    if path.suffix == ".json":
        return sources.with_curves(beneath, root, path)
    found = sources.file_at(beneath, root, path)
    return Reading(source=str(path), files=[found]) if found else None


def _in_folder(beneath: Beneath, root: Path, folder: PurePosixPath) -> Iterator[Reading | None]:
    for source in sources.USUAL:
        yield source.look(beneath, root, folder)
    yield sources.newest_version(beneath, root, folder)
    yield sources.store_at(beneath, root, folder)
    yield sources.events_below(beneath, root, folder)


def _configured(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in text:
        raise refused(path, "metrics.file leads out of the project", "name a path below the project's folder")
    return path


def _missing(configured: str, since_ns: int | None) -> MetricsInvalid:
    old = ", or only one from before this training" if since_ns is not None else ""
    return refused(
        PurePosixPath(configured),
        f"there is no such file{old}",
        "let training write it below $MLSNAP_MODEL_DIR or the project's folder, or correct metrics.file",
    )
