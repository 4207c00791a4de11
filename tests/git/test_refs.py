"""Branches and tags as a retention policy needs them: none that is on the remote is overlooked."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.git.repository import GitRepository as Opened
from tests.conftest import GitRepository


@pytest.fixture
def clones(tmp_path: Path) -> tuple[GitRepository, GitRepository]:
    """Give a remote with a commit on `main`, and a clone of it."""
    remote = GitRepository(path=tmp_path / "remote")
    remote.path.mkdir()
    remote.git("init", "--quiet", "--initial-branch=main")
    remote.commit("first", {"a": "1"})
    remote.git("clone", "--quiet", str(remote.path), str(tmp_path / "clone"))
    return remote, GitRepository(path=tmp_path / "clone")


def opened(repository: GitRepository) -> Opened:
    return Opened.find(repository.path)


def test_branches_and_tags_of_the_remote_count_without_a_fetch(
    clones: tuple[GitRepository, GitRepository],
) -> None:
    remote, clone = clones
    head = remote.head()
    remote.git("branch", "other")
    remote.git("tag", "light")
    remote.git("tag", "-a", "-m", "x", "annotated")
    found = opened(clone).refs()
    assert found.asked
    assert found.branches == {"main": head, "origin/main": head, "origin/other": head}
    assert found.tags["origin/light"] == head
    assert found.missing == ("refs/tags/annotated",)
    clone.git("fetch", "--quiet", "--tags")
    fetched = opened(clone).refs()
    assert fetched.missing == ()
    assert fetched.tags["annotated"] == head


def test_commits_that_are_not_here_are_told_and_branches_that_are_gone_do_not_count(
    clones: tuple[GitRepository, GitRepository],
) -> None:
    remote, clone = clones
    remote.git("branch", "old")
    clone.git("fetch", "--quiet")
    remote.git("branch", "-D", "old")
    remote.commit("second", {"a": "2"})
    found = opened(clone).refs()
    assert found.missing == ("refs/heads/main",)
    assert sorted(found.branches) == ["main"]


def test_a_remote_that_does_not_answer_leaves_what_was_fetched(
    clones: tuple[GitRepository, GitRepository],
) -> None:
    remote, clone = clones
    head = remote.head()
    remote.path.rename(remote.path.with_name("elsewhere"))
    found = opened(clone).refs()
    assert not found.asked
    assert found.branches == {"main": head, "origin/main": head}


def test_without_a_remote_there_is_nobody_to_ask(clones: tuple[GitRepository, GitRepository]) -> None:
    remote, _ = clones
    remote.git("tag", "of-a-tree", "HEAD^{tree}")
    found = opened(remote).refs()
    assert found.asked and found.missing == () and found.tags == {}


def test_commits_come_with_their_trees_and_all_before_them_where_wanted(
    clones: tuple[GitRepository, GitRepository],
) -> None:
    remote, _ = clones
    first, second = remote.head(), remote.commit("second", {"a": "2"})
    repository = opened(remote)
    trees = [repository.commit(sha).tree for sha in (first, second)]
    assert repository.commits_and_trees([second], ancestors=False) == {second, trees[1]}
    assert repository.commits_and_trees([second], ancestors=True) == {first, second, *trees}
    assert repository.commits_and_trees([], ancestors=True) == set()


def test_all_work_trees_are_listed(clones: tuple[GitRepository, GitRepository], tmp_path: Path) -> None:
    remote, _ = clones
    remote.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "second tree"))
    assert set(opened(remote).worktrees()) == {remote.path, tmp_path / "second tree"}
