"""promote and channels: letting a name such as `production` lead to a version, and saying what led where."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ci_mlsnap.domain.channels import Move, last_moves, require_channel
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.versions import Answer, Version
from ci_mlsnap.errors import GateMissed, NoSuchVersion, Refused, UsageError
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.deploying import tell_deployment
from ci_mlsnap.flows.following import follow, hold_of
from ci_mlsnap.flows.restore import identity
from ci_mlsnap.flows.tidying import tidy
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.state import channels
from ci_mlsnap.state.catalogue import versions

_REASON_LIMIT = 500


class Promoted(msgspec.Struct, frozen=True, kw_only=True):
    """The move that counts for the channel now, and whether this command made it. `answer` is None at its end."""

    move: Move
    changed: bool
    link: Path
    answer: Answer | None = None


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A channel: the version that readers find, None for one that is not there any more, and the last move.

    `unfinished` is a move that was cut off; the next command that writes finishes it.
    """

    name: str
    leads_to: str
    version: Version | None
    last: Move | None
    link: Path
    unfinished: Move | None = None


def promote(
    project: Project, revision: str, channel: str, *, reason: str = "", even_missed: bool = False
) -> Promoted:
    """Let the channel lead to the version of `revision`: readers see the old one or the new one, whole.

    What is live is held before readers see it. Raises `UsageError`, `NoSuchVersion`, `GateMissed` for a version
    that missed a gate, unless `even_missed` with a reason, `Refused`, `IntegrityDamage`, `Busy`.
    """
    require_channel(channel)
    if even_missed and not reason.strip():
        raise UsageError(
            "--even-missed needs a --reason",
            safe="nothing was changed",
            hint="the reason is written to the ledger: --reason 'why this version all the same'",
        )
    tidy(project.hands, project.driver, identity(project))
    found = find_version(project, revision)
    _require_promotable(found.version, channel, even_missed=even_missed)
    project.driver.read_back(found.version.name)
    promoted = _moved(project, channel, found, reason)
    tell_deployment(project, promoted.move, found.version)
    return promoted


def end(project: Project, channel: str, *, reason: str = "") -> Promoted:
    """Let the channel lead nowhere any more: its link goes, its moves stay. Raises `NoSuchVersion`."""
    require_channel(channel)
    tidy(project.hands, project.driver, identity(project))
    if channel not in last_moves(channels.moves(project.state)):
        raise NoSuchVersion(
            f"there is no channel {channel!r}", safe="nothing was changed", hint="`mlsnap channels` lists them"
        )
    return _moved(project, channel, None, reason)


def listed(project: Project) -> list[Channel]:
    """Say where each channel leads; one that ended is not listed. Writes nothing. Raises `IntegrityDamage`."""
    state = project.state
    known = {version.header.name: version for version in versions(project.driver)}
    last, begun = last_moves(channels.moves(state)), channels.unfinished(state)
    return [
        Channel(
            name=name,
            leads_to=leads_to,
            version=known.get(leads_to),
            last=last.get(name),
            link=channels.place(state, name),
            unfinished=begun if begun is not None and begun.channel == name else None,
        )
        for name, leads_to in channels.live(state).items()
    ]


def moves_of(project: Project, channel: str) -> list[Move]:
    """Give the moves of a channel, newest first. Raises `NoSuchVersion`, `IntegrityDamage`."""
    found = [move for move in channels.moves(project.state) if move.channel == channel]
    if not found:
        raise NoSuchVersion(f"there is no channel {channel[:80]!r}", hint="`mlsnap channels` lists them")
    return found[::-1]


def _moved(project: Project, channel: str, found: Answer | None, reason: str) -> Promoted:
    """Hold, write down, lead, release: what is cut off between two of these is finished by the next command."""
    state, driver = project.state, project.driver
    with channels.alone(state):
        follow(driver)
        last = last_moves(channels.moves(state)).get(channel)
        move = _move(project, channel, found, last, reason)
        if found is not None:
            driver.hold(found.version.name, hold_of(channel))
        if last is not None and (last.version, last.link) == (move.version, move.link):
            move, changed = last, channels.point(state, last)
        else:
            channels.begin(state, move)
            follow(driver)
            changed = True
    return Promoted(move=move, changed=changed, link=channels.place(state, channel), answer=found)


def _move(project: Project, channel: str, found: Answer | None, last: Move | None, reason: str) -> Move:
    hands = project.hands
    view = project.driver.view(found.version.name) if found is not None else None
    return Move(
        channel=channel,
        before=last.version if last is not None else "",
        version=found.version.header.name if found is not None else "",
        link=channels.text_for(project.state, view) if view is not None else "",
        manifest=found.version.digest if found is not None else "",
        who=cut(one_line(hands.person()), 200),
        at=hands.now(),
        why=cut(one_line(reason), _REASON_LIMIT),
        run_url=hands.build.event().run_url,
    )


def _require_promotable(version: Version, channel: str, *, even_missed: bool) -> None:
    name = version.name
    if not name.is_version:
        raise Refused(
            f"{name.short} is no version, and a channel leads to versions only",
            why="it is what a live tree held, and nothing says how it was trained",
            safe=f"nothing was changed; {channel} leads where it led",
            hint="`mlsnap snapshot` makes a version of the live tree",
        )
    if not version.good and not even_missed:
        missed = "; ".join(
            one_line(finding.text) for finding in version.header.verdict.findings if not finding.good
        )
        raise GateMissed(
            f"{name.short} missed a gate",
            why=cut(missed, 400),
            safe=f"nothing was changed; {channel} leads where it led",
            hint=f"promote another one (`mlsnap log`), or `mlsnap promote {name.short} {channel} --even-missed "
            "--reason TEXT`",
        )
