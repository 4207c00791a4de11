"""What a commit that was pulled can not do by the hooks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.hooks.conftest import SETTINGS, SHARED, Desk
from tests.hooks.test_installing import everything


def arrive(desk: Desk, commit: str) -> list[str]:
    """Check out a commit that somebody else made, and give what the hook said."""
    said = desk.git("checkout", "--quiet", commit)
    return said.hook


def strange(desk: Desk, settings: str, **files: str) -> str:
    """Make a commit with these settings on top of `one`, whose models are others, and go back to `two`."""
    desk.git("checkout", "--quiet", "one", env={"CI": "true"})
    commit = desk.commit("strange", **{"mlsnap.toml": settings}, **files)
    desk.git("checkout", "--quiet", "main", env={"CI": "true"})
    return commit


def test_a_volume_outside_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "precious"
    other.mkdir()
    (other / "thesis").write_text("years of work\n")
    before = everything(other)
    (line,) = arrive(desk, strange(desk, SETTINGS.replace('"models"', f'"{other}"')))
    assert (everything(other), desk.model) == (before, "two")
    assert f"this commit's settings name {other}" in line


def test_a_store_outside_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    settings = SETTINGS.replace('volume = "models"\n', "") + f'[volumes.models]\nstore = "{tmp_path / "store"}"\n'
    (line,) = arrive(desk, strange(desk, settings))
    assert f"this commit's settings name {tmp_path / 'store'}" in line
    assert (desk.model, (tmp_path / "store").exists()) == ("two", False)


def test_a_volume_at_a_place_of_others_is_not_written(desk: Desk) -> None:
    (desk.path / "part").mkdir()
    (desk.path / "part" / "mine").write_text("mine\n")
    (desk.path / ".git" / "info" / "exclude").write_text("/part/\n")
    places = (desk.path / ".git" / "hooks", desk.path / "part")
    before = [everything(place) for place in places]
    for path in ("part", "part/../part", ".git/hooks", ".git", ".GIT/x", "."):
        settings = SETTINGS.replace('volume = "models"\n', "") + f'[volumes.models]\npath = "{path}"\n'
        (line,) = arrive(desk, strange(desk, settings))
        assert "`mlsnap restore HEAD` when you want it" in line
        assert [everything(place) for place in places] == before
        assert desk.model == "two"


def test_files_that_git_tracks_are_not_replaced(desk: Desk) -> None:
    (desk.path / "src").mkdir()
    commit = strange(desk, SETTINGS.replace('"models"', '"src"') + "", **{"src/code.py": "code\n"})
    (line,) = arrive(desk, commit)
    assert "git tracks src" in line
    assert (desk.path / "src" / "code.py").read_text() == "code\n"


@pytest.mark.parametrize("path", ["models", "way/models"])
def test_a_link_in_the_commit_leads_nowhere(desk: Desk, tmp_path: Path, path: str) -> None:
    (tmp_path / "models").mkdir()
    before = everything(tmp_path / "models")
    desk.git("checkout", "--quiet", "one", env={"CI": "true"})
    link = desk.path / path.partition("/")[0]
    kept = desk.path.parent / "kept"
    if link.exists():
        link.rename(kept)
    link.symlink_to(tmp_path / "models" if path == "models" else tmp_path)
    (desk.path / ".gitignore").write_text("/metrics.json\n")
    commit = desk.commit("strange", **{"mlsnap.toml": SETTINGS.replace('"models"', f'"{path}"')})
    desk.git("checkout", "--quiet", "main", env={"CI": "true"})
    if kept.exists():
        kept.rename(link)
        desk.git("clean", "-q", "-f")
    if path == "models":  # git itself does not put a link over a folder with files
        link.rename(kept)
    (line,) = arrive(desk, commit)
    assert "git tracks models" in line or "leads out of the work tree" in line
    assert everything(tmp_path / "models") == before


def test_a_view_is_where_it_was(shared_desk: Desk) -> None:
    before = os.readlink(shared_desk.path / "models")
    settings = SHARED.format(volume=shared_desk.path.parent / "volume" / "digits").replace(
        'view = "models"', 'view = "params"'
    )
    shared_desk.settings(settings)
    moved = shared_desk.head
    shared_desk.git("checkout", "--quiet", "s2", env={"CI": "true"})
    (line,) = arrive(shared_desk, moved)
    assert "git tracks params" in line
    assert (shared_desk.path / "params").read_text() == "shared 2\n"
    assert os.readlink(shared_desk.path / "models") == before


def test_a_shared_volume_that_was_not_trusted_is_not_shown(shared_desk: Desk, tmp_path: Path) -> None:
    other = tmp_path / "other" / "digits"
    shared_desk.settings(SHARED.format(volume=other))
    moved = shared_desk.head
    shared_desk.git("checkout", "--quiet", "s1")
    (line,) = arrive(shared_desk, moved)
    assert (f"this commit's settings name {other}" in line, other.parent.exists()) == (True, False)
    assert shared_desk.model == "shared 1"


def test_nothing_of_the_work_tree_is_executed(desk: Desk) -> None:
    planted = "import os\nos.close(os.open('executed', os.O_CREAT))\n"
    names = ("sitecustomize.py", "usercustomize.py", "subprocess.py", "msgspec.py", "select.py", "encodings.py")
    desk.git("checkout", "--quiet", "one", env={"CI": "true"})
    (desk.path / "ci_mlsnap" / "hooks").mkdir(parents=True)
    for name in (*names, "ci_mlsnap/__init__.py", "ci_mlsnap/hooks/__init__.py", "ci_mlsnap/hooks/entry.py"):
        (desk.path / name).write_text(planted)
    (desk.path / "mlsnap").write_text("#!/bin/sh\n: > executed\n")
    (desk.path / "mlsnap").chmod(0o755)
    commit = desk.commit("strange", **{"mlsnap.toml": SETTINGS.replace("sh train.sh", ": > executed")})
    desk.git("checkout", "--quiet", "main", env={"CI": "true"})
    environment = {"PYTHONPATH": str(desk.path), "PYTHONSTARTUP": "sitecustomize.py"}
    said = desk.git("checkout", "--quiet", commit, env=environment)
    assert (len(said.hook), desk.model) == (1, "one")
    assert not (desk.path / "executed").exists()


@pytest.mark.parametrize(
    "settings",
    ["\x1b]0;title\x07 = 1\n", "model = [\n", 'volume = "models"\nhooks.copy_mb = 1\n', "train = 1\n"],
    ids=["escape", "broken", "operator's", "wrong"],
)
def test_broken_settings_are_a_line_without_control_characters(desk: Desk, settings: str) -> None:
    said = desk.git("checkout", "--quiet", strange(desk, settings))
    (line,) = said.hook
    assert line.startswith("models stay as they are: ")
    assert all(char.isprintable() for char in line)
    assert desk.model == "two"


def test_mlsnap_that_a_commit_could_replace_is_not_run(desk: Desk) -> None:
    """The interpreter is in a folder of the work tree, as a `.venv` is, and a commit brings files there."""
    hook = desk.path / ".git" / "hooks" / "post-checkout"
    (desk.path / ".venv").mkdir()
    ask = f"git -C {desk.path} -c core.fsmonitor=false ls-files -- .venv"
    guard = f'[ -z "$(unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE; {ask} | head -n 1)" ]'
    text = hook.read_text()
    start = text.index("unreplaced() {") + len("unreplaced() {\n")
    hook.write_text(text[:start] + f"    {guard}\n" + text[text.index("\n}", start) + 1 :])
    assert len(desk.git("checkout", "--quiet", "one").hook) == 1
    (desk.path / ".venv" / "python").write_text("planted\n")
    commit = desk.commit("strange")
    desk.git("checkout", "--quiet", "two")
    assert desk.git("checkout", "--quiet", commit).hook == []
