"""Where symbolic links of a tree lead, decided from the links alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping

LINKS_AT_MOST = 40
"""So many links the kernel follows for one path; a path with more leads nowhere."""


def leads_out(path: bytes, links: Mapping[bytes, bytes], *, no_content: Collection[bytes] = ()) -> bool:
    """Tell whether the link at `path` leads out of its tree, step by step, through the other `links` of it.

    Leading to one of the root's `no_content` counts as out. A link to nothing, or in a loop, leads nowhere.
    """
    position: list[bytes] = []
    steps = [path]
    followed = 0
    while steps:
        first, _, rest = steps.pop().partition(b"/")
        if rest:
            steps.append(rest)
        if first == b"..":
            if not position:
                return True
            position.pop()
        elif first not in (b"", b"."):
            position.append(first)
            if len(position) == 1 and first in no_content:
                return True
            target = links.get(b"/".join(position))
            if target is not None:
                followed += 1
                if followed > LINKS_AT_MOST:
                    return False
                if target.startswith(b"/"):
                    return True
                position.pop()
                steps.append(target)
    return False
