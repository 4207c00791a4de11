"""What people copy: the example, the Jenkinsfile that `init` writes, and the examples for other needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from ci_mlsnap.cli.program import program
from ci_mlsnap.report.rendering import render_text
from tests.conftest import GitRepository
from tests.jenkins_library import steps

EXAMPLE = steps.ROOT / "Jenkinsfile.example"
EXAMPLES = sorted((steps.ROOT / "examples" / "jenkins").glob("*.Jenkinsfile"))


def init(repository: GitRepository, monkeypatch: pytest.MonkeyPatch, *, below: str = ".") -> str:
    folder = repository.path / below
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(repository.path)
    done = CliRunner().invoke(program, ["--project", below, "init", "--jenkins"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_init_writes_the_example(repository: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    init(repository, monkeypatch)
    assert (repository.path / "Jenkinsfile").read_text(encoding="utf-8") == EXAMPLE.read_text(encoding="utf-8")


def test_a_jenkinsfile_that_is_there_is_left_as_it_is(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repository.path / "Jenkinsfile").write_text("mine\n")
    assert "left as it is" in init(repository, monkeypatch)
    assert (repository.path / "Jenkinsfile").read_text() == "mine\n"


def test_a_project_in_a_folder_gets_a_file_that_names_it(
    repository: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    init(repository, monkeypatch, below="models ü")
    (written,) = repository.path.glob("Jenkinsfile-*")
    assert 'project: "models ü",' in written.read_text(encoding="utf-8")


def test_a_folders_name_is_no_code() -> None:
    text = render_text("Jenkinsfile.j2", {"project": '"${1 + 1}\\""'})
    assert 'project: "\\${1 + 1}\\"",' in text


@pytest.mark.parametrize("example", [EXAMPLE, *EXAMPLES], ids=lambda path: path.name)
def test_an_example_names_steps_and_arguments_that_there_are(example: Path) -> None:
    text = "\n".join(line for line in example.read_text(encoding="utf-8").splitlines() if "//" not in line)
    calls = re.findall(r"\b(mlsnap\w*)\((.*?)\n? *\)$", text, re.MULTILINE | re.DOTALL)
    assert calls
    for step, given in calls:
        known = {one.name for one in steps.arguments(step)}
        assert set(re.findall(r"(?:^|[(,\s])(\w+): ", given)) <= known, f"{step}({given})"


def test_the_list_of_examples_has_each() -> None:
    folder = steps.ROOT / "examples" / "jenkins"
    links = re.findall(r"\]\(([^)]+)\)", (folder / "README.md").read_text(encoding="utf-8"))
    assert {path.name for path in EXAMPLES} <= set(links)
    assert [link for link in links if not (folder / link).is_file()] == []
