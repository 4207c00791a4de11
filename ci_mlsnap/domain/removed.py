"""What is known of a version that was removed, and of what its commits had been told."""

from __future__ import annotations

from typing import Literal

import msgspec

from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.status import State

Condition = Literal["removing", "trash", "gone"]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a commit was told of a snapshot, or is about to be: the status without its text."""

    repository: str
    sha: str
    context: str
    state: State
    target_url: str = ""


class Pruned(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/pruned/1",
):
    """One removed version: its manifest's header and digest, why it went, by whom and when.

    `removing` until it is out of sight, then `trash` while it can come back, then `gone`. `now` asks for `gone` at
    once, `even_held` also where somebody holds it. `since` in seconds since the epoch, `at` the same for people.
    `told` is what commits had been told of it.
    """

    header: ManifestHeader
    digest: str
    condition: Condition
    reason: str
    by: str
    at: str
    since: float
    now: bool = False
    even_held: bool = False
    told: tuple[Told, ...] = ()

    @property
    def name(self) -> str:
        """The snapshot's name."""
        return self.header.name
