"""What a forge is told besides statuses: comments on change requests, deployments, check runs.

Unlike a status none of these may be there twice, so each has something by which it is found again.
"""

from __future__ import annotations

from typing import Literal

import msgspec

COMMENT_LIMIT = 65_536
"""GitHub's limit of a comment in characters; a longer one is refused."""

CHECK_LIMIT = 65_535
"""The same of a check run's summary."""

CommentWish = Literal["always", "on-change", "never"]


class Comment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="comment"):
    """The one comment of a `marker` on a change request: made once, then edited in place.

    It is left where the head is `sha` and no later commit. `number` is the change request; 0 means any that is
    open, and `from_fork` that the forge may list none for that commit and has to be asked in another way.
    `body` begins with the marker. `only_edits`: where there is none yet, none is made.
    """

    sha: str
    number: int = 0
    from_fork: bool = False
    marker: str
    body: str
    only_edits: bool = False


class Deployment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="deployment"):
    """A version that became live somewhere: made once for each `move`, with the status success.

    `environment` is the channel; `snapshot` and `model` go along for whoever asks the forge what is live.
    """

    sha: str
    environment: str
    move: str
    description: str
    model: str
    snapshot: str
    url: str = ""


Conclusion = Literal["success", "failure", "neutral", "cancelled"]


class CheckRun(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="check-run"):
    """A run's report as a check on its commit, in Markdown: one for each `name` and `run`."""

    sha: str
    name: str
    run: str
    conclusion: Conclusion
    title: str
    summary: str
    url: str = ""


Notice = Comment | Deployment | CheckRun


def marker_of(model: str) -> str:
    """Give the hidden first line of a model's comment, by which it is found again."""
    return f"<!-- mlsnap:{model} -->"


def identity_of(notice: Notice) -> tuple[str, ...]:
    """Say which notice it is: a later one of the same identity takes the place of one that waits."""
    match notice:
        case Comment():
            return ("comment", str(notice.number or notice.sha), notice.marker)
        case Deployment():
            return ("deployment", notice.environment, notice.move)
        case CheckRun():
            return ("check-run", notice.sha, notice.name)
