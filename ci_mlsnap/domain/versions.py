"""Versions, and the answer to "which version is meant by this commit"."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.metrics import Curve, Scalar, headline
from ci_mlsnap.domain.names import SnapshotName

MOST_SHOWN = 20
"""Versions that a metric's history goes back."""

How = Literal["own", "same-tree", "same-inputs", "nearest", "channel"]


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest's header says of a version, with the digest of the whole manifest file."""

    header: ManifestHeader
    digest: str

    @property
    def name(self) -> SnapshotName:
        """The snapshot's name."""
        return SnapshotName.parse(self.header.name)

    @property
    def good(self) -> bool:
        """Tell whether no gate was missed."""
        return self.header.verdict.good

    @property
    def metrics(self) -> dict[str, Scalar]:
        """The final metrics by name."""
        return self.header.metrics


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The version that answers a commit, and how: always said to the person."""

    version: Version
    how: How


def preferred(versions: Iterable[Version]) -> Version | None:
    """Give the newest good version, else the newest; `sequence` decides what is newer, never a clock."""
    return max(versions, key=lambda version: (version.good, version.header.sequence), default=None)


def answer(
    commit: str,
    versions: Sequence[Version],
    *,
    tree: str = "",
    inputs_digest: str = "",
    ancestors: Sequence[str] = (),
) -> Answer | None:
    """Say which version is meant by `commit`.

    Its own; else one trained on the same git tree; else one whose training inputs are all the same; else,
    when `ancestors` (nearest first) are given, the nearest ancestor's. Trees and digests are those that git
    gives now. Only attempts at commits count: keepsakes and dirty trees never answer.
    """
    attempts = [version for version in versions if version.name.is_version]
    kinds: list[tuple[How, list[Version]]] = [
        ("own", [v for v in attempts if v.header.commit == commit]),
        ("same-tree", [v for v in attempts if tree and v.header.tree == tree]),
        ("same-inputs", [v for v in attempts if inputs_digest and v.header.inputs_digest == inputs_digest]),
        *(("nearest", [v for v in attempts if v.header.commit == sha]) for sha in ancestors),
    ]
    return next(
        (Answer(version=best, how=how) for how, found in kinds if (best := preferred(found)) is not None), None
    )


def baseline(versions: Iterable[Version], branch_commits: Iterable[str]) -> Version | None:
    """Give the newest good version among a branch's commits (newest first): what gates compare with."""
    by_commit: dict[str, list[Version]] = {}
    for version in versions:
        if version.good and version.name.is_version:
            by_commit.setdefault(version.header.commit, []).append(version)
    return next((preferred(by_commit[sha]) for sha in branch_commits if sha in by_commit), None)


def history(
    versions: Iterable[Version], branch_commits: Iterable[str], preferred_metrics: tuple[str, ...] = ()
) -> Curve | None:
    """Give one metric of the newest good versions among a branch's commits (newest first), oldest first.

    It is the one to show first of the newest of them; None where there is no version, or it has no metric.
    """
    by_commit: dict[str, list[Version]] = {}
    for version in versions:
        if version.good and version.name.is_version:
            by_commit.setdefault(version.header.commit, []).append(version)
    found = [preferred(by_commit[sha]) for sha in branch_commits if sha in by_commit][:MOST_SHOWN]
    line = [version.metrics for version in found[::-1] if version is not None]
    name = headline(line[-1], preferred_metrics) if line else None
    values = [metrics[name] for metrics in line if name in metrics] if name is not None else []
    if name is None or not values:
        return None
    return Curve(name=name, steps=tuple(float(step) for step in range(len(values))), values=tuple(values))


def good_before(versions: Iterable[Version], now: Version, ancestors: Sequence[str] | None) -> Version | None:
    """Give the good version before this one: an earlier attempt at its commit, else that of the nearest ancestor.

    `ancestors` are the commits before its own, nearest first. Where they are None, since git does not know the
    commit, it is the newest earlier one that was made on the same ref.
    """
    good = [version for version in versions if version.good and version.name.is_version]
    earlier = [version for version in good if version.header.sequence < now.header.sequence]
    if ancestors is None:
        return preferred(version for version in earlier if version.header.ref == now.header.ref)
    again = preferred(version for version in earlier if version.header.commit == now.header.commit)
    return again or baseline(good, ancestors)


def next_attempt(sha: str, used: Iterable[SnapshotName]) -> SnapshotName:
    """Name the next attempt at a commit; numbers once used are not used again, also after a prune."""
    taken = [name.attempt for name in used if name.sha == sha and name.is_version]
    return SnapshotName(sha=sha, attempt=max(taken, default=0) + 1)
