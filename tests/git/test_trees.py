"""Digests of inputs, files of commits, and the patterns that choose them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.errors import GitFailed, NoCommit
from ci_mlsnap.git.globs import matcher
from ci_mlsnap.git.repository import GitRepository


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "train.py", True),
        ("*.py", "src/train.py", False),
        ("**/*.py", "train.py", True),
        ("**/*.py", "a/b/train.py", True),
        ("**.py", "a/b/train.py", True),
        ("src/**", "src/a/b", True),
        ("src/**", "other/a", False),
        ("src", "src/a/b", True),
        ("src/", "src/a/b", True),
        ("./src/*.py", "src/a.py", True),
        ("src/**/test_*.py", "src/test_a.py", True),
        ("src/**/test_*.py", "src/a/b/test_a.py", True),
        ("src/**/test_*.py", "src/a/b/a.py", False),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("a[!x]c", "abc", True),
        ("a[!x]c", "axc", False),
        ("*", ".hidden", True),
        ("**", "anything/at/all", True),
        ("a", "b", False),
        ("a.py", "axpy", False),
        ("*", "line\nbreak", True),
        ("a*", os.fsdecode(b"a\xe9"), True),
        ("données/*", "données/x", True),
    ],
)
def test_patterns_match_as_documented(pattern: str, path: str, expected: bool) -> None:
    assert matcher([pattern])(path) is expected


def test_any_of_several_patterns_is_enough() -> None:
    assert matcher(["a", "b"])("b")
    assert not matcher(["a", "b"])("c")
    assert not matcher([])("c")


def test_a_pattern_made_to_take_for_ever_does_not() -> None:
    assert not matcher(["/".join(["**", "*a*a*a*a*a*a*a*a*b"] * 20)])("/".join(["a" * 60] * 40))


def digest(made: Any, *patterns: str, at: str = "HEAD", below: str = ".") -> str:
    found = GitRepository.find(made.path)
    return found.inputs_digest(found.resolve(at), patterns, below=below)


@pytest.fixture
def made(make_repository: Any) -> Any:
    made = make_repository(commits=())
    made.commit("one", {"train.py": "1", "README": "1", "sub/a.py": "1", "sub/deep/b.py": "1", "subway.py": "1"})
    return made


def test_only_files_that_match_change_the_digest(made: Any) -> None:
    before = digest(made, "*.py")
    made.commit("words", {"README": "2", "sub/a.py": "2"})
    assert digest(made, "*.py") == before
    made.commit("code", {"train.py": "2"})
    assert digest(made, "*.py") != before


def test_mode_and_name_change_the_digest_too(made: Any) -> None:
    seen = {digest(made, "*.py")}
    (made.path / "train.py").chmod(0o755)
    made.commit("mode")
    seen.add(digest(made, "*.py"))
    made.git("mv", "train.py", "fit.py")
    made.commit("name")
    seen.add(digest(made, "*.py"))
    assert len(seen) == 3


def test_patterns_count_from_the_project_and_a_folder_of_a_longer_name_is_not_in_it(made: Any) -> None:
    before = digest(made, "**", below="sub")
    made.commit("outside", {"subway.py": "2", "train.py": "2"})
    assert digest(made, "**", below="sub") == before
    made.commit("inside", {"sub/deep/b.py": "2"})
    assert digest(made, "**", below="sub") != before


def test_without_a_match_there_is_no_digest_that_could_equal_another(made: Any) -> None:
    assert digest(made) == ""
    assert digest(made, "*.cpp") == ""
    assert digest(made, "**", below="gone") == ""


def test_a_submodule_always_counts(made: Any) -> None:
    def pin(sha: str) -> None:
        made.git("update-index", "--add", "--cacheinfo", f"160000,{sha},library")
        made.git("commit", "--quiet", "-m", "pin")

    before = digest(made, "*.py")
    pin("1" * 40)
    first = digest(made, "*.py")
    pin("2" * 40)
    assert len({before, first, digest(made, "*.py")}) == 3
    assert digest(made, "*.cpp") == ""


def test_names_that_are_not_utf_8_are_digested(made: Any) -> None:
    before = digest(made, "**")
    made.commit("odd", {os.fsdecode(b"sub/\xe9\n.py"): "1"})
    assert digest(made, "**") != before


def test_the_digest_of_a_commit_that_is_not_here_is_an_error(made: Any) -> None:
    with pytest.raises(NoCommit):
        GitRepository.find(made.path).inputs_digest("1" * 40, ["*"], below=".")


# -- files of commits ----------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_committed(made: Any) -> None:
    found = GitRepository.find(made.path)
    first = found.head()
    made.commit("two", {"sub/a.py": b"\xff\0\n"})
    assert found.file_at(first, "sub/a.py") == b"1"
    assert found.file_at("HEAD", "sub/a.py") == b"\xff\0\n"


@pytest.mark.parametrize(
    "path",
    ["gone", "sub/gone", "gone/a", "sub/", "", "*.py", ":(glob)*", "--", "/etc/passwd", "../x", "sub/../train.py"],
)
def test_a_file_that_is_not_there_is_none(made: Any, path: str) -> None:
    assert GitRepository.find(made.path).file_at("HEAD", path) is None


@pytest.mark.parametrize("name", ["-n", "a\nb", "*", ":x", os.fsdecode(b"\xe9")])
def test_a_file_of_an_odd_name_is_read(made: Any, name: str) -> None:
    made.commit("odd", {name: "odd"})
    assert GitRepository.find(made.path).file_at("HEAD", name) == b"odd"


def test_a_link_in_a_files_place_is_refused_and_not_taken_for_nothing(made: Any) -> None:
    (made.path / "mlsnap.toml").symlink_to("/etc/passwd")
    made.commit("link")
    with pytest.raises(GitFailed, match="no regular file"):
        GitRepository.find(made.path).file_at("HEAD", "mlsnap.toml")
    with pytest.raises(GitFailed, match="no regular file"):
        GitRepository.find(made.path).file_at("HEAD", "sub")


def test_a_file_over_the_limit_is_refused_unread(made: Any) -> None:
    made.commit("large", {"exact": b"x" * (1 << 20), "over": b"x" * ((1 << 20) + 1)})
    found = GitRepository.find(made.path)
    assert len(found.file_at("HEAD", "exact") or b"") == 1 << 20
    with pytest.raises(GitFailed, match="1048577 bytes"):
        found.file_at("HEAD", "over")


def test_a_missing_object_is_an_error_and_not_nothing(made: Any) -> None:
    blob = made.git("rev-parse", "HEAD:train.py")
    Path(made.path, ".git", "objects", blob[:2], blob[2:]).unlink()
    with pytest.raises(GitFailed):
        GitRepository.find(made.path).file_at("HEAD", "train.py")
