"""After git moved the work tree: the live tree of a private volume, or the view of a shared one, follows the code.

Nothing here waits: while a run trains, or a person keeps the models back, they stay where they are.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.config.read import PROJECT_FILE, SHARED_FILE
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.texts import counted, duration, size
from ci_mlsnap.domain.versions import Answer, How
from ci_mlsnap.errors import Busy, MlsnapError, NoSuchVersion
from ci_mlsnap.flows import leases, staying, trusting, views
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.moving import Moved, move_held_tree
from ci_mlsnap.flows.restore import identity, require_volume
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.hooks.hint import Grounds
from ci_mlsnap.state import lease, live, rolled_back
from ci_mlsnap.state.journal import open_runs

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
        return Outlook(grounds=_grounds_of_none(project))
    place = _place(project)
    pinned = rolled_back.find(project.state, place)
    if pinned is not None:
        return Outlook(text=_rolled_back(_stay(project)))
    head = project.repository.head()
    try:
        answer = find_version(project, head)
    except NoSuchVersion as error:
        near = f" ({error.hint})" if "nearest" in error.hint else ""
        return Outlook(text=f"no version for {head[:7]}; {_stay(project)}{near}", grounds=_grounds(project))
    if _current(project) == answer.version.header.name:
        said = f"{_stay(project)}{_HOW[answer.how]}" if answer.how in _HOW else ""
        return Outlook(text=said, grounds=_grounds(project))
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
    driver.read_back(name)
    with staying.alone(driver):
        if rolled_back.find(project.state, place) is not None:
            return None
        views.show(project, name)
        return Moved(way="swap")


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


def _current(project: Project) -> str:
    """Name the version that the models are, as far as that is written down; empty where they are none."""
    if not project.private:
        view = project.view
        target = view.readlink() if view is not None and view.is_symlink() else Path("/")
        found = SnapshotName.parse_or_none(target.name)
        return target.name if found is not None and target == project.driver.view(found) else ""
    recorded = live.read(project.state, project.volume_path)
    there = recorded is not None and recorded.condition == "equal" and project.volume_path.is_dir()
    return recorded.version if recorded is not None and there else ""


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
        trains = leads.is_relative_to(project.store / "work")
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
    able, header = project.driver.capabilities, answer.version.header
    if copied is None or not project.private or able.instant:
        return ""
    if able.swap and header.files <= MOST_FILES and (able.shares or header.bytes <= copied):
        return ""
    held = f"{counted(header.files, 'file')}, {size(header.bytes)}"
    return f"{_stay(project)}: bringing {_short(header.name)} back takes a while ({held}): `mlsnap restore HEAD`"


def _grounds(project: Project) -> Grounds | None:
    """What the answer rests on, where files tell it: what versions there are, which one is there, the settings."""
    ledger = project.state / "ledger"
    record = live.file_of(project.state, project.volume_path) if project.private else ledger
    if not ledger.is_file() or not record.is_file():
        return None
    same = [(project.volume_path, project.volume_path)] if project.private else []
    if not project.private:
        if project.view is None or not project.view.is_symlink():
            return None
        same = [(project.view, project.view.readlink())]
    return Grounds(
        unchanged=(ledger, record, project.store / "volume.json", *_settings_files(project)),
        absent=(rolled_back.file_of(project.state, _place(project)), *_absent_settings(project)),
        same=tuple(same),
    )


def _grounds_of_none(project: Project) -> Grounds:
    record = project.store / "volume.json"
    return Grounds(unchanged=_settings_files(project), absent=(record, *_absent_settings(project)))


def _settings_files(project: Project) -> tuple[Path, ...]:
    return tuple(file for file in _settings_places(project) if file.is_file())


def _absent_settings(project: Project) -> tuple[Path, ...]:
    return tuple(file for file in _settings_places(project) if not file.is_file())


def _settings_places(project: Project) -> tuple[Path, ...]:
    environ = project.hands.environ
    home = Path(environ.get("HOME") or "/")
    return (
        project.folder / PROJECT_FILE,
        project.folder / SHARED_FILE,
        project.repository.common_folder / "config",
        Path(environ.get("GIT_CONFIG_GLOBAL") or home / ".gitconfig"),
        Path("/etc/mlsnap.toml"),
        trusting.trust_file(project.repository),
        trusting.user_trust_file(environ),
    )


def _short(name: str) -> str:
    parsed = SnapshotName.parse_or_none(name)
    return parsed.short if parsed is not None else name[:12]
