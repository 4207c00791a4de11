"""What prune, hold and recover say, from values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ci_mlsnap.domain.policy import Decision, Judged
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import counted
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.report.rendering import short
from ci_mlsnap.report.told import headline_of


def decision_rows(decision: Decision) -> Iterator[tuple[str, ...]]:
    """Give a row for each version, newest first: what becomes of it, and why."""
    words = ((decision.kept, "keep"), (decision.removed, "remove"), (decision.postponed, "later"))
    rows = [(judged, word) for judges, word in words for judged in judges]
    for judged, word in sorted(rows, key=lambda row: -row[0].version.header.sequence):
        version = judged.version
        first = headline_of(version)
        yield (
            word,
            short(version.header.name),
            version.header.created[:16].replace("T", " "),
            f"{cut(one_line(first[0]), 20)} {first[1]}" if first else "",
            "; ".join(judged.reasons),
        )


def decision_line(decision: Decision, expired: Sequence[Pruned], *, dry_run: bool, limits: bool) -> Iterator[str]:
    """Say in short what was decided or done."""
    if not limits:
        yield "no rule of [retention] limits how many versions are kept, so nothing is removed"
    kept, removed = len(decision.kept) + len(decision.postponed), len(decision.removed)
    moved = "would go to the trash" if dry_run else "went to the trash"
    yield f"{counted(kept, 'version')} kept, {removed} {moved}"
    if decision.postponed:
        yield f"{len(decision.postponed)} of those kept go with later runs (`--all` removes them now)"
    if expired:
        gone = "would be removed" if dry_run else "were removed"
        yield f"{counted(len(expired), 'version')} from the trash {gone} for good: the grace period is over"


def judged_facts(judged: Judged) -> dict[str, object]:
    """Give one version's decision as JSON's values."""
    header = judged.version.header
    return {
        "version": header.name,
        "sequence": header.sequence,
        "created": header.created,
        "bytes": header.bytes,
        "reasons": judged.reasons,
    }


def removed_lines(record: Pruned, last_day: str, around: tuple[Version | None, Version | None]) -> Iterator[str]:
    """Say all that is known of a removed version, and which kept ones are its neighbours."""
    header = record.header
    state = {"trash": f"in the trash until {last_day}", "gone": "gone for good", "removing": "being removed"}
    yield f"version   {header.name}   (removed on {record.at[:10]}, {state[record.condition]})"
    yield f"reason    {one_line(record.reason)}, by {one_line(record.by)}"
    yield f"model     {header.model} of {header.project}, number {header.sequence}, made {header.created}"
    yield f"commit    {header.commit}" + (f" on {one_line(header.ref)}" if header.ref else "")
    yield f"verdict   {'good' if header.verdict.good else 'gate missed'}"
    first = headline_of(Version(header=header, digest=record.digest))
    if first is not None:
        yield f"metric    {one_line(first[0])} {first[1]}"
    for word, version in zip(("before", "after"), around, strict=True):
        if version is not None:
            yield f"{word:<9} {short(version.header.name)}, number {version.header.sequence}, is kept"
    if record.condition == "trash":
        yield f"back      mlsnap recover {short(header.name)}"


def removed_facts(
    record: Pruned, last_day: str, around: tuple[Version | None, Version | None]
) -> dict[str, object]:
    """Give the same as JSON's values."""
    return {
        "version": record.name,
        "removed": record.condition,
        "at": record.at,
        "reason": record.reason,
        "by": record.by,
        "until": last_day or None,
        "digest": record.digest,
        "header": record.header,
        "before": around[0].header.name if around[0] else None,
        "after": around[1].header.name if around[1] else None,
    }
