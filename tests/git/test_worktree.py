"""Work trees beside the checkout, with submodules, also from within another work tree."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.repository import GitRepository


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
def test_a_work_tree_has_the_files_of_the_named_commit(
    make_repository: Any, tmp_path: Path, object_format: Literal["sha1", "sha256"]
) -> None:
    made = make_repository(commits=("one", "two"), object_format=object_format)
    found = GitRepository.find(made.path)
    wanted = found.resolve("HEAD~1")
    found.add_worktree(wanted, tmp_path / "-tree")
    inner = GitRepository.find(tmp_path / "-tree")
    assert (inner.head(), inner.branch()) == (wanted, "")
    assert inner.common_folder == found.common_folder
    assert sorted(path.name for path in inner.top.iterdir()) == [".git", "file1.txt"]
    assert found.branch() == "main"


def test_a_work_tree_is_removed_with_all_that_is_in_it_and_twice_is_fine(repository: Any, tmp_path: Path) -> None:
    found = GitRepository.find(repository.path)
    found.add_worktree(found.head(), tmp_path / "tree")
    (tmp_path / "tree" / "new").touch()
    (tmp_path / "tree" / "file1.txt").write_text("changed")
    repository.git("worktree", "lock", str(tmp_path / "tree"))
    found.remove_worktree(tmp_path / "tree")
    found.remove_worktree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert repository.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_a_work_tree_can_be_made_again_where_one_was_deleted_without_git(repository: Any, tmp_path: Path) -> None:
    found = GitRepository.find(repository.path)
    found.add_worktree(found.head(), tmp_path / "tree")
    (tmp_path / "tree").rename(tmp_path / "away")
    found.add_worktree(found.head(), tmp_path / "tree")
    assert GitRepository.find(tmp_path / "tree").head() == found.head()


def test_a_folder_that_is_no_work_tree_is_never_removed(repository: Any, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    found = GitRepository.find(repository.path)
    with pytest.raises(GitFailed, match="cannot be removed"):
        found.remove_worktree(tmp_path / "mine")
    with pytest.raises(GitFailed, match="in the way"):
        found.add_worktree(found.head(), tmp_path / "mine")
    assert (tmp_path / "mine" / "file").exists()


def test_a_commit_that_is_not_here_leaves_no_work_tree(repository: Any, tmp_path: Path) -> None:
    with pytest.raises(GitFailed):
        GitRepository.find(repository.path).add_worktree("1" * 40, tmp_path / "tree")
    assert not (tmp_path / "tree").exists()
    assert repository.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_a_work_tree_of_a_work_tree_works(repository: Any, tmp_path: Path) -> None:
    found = GitRepository.find(repository.path)
    found.add_worktree(found.head(), tmp_path / "one")
    inner = GitRepository.find(tmp_path / "one")
    inner.add_worktree(inner.head(), tmp_path / "two")
    assert GitRepository.find(tmp_path / "two").common_folder == found.common_folder
    inner.remove_worktree(tmp_path / "two")
    assert not (tmp_path / "two").exists()


# -- submodules ----------------------------------------------------------------------------------------


@pytest.fixture
def with_submodule(make_repository: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    # Since 2.38 git takes submodules from folders of this machine only where it is told to.
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "protocol.file.allow")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "always")
    library, made = make_repository("library"), make_repository("project")
    made.git("submodule", "--quiet", "add", str(library.path), "lib")
    made.commit("use the library")
    return made


def test_a_work_tree_has_its_submodules_and_is_removed_with_them(with_submodule: Any, tmp_path: Path) -> None:
    found = GitRepository.find(with_submodule.path)
    found.add_worktree(found.head(), tmp_path / "tree")
    assert (tmp_path / "tree" / "lib" / "file1.txt").is_file()
    found.remove_worktree(tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_submodule_that_cannot_be_fetched_leaves_no_work_tree(with_submodule: Any, tmp_path: Path) -> None:
    (tmp_path / "library").rename(tmp_path / "gone")
    found = GitRepository.find(with_submodule.path)
    with pytest.raises(GitFailed, match="submodule"):
        found.add_worktree(found.head(), tmp_path / "tree")
    assert not (tmp_path / "tree").exists()


def test_a_changed_submodule_is_dirty_whatever_the_settings_say(with_submodule: Any) -> None:
    found = GitRepository.find(with_submodule.path)
    with_submodule.git("config", "diff.ignoreSubmodules", "all")
    with_submodule.git("config", "submodule.lib.ignore", "all")
    assert found.dirty_paths(below=found.top) == []
    (with_submodule.path / "lib" / "file1.txt").write_text("changed")
    assert found.dirty_paths(below=found.top) == ["lib"]


def test_the_submodule_is_a_repository_of_its_own(with_submodule: Any) -> None:
    inner = GitRepository.find(with_submodule.path / "lib")
    assert inner.top == with_submodule.path / "lib"
    assert inner.common_folder == with_submodule.path / ".git" / "modules" / "lib"
