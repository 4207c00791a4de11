"""Work trees: a commit's files beside the checkout, their removal, and the checkout itself."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.run import Git

CHECKOUT_SECONDS = 1800.0
"""Large trees and slow disks take their time; submodules come over the network."""


def add_worktree(git: Git, sha: str, destination: Path) -> None:
    """Check a commit out at `destination`, which must not exist, with its submodules; all or nothing."""
    place = destination.absolute()
    if place.exists() or place.is_symlink():
        raise GitFailed(f"{place} is in the way of a work tree", hint="remove it, or name another place")
    try:
        git.run(
            *("worktree", "add", "--quiet", "--force", "--detach", "--end-of-options", str(place), sha),
            what=f"the files of commit {sha[:12]} cannot be checked out at {place}",
            seconds=CHECKOUT_SECONDS,
        )
        _fetch_submodules(git, place)
    except BaseException:
        with suppress(GitFailed):
            remove_worktree(git, place)
        raise


def _fetch_submodules(git: Git, place: Path) -> None:
    if not (place / ".gitmodules").is_file():
        return
    git.run(
        *("-C", str(place), "submodule", "--quiet", "update", "--init", "--recursive", "--checkout"),
        what="a submodule of this commit cannot be fetched",
        hint="check that its URL can be reached with the credentials of this build",
        seconds=CHECKOUT_SECONDS,
    )


def remove_worktree(git: Git, destination: Path) -> None:
    """Remove a work tree with whatever was changed in it; does nothing when it is gone."""
    place = destination.absolute()
    # Twice: once for changes in it, once for a lock on it.
    removal = ("worktree", "remove", "--force", "--force", "--end-of-options", str(place))
    answer = git.ask(*removal, seconds=CHECKOUT_SECONDS)
    if answer.code != 0 and (place.exists() or place.is_symlink()):
        raise GitFailed(f"the work tree {place} cannot be removed", why=answer.complaint)


def check_out(git: Git, revision: str) -> None:
    """Check out a revision as git does, branches by name; git refuses where local changes would be lost."""
    answer = git.ask("checkout", "--quiet", revision, "--", seconds=CHECKOUT_SECONDS)
    if answer.code != 0:
        raise GitFailed(
            f"git did not check out {revision}",
            why=answer.complaint,
            safe="the work tree is as it was",
            hint="commit or stash the changes, then run again",
        )
