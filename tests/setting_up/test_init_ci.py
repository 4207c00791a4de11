"""What init writes for a CI: once, never over somebody's own, and what the CI's own checkers take."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.flows.init import ACTION, CI_FILES, init
from ci_mlsnap.git.repository import GitRepository as Git
from ci_mlsnap.testing.ground import every_stat
from tests.conftest import GitRepository
from tests.setting_up.conftest import Place

WORKFLOW = ".github/workflows/mlsnap.yml"


@pytest.fixture
def bare(repository: GitRepository) -> Place:
    """Give a repository that has never heard of mlsnap."""
    return Place(repository=repository)


def test_init_for_github_writes_a_workflow_with_least_rights_and_pins(bare: Place) -> None:
    said = bare.mlsnap("init", "--github", "--action", f"acme/mlsnap-action@{'c0ffee' * 6}0000")
    assert f"{WORKFLOW} written" in said.stdout
    text = (bare.path / WORKFLOW).read_text()
    assert "\npermissions: {}\n" in text
    assert "\nconcurrency:\n" in text
    assert f"uses: acme/mlsnap-action@{'c0ffee' * 6}0000\n" in text
    assert "${{ inputs.sha }}" in text
    assert "persist-credentials: false" in text
    uses = [line.split("- uses: ")[1] for line in text.splitlines() if "- uses: " in line]
    assert [len(it.split("@")[1].split()[0]) for it in uses] == [40, 40]


@pytest.mark.parametrize("name", CI_FILES)
def test_a_second_time_nothing_changes_and_a_changed_file_stays(bare: Place, name: str) -> None:
    bare.mlsnap("init", f"--{name}")
    file = bare.path / CI_FILES[name].path.format("")
    before = every_stat(bare.path)
    assert (
        f"{file.relative_to(bare.path)} is there already: left as it is" in bare.mlsnap("init", f"--{name}").stdout
    )
    assert every_stat(bare.path) == before
    file.write_text("# mine\n")
    said = bare.mlsnap("init", f"--{name}")
    assert "is there already, and differs from what would be written: left as it is" in said.stdout
    assert file.read_text() == "# mine\n"


@pytest.mark.parametrize("name", CI_FILES)
def test_a_dangling_link_in_its_place_stays(bare: Place, name: str, tmp_path: Path) -> None:
    file = bare.path / CI_FILES[name].path.format("")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.symlink_to(tmp_path / "elsewhere")
    bare.mlsnap("init", f"--{name}")
    assert file.is_symlink()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("name", CI_FILES)
def test_a_dry_run_shows_the_files_and_writes_none(bare: Place, name: str) -> None:
    before = every_stat(bare.path)
    said = bare.mlsnap("init", "--dry-run", f"--{name}")
    assert every_stat(bare.path) == before
    assert "dry run: mlsnap.toml written" in said.stdout
    bare.mlsnap("init", f"--{name}")
    shown = [line[4:] for line in said.stdout.splitlines() if line.startswith("    ")]
    assert set((bare.path / CI_FILES[name].path.format("")).read_text().splitlines()) <= set(shown)


def test_a_project_in_a_folder_gets_a_workflow_of_its_own_that_names_it(bare: Place) -> None:
    (bare.path / "ranker").mkdir()
    bare.mlsnap("--project", "ranker", "init", "--github")
    text = (bare.path / ".github/workflows/mlsnap-ranker.yml").read_text()
    assert 'project: "ranker"\n' in text
    assert "name: mlsnap-ranker\n" in text
    assert ACTION in text


@pytest.mark.parametrize("action", ["x", "a/b", "a/b@v1\nrun: evil", "a/b@${{ github.token }}", "a b/c@d"])
def test_an_action_that_can_be_none_is_refused_before_anything_is_written(bare: Place, action: str) -> None:
    before = every_stat(bare.path)
    said = bare.mlsnap("init", "--github", "--action", action, expect=2)
    assert "can be no action" in said.stderr
    assert every_stat(bare.path) == before


def test_a_workflow_that_cannot_be_written_is_an_error_that_says_so(bare: Place) -> None:
    (bare.path / ".github").write_text("a file\n")
    said = bare.mlsnap("init", "--github", expect=20)
    assert ".github" in said.stderr


def test_the_file_of_each_ci_is_rendered_whole(bare: Place) -> None:
    wrote = init(Git.find(bare.path), bare.path, command="x", volume="models", ci=tuple(CI_FILES), dry_run=True)
    texts = [it.content.decode() for it in wrote if it.content is not None]
    assert len(texts) == 2 + len(CI_FILES)
    assert all("{%" not in text and "{{ '" not in text for text in texts)
