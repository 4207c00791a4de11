"""Bind a volume to its store: the same id on both sides, made once, at first use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ci_mlsnap.domain.names import is_label
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import StorageFailed, UsageError, VolumeForeign
from ci_mlsnap.storage.layout import (
    OWN,
    Store,
    StoreRecord,
    link_snapshots,
    read_id,
    refuse_taken_link,
    write_id,
)
from ci_mlsnap.storage.placement import check_volume, same_file_system


def bind(store: Store, path: Path, name: str, *, project: str, model: str, make: Callable[[Path], None]) -> str:
    """Make or find the volume at `path` and give its id; the store lock is held. `make` makes a missing folder.

    A folder without an id, as first use or a script that makes its folder anew leaves it, becomes the volume.
    Raises `VolumeForeign`, `VolumeRefused`, `StorageFailed`.
    """
    record = bound_record(store, path, name, project=project, model=model)
    make_own(store, path, record.id, make=make, adopt=True)
    return record.id


def bound_record(store: Store, path: Path, name: str, *, project: str, model: str) -> StoreRecord:
    """Give the store's record, made at first use; the store lock is held. Raises `VolumeForeign`, `UsageError`."""
    record = store.record()
    if record is None:
        return _first_use(store, path, name, project, model)
    if (record.project, record.model) != (project, model):
        raise _other_model(path, record, project, model)
    return record


def _first_use(store: Store, path: Path, name: str, project: str, model: str) -> StoreRecord:
    if not is_label(model) or not is_label(name):
        raise UsageError(f"{model[:80]!r} and {name[:80]!r} must be names: a-z, 0-9 and `-`")
    found = read_id(path)
    if found:
        raise VolumeForeign(
            f"{path} is a volume, but the store {store.root} knows of none",
            why=f"it carries the id {found[:80]!r} of another store",
            safe="nothing was changed",
            hint=f"set `store` to where its snapshots are, or begin anew: remove {path / OWN / 'volume.json'}",
        )
    return store.make_record(path, name, project=project, model=model)


def _other_model(path: Path, record: StoreRecord, project: str, model: str) -> VolumeForeign:
    return VolumeForeign(
        f"the volume {path} belongs to model {record.model!r} of {record.project!r}",
        why=f"this is model {model!r} of {project!r}, and a volume has one model",
        safe="nothing was changed",
        hint="set another `path` (and `store`), or, after renaming, `project` and `model` to what they were",
    )


def require_own(store: Store, tree: Path) -> None:
    """Raise `VolumeForeign` unless a live tree carries the recorded id; one that is missing or empty may be made.

    Raises `VolumeRefused` for what can be no volume, `StorageFailed` before first use.
    """
    record = store.record()
    if record is None:
        raise StorageFailed(f"{store.root} is no store yet", hint="`mlsnap init` or the first run makes it")
    check_volume(tree, store.root)
    found = read_id(tree)
    if found == record.id or (not found and _is_empty(tree)):
        return
    raise VolumeForeign(
        f"{tree} is not the volume that was recorded",
        why=f"it carries the id {found[:80]!r}" if found else "it carries no id, and is not empty",
        safe="nothing was changed",
        hint=f"check `path` and mounts; the volume has the id {record.id!r} in {OWN}/volume.json",
    )


def make_own(
    store: Store, tree: Path, volume_id: str, *, make: Callable[[Path], None], adopt: bool = False
) -> None:
    """Make what is missing of a live tree: the folder (by `make`), its id, the link to the snapshots.

    `adopt` also takes a folder without an id that holds something, when it is on the store's file system: one
    on another may be what shows where the volume's own is not mounted. Raises `VolumeForeign`, `VolumeRefused`.
    """
    check_volume(tree, store.root)
    found = read_id(tree)
    first = not any(store.snapshots.iterdir())
    if not found and adopt and (first or same_file_system(tree, store.root)):
        refuse_taken_link(tree)  # before anything is written
    else:
        require_own(store, tree)
    with storage_errors("the volume cannot be made"):
        make(tree)
        if not found:
            write_id(tree, volume_id)
        link_snapshots(tree, store)


def _is_empty(tree: Path) -> bool:
    with storage_errors("the volume cannot be read"):
        try:
            return not any(tree.iterdir())
        except FileNotFoundError:
            return True
