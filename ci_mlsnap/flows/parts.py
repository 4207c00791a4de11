"""restore REVISION PATH…: bring back some files or folders of a version, and leave the rest of the tree alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.parts import breaks_groups, entries_of, is_within
from ci_mlsnap.errors import (
    LinkEscapes,
    LiveTreeChanged,
    NoSuchVersion,
    Refused,
    TreeUnsupported,
    UsageError,
)
from ci_mlsnap.flows import leases
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import LiveTree, keep, look_at
from ci_mlsnap.flows.moving import Moved
from ci_mlsnap.flows.restore import Back, identity, require_volume
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import live
from ci_mlsnap.trees.inventory import glimpse, stands


def restore_parts(
    project: Project, revision: str, paths: Sequence[bytes], *, shared: bool = False, nearest: bool = False
) -> Back:
    """Make these paths of the live tree what they are in the version of `revision`.

    The tree is then no version: it is marked as mixed, unless these paths are the same in the version that it was.
    What only the live tree has at these paths is kept first. Raises `NoSuchVersion` also for a path that the
    version has not, `LiveTreeChanged` where the tree is in change or a path leads through a link, `Refused` for a
    shared volume without `shared`, and as `restore` does.
    """
    tidy(project.hands, project.driver, identity(project))
    found = find_version(project, revision, nearest=nearest)
    name = found.version.name
    if not project.private and not shared:
        raise Refused(
            "the volume is shared, and a view is a version as a whole",
            safe="nothing was changed",
            hint="--to DIR copies these paths to a new folder; --shared brings them back for all of its users",
        )
    require_volume(project)
    wanted = entries_of(_entries(project, name), paths)
    with leases.volume_held(project.hands, project.driver):
        moved = _bring_back(project, name, paths, wanted)
    return Back(answer=found, place=project.volume_path, moved=moved)


def clone_parts(
    project: Project, revision: str, paths: Sequence[bytes], destination: Path, *, nearest: bool = False
) -> Back:
    """Copy these paths of a version, with their names, into a new folder. Raises as `restore_to` does."""
    if destination.exists() or destination.is_symlink():
        raise UsageError(f"{destination} exists already", hint="name a folder that does not exist")
    found = find_version(project, revision, nearest=nearest)
    project.driver.clone(found.version.name, destination, paths=paths)
    return Back(answer=found, place=destination)


def path_in_volume(project: Project, text: str, here: Path) -> bytes:
    """Give a path as manifests have it, from the volume's root.

    What stands in the volume as seen from the folder `here` is meant so; anything else relative counts from the
    volume's root. Raises `UsageError` for `..` and for what is outside of the volume.
    """
    given = Path(text)
    if ".." in given.parts:
        raise _outside(text, "`..` is not followed, since a link may stand before it")
    for root in (project.volume_path, project.view):
        if root is not None and (here / given).is_relative_to(root):
            given = (here / given).relative_to(root)
            break
    if given.is_absolute():
        raise _outside(text, f"the volume is {project.volume_path}")
    if not given.parts:
        raise UsageError(
            f"{text!a} is the whole volume",
            safe="nothing was changed",
            hint="`mlsnap restore REVISION` without a path brings all of it back",
        )
    return os.fsencode(given)


def _outside(text: str, why: str) -> UsageError:
    return UsageError(
        f"{text[:200]!a} is no path in the volume",
        why=why,
        safe="nothing was changed",
        hint="name it as it stands in the volume, such as models/weights.bin or weights.bin",
    )


def _entries(project: Project, name: SnapshotName) -> Sequence[Entry]:
    if project.driver.manifest_header(name).files_mode == "none":
        return glimpse(project.driver.view(name))
    return project.driver.manifest(name).entries


def _bring_back(project: Project, name: SnapshotName, paths: Sequence[bytes], wanted: Sequence[Entry]) -> Moved:
    hands, driver, path = project.hands, project.driver, project.volume_path
    before = _look(driver, path)
    kept = ""
    if _would_lose(path, before, paths, wanted):
        kept = keep(driver, path, identity(project), commit=name.sha, now=hands.now())
    mixed = before.condition == "mixed" or _mixes(project, name, before, paths, wanted)

    def mark(condition: live.Condition) -> None:
        live.write(
            driver.state_folder(),
            path,
            version=before.version,
            condition=condition,
            run=hands.owner(),
            now=hands.clock,
        )

    mark("in-change")
    restored = driver.restore(name, path, paths=paths)
    mark("mixed" if mixed else "changed-by-failed-run" if before.condition == "changed-by-failed-run" else "equal")
    return Moved(way="sync" if restored.changed else "none", kept=kept, changed=restored.changed)


def _would_lose(root: Path, before: LiveTree, paths: Sequence[bytes], wanted: Sequence[Entry]) -> bool:
    """Tell whether something at these paths is neither the tree's version's nor that of the one that is wanted."""
    known = {entry.path: entry for entry in wanted}
    unsaved = (*before.differences.added, *before.differences.changed)
    return any(
        path not in known or not stands(root, known[path])
        for path in unsaved
        if any(is_within(path, part) for part in paths)
    )


def _look(driver: Driver, path: Path) -> LiveTree:
    """Compare the volume's own tree; of several volumes, parts are brought back into the first."""
    try:
        before = look_at(driver, path)
    except (TreeUnsupported, LinkEscapes):
        before = None
    if before is not None and before.condition != "in-change":
        return before
    why = "a change of it was cut off" if before else "it holds what no snapshot can carry, such as a FIFO"
    raise LiveTreeChanged(
        f"parts cannot be brought back into the live tree {path}",
        why=f"{why}, so that nothing of it could be kept first",
        safe="nothing was changed",
        hint="`mlsnap recover` first, or --to DIR",
    )


def _mixes(
    project: Project, name: SnapshotName, before: LiveTree, paths: Sequence[bytes], wanted: Sequence[Entry]
) -> bool:
    """Tell whether these paths are others in the version that the tree was, or hard links come apart."""
    entries = _entries(project, name)
    if breaks_groups(entries, paths):
        return True
    if before.version == str(name):
        return False
    try:
        return entries_of(_entries(project, SnapshotName.parse(before.version)), paths) != wanted
    except (NoSuchVersion, UsageError):  # that version, or these paths of it, are not there
        return True
