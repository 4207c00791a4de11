"""rollback: putting a live tree or a view at an earlier version, where it stays until a person says otherwise."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.errors import Busy
from ci_mlsnap.flows import leases, staying
from ci_mlsnap.flows import writable as copies
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import Source, keep_all, look_if_possible
from ci_mlsnap.flows.moving import Moved, move_held_tree
from ci_mlsnap.flows.proposing import Proposal, now_at, place_of, written_at
from ci_mlsnap.flows.restore import identity, require_volume
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import known_ancestors
from ci_mlsnap.state import live, rolled_back
from ci_mlsnap.state.rolled_back import RolledBack

_REASON_LIMIT = 500


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a proposal. `kept` names the snapshot of what no version had; `aside` as `Moved` has it."""

    proposal: Proposal
    changed: bool
    kept: str = ""
    aside: Path | None = None


def roll_back(project: Project, proposal: Proposal, *, reason: str = "") -> Done:
    """Do what was proposed; the place then stays there. Doing it again changes nothing.

    Raises `Busy` when the place moved since it was proposed, or somebody works there, and as a restore does.
    """
    tidy(project.hands, project.driver, identity(project))
    if proposal.arrived:
        return Done(proposal=proposal, changed=False)
    with _held(project, proposal):
        kept = _keep_and_note(project, proposal, reason)
        moved = _move(project, proposal)
    return Done(proposal=proposal, changed=True, kept=moved.kept or kept, aside=moved.aside)


def undo(project: Project, proposal: Proposal) -> Done:
    """Bring back what was there before the rollback, unsaved changes included, and let the place move again.

    Raises as `roll_back` does.
    """
    noted = proposal.noted
    assert noted is not None
    tidy(project.hands, project.driver, identity(project))
    with _held(project, proposal):
        _require_unmoved(project, proposal)
        moved = _move(project, proposal, writable=noted.writable)
        if noted.kept:
            # Its unsaved files are unsaved again.
            _record(project, proposal, version=noted.version_before, condition=noted.condition_before)
    staying.let_move(project.driver, proposal.place, noted)
    return Done(proposal=proposal, changed=True, kept=moved.kept, aside=moved.aside)


def release(project: Project, *, shared: bool = False) -> RolledBack | None:
    """Let the place move again, with the next run or `git pull`; give what was noted, None where nothing was."""
    place = place_of(project, shared=shared)
    noted = rolled_back.find(project.state, place)
    if noted is not None:
        staying.let_move(project.driver, place, noted)
    return noted


def _held(project: Project, proposal: Proposal) -> AbstractContextManager[object]:
    """Hold the lease where a live tree is moved; a view is this checkout's own."""
    if proposal.view:
        return nullcontext()
    require_volume(project)
    return leases.volume_held(project.hands, project.driver)


def _require_unmoved(project: Project, proposal: Proposal) -> None:
    """Refuse what was proposed of something else: another was faster. Raises `Busy`."""
    now = now_at(project, proposal.place)
    if now != proposal.now or rolled_back.find(project.state, proposal.place) != proposal.noted:
        raise Busy(
            f"{proposal.place} was moved meanwhile",
            why=f"it is at {now or 'no version'} now",
            safe="nothing was changed",
            hint="look again: `mlsnap status`, then `mlsnap rollback`",
        )


def _keep_and_note(project: Project, proposal: Proposal, reason: str) -> str:
    """Keep what no version has, then note that the tree goes; give the name of what was kept.

    In this order: once the note is there, all that it names is.
    """
    _require_unmoved(project, proposal)
    # What came on top of an earlier rollback is kept by the move; undoing goes back to before the first one.
    kept = _keep(project, proposal) if proposal.noted is None else ""
    with staying.alone(project.driver):
        _require_unmoved(project, proposal)
        _note(project, proposal, kept=kept, reason=reason)
    if kept:  # the trees equal what was kept of them, so the move keeps nothing once more
        _record(project, proposal, version=kept, condition="equal")
    return kept


def _keep(project: Project, proposal: Proposal) -> str:
    """Keep the trees as they are, all volumes as one, where any has what no version has; give the name."""
    sources = _sources(project, proposal)
    if not sources or not all(source.path.is_dir() for source in sources):
        return ""
    first = sources[0].path
    tree = look_if_possible(project.driver, first, read=_reads(project, first))
    if tree is None or not tree.unsaved:
        return ""
    commit = SnapshotName.parse(proposal.now).sha if proposal.now else proposal.then.name.sha
    return keep_all(sources, identity(project), commit=commit, now=project.hands.now())


def _sources(project: Project, proposal: Proposal) -> list[Source]:
    """Give the trees that are moved, the first volume's first; none for a view of a version."""
    tree = written_at(project, proposal.place)
    if tree is None:
        return []
    others = () if proposal.view else project.driver.others()
    return [
        Source(volume=project.volume.name, driver=project.driver, path=tree),
        *(Source(volume=member.name, driver=member.driver, path=member.path) for member in others),
    ]


def _reads(project: Project, tree: Path) -> bool:
    """Tell whether files may be other ones behind the same size and times: then they are read."""
    recorded = live.read(project.state, tree)
    return recorded is not None and recorded.condition != "equal"


def _note(project: Project, proposal: Proposal, *, reason: str, kept: str = "") -> None:
    """Hold what the note will name, write it, release what it names no more; for whoever is `alone`."""
    hands, then = project.hands, proposal.then.header.name
    before = proposal.noted or _before(project, proposal, kept)
    named = (then, before.version_before, before.kept)
    staying.hold(project.driver, proposal.place, named)
    rolled_back.write(
        project.state,
        proposal.place,
        version=then,
        version_before=before.version_before,
        commit_before=before.commit_before,
        condition_before=before.condition_before,
        writable=before.writable,
        kept=before.kept,
        head=project.repository.head(),
        who=cut(one_line(hands.person()), 200),
        why=cut(one_line(reason), _REASON_LIMIT),
        now=hands.clock,
    )
    staying.hold_only(project.driver, proposal.place, named)


class _Before(msgspec.Struct, frozen=True, kw_only=True):
    version_before: str
    commit_before: str
    condition_before: live.Condition
    writable: bool
    kept: str


def _before(project: Project, proposal: Proposal, kept: str) -> _Before:
    """Say what the place is before it is rolled back for the first time."""
    tree = written_at(project, proposal.place)
    recorded = live.read(project.state, tree) if tree is not None else None
    rests = recorded is not None and recorded.condition not in ("in-change", "restoring")
    return _Before(
        version_before=proposal.now,
        commit_before=proposal.now_version.header.commit if proposal.now_version else "",
        condition_before=recorded.condition if recorded is not None and rests else "equal",
        writable=proposal.view and tree is not None,
        kept=kept,
    )


def _move(project: Project, proposal: Proposal, *, writable: bool = False) -> Moved:
    """Move the tree, whose lease we have, or the view, which leads to a copy where it is to be `writable`."""
    name, whose = proposal.then.name, identity(project)
    if proposal.view:
        show = copies.show_copy if writable else partial(copies.show_version, view=proposal.place)
        done = show(project, name=name, identity=whose)
        return Moved(way="swap", kept=done.kept, aside=done.aside) if done is not None else Moved(way="none")
    before = known_ancestors(project, proposal.then.header.commit)
    return move_held_tree(project.hands, project.driver, name, proposal.place, whose, chosen=before)


def _record(project: Project, proposal: Proposal, *, version: str, condition: live.Condition) -> None:
    """Record what the trees are: they are in no version of a commit, so no state of theirs is known."""
    hands = project.hands
    for source in _sources(project, proposal):
        live.write(
            source.driver.state_folder(),
            source.path,
            version=version,
            condition=condition,
            run=hands.owner(),
            now=hands.clock,
        )
