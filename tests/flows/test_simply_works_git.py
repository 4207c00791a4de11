"""What must simply work: repositories of every shape."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import GitRepository
from tests.flows.conftest import QUIET, REPOSITORY, MakePlace, Place


def _content(place: Place, name: str = "weights.txt") -> str:
    return (place.volume / name).read_text()


def _clone(place: Place, to: Path, *options: str) -> Place:
    """Clone the place's repository as a CI does; its origin is then the forge's."""
    subprocess.run(
        ("git", "clone", "--quiet", *options, f"file://{place.repository.path}", str(to)),
        check=True,
        capture_output=True,
    )
    cloned = GitRepository(path=to)
    cloned.git("remote", "set-url", "origin", f"https://github.com/{REPOSITORY}.git")
    volume = to / "models"
    return Place(
        repository=cloned,
        server=place.server,
        environment=place.environment,
        volume=volume,
        store=to / ".git" / "mlsnap" / "models",
        folder=to,
    )


def test_a_shallow_clone_trains_and_says_where_its_history_is_cut(place: Place, tmp_path: Path) -> None:
    place.commit("second")
    shallow = _clone(place, tmp_path / "shallow", "--depth=1")
    sha = shallow.repository.head()
    shallow.mlsnap("run")
    shallow.snapshot(sha)
    assert shallow.states(sha) == ["pending", "success"]
    assert "shallow" in shallow.mlsnap("log").stderr
    assert any("shallow" in finding["text"] for finding in shallow.mlsnap("doctor", "--json").facts)
    parents = shallow.mlsnap("show", "--json").facts["header"]["parents"]
    assert parents == [place.repository.git("rev-parse", "HEAD^")]


def test_a_shallow_clone_that_knows_no_forge_says_what_to_set(place: Place, tmp_path: Path) -> None:
    place.commit("second")
    shallow = _clone(place, tmp_path / "shallow", "--depth=1")
    shallow.repository.git("remote", "remove", "origin")
    said = shallow.refused("no-commit", 2)
    assert "unshallow" in said.stderr and "project" in said.stderr
    shallow.configure(f'project = "my/digits"\n{(shallow.folder / "mlsnap.toml").read_text()}')
    shallow.mlsnap("run", env=QUIET)
    shallow.snapshot(shallow.repository.head())


def test_a_detached_head_is_trained_and_gone_back_to(trained: Place) -> None:
    first = trained.repository.head()
    second = trained.commit("second")
    trained.repository.git("checkout", "--quiet", "--detach", "HEAD")
    trained.mlsnap("run", env=QUIET)
    trained.snapshot(second)
    assert "detached" in trained.mlsnap("status").stdout
    trained.mlsnap("checkout", first)
    assert trained.repository.head() == first
    assert _content(trained) == "first\n"
    trained.mlsnap("checkout", "main")
    assert trained.repository.git("symbolic-ref", "--short", "HEAD") == "main"
    assert _content(trained) == "second"


def test_a_repository_of_sha_256_names_its_snapshots_by_64_digits(make_place: MakePlace) -> None:
    place = make_place(object_format="sha256")
    sha = place.repository.head()
    assert len(sha) == 64
    place.mlsnap("run")
    place.snapshot(sha)
    assert place.states(sha) == ["pending", "success"]
    place.commit("second")
    place.mlsnap("run")
    place.mlsnap("checkout", sha[:10])
    assert _content(place) == "first\n"


def test_submodules_belong_to_the_tree_that_is_trained(trained: Place, tmp_path: Path) -> None:
    library = GitRepository(path=tmp_path / "library")
    library.path.mkdir()
    library.git("init", "--quiet")
    library.commit("a library", {"layers.txt": "three"})
    git = trained.repository.git
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.path), "library")
    sha = trained.train_with('cat library/layers.txt > "$MLSNAP_MODEL_DIR/weights.txt"\n')
    trained.mlsnap("run", env=QUIET)
    assert (trained.snapshot(sha) / "weights.txt").read_text() == "three"
    (trained.folder / "library" / "layers.txt").write_text("four")
    with trained.nothing_changed():
        assert "library" in trained.refused("dirty-tree", 40).error[0]


def test_two_work_trees_share_the_history_of_a_private_volume(trained: Place, tmp_path: Path) -> None:
    first = trained.repository.head()
    path = tmp_path / "second"
    trained.repository.git("worktree", "add", "--quiet", "-b", "other", str(path))
    other = Place(
        repository=GitRepository(path=path),
        server=trained.server,
        environment=trained.environment,
        volume=path / "models",
        store=trained.store,
        folder=path,
    )
    other.mlsnap("recover")
    assert _content(other) == "first\n"
    second = other.commit("second")
    other.mlsnap("run", env=QUIET)
    assert _content(other) == "second"
    assert _content(trained) == "first\n", "the live tree of another work tree moved"
    assert "equals" in trained.mlsnap("status").stdout
    assert trained.snapshots() == sorted([first, second])
    trained.mlsnap("restore", "other")
    assert _content(trained) == "second"
    other.snapshot(first)
    trained.snapshot(second)


@pytest.mark.parametrize("commit", ["amended", "squashed"])
def test_a_commit_of_the_same_tree_is_answered_without_training(trained: Place, commit: str) -> None:
    git = trained.repository.git
    if commit == "amended":
        trained.commit("second")
        trained.mlsnap("run", env=QUIET)
        was = trained.repository.head()
        git("commit", "--quiet", "--amend", "--message=said better")
    else:
        git("checkout", "--quiet", "-b", "work")
        trained.commit("second")
        trained.commit("third")
        trained.mlsnap("run", env=QUIET)
        was = trained.repository.head()
        git("checkout", "--quiet", "main")
        git("merge", "--quiet", "--squash", "work")
        git("commit", "--quiet", "--message=squashed")
    sha, before = trained.repository.head(), trained.snapshots()
    assert sha != was
    said = trained.mlsnap("run")
    assert "nothing was trained" in said.stderr
    assert trained.snapshots() == before
    (state, text), *others = trained.statuses(sha)
    assert (state, others) == ("success", [])
    assert "Not trained" in text and was[:7] in text
    assert was[:7] in trained.mlsnap("status").stdout
    assert trained.mlsnap("path").stdout.strip().endswith(was)


def test_a_commit_that_changes_no_input_uses_the_version_that_is_there(trained: Place) -> None:
    settings = '[train]\ncommand = "sh train.sh"\ninputs = ["*.sh", "weights.txt"]\n'
    was = trained.configure(settings)
    trained.mlsnap("run")
    before = trained.snapshots()
    sha = trained.commit(**{"README.md": "words"})
    trained.mlsnap("run")
    assert trained.snapshots() == before
    assert trained.states(sha) == ["success"]
    assert "input" in trained.statuses(sha)[0][1]
    trained.commit("other weights")
    trained.mlsnap("run")
    assert len(trained.snapshots()) == len(before) + 1
    trained.snapshot(was)


def test_a_project_in_a_sub_folder_is_found_from_within_it(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place(folder="nets/digits")
    (place.folder / "deep" / "er").mkdir(parents=True)
    sha = place.repository.head()
    place.mlsnap("run", cwd=place.folder / "deep" / "er")
    assert (place.volume / "weights.txt").read_text() == "first\n"
    (context,) = {str(status["context"]) for status in place.server.board.statuses(REPOSITORY, sha)}
    assert context == "mlsnap/digits"
    assert (place.volume / ".snapshot" / sha / "weights.txt").read_text() == "first\n"
    (place.repository.path / "elsewhere.txt").write_text("dirty, and no concern of this project")
    place.mlsnap("run", "--retrain")
    place.mlsnap("--project", "nets/digits", "status", cwd=place.repository.path)


def test_two_projects_of_one_repository_have_a_history_each(make_place: MakePlace) -> None:
    place = make_place(folder="digits")
    letters = place.repository.path / "letters"
    letters.mkdir()
    for name in ("mlsnap.toml", "train.sh", ".gitignore"):
        (letters / name).write_bytes((place.folder / name).read_bytes())
    (letters / "weights.txt").write_text("letters\n")
    sha = place.repository.commit("a second project")
    place.mlsnap("run")
    place.mlsnap("run", cwd=letters)
    assert (letters / "models" / ".snapshot" / sha / "weights.txt").read_text() == "letters\n"
    assert (place.volume / ".snapshot" / sha / "weights.txt").read_text() == "first\n"
    contexts = {str(status["context"]) for status in place.server.board.statuses(REPOSITORY, sha)}
    assert contexts == {"mlsnap/digits", "mlsnap/letters"}


def test_a_repository_reached_through_a_link_is_the_same(trained: Place, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(trained.folder)
    assert "equals" in trained.mlsnap("status", cwd=link).stdout
    sha = trained.commit("second")
    trained.mlsnap("run", cwd=link)
    trained.snapshot(sha)
    assert "equals" in trained.mlsnap("status").stdout
