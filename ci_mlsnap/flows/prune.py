"""prune: removing what no rule of the policy keeps, or exactly what a person names; and undoing that."""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from ci_mlsnap.domain.policy import Decision, Judged
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.retention import decide, neighbours
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.versions import Answer, Version
from ci_mlsnap.errors import MlsnapError, NoSuchVersion, Refused, SnapshotHeld, UsageError
from ci_mlsnap.flows.announce import Announced, send_waiting
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.removed import find_removed, is_exact
from ci_mlsnap.flows.removing import alone, bring_back, erase, finish_cut_off, release_pins, remove
from ci_mlsnap.flows.restore import identity
from ci_mlsnap.flows.retaining import gather
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.state import catalogue, pruned

_REASON_LIMIT = 500
_CLOCK_SLACK = 300.0
"""Seconds by which this machine's clock and the storage's may differ."""


class Pruning(msgspec.Struct, frozen=True, kw_only=True):
    """What prune decided and did. `expired` were in the trash and go for good; `failed` says what could not be
    done, and why; with `dry_run` nothing was done. `limits` is false where no rule removes anything."""

    decision: Decision
    expired: tuple[Pruned, ...]
    dry_run: bool
    limits: bool
    notes: tuple[str, ...] = ()
    failed: tuple[tuple[str, MlsnapError], ...] = ()
    announced: Announced = Announced()


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """One version that a person named and that was removed, and the ones `around` it that stay."""

    record: Pruned
    around: tuple[Version | None, Version | None]
    announced: Announced = Announced()


class Back(msgspec.Struct, frozen=True, kw_only=True):
    """A version that can be used again; `changed` when it was in the trash."""

    version: Version
    changed: bool
    announced: Announced = Announced()


def prune(project: Project, *, dry_run: bool = False, everything: bool = False) -> Pruning:
    """Move what no rule keeps to the trash, and remove for good what lies there longer than the grace period.

    One version that cannot be removed stops no other. `everything` lifts the limit of one run. Raises `Refused`
    where branches and tags are not known, `Busy`, `StorageFailed`, `IntegrityDamage`.
    """
    if not project.driver.volume_id:
        return Pruning(
            decision=Decision(kept=(), removed=(), postponed=()), expired=(), dry_run=dry_run, limits=True
        )
    if dry_run:
        return _planned(project, everything=everything)
    tidy(project.hands, project.driver, identity(project))
    with alone(project):
        said = finish_cut_off(project)
        plan = _planned(project, everything=everything)
        plan = msgspec.structs.replace(plan, dry_run=False, notes=(*said, *plan.notes))
        failed = [*_removed(project, plan), *_erased(project, plan)]
    catalogue.read(project.driver, remember=True)
    release_pins(project)
    announced = send_waiting(project.driver, project.hands.announcer)
    return msgspec.structs.replace(plan, failed=tuple(failed), announced=announced)


def remove_exactly(
    project: Project, revision: str, *, reason: str, now: bool = False, even_held: bool = False
) -> Removed:
    """Remove the version of `revision` and no other: to the trash, or with `now` at once and for good.

    Run again, it removes no second one. Raises `UsageError` without a reason or when several attempts are meant,
    `Refused` when another commit's version is, `SnapshotHeld` unless it is to go `even_held`, `NoSuchVersion`,
    `Busy`, `StorageFailed`.
    """
    reason = cut(one_line(reason), _REASON_LIMIT)
    if not reason:
        raise UsageError(
            "--version needs a --reason",
            safe="nothing was removed",
            hint="the reason stays beside the version's record: --reason 'trained on data that had to go'",
        )
    tidy(project.hands, project.driver, identity(project))
    with alone(project):
        finish_cut_off(project)
        record = _remove_named(project, revision, reason, now=now, even_held=even_held)
    left = catalogue.read(project.driver, remember=True).versions
    release_pins(project)
    announced = send_waiting(project.driver, project.hands.announcer)
    return Removed(record=record, around=neighbours(record.header.sequence, left), announced=announced)


def undelete(project: Project, revision: str) -> Back:
    """Bring a pruned version back; one that is there is left as it is.

    Raises `NoSuchVersion` for one that is gone for good, or never was, `IntegrityDamage`, `Busy`.
    """
    tidy(project.hands, project.driver, identity(project))
    with alone(project):
        finish_cut_off(project)
        back = _brought_back(project, revision)
    # Also when nothing changed: an earlier try may have been cut off before it was sent.
    return msgspec.structs.replace(back, announced=send_waiting(project.driver, project.hands.announcer))


def _brought_back(project: Project, revision: str) -> Back:
    record = find_removed(project, revision)
    if record is None or (record.condition == "gone" and _is_answered(project, revision)):
        return Back(version=find_version(project, revision).version, changed=False)
    if record.condition == "gone":
        raise NoSuchVersion(
            f"{record.name[:12]} was removed for good on {record.at[:10]}",
            why=record.reason,
            safe="nothing was changed",
            hint="`mlsnap show` has its record; `mlsnap run --retrain` on its commit makes the next attempt",
        )
    bring_back(project, record)
    return Back(version=Version(header=record.header, digest=record.digest), changed=True)


def _planned(project: Project, *, everything: bool) -> Pruning:
    policy = project.settings.retention
    facts, notes = gather(project)
    decision = decide(policy, facts, everything=everything)
    lying = [record for record in pruned.all_of(project.state) if record.condition == "trash"]
    expired = tuple(record for record in lying if project.hands.clock() >= record.since + policy.grace)
    return Pruning(decision=decision, expired=expired, dry_run=True, limits=policy.limits, notes=notes)


def _removed(project: Project, plan: Pruning) -> list[tuple[str, MlsnapError]]:
    failed: list[tuple[str, MlsnapError]] = []
    kept = plan.decision.kept
    left: Sequence[Version] = [judged.version for judged in (*kept, *plan.decision.postponed)]
    for judged in plan.decision.removed:
        try:
            remove(project, judged.version, _reason(judged), left)
        except MlsnapError as error:
            failed.append((judged.version.header.name, error))
    return failed


def _erased(project: Project, plan: Pruning) -> list[tuple[str, MlsnapError]]:
    failed: list[tuple[str, MlsnapError]] = []
    for record in plan.expired:
        try:
            _require_same_clock(project)
            erase(project, record)
        except MlsnapError as error:
            failed.append((record.name, error))
    return failed


def _require_same_clock(project: Project) -> None:
    """Refuse to end a grace period by a clock that is not the storage's."""
    own = project.state / "prune.lock"
    os.utime(own)
    apart = abs(own.stat().st_mtime - project.hands.clock())
    if apart > _CLOCK_SLACK:
        raise Refused(
            f"this machine's clock and the storage's are {apart:.0f} s apart",
            safe="it stays in the trash",
            hint="set the clock, then run again",
        )


def _remove_named(project: Project, revision: str, reason: str, *, now: bool, even_held: bool) -> Pruned:
    lying = find_removed(project, revision)
    if lying is not None and not _is_answered(project, revision):
        return _remove_again(project, lying, reason, now=now)
    found = find_version(project, revision)
    _require_exact(project, revision, found)
    versions = catalogue.versions(project.driver)
    left = [version for version in versions if version.header.name != found.version.header.name]
    try:
        remove(project, found.version, reason, left, now=now, even_held=even_held)
    except SnapshotHeld as error:
        raise SnapshotHeld(
            error.what, safe="nothing was removed", hint="release it (`mlsnap hold --release`), or add --even-held"
        ) from None
    record = pruned.find(project.state, found.version.header.name)
    assert record is not None
    return record


def _remove_again(project: Project, lying: Pruned, reason: str, *, now: bool) -> Pruned:
    """Remove for good what lies in the trash, where that is asked for; else it is removed already."""
    if lying.condition == "gone" or not now:
        return lying
    hands = project.hands
    record = msgspec.structs.replace(lying, reason=reason, by=hands.person(), at=hands.now(), now=True)
    pruned.write(project.state, record)
    return erase(project, record)


def _require_exact(project: Project, revision: str, found: Answer) -> None:
    """Refuse a revision that could mean another version, or mean one when the command is run again."""
    short = found.version.name.short
    if found.how not in ("own", "channel"):
        raise Refused(
            f"{revision[:60]} has no version of its own: it is answered by {short}",
            safe="nothing was removed",
            hint=f"name that one, if it is what is to go: `mlsnap prune --version {short} --reason TEXT`",
        )
    sha = found.version.header.commit
    known = {v.header.name for v in catalogue.versions(project.driver) if v.header.commit == sha}
    known |= {record.name for record in pruned.of_commit(project.state, sha)}
    if len(known) > 1 and not is_exact(revision):
        listed = ", ".join(sha[:7] + name[len(sha) :] for name in sorted(known))
        raise UsageError(
            f"{revision[:60]} has {len(known)} versions: {listed}",
            safe="nothing was removed",
            hint=f"name one exactly, the first as {sha[:7]}.1",
        )


def _is_answered(project: Project, revision: str) -> bool:
    try:
        return find_version(project, revision).how == "own"
    except MlsnapError:
        return False


def _reason(judged: Judged) -> str:
    return "; ".join(judged.reasons)
