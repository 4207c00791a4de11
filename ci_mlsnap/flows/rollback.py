"""rollback: putting a live tree or a view at an earlier version, where it stays until a person says otherwise."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.errors import Busy
from ci_mlsnap.flows import leases, staying
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import keep, look_if_possible
from ci_mlsnap.flows.moving import Moved, move_held_tree
from ci_mlsnap.flows.proposing import Proposal, now_at, place_of
from ci_mlsnap.flows.restore import identity, require_volume
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import known_ancestors
from ci_mlsnap.flows.workspace import link_view, links_folder
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
    if proposal.arrived:
        return Done(proposal=proposal, changed=False)
    tidy(project.hands, project.driver, identity(project))
    if proposal.view:
        with staying.alone(project.driver):
            _require_unmoved(project, proposal)
            _note(project, proposal, reason=reason)
            _link(project, proposal)
        return Done(proposal=proposal, changed=True)
    require_volume(project)
    with leases.volume_held(project.hands, project.driver):
        kept = _keep_and_note(project, proposal, reason)
        moved = _move(project, proposal)
    return Done(proposal=proposal, changed=True, kept=moved.kept or kept, aside=moved.aside)


def undo(project: Project, proposal: Proposal) -> Done:
    """Bring back what was there before the rollback, unsaved changes included, and let the place move again.

    Raises as `roll_back` does.
    """
    noted, moved = proposal.noted, Moved(way="none")
    assert noted is not None
    tidy(project.hands, project.driver, identity(project))
    if proposal.view:
        with staying.alone(project.driver):
            _require_unmoved(project, proposal)
            _link(project, proposal)
    else:
        require_volume(project)
        with leases.volume_held(project.hands, project.driver):
            _require_unmoved(project, proposal)
            moved = _move(project, proposal)
            if noted.kept:
                _record_unsaved(project, proposal.place, noted)
    staying.let_move(project.driver, proposal.place, noted)
    return Done(proposal=proposal, changed=True, kept=moved.kept, aside=moved.aside)


def release(project: Project, *, shared: bool = False) -> RolledBack | None:
    """Let the place move again, with the next run or `git pull`; give what was noted, None where nothing was."""
    place = place_of(project, shared=shared)
    noted = rolled_back.find(project.state, place)
    if noted is not None:
        staying.let_move(project.driver, place, noted)
    return noted


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
    hands, driver, place = project.hands, project.driver, proposal.place
    # What came on top of an earlier rollback is kept by the move; undoing goes back to before the first one.
    recorded = live.read(project.state, place)
    read = recorded is not None and recorded.condition != "equal"
    tree = look_if_possible(driver, place, read=read) if proposal.noted is None else None
    kept = ""
    if tree is not None and tree.unsaved:
        commit = SnapshotName.parse(proposal.now).sha if proposal.now else proposal.then.name.sha
        kept = keep(driver, place, identity(project), commit=commit, now=hands.now())
    with staying.alone(driver):
        _note(project, proposal, kept=kept, reason=reason)
    if kept:  # the tree equals what was kept of it, so the move keeps nothing once more
        live.write(project.state, place, version=kept, condition="equal", run=hands.owner(), now=hands.clock)
    return kept


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
    kept: str


def _before(project: Project, proposal: Proposal, kept: str) -> _Before:
    """Say what the place is before it is rolled back for the first time."""
    recorded = None if proposal.view else live.read(project.state, proposal.place)
    rests = recorded is not None and recorded.condition not in ("in-change", "restoring")
    return _Before(
        version_before=proposal.now,
        commit_before=proposal.now_version.header.commit if proposal.now_version else "",
        condition_before=recorded.condition if recorded is not None and rests else "equal",
        kept=kept,
    )


def _move(project: Project, proposal: Proposal) -> Moved:
    before = known_ancestors(project, proposal.then.header.commit)
    return move_held_tree(
        project.hands, project.driver, proposal.then.name, proposal.place, identity(project), chosen=before
    )


def _link(project: Project, proposal: Proposal) -> None:
    project.driver.read_back(proposal.then.name)
    target = project.driver.view(proposal.then.name)
    link_view(proposal.place, target, made_in=links_folder(project.repository))


def _record_unsaved(project: Project, place: Path, noted: RolledBack) -> None:
    """Say again of the tree what was recorded when it had these unsaved files."""
    hands = project.hands
    live.write(
        project.state,
        place,
        version=noted.version_before,
        condition=noted.condition_before,
        run=hands.owner(),
        now=hands.clock,
    )
