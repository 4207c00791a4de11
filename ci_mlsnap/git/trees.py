"""What a commit's tree holds, without checking it out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence

import msgspec

from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.globs import matcher
from ci_mlsnap.git.run import Git

FILE_LIMIT = 1 << 20
"""The largest file, in bytes, that is read from a commit."""

_SUBMODULE = b"160000"
_FILES = (b"100644", b"100755")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a tree; `size` in bytes where it was asked for, of files only."""

    mode: bytes
    object_id: bytes
    size: int
    path: bytes


def inputs_digest(git: Git, sha: str, patterns: Sequence[str], below: str) -> str:
    """Digest mode, content and path of the files that match; the empty text when none does.

    Two commits with the same digest have the same inputs. Without any match there are no known inputs, and
    equal emptiness must not pass for equal inputs. A submodule always counts: what is in it cannot be listed.
    """
    prefix = "" if below in ("", ".") else below.strip("/") + "/"
    matches = matcher(patterns)
    digest = hashlib.sha256()
    found = False
    for entry in _entries(git, sha, prefix, "-r"):
        path = entry.path[len(os.fsencode(prefix)) :]
        matched = matches(os.fsdecode(path))
        if matched or entry.mode == _SUBMODULE:
            digest.update(b"%b %b %b\0" % (entry.mode, entry.object_id, path))
        found = found or matched
    return digest.hexdigest() if found else ""


def file_at(git: Git, sha: str, path: str) -> bytes | None:
    """Read a file of a commit; None when there is none. Raises `GitFailed` for what is no file or too large."""
    if path.startswith("/") or ".." in path.split("/"):
        return None  # No commit has such a path, and git takes it for one outside of the repository.
    wanted = os.fsencode(path)
    entry = next((entry for entry in _entries(git, sha, path, "--long") if entry.path == wanted), None)
    if entry is None:
        return None
    if entry.mode not in _FILES:
        raise GitFailed(f"{path} of commit {sha[:12]} is no regular file", hint="commit it as a file")
    if entry.size > FILE_LIMIT:
        raise GitFailed(
            f"{path} of commit {sha[:12]} has {entry.size} bytes",
            why=f"at most {FILE_LIMIT} bytes are read",
            hint="make it smaller",
        )
    return git.run("cat-file", "blob", entry.object_id.decode(), what=f"{path} of {sha[:12]} cannot be read")


def _entries(git: Git, sha: str, path: str, *options: str) -> Iterator[Entry]:
    only = ("--", path) if path else ()
    listed = git.run(
        *("ls-tree", *options, "-z", "--full-tree", sha, *only),
        what=f"the tree of commit {sha[:12]} cannot be read",
        hint="run `git fsck`; in a partial clone the remote must be reachable",
    )
    for line in listed.split(b"\0")[:-1]:
        facts, _, name = line.partition(b"\t")
        mode, _, object_id, *size = facts.split()
        yield Entry(
            mode=mode, object_id=object_id, size=int(size[0]) if size and size[0].isdigit() else 0, path=name
        )
