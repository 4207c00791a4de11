"""What each git command does to the models."""

from __future__ import annotations

import os
import shutil

from tests.hooks.conftest import TRAIN, Desk


def version(desk: Desk, tag: str) -> str:
    return desk.git("rev-parse", "--short=7", tag).stdout


# -- what moves them ------------------------------------------------------------------------------------


def test_the_models_follow_a_checkout(desk: Desk) -> None:
    assert desk.model == "two"
    for command in (("checkout", "one"), ("checkout", "-b", "x", "one"), ("switch", "--detach", "one")):
        assert desk.git(*command).hook == [f"models are now {version(desk, 'one')}"]
        assert desk.model == "one"
        assert desk.mlsnap("status").stdout.count(f"equals {version(desk, 'one')}") == 1
        desk.git("checkout", "--quiet", "two")


def test_the_models_follow_a_pull(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-B", "main", "one")
    said = desk.git("pull", "--quiet", "origin", "main")
    assert said.hook == [f"models are now {version(desk, 'two')}, no training input differs"]
    assert desk.model == "two"


def test_the_models_follow_a_pull_with_rebase_at_its_end(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-B", "main", "one")
    desk.commit("mine", notes="mine\n")
    said = desk.git("pull", "--quiet", "--rebase", "origin", "main")
    assert said.hook == [f"models are now {version(desk, 'two')}, no training input differs"]
    assert (desk.model, desk.git("log", "-1", "--format=%s").stdout) == ("two", "mine")


def test_the_models_follow_a_rebase_that_has_nothing_to_move(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-B", "mine", "one")
    said = desk.git("rebase", "--quiet", "main")
    assert (said.hook, desk.model) == ([f"models are now {version(desk, 'two')}"], "two")


def test_the_models_follow_a_merge_which_has_no_version_of_its_own(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-B", "mine", "one")
    desk.commit("mine", notes="mine\n")
    said = desk.git("merge", "--quiet", "--no-edit", "main")
    assert said.hook == [f"models are now {version(desk, 'two')}, no training input differs"]


def test_a_squash_that_made_the_same_files_is_the_same_version(desk: Desk) -> None:
    desk.settings('volume = "models"\ntrain = "sh train.sh"\n')
    desk.mlsnap("run")
    trained = version(desk, "HEAD")
    desk.git("checkout", "--quiet", "one")
    tree = desk.git("rev-parse", "main^{tree}").stdout
    squashed = desk.git("commit-tree", "-m", "squashed", "-p", "one", tree).stdout
    assert desk.git("checkout", squashed).hook == [f"models are now {trained}, trained on the same files"]


def test_a_new_work_tree_gets_models_of_its_own(desk: Desk) -> None:
    said = desk.git("worktree", "add", "--quiet", "--detach", "../other", "one")
    other = Desk(path=desk.path.parent / "other")
    assert said.hook == [f"models are now {version(desk, 'one')}"]
    assert (desk.model, other.model) == ("two", "one")
    assert other.git("checkout", "--quiet", "two").hook == [f"models are now {version(desk, 'two')}"]
    assert desk.git("checkout", "--quiet", "one").hook == [f"models are now {version(desk, 'one')}"]
    assert (desk.model, other.model) == ("one", "two")


def test_only_the_view_of_a_shared_volume_moves(shared_desk: Desk) -> None:
    volume = shared_desk.path.parent / "volume"
    live = (volume / "digits" / "weights").read_text()
    assert shared_desk.git("checkout", "--quiet", "s1").hook == [f"models are now {version(shared_desk, 's1')}"]
    assert shared_desk.model == "shared 1"
    shared_desk.git("checkout", "--quiet", "s2")
    assert shared_desk.model == "shared 2"
    assert os.readlink(shared_desk.path / "models").endswith(f".snapshot/{shared_desk.head}")
    assert (volume / "digits" / "weights").read_text() == live


def test_what_only_a_writable_copy_in_a_view_has_is_kept(shared_desk: Desk) -> None:
    shared_desk.mlsnap("restore", "HEAD", "--writable")
    (shared_desk.path / "models" / "weights").write_text("tried\n")
    (line,) = shared_desk.git("checkout", "--quiet", "s1").hook
    assert shared_desk.model == "shared 1"
    assert line.startswith(f"models are now {version(shared_desk, 's1')}; what was in no version is kept as ")
    shared_desk.mlsnap("restore", line.rpartition(" ")[2], "--to", "kept")
    assert (shared_desk.path / "kept" / "weights").read_text() == "tried\n"


def test_all_volumes_of_a_version_move(bare_desk: Desk) -> None:
    both = 'train.command = "sh train.sh"\n[volumes.models]\npath = "models"\n[volumes.more]\npath = "more"\n'
    script = TRAIN + 'cat params > "$MLSNAP_MODEL_DIR_MORE/more"\n'
    ignored = "/models\n/more\n/metrics.json\n"
    shutil.rmtree(bare_desk.path / "models")
    shutil.rmtree(bare_desk.path / ".git" / "mlsnap")
    for number in ("1", "2"):
        files = {"mlsnap.toml": both, "train.sh": script, ".gitignore": ignored, "params": f"{number}\n"}
        bare_desk.commit(f"b{number}", **files)
        bare_desk.git("tag", f"b{number}")
        bare_desk.mlsnap("run")
    bare_desk.mlsnap("hooks", "install")
    for tag, text in (("b1", "1"), ("b2", "2")):
        assert bare_desk.git("checkout", "--quiet", tag).hook == [f"models are now {version(bare_desk, tag)}"]
        assert [bare_desk.model, (bare_desk.path / "more" / "more").read_text()] == [text, f"{text}\n"]


# -- what does not --------------------------------------------------------------------------------------


def test_the_models_stay_without_a_word(desk: Desk) -> None:
    for command in (
        ("checkout", "one", "--", "params"),
        ("checkout", "HEAD", "--", "params"),
        ("checkout", "-b", "here"),
        ("commit", "--quiet", "--allow-empty", "--message=more"),
        ("commit", "--quiet", "--amend", "--allow-empty", "--message=other words"),
        ("merge", "--squash", "one"),
    ):
        assert (desk.git(*command).hook, desk.model) == ([], "two")


def test_a_stash_moves_no_model(desk: Desk) -> None:
    (desk.path / "params").write_text("changed\n")
    assert desk.git("stash").hook + desk.git("stash", "pop").hook == []
    assert desk.model == "two"


def test_nothing_is_done_in_a_ci(desk: Desk) -> None:
    for variable in ("CI", "GITHUB_ACTIONS", "JENKINS_URL"):
        assert (desk.git("checkout", "one", env={variable: "true"}).hook, desk.model) == ([], "two")
        desk.git("checkout", "--quiet", "two", env={variable: "true"})


def test_a_bisection_moves_no_model_until_it_ends(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-B", "main", "doc")
    said = [desk.git("bisect", "start", "doc", "one"), desk.git("bisect", "good")]
    assert [line for answer in said for line in answer.hook] == []
    assert desk.model == "two"


def test_a_rebase_with_a_conflict_moves_the_models_when_it_ends(desk: Desk) -> None:
    desk.git("checkout", "--quiet", "-B", "mine", "one")
    desk.commit("mine", params="mine\n")
    assert desk.git("rebase", "main", expect=1).hook == []
    assert desk.model == "one"
    desk.git("checkout", "--ours", "params")
    desk.git("add", "params")
    (desk.path / "notes").write_text("so that the commit is not empty\n")
    desk.git("add", "notes")
    said = desk.git("rebase", "--continue", env={"GIT_EDITOR": "true"})
    assert (said.hook, desk.model) == (
        [f"models are now {version(desk, 'two')}, no training input differs"],
        "two",
    )


def test_a_submodule_is_none_of_our_business(desk: Desk) -> None:
    desk.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../upstream.git", "part")
    desk.commit("with a part")
    assert desk.git("-c", "protocol.file.allow=always", "submodule", "update", "--init").hook == []
    assert desk.git("checkout", "--quiet", "one").hook == [f"models are now {version(desk, 'one')}"]


# -- why not --------------------------------------------------------------------------------------------


def test_a_commit_without_a_version_is_said_and_the_models_stay(desk: Desk) -> None:
    desk.commit("three", params="three\n")
    three = desk.head
    desk.git("checkout", "--quiet", "one")
    said = desk.git("checkout", three)
    (line,) = said.hook
    assert line.startswith(f"no version for {three[:7]}; models stay at {version(desk, 'one')}")
    assert desk.model == "one"


def test_changes_that_no_version_has_are_kept(desk: Desk) -> None:
    (desk.path / "models" / "weights").write_text("by hand\n")
    (line,) = desk.git("checkout", "one").hook
    assert desk.model == "one"
    kept = line.rpartition(" ")[2]
    assert line == f"models are now {version(desk, 'one')}; what was in no version is kept as {kept}"
    desk.mlsnap("restore", kept, "--to", "kept")
    assert (desk.path / "kept" / "weights").read_text() == "by hand\n"


def test_models_that_were_deleted_come_back_with_the_next_checkout(desk: Desk) -> None:
    for file in (desk.path / "models").iterdir():
        file.unlink() if file.is_file() else None
    desk.git("checkout", "--quiet", "one")
    assert desk.model == "one"


def test_a_large_version_is_announced_and_not_copied(desk: Desk) -> None:
    desk.git("config", "mlsnap.hooks.copy-mb", "0")
    (line,) = desk.git("checkout", "one").hook
    if "takes a while" in line:
        assert line.startswith(
            f"models stay at {version(desk, 'two')}: bringing {version(desk, 'one')} back takes"
        )
        assert (line.endswith("`mlsnap restore HEAD`"), desk.model) == (True, "two")
    else:
        assert desk.model == "one"  # files share blocks here, so that nothing is copied
