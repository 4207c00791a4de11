"""After history was rewritten, a new SHA is answered by the version of the same files, or told what is near."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import GitRepository
from tests.flows.conftest import QUIET, REPOSITORY, Place

Rewrite = Callable[[Place], str]
"""Makes a commit, has it trained, rewrites it, and gives the SHA that was trained; HEAD is then the new one."""


def amended(place: Place) -> str:
    was = _trained(place, "second")
    place.repository.git("commit", "--quiet", "--amend", "--message=said better")
    return was


def rebased_on_a_reworded_base(place: Place) -> str:
    """The base keeps its files, so what stands on it does too."""
    git = place.repository.git
    git("checkout", "--quiet", "-b", "work")
    was = _trained(place, "second")
    git("checkout", "--quiet", "main")
    git("commit", "--quiet", "--amend", "--message=the first, said better")
    git("rebase", "--quiet", "--onto", "main", "HEAD@{1}", "work")
    return was


def squash_merged(place: Place) -> str:
    git = place.repository.git
    git("checkout", "--quiet", "-b", "work")
    place.commit("second")
    was = _trained(place, "third")
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--squash", "work")
    git("commit", "--quiet", "--message=squashed")
    return was


def cherry_picked(place: Place) -> str:
    git = place.repository.git
    git("checkout", "--quiet", "-b", "work")
    was = _trained(place, "second")
    git("checkout", "--quiet", "main")
    git("cherry-pick", "-x", was)
    return was


def merged_by_a_queue(place: Place) -> str:
    """The queue makes a merge of its own, whose tree is the head's while main stands still."""
    git = place.repository.git
    git("checkout", "--quiet", "-b", "work")
    was = _trained(place, "second")
    git("checkout", "--quiet", "--detach", "main")
    git("merge", "--quiet", "--no-ff", "--message=Merge pull request #1", "work")
    git("branch", "gh-readonly-queue/main/pr-1")
    return was


def merged_fast_and_reverted_twice(place: Place) -> str:
    was = _trained(place, "second")
    place.repository.git("revert", "--no-edit", "HEAD")
    place.repository.git("revert", "--no-edit", "HEAD")
    return was


REWRITES: list[Rewrite] = [
    amended,
    rebased_on_a_reworded_base,
    squash_merged,
    cherry_picked,
    merged_by_a_queue,
    merged_fast_and_reverted_twice,
]


def _trained(place: Place, weights: str) -> str:
    sha = place.commit(weights)
    place.mlsnap("run", env=QUIET)
    return sha


def _versions(place: Place) -> list[str]:
    return [name for name in place.snapshots() if not name.startswith(".")]


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_new_sha_of_the_same_files_brings_back_their_version(trained: Place, rewrite: Rewrite) -> None:
    first = trained.repository.head()
    was = rewrite(trained)
    new = trained.repository.head()
    assert new != was
    trained.mlsnap("restore", first)
    before = _versions(trained)
    said = trained.mlsnap("restore", new)
    assert f"is now {was[:7]}" in said.stdout
    assert "trained on the same files" in said.stdout
    facts = trained.mlsnap("status", "--json").facts
    assert (facts["version"], facts["how"], facts["live"]["equal"]) == (was, "same-tree", True)
    said = trained.mlsnap("run")
    assert "nothing was trained" in said.stderr
    assert _versions(trained) == before
    ((state, text),) = trained.statuses(new)
    assert state == "success"
    assert "Not trained" in text and was[:7] in text
    again = trained.mlsnap("run")
    assert "nothing was trained" in again.stderr
    assert _versions(trained) == before


def test_a_rebase_on_other_files_says_why_there_is_no_version_and_what_is_near(trained: Place) -> None:
    git = trained.repository.git
    git("checkout", "--quiet", "-b", "work")
    was = _trained(trained, "second")
    git("checkout", "--quiet", "main")
    base = trained.commit(**{"notes.txt": "main went on"})
    trained.mlsnap("run", env=QUIET)
    git("rebase", "--quiet", "main", "work")
    new = trained.repository.head()
    with trained.nothing_changed():
        said = trained.refused("no-version", 44, "restore", new)
        assert "no version has the same files" in said.stderr
        assert f"nearest ancestor with one is {base[:7]}" in said.stderr
    trained.mlsnap("restore", "--nearest", new)
    assert trained.mlsnap("status", "--json").facts["live"]["version"] == base
    trained.mlsnap("restore", was)
    assert (trained.volume / "weights.txt").read_text() == "second"
    trained.mlsnap("run")
    assert trained.states(new) == ["pending", "success"]
    trained.snapshot(was)
    trained.snapshot(new)


def test_a_rebase_that_touches_no_input_needs_no_training(trained: Place) -> None:
    git = trained.repository.git
    trained.configure('[train]\ncommand = "sh train.sh"\ninputs = ["*.sh", "weights.txt"]\n')
    git("checkout", "--quiet", "-b", "work")
    was = _trained(trained, "second")
    git("checkout", "--quiet", "main")
    trained.commit(**{"notes.txt": "main went on"})
    git("rebase", "--quiet", "main", "work")
    new, before = trained.repository.head(), _versions(trained)
    said = trained.mlsnap("restore", new)
    assert f"{was[:7]}" in said.stdout and "no training input differs" in said.stdout
    trained.mlsnap("run")
    assert _versions(trained) == before
    assert trained.states(new) == ["success"]


def test_a_forced_push_leaves_a_clone_with_both_histories(trained: Place, tmp_path: Path) -> None:
    remote, git = tmp_path / "remote.git", trained.repository.git
    subprocess.run(("git", "init", "--quiet", "--bare", str(remote)), check=True)
    git("remote", "add", "team", str(remote))
    was = _trained(trained, "second")
    git("push", "--quiet", "team", "main")
    other = GitRepository(path=tmp_path / "colleague")
    subprocess.run(("git", "clone", "--quiet", str(remote), str(other.path)), check=True)
    other.git("remote", "add", "forge", f"https://github.com/{REPOSITORY}.git")
    other.git("commit", "--quiet", "--amend", "--message=reworded by a colleague")
    other.git("push", "--quiet", "--force", "origin", "main")
    git("fetch", "--quiet", "team")
    git("reset", "--quiet", "--hard", "team/main")
    new = trained.repository.head()
    assert new == other.head() != was
    assert trained.mlsnap("status", "--json").facts["version"] == was
    assert was[:7] in trained.mlsnap("restore", new).stdout
    trained.mlsnap("run")
    assert trained.states(new) == ["success"]
    # The old commit is in no branch any more, and its version is still there under its own name.
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "--quiet", "--prune=now")
    assert trained.mlsnap("restore", was).stdout
    trained.snapshot(was)


def test_a_forged_message_does_not_make_a_commit_another_ones_version(trained: Place) -> None:
    was = _trained(trained, "second")
    new = trained.repository.commit(
        f"third\n\n(cherry picked from commit {was})", {"weights.txt": "something else"}
    )
    trained.refused("no-version", 44, "restore", new)
