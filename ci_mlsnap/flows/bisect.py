"""bisect: find the first bad version between two commits by looking at those that are there. Trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ci_mlsnap.domain.bisecting import (
    Border,
    Judgement,
    border,
    contradicted,
    judge_metric,
    next_to_judge,
)
from ci_mlsnap.domain.texts import counted
from ci_mlsnap.domain.versions import Version, answer
from ci_mlsnap.errors import UsageError
from ci_mlsnap.flows.context import Hands, Project
from ci_mlsnap.flows.evaluating import Evaluation, evaluate
from ci_mlsnap.flows.versions import find_version
from ci_mlsnap.ports import CommitFacts, Step
from ci_mlsnap.state.catalogue import versions
from ci_mlsnap.training.signals import StopSignal

_SAFE = "nothing was changed"


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of the history with the version that answers it."""

    commit: CommitFacts
    version: Version

    @property
    def text(self) -> str:
        """The version as people read it, and the commit's subject, a stranger's text."""
        return f"{self.version.name.short} {self.commit.subject[:60]}"


class Culprit(msgspec.Struct, frozen=True, kw_only=True):
    """The first bad version, the last good one before it, and what is between them.

    `unjudged` are versions that could not be judged, `untrained` commits without a version of their own: any of
    these may be the one that did it. `judged` of `candidates` versions were looked at.
    """

    last_good: Candidate
    first_bad: Candidate
    unjudged: tuple[Candidate, ...]
    untrained: tuple[CommitFacts, ...]
    judged: int
    candidates: int


Judge = Callable[[Candidate], Judgement]


def bisect_by_command(
    project: Project, good: str, bad: str, evaluation: Evaluation, *, stop: StopSignal
) -> Culprit:
    """Find the first bad version by running a command on the read-only views of a few.

    Raises `UsageError`, `NoSuchVersion`, and as `evaluate` does.
    """

    def judge(candidate: Candidate) -> Judgement:
        return evaluate(project, candidate.version.name, candidate.commit.sha, evaluation, stop)

    return _bisect(project, good, bad, judge)


def bisect_by_metric(
    project: Project, good: str, bad: str, name: str, *, min: float | None, max: float | None
) -> Culprit:
    """Find the first version whose metric is out of bounds; nothing is evaluated. Raises as the other does."""
    row = _row(project, good, bad)
    judged = [judge_metric(candidate.version.metrics.get(name), min=min, max=max) for candidate in row.candidates]
    if judged.count("skip") == len(judged):
        known = sorted({metric for candidate in row.candidates for metric in candidate.version.metrics})
        raise UsageError(
            f"no version between the two has a metric {name[:80]!r}",
            safe=_SAFE,
            hint=f"they have {', '.join(known[:10])}" if known else "use --eval",
        )
    return _culprit(row, judged, looked=len(judged))


# -- the row --------------------------------------------------------------------------------------------


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    candidates: tuple[Candidate, ...]
    commits: tuple[CommitFacts, ...]
    """All commits after the good one up to the bad one, oldest first."""


def _row(project: Project, good: str, bad: str) -> _Row:
    """Give the versions from the good commit to the bad one; both must have one.

    The history is followed by first parents: a merge is one step, with the version that was made of it.
    """
    commits = project.repository.first_parents(good, bad)
    if commits is None:
        raise _not_before(project, good, bad)
    first = Candidate(commit=project.repository.commit(good), version=find_version(project, good).version)
    last = find_version(project, bad).version
    known = versions(project.driver)
    candidates = [first]
    for commit in commits:
        found = last if commit is commits[-1] else _version_of(commit, known)
        if found is not None and found.name != candidates[-1].version.name:
            candidates.append(Candidate(commit=commit, version=found))
    if len(candidates) < 2:
        raise UsageError(
            f"both commits have the same version, {first.version.name.short}",
            safe=_SAFE,
            hint="name two commits with different versions: `mlsnap log` lists them",
        )
    return _Row(candidates=tuple(candidates), commits=tuple(commits))


def _version_of(commit: CommitFacts, known: Sequence[Version]) -> Version | None:
    found = answer(commit.sha, known, tree=commit.tree)
    return found.version if found else None


def _not_before(project: Project, good: str, bad: str) -> UsageError:
    hint = "begin at a commit that both have: `git merge-base GOOD BAD` names one"
    if project.repository.is_shallow():
        hint = "the history is cut here: git fetch --unshallow"
    elif project.repository.first_parents(bad, good) is not None:
        hint = "the other way round? The good commit comes first"
    return UsageError(f"{good[:60]!r} is no ancestor of {bad[:60]!r}", safe=_SAFE, hint=hint)


# -- the search -----------------------------------------------------------------------------------------


def _bisect(project: Project, good: str, bad: str, judge: Judge) -> Culprit:
    row = _row(project, good, bad)
    judged: list[Judgement | None] = [None] * len(row.candidates)
    looked = 0
    while (index := next_to_judge(judged)) is not None and not contradicted(judged):
        candidate = row.candidates[index]
        judged[index] = judge(candidate)
        looked += 1
        _say(project.hands, candidate, judged[index], border(judged))
    return _culprit(row, judged, looked=looked)


def _culprit(row: _Row, judged: Sequence[Judgement | None], *, looked: int) -> Culprit:
    _refuse_contradiction(row, judged)
    found = border(judged)
    last_good, first_bad = row.candidates[found.good], row.candidates[found.bad]
    skipped = tuple(row.candidates[index] for index in found.skipped)
    return Culprit(
        last_good=last_good,
        first_bad=first_bad,
        unjudged=skipped,
        untrained=_between(row, last_good, first_bad, skipped),
        judged=looked,
        candidates=len(row.candidates),
    )


def _refuse_contradiction(row: _Row, judged: Sequence[Judgement | None]) -> None:
    wrong = contradicted(judged)
    if wrong is None:
        return
    end, found = (row.candidates[-1], "good") if wrong == "bad" else (row.candidates[0], "bad")
    raise UsageError(
        f"the {wrong} commit's version, {end.version.name.short}, was judged {found}",
        why="either end of the history must be what it is called, or there is no first bad version between them",
        safe=_SAFE,
        hint="check the bounds, or what the command says of both ends; then name others",
    )


def _between(
    row: _Row, last_good: Candidate, first_bad: Candidate, skipped: Sequence[Candidate]
) -> tuple[CommitFacts, ...]:
    """Give the commits between the two that have no version of their own."""
    shas = [commit.sha for commit in row.commits]
    start = shas.index(last_good.commit.sha) + 1 if last_good.commit.sha in shas else 0
    judged = {candidate.commit.sha for candidate in skipped}
    found = row.commits[start : shas.index(first_bad.commit.sha)]
    return tuple(commit for commit in found if commit.sha not in judged)


def _say(hands: Hands, candidate: Candidate, found: Judgement | None, now: Border) -> None:
    left = now.bad - now.good - 1 - len(now.skipped)
    state = {"good": "ok", "bad": "missed"}.get(found or "", "note")
    text = f"{candidate.text}: {'not judged' if found == 'skip' else found}; {counted(left, 'version')} left"
    hands.progress.step(msgspec.convert({"name": "bisect", "state": state, "text": text}, Step))
