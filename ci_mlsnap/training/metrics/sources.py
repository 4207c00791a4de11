"""Where the usual tools leave metrics: one row for each, in the order in which they are looked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from ci_mlsnap.training.metrics.opening import Beneath, refused
from ci_mlsnap.training.metrics.parsing import Found

_EVENTS = "events.out.tfevents."
_EVENT_FOLDERS = ("runs", "logs", "tensorboard", "tb_logs", "lightning_logs")
_EVENT_BYTES = 4
"""So many times what another source may have: event files also hold pictures and graphs."""
_CURVES = PurePosixPath("plots/metrics")
_TABLES = (".tsv", ".csv", ".log")
_MLRUNS = "mlruns"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """Files that a tool left together, and what they are called for people."""

    source: str
    files: list[Found]


Look = Callable[[Beneath, Path, PurePosixPath], Reading | None]
"""Look for a tool's files in a folder (below a root) of this training; None when there are none."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """One tool's files. `meant`: whoever wrote such a file meant it for us, so what is wrong with it is an error;
    a file that only has a name that the tool uses too is passed over then."""

    look: Look
    meant: bool = False


def file_at(beneath: Beneath, root: Path, path: PurePosixPath) -> Found | None:
    """Give one file; None when there is none of this training. Raises `MetricsInvalid`, `StorageFailed`."""
    content = beneath.read(root, path)
    if content is None:
        return None
    return Found(path=path, kind="table" if path.suffix in _TABLES else "any", content=content)


def with_curves(beneath: Beneath, root: Path, path: PurePosixPath) -> Reading | None:
    """Give a file of final values with the curves that dvclive puts beside it, or these alone."""
    found = file_at(beneath, root, path)
    tables = path.parent / _CURVES
    if found is None and path.parent.name != "dvclive":
        return None
    files = [found] if found else []
    for table in beneath.listed(root, tables, lambda name: name.endswith(".tsv")):
        curve = file_at(beneath, root, table)
        if curve is not None:
            name = ".".join(table.relative_to(tables).with_suffix("").parts)
            files.append(replace(curve, name=name))
            _require_size(beneath, tables, files)
    return Reading(source=str(path), files=files) if files else None


def events_below(beneath: Beneath, root: Path, folder: PurePosixPath) -> Reading | None:
    """Give all event files below a folder; where they are in several, names begin with the folder's."""
    return _events(beneath, root, beneath.listed(root, folder, _is_event_file))


def store_at(beneath: Beneath, root: Path, store: PurePosixPath) -> Reading | None:
    """Give the runs of a file store of MLflow, of which the child takes one."""
    files: list[Found] = []
    for run in beneath.matching(root, store, "*/*/metrics"):
        group = run.parent
        metrics = [_run_file(beneath, root, path, run) for path in beneath.listed(root, run, lambda _: True)]
        fresh = [found for found in metrics if found is not None]
        meta = beneath.read(root, group / "meta.yaml") if fresh else None
        if meta is not None:
            files.append(Found(path=group / "meta.yaml", kind="run", content=meta, group=str(group)))
        files.extend(fresh)
        _require_size(beneath, store, files)
    return Reading(source=str(store), files=files) if files else None


def newest_version(beneath: Beneath, root: Path, folder: PurePosixPath) -> Reading | None:
    """Give what Lightning logged into its own folder, of which the newest version counts."""
    return _one_of("version_*/metrics.csv")(beneath, root, folder)


def _one_of(*patterns: str) -> Look:
    """Look for one file: the first pattern that fits one, and of several the newest."""

    def look(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
        for pattern in patterns:
            for path in beneath.matching(root, base, pattern):
                found = file_at(beneath, root, path)
                if found is not None:
                    return Reading(source=str(path), files=[found])
        return None

    return look


def _metrics_json(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
    return with_curves(beneath, root, base / "metrics.json")


def _dvclive(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
    return with_curves(beneath, root, base / "dvclive/metrics.json")


def _trainer(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
    """Hugging Face's Trainer: final values, and the log with its curves, which every checkpoint also has."""
    results = _one_of("all_results.json", "eval_results.json")(beneath, root, base)
    state = _one_of("trainer_state.json", "checkpoint-*/trainer_state.json")(beneath, root, base)
    readings = [it for it in (results, state) if it is not None]
    if not readings:
        return None
    return Reading(
        source=" and ".join(it.source for it in readings), files=[file for it in readings for file in it.files]
    )


def _tensorboard(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
    def paths() -> Iterator[PurePosixPath]:
        yield from reversed(list(beneath.matching(root, base, f"{_EVENTS}*")))
        for folder in _EVENT_FOLDERS:
            yield from beneath.listed(root, base / folder, _is_event_file)

    return _events(beneath, root, paths())


def _mlflow(beneath: Beneath, root: Path, base: PurePosixPath) -> Reading | None:
    return store_at(beneath, root, base / _MLRUNS)


def _events(beneath: Beneath, root: Path, paths: Iterable[PurePosixPath]) -> Reading | None:
    roomy = replace(beneath, max_bytes=_EVENT_BYTES * beneath.max_bytes)
    files: list[Found] = []
    for path in paths:
        content = roomy.read(root, path)
        if content is not None:
            files.append(Found(path=path, kind="events", content=content, group=str(path.parent)))
            _require_size(roomy, path.parent, files)
    if not files:
        return None
    top = PurePosixPath(os.path.commonpath([file.group for file in files]))
    named = [replace(file, name=_before(file.path.parent.relative_to(top))) for file in files]
    return Reading(source=str(files[0].path if len(files) == 1 else top), files=named)


def _before(folder: PurePosixPath) -> str:
    return f"{folder}/" if folder.parts else ""


def _run_file(beneath: Beneath, root: Path, path: PurePosixPath, metrics: PurePosixPath) -> Found | None:
    content = beneath.read(root, path)
    if content is None:
        return None
    name = str(path.relative_to(metrics))
    return Found(path=path, kind="run-metric", content=content, name=name, group=str(metrics.parent))


def _is_event_file(name: str) -> bool:
    return name.startswith(_EVENTS)


def _require_size(beneath: Beneath, folder: PurePosixPath, files: list[Found]) -> None:
    if sum(len(file.content) for file in files) > beneath.max_bytes:
        raise refused(folder, f"together they are larger than {beneath.max_bytes >> 20} MiB", "log less")


USUAL = (
    Source(look=_metrics_json, meant=True),
    Source(look=_dvclive, meant=True),
    Source(look=_trainer),
    Source(
        look=_one_of(
            "lightning_logs/version_*/metrics.csv",
            "logs/*/version_*/metrics.csv",
            "metrics.csv",
        )
    ),
    Source(look=_one_of("history.json", "training.log", "training.csv", "history.csv")),
    Source(look=_tensorboard),
    Source(look=_mlflow),
    Source(look=_one_of("scores.json", "results.json")),
)
"""In their order: the first that is there is read. `docs/metrics.md` has the same table."""
