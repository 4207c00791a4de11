"""The work tree that mlsnap stands in: its commits, its state, its remote."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.names import is_sha
from ci_mlsnap.errors import GitFailed, NoCommit, NotARepository
from ci_mlsnap.git import history, refs, remote, trees, worktree
from ci_mlsnap.git.run import Answer, Git
from ci_mlsnap.ports import CommitFacts, GraphLine, Refs

_HEAD_COMMIT = ("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
_IS_SHALLOW = ("rev-parse", "--is-shallow-repository")
_HEADS = b"refs/heads/"
_ORIGIN = b"refs/remotes/origin/"


class GitRepository:
    """A git work tree with its root at `top`; `common_folder` is the git folder that all its work trees share.

    Fulfils `ports.Repository`. Paths that are not UTF-8 keep their bytes, as `os.fsdecode` writes them; branches
    and subjects are texts to show, where such bytes become the replacement character.

    What was told once is not asked again, since each git command costs milliseconds; `checkout` and `fetch`, which
    change the answers, ask anew.
    """

    top: Path
    common_folder: Path

    def __init__(self, git: Git, *, top: Path, common_folder: Path) -> None:
        self._git = git
        self._told: dict[tuple[str, ...], Answer] = {}
        self._facts: dict[str, CommitFacts] = {}
        self._ancestors: dict[tuple[str, int], Sequence[str]] = {}
        self.top = top
        self.common_folder = common_folder

    @classmethod
    def find(cls, folder: Path, *, environ: Mapping[str, str] | None = None) -> GitRepository:
        """Find the work tree that `folder` is in.

        Raises `NotARepository` outside of one, in a bare repository, and where git does not trust its owner;
        `GitFailed` when git cannot be run.
        """
        if not folder.is_dir():
            raise NotARepository(f"{folder} is no folder", hint="go to a folder of a git repository")
        outside = Git(folder, environ)
        wanted = ("--path-format=absolute", "--show-toplevel", "--is-inside-work-tree", "--git-common-dir")
        found = outside.ask("rev-parse", *wanted, "--is-shallow-repository")
        if found.code != 0:
            raise _no_repository(folder, found, outside)
        top, _, rest = found.line.partition(b"\ntrue\n")  # a line of its own: names may have newlines
        common, _, shallow = rest.rpartition(b"\n")
        if not common:
            raise GitFailed("git does not say where its folder is", hint="install git 2.31 or newer")
        made = cls(Git(_path(top), environ), top=_path(top), common_folder=_path(common))
        made._told[_IS_SHALLOW] = Answer(code=0, text=shallow, complaint="")
        return made

    # -- commits --------------------------------------------------------------------------------------

    def head(self) -> str:
        """The commit that is checked out. Raises `NoCommit` when there is none yet."""
        answer = self._ask(*_HEAD_COMMIT)
        if answer.code != 0:
            raise NoCommit("the repository has no commit yet", hint="commit something first")
        return answer.line.decode()

    def branch(self) -> str:
        """The branch that is checked out; empty when HEAD is detached."""
        return self._symbolic("HEAD", _HEADS)

    def default_branch(self) -> str:
        """The branch that the remote's HEAD names; empty when this clone does not know it."""
        return self._symbolic("refs/remotes/origin/HEAD", _ORIGIN)

    def resolve(self, revision: str) -> str:
        """The SHA of the commit that a revision means. Raises `NoCommit`."""
        if self.has(revision):
            return revision
        wanted = revision.replace("\0", "?")
        answer = self._ask("rev-parse", "--verify", "--end-of-options", f"{wanted}^{{commit}}")
        sha = answer.line.decode("ascii", "replace")
        # `^HEAD` is a revision to git, and means all that is not in HEAD.
        if answer.code == 0 and is_sha(sha):
            return sha
        raise _no_commit(revision, answer, shallow=self.is_shallow())

    def has(self, sha: str) -> bool:
        """Tell whether this very commit is here."""
        if not is_sha(sha):
            return False
        head = self._told.get(_HEAD_COMMIT)
        is_head = head is not None and head.line == sha.encode()
        return is_head or self._ask("cat-file", "-t", sha).line == b"commit"

    def fetch(self, sha: str, *, seconds: float = remote.FETCH_SECONDS) -> bool:
        """Try to get a commit from `origin`, and tell whether it is here now. Never prompts, never raises."""
        if is_sha(sha) and not self.has(sha):
            remote.fetch_commit(self._git, sha, shallow=self.is_shallow(), seconds=seconds)
            self._forget()
        return self.has(sha)

    def commit(self, revision: str) -> CommitFacts:
        """What git says of a commit; all its parents, also where a shallow clone is cut. Raises `NoCommit`."""
        sha = self.resolve(revision)
        if sha not in self._facts:
            self._facts[sha] = self._read(sha)
        return self._facts[sha]

    def _read(self, sha: str) -> CommitFacts:
        facts = next(history.commits(self._git, "--max-count=1", sha))
        if not self.is_shallow():
            return facts
        raw = self._git.run("cat-file", "commit", sha, what=f"commit {sha[:12]} cannot be read")
        headers = raw.partition(b"\n\n")[0].split(b"\n")
        parents = tuple(line[7:].decode() for line in headers if line.startswith(b"parent "))
        return CommitFacts(
            sha=sha, tree=facts.tree, parents=parents, subject=facts.subject, author=facts.author, time=facts.time
        )

    def log(self, revision: str, *, limit: int, since: int = 0) -> Sequence[CommitFacts]:
        """The commit and its ancestors, newest first, at most `limit`; ends where a shallow clone is cut.

        `since`, in seconds since the epoch, leaves out what was committed earlier.
        """
        return list(history.commits(self._git, *_bounds(limit, since), self.resolve(revision)))

    def graph(self, revision: str, *, limit: int, since: int = 0, room: int = 0) -> Sequence[GraphLine]:
        """The commits of `log`, between the lines that git draws; `room` lines are left below each commit."""
        return list(history.graph(self._git, *_bounds(limit, since), self.resolve(revision), room=room))

    def commits(self, shas: Sequence[str]) -> Mapping[str, CommitFacts]:
        """What git says of those of the commits that are here, by SHA."""
        return history.known(self._git, shas)

    def line_changes(self, before: str, after: str, *, below: str) -> Sequence[LineChange]:
        """The files below a folder that differ between two commits, with the lines that came and went."""
        return history.line_changes(self._git, before, after, below=below)

    def moment(self, text: str) -> int:
        """A date as git reads it, in seconds since the epoch. Raises `UsageError`."""
        return history.moment(self._git, text)

    def ancestors(self, revision: str, *, limit: int) -> Sequence[str]:
        """The SHAs of `log`."""
        wanted = (self.resolve(revision), limit)
        if wanted not in self._ancestors:
            listed = self._git.run(
                "rev-list", f"--max-count={limit}", wanted[0], what="the history cannot be read"
            )
            self._ancestors[wanted] = listed.decode().split()
        return self._ancestors[wanted]

    def first_parents(self, good: str, bad: str) -> Sequence[CommitFacts] | None:
        """The commits after `good` up to `bad`, oldest first, by first parents; None when `good` is no ancestor.

        A merge stands for all that it brought in. Raises `NoCommit`.
        """
        old, new = self.resolve(good), self.resolve(bad)
        if self._git.ask("merge-base", "--is-ancestor", old, new).code != 0:
            return None
        return list(history.commits(self._git, "--first-parent", "--topo-order", f"{old}..{new}"))[::-1]

    def is_shallow(self) -> bool:
        """Tell whether the clone's history is cut."""
        return self._ask(*_IS_SHALLOW).line == b"true"

    def refs(self) -> Refs:
        """Branches and tags, of `origin` those that it has now. Waits for it at most 30 s, and never prompts."""
        return refs.refs_of(self._git, has_origin=bool(self._origin_url()))

    def commits_and_trees(self, shas: Collection[str], *, ancestors: bool) -> set[str]:
        """The SHAs of commits and their git trees, with all before them where `ancestors` are wanted."""
        return refs.commits_and_trees(self._git, shas, ancestors=ancestors)

    def worktrees(self) -> Sequence[Path]:
        """The folders of all work trees of this repository."""
        return refs.worktrees(self._git)

    def root_commit(self) -> str:
        """The first commit of the checked-out history. Raises `NoCommit` where a shallow clone hides it."""
        if self.is_shallow():
            raise NoCommit(
                "the first commit is not in this shallow clone",
                hint="git fetch --unshallow, or set `project` in mlsnap.toml",
            )
        first = ("rev-list", "--first-parent", "--max-parents=0", self.head())
        return self._git.run(*first, what="the history cannot be read").decode().split()[-1]

    # -- the work tree --------------------------------------------------------------------------------

    def dirty_paths(self, *, below: Path) -> Sequence[str]:
        """Paths, from the top, that differ from the commit or are in none; ignored files do not count.

        A folder of which nothing is in git is one path, ending in `/`; a changed submodule is one too.
        """
        inside = self._from_top(below)
        only = () if inside in (None, ".") else ("--", str(inside))
        listed = self._git.run(
            *("status", "--porcelain=v2", "-z", "--no-renames", "--untracked-files=normal"),
            *("--ignore-submodules=none", *only),
            what="git cannot compare the work tree with the commit",
        )
        return [_dirty_path(line) for line in listed.split(b"\0")[:-1]]

    def is_tracked(self, path: Path) -> bool:
        """Tell whether the file, or anything in the folder, is in git."""
        inside = self._from_top(path)
        if inside is None:
            return False
        return bool(self._git.run("ls-files", "-z", "--", inside, what="the index cannot be read"))

    def inputs_digest(self, sha: str, patterns: Sequence[str], *, below: str) -> str:
        """Digest the files of a commit that match the patterns, which count from `below`; empty when none does."""
        return trees.inputs_digest(self._git, self.resolve(sha), patterns, below) if patterns else ""

    def file_at(self, sha: str, path: str) -> bytes | None:
        """Read a file of a commit by its path from the top; None when there is none, `GitFailed` over 1 MiB."""
        return trees.file_at(self._git, self.resolve(sha), path)

    def add_worktree(self, sha: str, destination: Path) -> None:
        """Check a commit out elsewhere, with its submodules. Raises `GitFailed`; nothing is left then."""
        worktree.add_worktree(self._git, sha, destination)

    def remove_worktree(self, destination: Path) -> None:
        """Remove a work tree made here with all that is in it; gone is fine. Raises `GitFailed`."""
        worktree.remove_worktree(self._git, destination)

    def checkout(self, revision: str) -> None:
        """Check out a revision. Raises `NoCommit`, and `GitFailed` with git's reason; local changes stay."""
        self.resolve(revision)
        self._forget()
        worktree.check_out(self._git, revision)

    # -- settings -------------------------------------------------------------------------------------

    def origin(self) -> str:
        """`owner/name` of the remote `origin` where its URL is one of a forge; else empty."""
        return remote.repository_name(self._origin_url())

    def origin_host(self) -> str:
        """The host of the remote `origin`; empty where its URL has none."""
        return remote.repository_host(self._origin_url())

    def _origin_url(self) -> str:
        return self._config().get("remote.origin.url", "")

    def config_values(self) -> Mapping[str, str]:
        """All of `git config` below `mlsnap`, by full name; a name without a value is `true`."""
        return {name: value for name, value in self._config().items() if name.startswith("mlsnap.")}

    def keeps_login(self) -> bool:
        """Tell whether git's configuration here sends a header to some host, by which a CI's checkout logs in."""
        return self._ask("config", "--name-only", "--get-regexp", r"^http\.(.*\.)?extraheader$").code == 0

    def _config(self) -> Mapping[str, str]:
        """What matters here of git's configuration, and no more: CIs keep tokens there."""
        listed = self._ask("config", "--null", "--get-regexp", r"^(mlsnap\..*|remote\.origin\.url)$")
        if listed.code not in (0, 1):
            raise GitFailed("git cannot read its configuration", why=listed.complaint)
        texts = (line.decode("utf-8", "replace").partition("\n") for line in listed.text.split(b"\0")[:-1])
        return {name: value if newline else "true" for name, newline, value in texts}

    def _symbolic(self, name: str, prefix: bytes) -> str:
        target = self._ask("symbolic-ref", "--quiet", name).line
        return target.removeprefix(prefix).decode("utf-8", "replace") if target.startswith(prefix) else ""

    def _forget(self) -> None:
        for told in (self._told, self._facts, self._ancestors):
            told.clear()

    def _ask(self, *arguments: str) -> Answer:
        """Ask git, or give what it said before."""
        if arguments not in self._told:
            self._told[arguments] = self._git.ask(*arguments)
        return self._told[arguments]

    def _from_top(self, path: Path) -> str | None:
        """Write a path as git does, from the top; None when it is outside. A link counts, not its target."""
        absolute = Path(os.path.normpath(self.top / path))
        for candidate in (absolute, absolute.parent.resolve() / absolute.name):
            if candidate.is_relative_to(self.top):
                return candidate.relative_to(self.top).as_posix()
        return None


def _bounds(limit: int, since: int) -> tuple[str, ...]:
    return (f"--max-count={limit}", *([f"--max-age={since}"] if since else []))


def _path(name: bytes) -> Path:
    return Path(os.fsdecode(name))


def _dirty_path(line: bytes) -> str:
    """Take the path out of a line of `git status`: behind 1 field when untracked, 10 in a conflict, else 8."""
    fields = {b"?": 1, b"u": 10}.get(line[:1], 8)
    return os.fsdecode(line.split(b" ", fields)[fields])


def _no_commit(revision: str, answer: Answer, *, shallow: bool) -> NoCommit:
    shown = ascii(revision)[:200]
    if "ambiguous" in answer.complaint:
        return NoCommit(f"{shown} is the beginning of more than one SHA", hint="write more of its digits")
    return NoCommit(
        f"{shown} names no commit of this repository",
        why="the clone is shallow: its history is cut" if shallow else "",
        hint="git fetch --unshallow, or `fetch-depth: 0` in CI" if shallow else "see `git log` for what there is",
    )


def _no_repository(folder: Path, answer: Answer, git: Git) -> NotARepository:
    if "dubious ownership" in answer.complaint:
        return NotARepository(
            f"git does not trust the repository at {folder}: it belongs to another user",
            why=answer.complaint.splitlines()[0],
            hint="run as its owner, or: git config --global --add safe.directory PATH, with the path above",
        )
    if git.ask("rev-parse", "--is-bare-repository").line == b"true":
        return NotARepository(
            f"{folder} is a bare repository, which has no files to train with",
            hint="clone it, and run mlsnap in the clone",
        )
    return NotARepository(
        f"{folder} is in no git work tree",
        why=answer.complaint.splitlines()[0] if answer.complaint else "",
        hint="go to the repository, or make one: git init",
    )
