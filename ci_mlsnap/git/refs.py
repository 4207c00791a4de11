"""Branches and tags: those of this clone, and what `origin` has of them now."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.run import Git
from ci_mlsnap.ports import Refs

ASK_SECONDS = 30.0
"""How long `origin` may take to say what it has."""

_LOCAL = "refs/heads/"
_TRACKING = "refs/remotes/origin/"
_TAGS = "refs/tags/"


def refs_of(git: Git, *, has_origin: bool) -> Refs:
    """Say which branches and tags there are; see `Repository.refs`."""
    local = dict(_local(git))
    branches = {
        name.removeprefix(_LOCAL): sha for name, (_, sha) in local.items() if name.startswith(_LOCAL) and sha
    }
    tags = {name.removeprefix(_TAGS): sha for name, (_, sha) in local.items() if name.startswith(_TAGS) and sha}
    theirs = _theirs(git) if has_origin else None
    if theirs is None:
        tracked = {name: sha for name, (_, sha) in local.items() if name.startswith(_TRACKING) and sha}
        branches |= {f"origin/{name.removeprefix(_TRACKING)}": sha for name, sha in tracked.items()}
        return Refs(branches=branches, tags=tags, asked=not has_origin)
    commits = {named for named, commit in local.values() if commit}
    unlike = {named for named, commit in local.values() if not commit}
    here = commits | _here(git, set(theirs.values()) - commits - unlike)
    there = {name: sha for name, sha in theirs.items() if sha not in unlike}
    found = {name: sha for name, sha in there.items() if sha in here}
    branches |= {f"origin/{n.removeprefix(_LOCAL)}": sha for n, sha in found.items() if n.startswith(_LOCAL)}
    tags |= {f"origin/{n.removeprefix(_TAGS)}": sha for n, sha in found.items() if n.startswith(_TAGS)}
    return Refs(branches=branches, tags=tags, missing=tuple(sorted(set(there) - set(found))), asked=True)


def commits_and_trees(git: Git, shas: Collection[str], *, ancestors: bool) -> set[str]:
    """Give the SHAs of commits and of their git trees, with all before them where `ancestors` are wanted."""
    if not shas:
        return set()
    walk = () if ancestors else ("--no-walk",)
    wanted = ("log", *walk, "--no-show-signature", "--no-patch", "--format=%H %T", *sorted(shas), "--")
    return set(git.run(*wanted, what="the history cannot be read").decode().split())


def worktrees(git: Git) -> list[Path]:
    """Give the folders of all work trees of the repository, this one included."""
    listed = git.run("worktree", "list", "--porcelain", what="the work trees cannot be listed")
    lines = listed.decode("utf-8", "surrogateescape").splitlines()
    return [Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree ")]


def _local(git: Git) -> Iterator[tuple[str, tuple[str, str]]]:
    """Give each ref with the object that it names, and the commit that this means; empty where it is none."""
    form = "%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)%00%(symref)"
    wanted = ("for-each-ref", f"--format={form}", _LOCAL, _TRACKING, _TAGS)
    listed = git.run(*wanted, what="the branches and tags cannot be read")
    for line in listed.decode("utf-8", "replace").splitlines():
        name, sha, kind, peeled, peeled_kind, symbolic = line.split("\0")
        if not symbolic:
            commit = sha if kind == "commit" else peeled if peeled_kind == "commit" else ""
            yield name, (sha, commit)


def _theirs(git: Git) -> dict[str, str] | None:
    """Ask `origin` for its branches and tags; None when it does not answer."""
    try:
        answer = git.ask("ls-remote", "--quiet", "--heads", "--tags", "--refs", "origin", seconds=ASK_SECONDS)
    except GitFailed:
        return None
    if answer.code != 0:
        return None
    lines = answer.text.decode("utf-8", "replace").splitlines()
    return {name: sha for sha, _, name in (line.partition("\t") for line in lines) if name}


def _here(git: Git, shas: Collection[str]) -> set[str]:
    """Give those of the objects that this clone has."""
    if not shas:
        return set()
    wanted = ("rev-parse", "--quiet", "--verify")
    return {sha for sha in shas if git.ask(*wanted, f"{sha}^{{commit}}").code == 0}
