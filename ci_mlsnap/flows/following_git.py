"""After git moved the work tree: the live tree of a private volume, or the view of a shared one, follows the code.

Nothing here waits: while a run trains, or a person keeps the models back, they stay where they are.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.texts import counted, duration, size
from ci_mlsnap.domain.versions import Answer, How, Version
from ci_mlsnap.errors import Busy, MlsnapError, NoSuchVersion
from ci_mlsnap.flows import leases, staying, trusting, views, writable
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.hinting import grounds, grounds_of_none
from ci_mlsnap.flows.members import besides_first
from ci_mlsnap.flows.moving import Moved, move_held_tree
from ci_mlsnap.flows.restore import identity, require_volume
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.hooks.hint import Grounds
from ci_mlsnap.ports import Driver
from ci_mlsnap.state import lease, live, rolled_back
from ci_mlsnap.state.journal import open_runs

OWN = (".mlsnap", ".snapshot")
MOST_FILES = 10_000
"""Files that are brought back one by one at a checkout, where the storage cannot do it as a whole."""

_HOW: dict[How, str] = {
    "same-tree": ", trained on the same files",
    "same-inputs": ", no training input differs",
}


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done: the `answer` to bring back, else nothing. `text` says why not, empty when nothing is to
    be said. `grounds` are what the same decision can rest on next time; None where it must be looked at anew."""

    text: str = ""
    answer: Answer | None = None
    grounds: Grounds | None = None


def look(project: Project, trusted: tuple[trusting.Place, ...], *, copied: int | None) -> Outlook:
    """Say what the models must follow to; changes nothing.

    `copied` is how many bytes may be written anew at a checkout, None for any number. Raises what reading the
    storage raises.
    """
    why = trusting.obstacle(project, trusted)
    if why:
        return Outlook(text=f"{_stay(project)}: {why} (`mlsnap restore HEAD` when you want it)")
    if not project.driver.volume_id:
        return Outlook(grounds=grounds_of_none(project))
    place = _place(project)
    pinned = rolled_back.find(project.state, place)
    if pinned is not None:
        return Outlook(text=_rolled_back(_stay(project)))
    head = project.repository.head()
    try:
        answer = find_version(project, head)
    except NoSuchVersion as error:
        near = f" ({error.hint})" if "nearest" in error.hint else ""
        return Outlook(text=f"no version for {head[:7]}; {_stay(project)}{near}", grounds=grounds(project, place))
    if _are_at(project, answer.version):
        said = f"{_stay(project)}{_HOW[answer.how]}" if answer.how in _HOW else ""
        return Outlook(text=said, grounds=grounds(project, place))
    why = _in_the_way(project) or _slow(project, answer, copied)
    return Outlook(text=why) if why else Outlook(answer=answer)


def follow(project: Project, answer: Answer) -> str:
    """Bring the version back, and say what was done. Files that no version has are kept first. Never raises."""
    before = _stay(project)
    try:
        tidy(project.hands, project.driver, identity(project))
        moved = _move(project, answer.version.name)
    except MlsnapError as error:
        why = error.hint if error.hint and not isinstance(error, Busy) else ""
        return f"{before}: {error.what}{f'; {why}' if why else ''}"
    if moved is None:
        return _rolled_back(before)
    return f"models are now {answer.version.name.short}{_HOW.get(answer.how, '')}{_kept(moved)}{_missed(answer)}"


def _move(project: Project, name: SnapshotName) -> Moved | None:
    """Move the view, or the live tree under its lease; None where a person rolled it back since it was seen."""
    driver, place = project.driver, _place(project)
    if project.private:
        require_volume(project)
        with leases.volume_held(project.hands, driver):
            if rolled_back.find(project.state, place) is not None:
                return None
            return move_held_tree(project.hands, driver, name, place, identity(project))
    with staying.alone(driver):
        if rolled_back.find(project.state, place) is not None:
            return None
        done = writable.show_version(project, place, name, identity(project))
        return Moved(way="swap", kept=done.kept, aside=done.aside)


def _rolled_back(stay: str) -> str:
    return f"{stay}, where they were rolled back to (`mlsnap rollback --undo`, or `--release`)"


def _kept(moved: Moved) -> str:
    if moved.aside is not None:
        return f"; what was there is in {moved.aside}"
    return f"; what was in no version is kept as {_short(moved.kept)}" if moved.kept else ""


def _missed(answer: Answer) -> str:
    return "" if answer.version.good else "; this version misses a gate"


def _place(project: Project) -> Path:
    """What git moves: a private volume's live tree, or the view."""
    return project.volume_path if project.private else project.view or project.volume_path


def _are_at(project: Project, version: Version) -> bool:
    """Tell whether the models are this version, as far as that is written down."""
    if not project.private:
        return project.view is not None and views.are_at(project, version.name)
    others = besides_first(project.driver, version.header)
    trees = [(project.driver, project.volume_path), *((it.driver, it.path) for it in others)]
    return all(_is_at(driver, path, version.header.name) for driver, path in trees)


def _is_at(driver: Driver, path: Path, name: str) -> bool:
    recorded = live.read(driver.state_folder(), path)
    equal = recorded is not None and recorded.condition == "equal" and recorded.version == name
    return equal and path.is_dir()


def _stay(project: Project) -> str:
    recorded = live.read(project.state, project.volume_path) if project.private else None
    name = recorded.version if recorded is not None else ""
    if not project.private and project.view is not None and project.view.is_symlink():
        name = project.view.readlink().name
    return f"models stay at {_short(name)}" if SnapshotName.parse_or_none(name) else "models stay as they are"


def _in_the_way(project: Project) -> str:
    """Say who works with what is to be moved, or what was left over there; empty when nobody does."""
    if project.view is not None and not project.private:
        leads = project.view.readlink() if project.view.is_symlink() else Path("/")
        trains = leads.is_relative_to(project.store / "work") and writable.copy_in_view(project) is None
        return "a run trains here; models follow when it has ended (`mlsnap status`)" if trains else ""
    if not project.private:
        return f"{_stay(project)}: the volume is shared, and no `view` is set for this checkout"
    taken = lease.find(project.state, leases.VOLUME)
    if taken is not None and not lease.is_over(taken, now=project.hands.clock()):
        run = next((run for run in open_runs(project.state) if run.run_id == taken.run), None)
        who = f"{run.plan.commit[:7]} is training" if run is not None else f"{taken.owner} changes the models"
        return f"{who} since {_ago(project.hands.clock() - taken.since)}; {_stay(project)}"
    recorded = live.read(project.state, project.volume_path)
    if open_runs(project.state) or (recorded is not None and recorded.condition not in ("equal", "mixed")):
        return f"{_stay(project)}: a run or a restore was cut off, or failed (`mlsnap recover`)"
    return ""


def _ago(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if 60 <= seconds < 3600 else duration(max(seconds, 0.0))


def _slow(project: Project, answer: Answer, copied: int | None) -> str:
    """Say that a restore takes time; empty when it does not. A view is only a link."""
    able = project.driver.capabilities
    if copied is None or not project.private or able.instant:
        return ""
    wanted, there = _held(project, answer.version.name), _there(project)
    if wanted is not None and there is not None and able.swap:
        files, written = max(wanted[0], there[0]), max(wanted[1], there[1])
        if files <= MOST_FILES and (able.shares or written <= copied):
            return ""
    name, header = answer.version.name.short, answer.version.header
    held = f"{counted(header.files, 'file')}, {size(header.bytes)}"
    return f"{_stay(project)}: bringing {name} back takes a while ({held}): `mlsnap restore HEAD`"


def _there(project: Project) -> tuple[int, int] | None:
    """Say how many files and bytes the live tree holds, which is all copied where some of it is in no version."""
    recorded = live.read(project.state, project.volume_path)
    if recorded is not None and recorded.version:
        return _held(project, SnapshotName.parse(recorded.version))
    path = project.volume_path
    empty = not path.exists() or not any(place.name not in OWN for place in path.iterdir())
    return (0, 0) if empty else None


def _held(project: Project, name: SnapshotName) -> tuple[int, int] | None:
    """Say how many files and bytes a version has; None where nothing tells without a walk."""
    try:
        first = project.driver.manifest_header(name)
        others = [it.driver.manifest_header(name) for it in project.driver.others() if it.name in first.members]
    except NoSuchVersion:
        return None
    return sum(it.files for it in (first, *others)), sum(it.bytes for it in (first, *others))


def _short(name: str) -> str:
    parsed = SnapshotName.parse_or_none(name)
    return parsed.short if parsed is not None else name[:12]
