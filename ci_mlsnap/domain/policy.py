"""What a retention policy wants, what it is held against, and what came of it: values alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from ci_mlsnap.domain.versions import Version


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """Keep the `count` good versions with the best values of a metric; its name says which way is better."""

    metric: str
    count: int


class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """A number, or a share of all there is, from 0 to 1."""

    count: int = 0
    share: float = 0.0

    def of(self, total: int) -> int:
        """Give the number that it is of a total."""
        return self.count or int(self.share * total)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted. 0 and None mean that a rule is not there.

    `keep_last`, `keep_daily`, `keep_weekly`, `keep_monthly` and `max_space` limit how many are kept; without any
    of these nothing is removed. The others keep more. `max_removed` is how many one run may remove; `grace` for
    how many seconds what was removed can be brought back.
    """

    keep_last: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_best: Best | None = None
    keep_tagged: bool = False
    keep_unreachable: bool = True
    max_space: Amount | None = None
    max_removed: Amount = Amount(share=0.25)
    grace: float = 14 * 86400.0

    @property
    def limits(self) -> bool:
        """Tell whether any rule limits how many are kept."""
        return self.by_time or self.max_space is not None

    @property
    def by_time(self) -> bool:
        """Tell whether a rule goes by when a version was made."""
        return any((self.keep_last, self.keep_daily, self.keep_weekly, self.keep_monthly))


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """An open branch: its commits, newest first, the git tree of its head, the digest of the training inputs."""

    name: str
    commits: Sequence[str]
    tree: str = ""
    inputs_digest: str = ""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the decision rests on. Versions are named as their snapshots are.

    `needed` says for a version what needs it: a live tree, a view, an open run, a hold. `tagged` are commits and
    trees that have a tag, `reachable` those that are in a branch or tag, None where that cannot be known.
    `contents` has a version's files as digests with their sizes, `total_bytes` is the storage's size.
    """

    versions: Sequence[Version]
    needed: Mapping[str, Sequence[str]] = {}
    branches: Sequence[Branch] = ()
    tagged: Collection[str] = ()
    reachable: Collection[str] | None = None
    contents: Mapping[str, Mapping[str, int]] = {}
    total_bytes: int = 0


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One version, and the reasons for what becomes of it."""

    version: Version
    reasons: tuple[str, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, newest first; what is removed, and what is to go with later runs, oldest first."""

    kept: tuple[Judged, ...]
    removed: tuple[Judged, ...]
    postponed: tuple[Judged, ...]
