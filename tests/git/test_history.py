"""History beside versions: git's own graph, dates as git reads them, lines that differ."""

from __future__ import annotations

import calendar
import time

import pytest

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.errors import UsageError
from ci_mlsnap.git.repository import GitRepository as Ours
from tests.conftest import GitRepository

HOSTILE = "a\x1b[31m \u202e ##[error]| * \\ "


def _merged(repository: GitRepository) -> Ours:
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit(HOSTILE, {"side.txt": "1\n"})
    repository.git("checkout", "--quiet", "main")
    repository.commit("on main", {"main.txt": "1\n"})
    repository.git("merge", "--quiet", "--no-ff", "--no-edit", "side")
    return Ours.find(repository.path)


def test_the_graph_is_the_one_that_git_draws(repository: GitRepository) -> None:
    ours = _merged(repository)
    drawn = [line.drawn for line in ours.graph("HEAD", limit=10)]
    shown = repository.git("log", "--graph", "--format=%x2e").splitlines()
    assert drawn == [line.removesuffix(".").rstrip() for line in shown]
    assert "|\\" in drawn


def test_the_graph_has_the_commits_of_the_log(repository: GitRepository) -> None:
    ours = _merged(repository)
    lines = ours.graph("HEAD", limit=10)
    drawn = [line.commit for line in lines if line.commit]
    assert sorted(drawn, key=lambda it: it.sha) == sorted(ours.log("HEAD", limit=10), key=lambda it: it.sha)
    assert HOSTILE.strip() in [commit.subject for commit in drawn]
    assert not any(line.room for line in lines)


def test_room_is_left_below_every_commit_and_is_part_of_the_graph(repository: GitRepository) -> None:
    ours = _merged(repository)
    lines = ours.graph("HEAD", limit=10, room=2)
    assert sum(line.room for line in lines) == 2 * sum(line.commit is not None for line in lines)
    assert {line.drawn for line in lines if line.room} >= {"| |"}


def test_commits_are_found_by_sha_and_those_that_are_not_here_left_out(repository: GitRepository) -> None:
    ours = Ours.find(repository.path)
    sha = repository.head()
    assert list(ours.commits([sha, "1" * 40])) == [sha]
    assert ours.commits([]) == {}


def test_the_log_can_begin_at_a_moment(repository: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")
    repository.git("commit", "--quiet", "--amend", "--no-edit")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2002-02-02T00:00:00Z")
    later = repository.commit("later")
    ours = Ours.find(repository.path)
    assert [it.sha for it in ours.log("HEAD", limit=10, since=ours.moment("2001-06-01"))] == [later]


def test_lines_that_differ_are_counted_below_a_folder(repository: GitRepository) -> None:
    before = repository.head()
    after = repository.commit("more", {"a b\n.txt": "1\n2\n", "sub/x": b"\0\1", "sub/y": "1\n"})
    ours = Ours.find(repository.path)
    everything = [
        LineChange(path="a b\n.txt", added=2, removed=0),
        LineChange(path="sub/x", added=None, removed=None),
        LineChange(path="sub/y", added=1, removed=0),
    ]
    assert ours.line_changes(before, after, below=".") == everything
    assert ours.line_changes(before, after, below="sub") == everything[1:]
    assert ours.line_changes(before, before, below=".") == []


def test_no_program_of_the_repository_shows_differences(repository: GitRepository) -> None:
    before = repository.commit("attributes", {".gitattributes": "* diff=evil\n", "f": "1\n"})
    repository.git("config", "diff.evil.textconv", "touch ran; cat")
    repository.git("config", "diff.evil.command", "touch ran")
    repository.git("config", "diff.external", "touch ran")
    after = repository.commit("changed", {"f": "2\n"})
    assert Ours.find(repository.path).line_changes(before, after, below=".")
    assert not (repository.path / "ran").exists()


def test_dates_are_read_as_git_reads_them(repository: GitRepository) -> None:
    ours = Ours.find(repository.path)
    assert ours.moment("2001-02-03 04:05:06 +0000") == calendar.timegm((2001, 2, 3, 4, 5, 6))
    assert 0 <= time.time() - 14 * 86400 - ours.moment("2 weeks ago") < 3600
    assert abs(ours.moment("now") - time.time()) < 3600


def test_a_day_is_its_begin(repository: GitRepository) -> None:
    """Git would take the present time on that day, and for today the present."""
    ours = Ours.find(repository.path)
    today = time.strftime("%Y-%m-%d")
    assert time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ours.moment(today))) == f"{today} 00:00:00"


@pytest.mark.parametrize("text", ["garbage", "", "--all", "\x1b[m"])
def test_what_git_takes_for_the_present_is_no_date(repository: GitRepository, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Ours.find(repository.path).moment(text)
    assert refused.value.hint
