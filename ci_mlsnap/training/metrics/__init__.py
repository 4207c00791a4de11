"""The metrics that training left: found where the usual tools put them, read without trusting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.errors import MetricsInvalid
from ci_mlsnap.training.metrics.opening import Beneath, refused
from ci_mlsnap.training.metrics.parsing import Found, parse

MAX_BYTES = 16 << 20
_DVCLIVE = PurePosixPath("dvclive/metrics.json")
_USUAL = (PurePosixPath("metrics.json"), _DVCLIVE)
_CURVES = PurePosixPath("plots/metrics")
_TABLE = ".tsv"


def find_metrics(
    roots: Sequence[Path],
    configured: str | None,
    *,
    since_ns: int | None = None,
    max_bytes: int = MAX_BYTES,
    seconds: float = 30.0,
) -> Metrics:
    """Read the metrics below the first of `roots` that has some; empty ones when there are none.

    Looked for are the `configured` file, else `metrics.json`, else what dvclive writes; curves of dvclive's tables
    come with it. Files that last changed before `since_ns` are not of this training, and count as absent.
    Raises `MetricsInvalid` when the configured file is absent, and for whatever cannot be read as metrics: links,
    FIFOs, more than `max_bytes` bytes, broken JSON, more than 1000 metrics; `StorageFailed`.
    """
    beneath = Beneath(roots=roots, max_bytes=max_bytes, since_ns=since_ns)
    wanted = (_configured(configured),) if configured else _USUAL
    for root in roots:
        for path in wanted:
            files = _files(beneath, root, path)
            if files:
                return parse(files, source=str(path), seconds=seconds)
    if configured:
        raise _missing(configured, since_ns)
    return Metrics()


def _configured(text: str) -> PurePosixPath:
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in text:
        raise refused(path, "metrics.file leads out of the project", "name a path below the project's folder")
    return path


def _files(beneath: Beneath, root: Path, path: PurePosixPath) -> list[Found]:
    content = beneath.read(root, path)
    if path.suffix == _TABLE:
        return [] if content is None else [_table(path, PurePosixPath(path.stem), content)]
    if content is None and path != _DVCLIVE:
        return []
    files = [] if content is None else [Found(path=path, kind="json", content=content)]
    files.extend(_tables(beneath, root, path.parent / _CURVES, len(content or b"")))
    return files


def _tables(beneath: Beneath, root: Path, folder: PurePosixPath, size: int) -> Iterator[Found]:
    for path in beneath.listed(root, folder, _TABLE):
        content = beneath.read(root, path)
        if content is not None:
            size += len(content)
            if size > beneath.max_bytes:
                raise refused(folder, f"together they are larger than {beneath.max_bytes >> 20} MiB", "log less")
            yield _table(path, path.relative_to(folder).with_suffix(""), content)


def _table(path: PurePosixPath, name: PurePosixPath, content: bytes) -> Found:
    return Found(path=path, kind="tsv", content=content, name=".".join(name.parts))


def _missing(configured: str, since_ns: int | None) -> MetricsInvalid:
    old = ", or only one from before this training" if since_ns is not None else ""
    return refused(
        PurePosixPath(configured),
        f"there is no such file{old}",
        "let training write it below $MLSNAP_MODEL_DIR or the project's folder, or correct metrics.file",
    )
