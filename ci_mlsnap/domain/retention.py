"""Which versions a retention policy keeps and which it removes: for each one the reasons, from facts alone.

Sequence numbers alone say what is newer; a clock only says which versions are of one day, week or month. Ties go
to the greater name, so that the same facts always give the same decision.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ci_mlsnap.domain.metrics import lower_is_better, number
from ci_mlsnap.domain.policy import Best, Branch, Decision, Facts, Judged, Policy
from ci_mlsnap.domain.texts import counted
from ci_mlsnap.domain.versions import Version, answer, baseline

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)

FEW = 10
"""So many versions one run may remove in any case, where the policy limits it by a share."""


def decide(policy: Policy, facts: Facts, *, everything: bool = False) -> Decision:
    """Decide for each version; `everything` lifts the limit of what one run may remove."""
    versions = sorted(facts.versions, key=_age, reverse=True)
    firm = _firm(policy, facts, versions)
    loose = _loose(policy, facts, versions)
    over = _over_space(policy, facts, versions, firm, loose)
    kept, removed = [], []
    for version in versions:
        name = version.header.name
        reasons = (*firm.get(name, ()), *(loose.get(name, ()) if name not in over else ()))
        if reasons:
            kept.append(Judged(version=version, reasons=reasons))
        else:
            why = "over max_space" if name in over else _why_none(policy, facts, version)
            removed.append(Judged(version=version, reasons=(why,)))
    oldest_first = tuple(reversed(removed))
    most = len(oldest_first) if everything else _most(policy, len(versions))
    return Decision(kept=tuple(kept), removed=oldest_first[:most], postponed=oldest_first[most:])


def neighbours(sequence: int, versions: Iterable[Version]) -> tuple[Version | None, Version | None]:
    """Give the attempts made just before and just after a number."""
    attempts = [version for version in versions if version.name.is_version]
    before = (version for version in attempts if version.header.sequence < sequence)
    after = (version for version in attempts if version.header.sequence > sequence)
    return max(before, key=_age, default=None), min(after, key=_age, default=None)


def nearest(sequence: int, versions: Iterable[Version]) -> Version | None:
    """Give the attempt whose number is nearest; of two the newer."""
    attempts = (version for version in versions if version.name.is_version)
    return min(
        attempts,
        key=lambda v: (abs(v.header.sequence - sequence), -v.header.sequence, v.header.name),
        default=None,
    )


def _age(version: Version) -> tuple[int, str]:
    return version.header.sequence, version.header.name


def _most(policy: Policy, total: int) -> int:
    most = policy.max_removed.of(total)
    return most if policy.max_removed.count else max(most, FEW)


def _why_none(policy: Policy, facts: Facts, version: Version) -> str:
    unreachable = not policy.keep_unreachable and not _is_reachable(facts, version)
    return "its commit is in no branch" if unreachable else "no rule keeps it"


# -- what is kept whatever the limits are --------------------------------------------------------------


def _firm(policy: Policy, facts: Facts, versions: Sequence[Version]) -> dict[str, tuple[str, ...]]:
    """Give the reasons that no limit outweighs."""
    attempts = [version for version in versions if version.name.is_version]
    found: list[tuple[Version | None, str]] = []
    found.append((next((version for version in attempts if version.good), None), "the last good version"))
    found.append((next(iter(attempts), None), "the newest version"))
    for branch in facts.branches:
        found.append((baseline(attempts, branch.commits), f"the last good version of {branch.name}"))
        found.append((_of_head(branch, attempts), f"what the head of {branch.name} means"))
    found += [(version, reason) for version in versions for reason in facts.needed.get(version.header.name, ())]
    if policy.keep_tagged:
        found += [(version, "its commit has a tag") for version in attempts if _is_in(facts.tagged, version)]
    if policy.keep_best is not None:
        found += [(version, _best_text(policy.keep_best)) for version in _best(policy.keep_best, attempts)]
    reasons: dict[str, tuple[str, ...]] = {}
    for version, reason in found:
        if version is not None:
            name = version.header.name
            reasons[name] = tuple(dict.fromkeys((*reasons.get(name, ()), reason)))
    return reasons


def _of_head(branch: Branch, attempts: Sequence[Version]) -> Version | None:
    head = branch.commits[0] if branch.commits else ""
    found = answer(
        head, attempts, tree=branch.tree, inputs_digest=branch.inputs_digest, ancestors=branch.commits[1:]
    )
    return found.version if found is not None else None


def _is_in(places: Collection[str], version: Version) -> bool:
    return version.header.commit in places or (bool(version.header.tree) and version.header.tree in places)


def _best(rule: Best, attempts: Sequence[Version]) -> list[Version]:
    sign = -1.0 if lower_is_better(rule.metric) else 1.0
    ranked = [
        (sign * number(version.metrics[rule.metric]), version.header.sequence, version)
        for version in attempts
        if version.good and rule.metric in version.metrics
    ]
    finite = [entry for entry in ranked if math.isfinite(entry[0])]
    return [entry[2] for entry in sorted(finite, key=lambda entry: entry[:2], reverse=True)[: rule.count]]


def _best_text(rule: Best) -> str:
    return f"one of the {rule.count} best by {rule.metric}"


# -- what is kept while there is room ------------------------------------------------------------------


def _loose(policy: Policy, facts: Facts, versions: Sequence[Version]) -> dict[str, tuple[str, ...]]:
    """Give the reasons that hold within the limit of space; `versions` are newest first."""
    if not policy.limits:
        return {version.header.name: ("no rule limits how many are kept",) for version in versions}
    if not policy.by_time:
        room = (v for v in versions if policy.keep_unreachable or _is_reachable(facts, v) or not v.name.is_version)
        return {version.header.name: ("there is room for it",) for version in room}
    attempts = [
        version
        for version in versions
        if version.name.is_version and (policy.keep_unreachable or _is_reachable(facts, version))
    ]
    reasons: dict[str, tuple[str, ...]] = {}
    for chosen, text in _by_time(policy, attempts):
        for version in chosen:
            reasons[version.header.name] = (*reasons.get(version.header.name, ()), text)
    oldest = attempts[policy.keep_last - 1].header.sequence if 0 < policy.keep_last <= len(attempts) else 0
    for version in versions:
        if not version.name.is_version and version.header.sequence >= oldest:
            reasons[version.header.name] = ("kept work, not older than the last versions",)
    return reasons


def _by_time(policy: Policy, attempts: Sequence[Version]) -> list[tuple[Sequence[Version], str]]:
    return [
        (attempts[: policy.keep_last], f"one of the last {counted(policy.keep_last, 'version')}"),
        (
            _one_each(attempts, policy.keep_daily, _day),
            f"one good version a day, for {counted(policy.keep_daily, 'day')}",
        ),
        (
            _one_each(attempts, policy.keep_weekly, _week),
            f"one good version a week, for {counted(policy.keep_weekly, 'week')}",
        ),
        (
            _one_each(attempts, policy.keep_monthly, _month),
            f"one good version a month, for {counted(policy.keep_monthly, 'month')}",
        ),
    ]


def _one_each(attempts: Sequence[Version], count: int, period: Callable[[str], str]) -> list[Version]:
    """Give the newest good version of each of the last `count` periods that have one."""
    chosen: dict[str, Version] = {}
    for version in attempts:
        if version.good:
            chosen.setdefault(period(version.header.created), version)
    return list(chosen.values())[:count]


def _day(created: str) -> str:
    return created[:10]


def _week(created: str) -> str:
    """Name the week, which begins on Monday, by the number of weeks since a Monday long ago."""
    found = _DATE.match(created)
    if found is None:
        return created
    year, month, day = (int(part) for part in found.groups())
    # Years that begin in March have their leap day at the end; 1 March of year 0 was a Wednesday.
    year, month = (year, month - 3) if month > 2 else (year - 1, month + 9)
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 1
    return str((days + 2) // 7)


def _month(created: str) -> str:
    return created[:7]


def _is_reachable(facts: Facts, version: Version) -> bool:
    return facts.reachable is None or _is_in(facts.reachable, version)


def _over_space(
    policy: Policy,
    facts: Facts,
    versions: Sequence[Version],
    firm: Collection[str],
    loose: Collection[str],
) -> set[str]:
    """Give what has to go, the oldest first, until the files of all that is kept have room.

    A file that several versions have counts once; a version of which no files are known counts by its size.
    """
    if policy.max_space is None:
        return set()
    room = policy.max_space.of(facts.total_bytes)
    users: dict[str, int] = {}
    sizes: dict[str, int] = {}
    held = [version for version in versions if version.header.name in firm or version.header.name in loose]
    for version in held:
        for digest, size in _files(facts, version).items():
            users[digest] = users.get(digest, 0) + 1
            sizes[digest] = size
    used, over = sum(sizes.values()), set[str]()
    for version in reversed(held):
        if used <= room:
            break
        if version.header.name in firm:
            continue
        over.add(version.header.name)
        for digest in _files(facts, version):
            users[digest] -= 1
            used -= sizes[digest] if users[digest] == 0 else 0
    return over


def _files(facts: Facts, version: Version) -> Mapping[str, int]:
    name = version.header.name
    return facts.contents.get(name) or {f"all of {name}": version.header.bytes}
