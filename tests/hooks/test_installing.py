"""install, uninstall, status: git calls us, earlier hooks still run, and everything can be put back."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from ci_mlsnap.hooks import folder as folders
from ci_mlsnap.hooks.script import EARLIER, NAMES, Program
from tests.hooks.conftest import Desk

EARLIER_HOOK = """\
#!/bin/sh
echo "$0 $*" >> "$PWD/called"
cat >> "$PWD/called"
exit 3
"""
PROGRAM = Program(python="/opt/python", root="/opt/lib")


def everything(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Give mode and content of all below a folder."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for place in sorted(folder.rglob("*")):
        mode = place.lstat().st_mode
        content = os.readlink(place) if place.is_symlink() else place.read_bytes() if place.is_file() else b""
        found[str(place.relative_to(folder))] = (mode, content)
    return found


def script(file: Path, text: str = EARLIER_HOOK) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o755)


# -- a repository's own hooks ---------------------------------------------------------------------------


def test_installing_brings_the_models_of_head_at_once(bare_desk: Desk) -> None:
    bare_desk.git("checkout", "--quiet", "one")
    assert bare_desk.model == "two"
    bare_desk.mlsnap("hooks", "install")
    assert bare_desk.model == "one"


def test_what_was_there_is_put_back_exactly(bare_desk: Desk) -> None:
    git = bare_desk.path / ".git"
    script(git / "hooks" / "post-checkout")
    (git / "hooks" / "post-merge").symlink_to("post-checkout")
    before = everything(git / "hooks")
    bare_desk.mlsnap("hooks", "install")
    assert everything(git / "hooks") != before
    assert bare_desk.mlsnap("hooks", "uninstall").stdout == "hooks are as they were before\n"
    assert everything(git / "hooks") == before
    assert not (git / "mlsnap" / ".hooks").exists()
    assert bare_desk.mlsnap("hooks", "uninstall").stdout == "no hooks of mlsnap were there\n"
    assert everything(git / "hooks") == before


def test_a_hook_folder_that_was_not_there_is_made(bare_desk: Desk) -> None:
    shutil.rmtree(bare_desk.path / ".git" / "hooks")
    bare_desk.mlsnap("hooks", "install")
    assert bare_desk.standing()["installed"] is True


def test_installing_twice_changes_nothing(desk: Desk) -> None:
    before = everything(desk.path / ".git" / "hooks"), everything(desk.path / ".git" / "mlsnap" / ".hooks")
    desk.mlsnap("hooks", "install")
    assert before == (
        everything(desk.path / ".git" / "hooks"),
        everything(desk.path / ".git" / "mlsnap" / ".hooks"),
    )


def test_an_earlier_hook_gets_its_arguments_and_git_gets_its_answer(bare_desk: Desk) -> None:
    hooks = bare_desk.path / ".git" / "hooks"
    for name in NAMES:
        script(hooks / name)
    bare_desk.mlsnap("hooks", "install")
    two, one = bare_desk.git("rev-parse", "HEAD", "one").stdout.split()
    said = bare_desk.git("checkout", "--quiet", "one", expect=1)
    assert (len(said.hook), bare_desk.model) == (1, "one")
    called = (bare_desk.path / "called").read_text()
    assert called == f".git/hooks/post-checkout{EARLIER} {two} {one} 1\n"


def test_an_earlier_hook_gets_its_input(bare_desk: Desk) -> None:
    script(bare_desk.path / ".git" / "hooks" / "post-rewrite")
    bare_desk.mlsnap("hooks", "install")
    before = bare_desk.head
    bare_desk.git("commit", "--quiet", "--amend", "--message=other words")
    called = (bare_desk.path / "called").read_text().splitlines()
    assert called == [f".git/hooks/post-rewrite{EARLIER} amend", f"{before} {bare_desk.head}"]


def test_status_says_what_is_there(bare_desk: Desk) -> None:
    assert bare_desk.standing()["installed"] is False
    script(bare_desk.path / ".git" / "hooks" / "post-merge")
    states = [hook["state"] for hook in bare_desk.standing()["hooks"]]
    assert states == ["missing", "other", "missing"]
    bare_desk.mlsnap("hooks", "install")
    facts = bare_desk.standing()
    assert (facts["installed"], facts["trusted"], facts["global"]) == (True, True, False)
    assert [hook["earlier"] for hook in facts["hooks"]] == [False, True, False]
    shown = bare_desk.mlsnap("hooks", "status").stdout
    assert "post-merge     installed, after the hook that was there, runs " in shown


def test_git_goes_on_when_mlsnap_is_gone(desk: Desk) -> None:
    hook = desk.path / ".git" / "hooks" / "post-checkout"
    hook.write_text(re.sub(r"^python=.*$", "python=/nowhere/python", hook.read_text(), flags=re.MULTILINE))
    said = desk.git("checkout", "--quiet", "one")
    assert (said.stderr, desk.model) == ("", "two")


def test_json_is_for_the_status(bare_desk: Desk) -> None:
    assert "--json" in bare_desk.mlsnap("hooks", "install", "--json", expect=2).stderr


# -- one folder -----------------------------------------------------------------------------------------


def test_an_installation_that_was_cut_off_is_finished(tmp_path: Path) -> None:
    script(tmp_path / "post-merge")
    os.link(tmp_path / "post-merge", tmp_path / f"post-merge{EARLIER}")
    folders.install(tmp_path, "post-merge", PROGRAM, "/git")
    found = folders.found(tmp_path, "post-merge", "/git")
    assert (found.state, found.earlier, found.python) == ("installed", True, "/opt/python")
    assert (tmp_path / f"post-merge{EARLIER}").read_text() == EARLIER_HOOK


def test_a_hook_that_another_tool_put_over_ours_is_not_lost(tmp_path: Path) -> None:
    script(tmp_path / "post-merge", "#!/bin/sh\n# the first\n")
    folders.install(tmp_path, "post-merge", PROGRAM, "/git")
    script(tmp_path / "post-merge", "#!/bin/sh\n# the second\n")
    before = everything(tmp_path)
    with pytest.raises(Exception, match="is there already"):
        folders.install(tmp_path, "post-merge", PROGRAM, "/git")
    assert everything(tmp_path) == before


def test_a_hook_behind_that_of_pre_commit_is_found_and_put_back_there(tmp_path: Path) -> None:
    script(tmp_path / "post-merge")
    folders.install(tmp_path, "post-merge", PROGRAM, "/git")
    (tmp_path / "post-merge").rename(tmp_path / "post-merge.legacy")
    script(tmp_path / "post-merge", "#!/bin/sh\n# pre-commit\n")
    before = everything(tmp_path)
    folders.install(tmp_path, "post-merge", PROGRAM, "/git")
    assert everything(tmp_path) == before
    assert folders.found(tmp_path, "post-merge", "/git").state == "installed"
    assert folders.uninstall(tmp_path, "post-merge", "/git", is_used=lambda _user: False)
    assert (tmp_path / "post-merge.legacy").read_text() == EARLIER_HOOK
    assert sorted(everything(tmp_path)) == ["post-merge", "post-merge.legacy"]


def test_a_folder_that_two_repositories_share_is_put_back_after_the_last(tmp_path: Path) -> None:
    script(tmp_path / "post-merge")
    before = everything(tmp_path)
    for user in ("/one", "/two"):
        folders.install(tmp_path, "post-merge", PROGRAM, user)
    folders.uninstall(tmp_path, "post-merge", "/one", is_used=lambda user: user == "/two")
    assert [folders.found(tmp_path, "post-merge", user).state for user in ("/one", "/two")] == [
        "missing",
        "installed",
    ]
    folders.uninstall(tmp_path, "post-merge", "/two", is_used=lambda _user: False)
    assert everything(tmp_path) == before


def test_a_newer_mlsnap_takes_the_place_of_an_older(tmp_path: Path) -> None:
    folders.install(tmp_path, "post-merge", PROGRAM, "/git")
    folders.install(tmp_path, "post-merge", Program(python="/opt/newer", root="/opt/lib"), "/git")
    assert folders.found(tmp_path, "post-merge", "/git").python == "/opt/newer"
    assert sorted(everything(tmp_path)) == ["post-merge"]


# -- core.hooksPath -------------------------------------------------------------------------------------


def test_a_hooks_folder_elsewhere_is_used_and_put_back(bare_desk: Desk, tmp_path: Path) -> None:
    script(tmp_path / "team" / "post-checkout")
    before = everything(tmp_path / "team")
    bare_desk.git("config", "core.hooksPath", str(tmp_path / "team"))
    bare_desk.mlsnap("hooks", "install")
    bare_desk.git("checkout", "--quiet", "one", expect=1)
    assert (bare_desk.model, (bare_desk.path / "called").exists()) == ("one", True)
    bare_desk.mlsnap("hooks", "uninstall")
    assert everything(tmp_path / "team") == before


def test_hooks_that_are_files_of_the_work_tree_are_not_written_to(bare_desk: Desk) -> None:
    husky = bare_desk.path / ".husky"
    call = '. "$(dirname "$0")/h"\n'
    script(husky / "_" / "post-checkout", f"#!/bin/sh\n{call}")
    script(husky / "_" / "h", 'sh -e "$(dirname "$(dirname "$0")")/$(basename "$0")" "$@"\n')
    bare_desk.git("config", "core.hooksPath", ".husky/_")
    before = everything(husky)
    said = bare_desk.mlsnap("hooks", "install", expect=40)
    assert everything(husky) == before
    (line,) = [line.strip() for line in said.stderr.splitlines() if "git-common-dir" in line]
    for name in NAMES:
        script(husky / name, f"{line}\n")
    bare_desk.mlsnap("hooks", "install")
    assert bare_desk.standing()["installed"] is True
    bare_desk.git("checkout", "--quiet", "one")
    assert bare_desk.model == "one"
    bare_desk.mlsnap("hooks", "uninstall")
    assert bare_desk.git("checkout", "--quiet", "two").stderr == ""  # the line does nothing for who has no hooks


def test_a_folder_that_no_script_can_name_is_refused(bare_desk: Desk) -> None:
    strange = bare_desk.path.parent / "a\nb"
    bare_desk.path.rename(strange)
    before = everything(strange / ".git" / "hooks")
    desk = Desk(path=strange)
    assert "control characters" in desk.mlsnap("hooks", "install", expect=40).stderr
    assert everything(strange / ".git" / "hooks") == before


def test_where_git_runs_no_hooks_none_are_installed(bare_desk: Desk) -> None:
    bare_desk.git("config", "core.hooksPath", "/dev/null")
    assert "git runs no hooks here" in bare_desk.mlsnap("hooks", "install", expect=40).stderr


# -- future clones --------------------------------------------------------------------------------------


@pytest.fixture
def person(tmp_path: Path) -> dict[str, str]:
    """Give the environment of a person whose settings are their own."""
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text("[init]\n\tdefaultBranch = main\n")
    return {"HOME": str(home), "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"), "MLSNAP_HOOK_SECONDS": "60"}


def test_a_clone_gets_its_view_at_once(shared_desk: Desk, person: dict[str, str], tmp_path: Path) -> None:
    here = Desk(path=shared_desk.path, environment=person)
    here.mlsnap("hooks", "install", "--global")
    clone = Desk(path=tmp_path / "clone", environment=person)
    said = here.git("clone", "--quiet", str(here.path), str(clone.path))
    assert (len(said.hook), clone.model) == (1, "shared 2")
    assert (clone.path / ".git" / "info" / "exclude").exists()
    assert len(clone.git("checkout", "--quiet", "s1").hook) == 1
    assert clone.model == "shared 1"


def test_future_clones_are_as_before_once_it_is_taken_back(bare_desk: Desk, person: dict[str, str]) -> None:
    home = Path(person["HOME"])
    here = Desk(path=bare_desk.path, environment=person)
    before = everything(home)
    here.mlsnap("hooks", "install", "--global")
    assert here.standing()["global"] is True
    here.mlsnap("hooks", "install", "--global")
    here.mlsnap("hooks", "uninstall", "--global")
    after = {name: found for name, found in everything(home).items() if not found[0] & 0o40000}
    assert after == {name: found for name, found in before.items() if not found[0] & 0o40000}
    assert here.mlsnap("hooks", "uninstall", "--global").stdout == "no hooks of mlsnap were there\n"


def test_a_template_that_a_person_has_is_used_and_put_back(bare_desk: Desk, person: dict[str, str]) -> None:
    template = Path(person["HOME"]) / "mine"
    script(template / "hooks" / "post-checkout")
    before = everything(template)
    here = Desk(path=bare_desk.path, environment=person)
    here.git("config", "--global", "init.templateDir", str(template))
    here.mlsnap("hooks", "install", "--global")
    assert everything(template) != before
    here.mlsnap("hooks", "uninstall", "--global")
    assert everything(template) == before
    assert here.git("config", "--global", "init.templateDir").stdout == str(template)


def test_a_clone_without_mlsnap_gets_nothing_but_the_hooks(
    desk: Desk, person: dict[str, str], tmp_path: Path
) -> None:
    here = Desk(path=desk.path, environment=person)
    here.mlsnap("hooks", "install", "--global")
    other = Desk(path=tmp_path / "other", environment=person)
    other.path.mkdir()
    here.git("init", "--quiet", str(other.path))
    other.commit("a", file="a\n")
    assert other.git("checkout", "--quiet", "-b", "b").stderr == ""
    other.commit("b", file="b\n")
    assert other.git("checkout", "--quiet", "main").stderr == ""
    assert not (other.path / ".git" / "mlsnap").exists()
