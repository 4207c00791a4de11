"""Git notes in `refs/notes/mlsnap`: reading, adding lines, and exchanging them with `origin`.

What `origin` has is fetched to a name of its own and merged line by line. Nothing is ever pushed by force.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import is_sha
from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.run import Git

REF = "refs/notes/mlsnap"
FETCHED = "refs/mlsnap/notes-of-origin"
"""What `origin` had when it was asked last."""

_TRIES = 5
_SECONDS = 60.0
_AS = ("-c", "user.name=mlsnap", "-c", "user.email=mlsnap@invalid")


class Exchanged(msgspec.Struct, frozen=True, kw_only=True):
    """Whether `origin` has all notes that are here, and else why not."""

    pushed: bool
    why: str = ""


class Notes:
    """The notes of one repository."""

    def __init__(self, folder: Path) -> None:
        self._git = Git(folder)

    def of(self, sha: str, *, limit: int) -> bytes:
        """Give what notes say of a commit, ours and fetched ones; nothing of one that is larger than `limit`."""
        found = (self._note(ref, sha, limit) for ref in (REF, FETCHED))
        return b"\n".join(text for text in found if text)

    def own(self, sha: str, *, limit: int) -> bytes | None:
        """Give the note that is here; empty when there is none, None when it is larger than `limit`."""
        return self._note(REF, sha, limit)

    def _note(self, ref: str, sha: str, limit: int) -> bytes | None:
        blob = self._git.ask("notes", f"--ref={ref}", "list", sha).line.decode("ascii", "replace")
        if not is_sha(blob):
            return b""
        size = self._git.ask("cat-file", "-s", blob).line
        if not size.isdigit() or int(size) > limit:
            return None
        return self._git.ask("cat-file", "blob", blob).text

    def known(self, shas: Iterable[str]) -> set[str]:
        """Give those of the commits that are here."""
        wanted = [sha for sha in shas if is_sha(sha)]
        answer = self._git.ask("cat-file", "--batch-check=%(objectname) %(objecttype)", given=_lines(wanted))
        return {line.split()[0].decode() for line in answer.text.splitlines() if line.endswith(b" commit")}

    def write(self, texts: Mapping[str, bytes]) -> None:
        """Put notes in place of those of these commits, all at once. Raises `GitFailed`; none is written then."""
        if not texts:
            return
        before = self._commit(REF)
        parts = [f"commit {REF}\ncommitter mlsnap <mlsnap@invalid> {int(time.time())} +0000\n".encode()]
        parts.append(b"data 13\nversions told\n")
        if before:
            parts.append(f"from {before}\n".encode())
        for sha, text in sorted(texts.items()):
            parts += [f"N inline {sha}\ndata {len(text)}\n".encode(), text, b"\n"]
        answer = self._git.ask("fast-import", "--quiet", "--date-format=raw", given=b"".join(parts))
        if answer.code != 0:
            raise GitFailed(
                "git notes could not be written",
                why=answer.complaint or "somebody else wrote notes at the same time",
                hint="run it again; what is noted already stays",
            )

    def exchange(self) -> Exchanged:
        """Fetch what `origin` has, merge it, and push; when somebody else was faster, again, a few times.

        Never raises for the remote's sake.
        """
        if self._git.ask("config", "--get", "remote.origin.url").code != 0:
            return Exchanged(pushed=False, why="there is no remote called origin")
        why = ""
        for _ in range(_TRIES):
            try:
                self._fetch()
                if self._commit(REF) == self._commit(FETCHED):
                    return Exchanged(pushed=True)
                answer = self._git.ask("push", "--quiet", "origin", f"{REF}:{REF}", seconds=_SECONDS)
            except GitFailed as error:
                return Exchanged(pushed=False, why=error.why or error.what)
            if answer.code == 0:
                return Exchanged(pushed=True)
            why = answer.complaint
            if not ("fetch first" in why or "non-fast-forward" in why or "lock" in why):
                break
        return Exchanged(pushed=False, why=why.splitlines()[0] if why else "origin did not take them")

    def _fetch(self) -> None:
        """Bring `origin`'s notes here and merge them. Raises `GitFailed`; a remote without notes is fine."""
        options = ("--quiet", "--no-tags", "--no-write-fetch-head", "--recurse-submodules=no")
        answer = self._git.ask("fetch", *options, "origin", f"+{REF}:{FETCHED}", seconds=_SECONDS)
        if answer.code != 0:
            if "couldn't find remote ref" in answer.complaint:
                return
            raise GitFailed("the notes of origin cannot be fetched", why=answer.complaint)
        theirs, ours = self._commit(FETCHED), self._commit(REF)
        if not ours:
            self._git.run("update-ref", REF, theirs, "0" * len(theirs), what="notes cannot be begun")
        elif theirs != ours:
            merge = ("notes", f"--ref={REF}", "merge", "--quiet", "--strategy=cat_sort_uniq", FETCHED)
            self._git.run(*_AS, *merge, what="the notes of origin cannot be merged")

    def _commit(self, ref: str) -> str:
        found = self._git.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}").line.decode(
            "ascii", "replace"
        )
        return found if is_sha(found) else ""


def _lines(words: Iterable[str]) -> bytes:
    return "".join(f"{word}\n" for word in words).encode()
