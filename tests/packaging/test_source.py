"""Rules that every file of the repository keeps."""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CLIENTS = {
    "github": "ci_mlsnap/forge/",
    "jenkins": "ci_mlsnap/ci/jenkins_client.py",
    "netapp_ontap": "ci_mlsnap/storage/ontap",
    "jinja2": "ci_mlsnap/report/",
    "rich": "ci_mlsnap/cli/",
}
"""Each client library and the one place that may know it."""

# Written in pieces, so that this file keeps its own rule.
_HOSTS = (
    "pypi" + ".org",
    "pythonhosted" + ".org",
    "npmjs" + ".org",
    "npmjs" + ".com",
    "debian" + ".org",
    "crates" + ".io",
)
_PLACES = ("/wor" + r"k/(main|shared|\.library)", "/tmp/ba" + "sh", r"(?<![\w.])/ro" + r"ot/\w")
_FORBIDDEN = re.compile("|".join((*map(re.escape, _HOSTS), *_PLACES)))


def _tracked() -> list[Path]:
    listed = subprocess.run(("git", "ls-files", "-z"), cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


def _modules() -> list[Path]:
    return sorted((ROOT / "ci_mlsnap").rglob("*.py"))


@cache
def _nodes() -> tuple[tuple[Path, ast.AST], ...]:
    trees = ((module, ast.parse(module.read_bytes())) for module in _modules())
    return tuple((module, node) for module, tree in trees for node in ast.walk(tree))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def _place(module: Path, node: ast.AST) -> str:
    return f"{module.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def test_no_file_names_a_machine_or_a_package_registry() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {hit[0]}"
        for path in _tracked()
        if (hit := _FORBIDDEN.search(path.read_text(errors="replace")))
    ]
    assert found == []


def test_nothing_is_started_through_a_shell_and_no_certificate_goes_unchecked() -> None:
    def is_unsafe(keyword: ast.keyword) -> bool:
        value = keyword.value.value if isinstance(keyword.value, ast.Constant) else None
        return (keyword.arg == "shell" and value is not False) or (keyword.arg == "verify" and value is False)

    calls = ((module, node) for module, node in _nodes() if isinstance(node, ast.Call))
    assert [_place(module, node) for module, node in calls if any(map(is_unsafe, node.keywords))] == []


def test_nothing_that_runs_code_from_data_is_used() -> None:
    loaders = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "code", "runpy"}
    runners = {"eval", "exec", "compile", "__import__"}
    found = [
        _place(module, node)
        for module, node in _nodes()
        if loaders & {name.split(".")[0] for name in _imported(node)}
        or (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in runners)
    ]
    assert found == []


def test_archives_are_not_unpacked_blindly() -> None:
    found = [
        _place(module, node)
        for module, node in _nodes()
        if isinstance(node, ast.Attribute) and node.attr in {"extractall", "unpack_archive", "mktemp"}
    ]
    assert found == []


@pytest.mark.parametrize(("library", "place"), CLIENTS.items())
def test_a_client_library_is_known_in_one_place(library: str, place: str) -> None:
    found = [
        _place(module, node)
        for module, node in _nodes()
        if library in {name.split(".")[0] for name in _imported(node)}
        and not str(module.relative_to(ROOT)).startswith(place)
    ]
    assert found == []


def test_no_folder_hides_the_library_named_jenkins() -> None:
    assert list((ROOT / "jenkins").rglob("*.py")) == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_actions_of_others_are_named_by_their_digest() -> None:
    uses = re.compile(r"^\s*(?:- )?uses:\s*(\S+)", re.MULTILINE)
    workflows = [path for path in _tracked() if path.suffix in {".yml", ".yaml"}]
    found = [used for path in workflows for used in uses.findall(path.read_text()) if not used.startswith("./")]
    assert found
    others = [used for used in found if not used.startswith("org/mlsnap-action@")]
    assert [used for used in others if not re.search(r"@[0-9a-f]{40}$", used)] == []


def test_scripts_can_be_started() -> None:
    for script in (".ci/run", ".ci/make-venv"):
        assert (ROOT / script).stat().st_mode & 0o111, script
