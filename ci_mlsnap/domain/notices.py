"""What a forge is told besides statuses: comments on change requests, deployments, check runs."""

from __future__ import annotations

from typing import Literal

import msgspec

COMMENT_LIMIT = 65_536
"""GitHub's limit of a comment in characters; a longer one is refused."""

CommentWish = Literal["always", "on-change", "never"]


class Comment(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="comment"):
    """The one comment of a `marker` on a change request: made once, then edited in place.

    `number` is the change request; 0 means the open ones whose head is `sha`, and `from_fork` that the forge may
    list none for that commit and has to be asked in another way. `body` begins with the marker. `only_edits`:
    where there is none yet, none is made.
    """

    sha: str
    number: int = 0
    from_fork: bool = False
    marker: str
    body: str
    only_edits: bool = False


Notice = Comment


def marker_of(model: str) -> str:
    """Give the hidden first line of a model's comment, by which it is found again."""
    return f"<!-- mlsnap:{model} -->"


def identity_of(notice: Notice) -> tuple[str, ...]:
    """Say which notice it is: a later one of the same identity takes the place of one that waits."""
    return ("comment", str(notice.number or notice.sha), notice.marker)
