"""What triggered us, as one value, whatever CI said it."""

from __future__ import annotations

from typing import Literal

import msgspec

EventKind = Literal["push", "tag", "pull_request", "merge_group", "manual", "schedule", "workflow_run", "local"]


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The commit to train, and why.

    `sha` is the commit that the event names (a pull request's head, never its test merge); empty only when
    `nothing_to_do` says why there is none, or by hand before git was asked. `checked_out` is what the CI put
    into the work tree when that is known to differ. `base_ref` is the branch a change request wants to enter,
    `base_sha` its commit. Texts such as branch and title are strangers'.
    """

    kind: EventKind
    sha: str = ""
    ref: str = ""
    branch: str = ""
    tag: str = ""
    base_ref: str = ""
    base_sha: str = ""
    pull_request: int = 0
    repository: str = ""
    actor: str = ""
    forced: bool = False
    untrusted: str = ""
    """Why the event may use no secrets (a fork, Dependabot); empty when it may."""
    nothing_to_do: str = ""
    """Why there is nothing to train (a deleted ref); empty when there is."""
    default_branch: str = ""
    ci: str = ""
    run_url: str = ""
    workflow: str = ""
    """The workflow of the run that this event tells of, as a path in the repository."""
    run_id: str = ""
    run_attempt: int = 1

    @property
    def is_change_request(self) -> bool:
        """Tell whether the event asks for a change to enter a branch, so that its base decides the settings."""
        return self.kind == "pull_request"
