"""Which push a live tree belongs to, so that an older one, which ends later, does not move it back."""

from __future__ import annotations

import msgspec

from ci_mlsnap.domain.event import Event


class Advance(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/advance/1",
):
    """Who moved a live tree last, or wants to.

    `token` is the fencing token that a run began with: runs that begin later have higher ones. `commit` is the
    run's, and empty for a person's choice, which no run follows by descent. `ancestors` are the commits before
    the version's that were known.
    """

    token: int
    commit: str = ""
    ancestors: tuple[str, ...] = ()


def is_overtaken(run: Advance, last: Advance | None, *, by_descent: bool) -> bool:
    """Tell whether the tree is at something newer than the run, which then leaves it there.

    A descendant of what is there is newer, in whatever order they began. Else the one that began later is; and
    with `by_descent` an ancestor of what is there is older, also when it began later, as a run that is run again.
    """
    if last is None or (last.commit and last.commit in run.ancestors):
        return False
    return run.token < last.token or (by_descent and run.commit in last.ancestors)


def counts_descent(event: Event) -> bool:
    """Tell whether an ancestor is older for this event: not where somebody put the branch, or the tree, back."""
    return event.kind != "local" and not event.forced
