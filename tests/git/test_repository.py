"""The work tree as git tells it: real repositories of every shape."""

from __future__ import annotations

import os
import stat
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest

from ci_mlsnap.errors import GitFailed, NoCommit, NotARepository
from ci_mlsnap.git.repository import GitRepository
from ci_mlsnap.ports import Repository

OBJECT_FORMATS: list[Literal["sha1", "sha256"]] = ["sha1", "sha256"]


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


# -- finding it ----------------------------------------------------------------------------------------


def test_a_work_tree_is_found_from_a_folder_in_it(repository: Any) -> None:
    (repository.path / "deep" / "er").mkdir(parents=True)
    found: Repository = GitRepository.find(repository.path / "deep" / "er")
    assert found.top == repository.path
    assert found.common_folder == repository.path / ".git"


def test_a_work_tree_whose_name_ends_in_a_newline_is_found(make_repository: Any) -> None:
    odd = make_repository("odd name\n")
    assert GitRepository.find(odd.path).top == odd.path


def test_a_work_tree_whose_name_is_not_utf_8_is_found(make_repository: Any) -> None:
    odd = make_repository(os.fsdecode(b"mod\xe8le"))
    assert GitRepository.find(odd.path).top == odd.path


def test_a_folder_outside_of_git_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="is in no git work tree"):
        GitRepository.find(tmp_path)


def test_a_folder_that_is_not_there_is_no_repository(tmp_path: Path) -> None:
    with pytest.raises(NotARepository, match="is no folder"):
        GitRepository.find(tmp_path / "gone")


def test_a_bare_repository_is_refused_with_the_way_out(repository: Any, tmp_path: Path) -> None:
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare"))
    with pytest.raises(NotARepository, match="bare repository") as caught:
        GitRepository.find(tmp_path / "bare")
    assert "clone" in caught.value.hint


def test_the_git_folder_itself_is_no_work_tree(repository: Any) -> None:
    with pytest.raises(NotARepository):
        GitRepository.find(repository.path / ".git")


def test_a_repository_of_another_user_is_refused_with_what_to_do(
    repository: Any, ordinary_users: tuple[int, int]
) -> None:
    os.chown(repository.path, ordinary_users[0], ordinary_users[0])
    with pytest.raises(NotARepository, match="belongs to another user") as caught:
        GitRepository.find(repository.path)
    assert "safe.directory" in caught.value.hint


def test_a_machine_without_git_is_told_so(repository: Any, tmp_path: Path) -> None:
    with pytest.raises(GitFailed, match="not installed"):
        GitRepository.find(repository.path, environ={"PATH": str(tmp_path)})


def test_variables_of_another_repository_do_not_lead_astray(make_repository: Any) -> None:
    here, other = make_repository("here"), make_repository("other", commits=("one", "two"))
    environ = {**os.environ, "GIT_DIR": str(other.path / ".git"), "GIT_WORK_TREE": str(other.path)}
    assert GitRepository.find(here.path, environ=environ).head() == here.head()


# -- commits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("object_format", OBJECT_FORMATS)
def test_commits_are_told_in_both_object_formats(
    make_repository: Any, object_format: Literal["sha1", "sha256"]
) -> None:
    made = make_repository(object_format=object_format, commits=("one", "two", "three"))
    found = GitRepository.find(made.path)
    head = found.head()
    assert len(head) == {"sha1": 40, "sha256": 64}[object_format]
    assert found.resolve(head[:10]) == found.resolve("main") == head
    assert found.ancestors("HEAD", limit=10) == made.git("rev-list", "HEAD").split()
    assert [commit.subject for commit in found.log("HEAD", limit=2)] == ["three", "two"]
    assert found.root_commit() == made.git("rev-parse", "HEAD~2")
    facts = found.commit("HEAD")
    assert (facts.sha, facts.tree) == (head, made.git("rev-parse", "HEAD^{tree}"))
    assert facts.parents == (made.git("rev-parse", "HEAD~1"),)
    assert (facts.subject, facts.author) == ("three", "Ada Example")
    assert facts.time == made.git("log", "-1", "--format=%cI")
    assert found.has(head)
    assert found.inputs_digest(head, ["**"], below=".")
    assert found.file_at(head, "file1.txt") == b"one\n"


def test_a_history_is_followed_by_first_parents_and_a_merge_is_one_step(repository: Any) -> None:
    start = repository.head()
    repository.git("checkout", "--quiet", "-b", "work")
    side = repository.commit("on the side", {"side.txt": "1"})
    repository.git("checkout", "--quiet", "main")
    second = repository.commit("second", {"second.txt": "2"})
    repository.git("merge", "--quiet", "--no-ff", "--message=merged", "work")
    merged = repository.head()
    found = GitRepository.find(repository.path)

    def between(good: str, bad: str) -> list[str] | None:
        commits = found.first_parents(good, bad)
        return None if commits is None else [commit.sha for commit in commits]

    assert between(start, "main") == [second, merged]
    assert between(side, merged) == [second, merged]
    assert between(start, "work") == [side]
    assert between(merged, merged) == []
    assert between(second, side) is None
    assert between(merged, start) is None


def test_an_unborn_branch_has_no_commit(make_repository: Any) -> None:
    found = GitRepository.find(make_repository(commits=()).path)
    assert found.branch() == "main"
    with pytest.raises(NoCommit, match="no commit yet"):
        found.head()


@pytest.mark.parametrize(
    "revision",
    [
        "gone",
        "",
        "-x",
        "--all",
        "--upload-pack=touch x",
        "a b",
        "HEAD\0",
        "^HEAD",
        "HEAD~1..HEAD",
        "HEAD^{tree}",
        "0" * 40,
    ],
)
def test_what_names_no_commit_is_refused(make_repository: Any, revision: str) -> None:
    found = GitRepository.find(make_repository(commits=("one", "two")).path)
    with pytest.raises(NoCommit):
        found.resolve(revision)
    with pytest.raises(NoCommit):
        found.checkout(revision)


def test_an_abbreviation_of_two_commits_says_that_more_digits_are_needed(make_repository: Any) -> None:
    made = make_repository()
    person = "committer Ada Example <ada@example.org> 1700000000 +0000"
    stream = "".join(f"commit refs/heads/many\n{person}\ndata 1\nx\n" for _ in range(2000))
    subprocess.run(
        ("git", "fast-import", "--quiet"), cwd=made.path, input=stream.encode(), check=True, capture_output=True
    )
    beginnings = Counter(sha[:4] for sha in made.git("rev-list", "many").split())
    with pytest.raises(NoCommit, match="more than one"):
        GitRepository.find(made.path).resolve(beginnings.most_common(1)[0][0])


def test_a_tree_or_a_tag_is_not_taken_for_a_commit(repository: Any) -> None:
    repository.git("tag", "--annotate", "v1", "-m", "one")
    found = GitRepository.find(repository.path)
    assert not found.has(repository.git("rev-parse", "HEAD^{tree}"))
    assert not found.has(repository.git("rev-parse", "v1"))
    assert not found.has("HEAD")
    assert found.resolve(repository.git("rev-parse", "v1")) == found.resolve("v1") == found.head()


def test_a_detached_head_has_no_branch(make_repository: Any) -> None:
    made = make_repository(commits=("one", "two"))
    made.git("checkout", "--quiet", "--detach", "HEAD~1")
    found = GitRepository.find(made.path)
    assert found.branch() == ""
    assert found.head() == made.git("rev-parse", "main~1")


def test_a_branch_is_named_in_full_also_beside_a_tag_of_its_name(repository: Any) -> None:
    repository.git("tag", "main")
    assert GitRepository.find(repository.path).branch() == "main"


def test_texts_that_are_not_utf_8_are_shown_with_replacements(repository: Any) -> None:
    branch = os.fsdecode(b"fa\xe7on")
    repository.git("checkout", "--quiet", "-b", branch)
    repository.git(
        "-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--allow-empty", "-m", os.fsdecode(b"caf\xe9")
    )
    found = GitRepository.find(repository.path)
    assert found.branch() == "fa\N{REPLACEMENT CHARACTER}on"
    assert found.resolve(branch) == found.head()
    assert found.commit("HEAD").subject == "café"


def test_subjects_cannot_forge_the_facts_of_a_commit(repository: Any) -> None:
    repository.git("commit", "--quiet", "--allow-empty", "-m", "parent 0000\x1b[2J\n\nparent " + "1" * 40 + "\n")
    found = GitRepository.find(repository.path)
    assert len(found.commit("HEAD").parents) == 1
    assert len(found.log("HEAD", limit=5)) == 2


def test_a_replaced_commit_is_told_as_it_is(make_repository: Any) -> None:
    made = make_repository(commits=("one", "two"))
    tree = made.git("rev-parse", "HEAD^{tree}")
    made.git("replace", made.head(), made.git("rev-parse", "HEAD~1"))
    assert GitRepository.find(made.path).commit("HEAD").tree == tree


# -- shallow clones ------------------------------------------------------------------------------------


@pytest.fixture
def shallow(make_repository: Any, tmp_path: Path) -> Any:
    origin = make_repository("origin", commits=("one", "two", "three"))
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.path}", str(tmp_path / "shallow"))
    return type(origin)(path=tmp_path / "shallow")


def test_a_shallow_clone_says_where_its_history_is_cut(shallow: Any) -> None:
    found = GitRepository.find(shallow.path)
    assert found.is_shallow()
    assert found.ancestors("HEAD", limit=10) == [found.head()]
    assert len(found.log("HEAD", limit=10)) == 1
    with pytest.raises(NoCommit, match="shallow"):
        found.root_commit()
    with pytest.raises(NoCommit) as caught:
        found.resolve("HEAD~1")
    assert "shallow" in caught.value.why
    assert "--unshallow" in caught.value.hint


def test_a_shallow_clone_does_not_hide_that_a_commit_is_a_merge(make_repository: Any, tmp_path: Path) -> None:
    origin = make_repository("origin")
    origin.git("checkout", "--quiet", "-b", "side")
    side = origin.commit("aside")
    origin.git("checkout", "--quiet", "main")
    main = origin.commit("on main", {"b": "b"})
    origin.git("merge", "--quiet", "--no-edit", "side")
    origin.git("clone", "--quiet", "--depth=1", f"file://{origin.path}", str(tmp_path / "clone"))
    assert GitRepository.find(tmp_path / "clone").commit("HEAD").parents == (main, side)


def test_a_missing_commit_is_fetched_into_a_shallow_clone(shallow: Any, tmp_path: Path) -> None:
    found = GitRepository.find(shallow.path)
    wanted = GitRepository.find(tmp_path / "origin").resolve("HEAD~1")
    assert not found.has(wanted)
    assert found.fetch(wanted)
    assert found.has(wanted)


def test_fetching_does_not_cut_the_history_of_a_complete_clone(make_repository: Any, tmp_path: Path) -> None:
    origin = make_repository("origin", commits=("one", "two"))
    origin.git("clone", "--quiet", f"file://{origin.path}", str(tmp_path / "clone"))
    wanted = origin.commit("three")
    found = GitRepository.find(tmp_path / "clone")
    assert found.fetch(wanted)
    assert not found.is_shallow()
    assert len(found.ancestors(wanted, limit=10)) == 3


def test_what_cannot_be_fetched_is_false_and_no_error(repository: Any, tmp_path: Path) -> None:
    found = GitRepository.find(repository.path)
    assert not found.fetch("1" * 40)
    assert not found.fetch("--upload-pack=touch x")
    repository.git("remote", "add", "origin", str(tmp_path / "gone"))
    assert not found.fetch("1" * 40)
    assert found.fetch(found.head())


def test_a_remote_that_never_answers_is_given_up(repository: Any, tmp_path: Path) -> None:
    """What the transport started is stopped with it."""
    started = tmp_path / "pid"
    silent = program(tmp_path / "silent", f"echo $$ > {started}\nexec sleep 600")
    repository.git("remote", "add", "origin", "git@forge.example:acme/digits.git")
    found = GitRepository.find(repository.path, environ={**os.environ, "GIT_SSH": str(silent)})
    assert not found.fetch("1" * 40, seconds=3.0)
    state = Path(f"/proc/{started.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


# -- the work tree -------------------------------------------------------------------------------------


def dirty(made: Any, below: str = ".") -> list[str]:
    return sorted(GitRepository.find(made.path).dirty_paths(below=made.path / below))


def test_changed_new_deleted_and_staged_files_are_dirty_and_ignored_ones_are_not(make_repository: Any) -> None:
    made = make_repository(commits=())
    made.commit("start", {".gitignore": "models/\n", "a": "a", "b": "b", "old": "x" * 100})
    for name in ("new 1", "models/weights", "folder/inner"):
        (made.path / name).parent.mkdir(exist_ok=True)
        (made.path / name).write_text("new")
    assert dirty(made) == ["folder/", "new 1"]
    (made.path / "a").write_text("changed")
    (made.path / "b").unlink()
    made.git("mv", "old", "renamed")
    assert dirty(made) == ["a", "b", "folder/", "new 1", "old", "renamed"]


def test_a_clean_tree_has_no_dirty_paths_and_settings_do_not_hide_any(repository: Any) -> None:
    assert dirty(repository) == []
    repository.git("config", "status.showUntrackedFiles", "no")
    repository.git("config", "status.relativePaths", "true")
    (repository.path / "new").touch()
    assert dirty(repository) == ["new"]


def test_odd_names_are_dirty_paths_as_they_are(repository: Any) -> None:
    names = ["line\nbreak", "-dash", os.fsdecode(b"latin-\xe9"), 'quo"te', "*", ":(top)x", " lead", "tab\t"]
    for name in names:
        (repository.path / name).touch()
    assert dirty(repository) == sorted(names)


def test_a_conflict_is_dirty(make_repository: Any) -> None:
    made = make_repository()
    made.git("checkout", "--quiet", "-b", "side")
    made.commit("side", {"both file": "side"})
    made.git("checkout", "--quiet", "main")
    made.commit("main", {"both file": "main"})
    with pytest.raises(AssertionError):
        made.git("merge", "side")
    assert dirty(made) == ["both file"]


def test_only_paths_below_the_project_count_and_no_name_is_a_pattern(repository: Any) -> None:
    for name in ("a*/x", "ab/x", "y"):
        (repository.path / name).parent.mkdir(exist_ok=True)
        (repository.path / name).touch()
    assert dirty(repository, "a*") == ["a*/"]


def test_a_checkout_reached_through_a_link_tells_the_same(repository: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(repository.path)
    (repository.path / "sub").mkdir()
    (repository.path / "sub" / "new").touch()
    found = GitRepository.find(tmp_path / "link" / "sub")
    assert found.dirty_paths(below=tmp_path / "link" / "sub") == ["sub/"]
    assert found.is_tracked(tmp_path / "link" / "file1.txt")


def test_tracked_files_and_folders_are_told_from_others(make_repository: Any, tmp_path: Path) -> None:
    made = make_repository(commits=())
    made.commit("start", {"models/old": "x", "-a": "y", "a*": "z"})
    (made.path / "ab").touch()
    found = GitRepository.find(made.path)
    assert found.is_tracked(made.path / "models")
    assert found.is_tracked(Path("models/old"))
    assert found.is_tracked(Path("-a"))
    assert not found.is_tracked(made.path / "ab")
    assert not found.is_tracked(tmp_path)


def test_nothing_that_the_repository_names_is_executed(repository: Any, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    bad = program(tmp_path / "bad", f"touch {ran}")
    hooks = repository.path / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "fsmonitor-watchman"):
        program(hooks / hook, f"touch {ran}")
    repository.git("config", "core.fsmonitor", str(bad))
    repository.git("config", "core.pager", str(bad))
    repository.git("config", "pager.log", str(bad))
    repository.git("config", "log.showSignature", "true")
    repository.git("config", "gpg.program", str(bad))
    ran.unlink(missing_ok=True)
    found = GitRepository.find(repository.path)
    found.dirty_paths(below=found.top)
    found.log("HEAD", limit=3)
    found.checkout("HEAD")
    found.add_worktree(found.head(), tmp_path / "tree")
    found.remove_worktree(tmp_path / "tree")
    assert not ran.exists()


def test_git_gets_no_secret_from_the_environment(repository: Any, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    spy = program(tmp_path / "spy", f"env > {seen}\nexit 1")
    repository.git("remote", "add", "origin", "git@forge.example:acme/digits.git")
    environ = {**os.environ, "GIT_SSH": str(spy), "MLSNAP_GITHUB_TOKEN": "s3cret", "ONTAP_PASSWORD": "s3cret"}
    assert not GitRepository.find(repository.path, environ=environ).fetch("1" * 40)
    assert "PATH=" in seen.read_text()
    assert "s3cret" not in seen.read_text()


def test_reading_does_not_touch_the_index(repository: Any) -> None:
    index = repository.path / ".git" / "index"
    os.utime(repository.path / "file1.txt", (1, 1))
    before = index.read_bytes()
    assert dirty(repository) == []
    assert index.read_bytes() == before


# -- checkout ------------------------------------------------------------------------------------------


def test_a_branch_is_checked_out_by_name_and_a_commit_detached(make_repository: Any) -> None:
    made = make_repository(commits=("one", "two"))
    found = GitRepository.find(made.path)
    found.checkout(found.resolve("HEAD~1"))
    assert (found.branch(), found.head()) == ("", made.git("rev-parse", "main~1"))
    found.checkout("main")
    assert (found.branch(), found.head()) == ("main", made.git("rev-parse", "main"))


def test_a_file_of_the_revisions_name_is_left_alone(make_repository: Any) -> None:
    made = make_repository(commits=())
    made.commit("start", {"side": "committed"})
    made.git("branch", "side")
    (made.path / "side").write_text("mine")
    found = GitRepository.find(made.path)
    found.checkout("side")
    assert found.branch() == "side"
    assert (made.path / "side").read_text() == "mine"


def test_a_checkout_never_loses_local_changes_and_says_which(make_repository: Any) -> None:
    made = make_repository(commits=())
    made.commit("one", {"train.py": "1"})
    made.commit("two", {"train.py": "2"})
    (made.path / "train.py").write_text("mine")
    with pytest.raises(GitFailed) as caught:
        GitRepository.find(made.path).checkout("HEAD~1")
    assert "train.py" in caught.value.why
    assert "commit or stash" in caught.value.hint
    assert (made.path / "train.py").read_text() == "mine"


def test_gits_own_words_cannot_command_the_terminal(make_repository: Any) -> None:
    made = make_repository(commits=())
    name = "evil\x1b[2J"
    made.commit("one", {name: "1"})
    made.commit("two", {name: "2"})
    (made.path / name).write_text("mine")
    with pytest.raises(GitFailed) as caught:
        GitRepository.find(made.path).checkout("HEAD~1")
    assert "evil" in caught.value.why
    assert "\x1b" not in caught.value.why


# -- remote and settings -------------------------------------------------------------------------------


def test_the_default_branch_is_that_of_the_remote(make_repository: Any, tmp_path: Path) -> None:
    origin = make_repository("origin")
    origin.git("branch", "--move", "trunk/1")
    origin.git("clone", "--quiet", ".", str(tmp_path / "clone"))
    assert GitRepository.find(tmp_path / "clone").default_branch() == "trunk/1"
    assert GitRepository.find(origin.path).default_branch() == ""


def test_origin_is_the_name_on_the_forge_or_nothing(repository: Any) -> None:
    assert GitRepository.find(repository.path).origin() == ""
    repository.git("remote", "add", "origin", "https://ada:s3cret@forge.example/acme/digits.git")
    assert GitRepository.find(repository.path).origin() == "acme/digits"


def test_settings_below_a_section_come_by_full_name(repository: Any) -> None:
    for name, value in (("on-fork", "fail"), ("gates.valF1.min", "0.9\nx=1"), ("on-fork", "skip")):
        repository.git("config", "--add", f"mlsnap.{name}", value)
    with (repository.path / ".git" / "config").open("a") as file:
        file.write("[mlsnap]\n\tbare\n[mlsnapper]\n\tother = 1\n")
    found = GitRepository.find(repository.path)
    assert found.config_values() == {
        "mlsnap.on-fork": "skip",
        "mlsnap.gates.valF1.min": "0.9\nx=1",
        "mlsnap.bare": "true",
    }


def test_a_broken_git_configuration_is_an_error(repository: Any) -> None:
    found = GitRepository.find(repository.path)
    (repository.path / ".git" / "config").write_text("[mlsnap\n")
    with pytest.raises(GitFailed):
        found.config_values()


@pytest.mark.parametrize(
    "ask",
    [
        lambda found: found.dirty_paths(below=found.top),
        lambda found: found.is_tracked(found.top / "x"),
        lambda found: found.checkout("HEAD"),
    ],
)
def test_a_damaged_index_is_an_error_and_no_answer(repository: Any, ask: Callable[[GitRepository], Any]) -> None:
    (repository.path / ".git" / "index").write_bytes(b"damaged")
    with pytest.raises(GitFailed) as caught:
        ask(GitRepository.find(repository.path))
    assert "index" in caught.value.why
