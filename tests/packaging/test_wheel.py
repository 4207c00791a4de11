"""What is installed: the wheel's content, its version, and how light it is to load."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ci_mlsnap

ROOT = Path(__file__).parents[2]
HEAVY = ("github", "jenkins", "jinja2", "joblib", "netapp_ontap", "numpy", "requests", "rich", "sklearn")


def _python(*arguments: str, path: Path | None = None) -> str:
    environment = {**os.environ, **({"PYTHONPATH": str(path)} if path else {})}
    done = subprocess.run(
        (sys.executable, *arguments), capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _python("-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder))
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_file_of_the_package(names: set[str]) -> None:
    known = subprocess.run(
        ("git", "ls-files", "-z", "ci_mlsnap"), cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    wanted = {name for name in known if name and (ROOT / name).exists()}
    assert wanted - names == set()
    assert "ci_mlsnap/py.typed" in names


def test_the_wheel_holds_nothing_but_the_package_and_its_description(names: set[str]) -> None:
    tops = {name.split("/")[0] for name in names}
    assert tops == {"ci_mlsnap", f"ci_mlsnap-{ci_mlsnap.__version__}.dist-info"}
    assert [name for name in names if "test_" in name or name.endswith(".pyc")] == []


def test_the_wheel_carries_the_licence(names: set[str]) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in names)


def test_the_unpacked_wheel_runs_and_says_its_version(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    assert _python("-m", "ci_mlsnap", "--version", path=tmp_path).strip() == f"mlsnap {ci_mlsnap.__version__}"
    where = _python("-P", "-c", "import ci_mlsnap; print(ci_mlsnap.__file__)", path=tmp_path)
    assert where.startswith(str(tmp_path))


def test_both_commands_start_the_same_program() -> None:
    assert _project()["scripts"] == {"mlsnap": "ci_mlsnap.cli:main", "git-mlsnap": "ci_mlsnap.cli:main"}


def test_the_version_is_written_in_one_place_only() -> None:
    assert "version" not in _project()
    assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+((a|b|rc)[0-9]+)?", ci_mlsnap.__version__)


def test_the_change_log_has_a_place_for_what_is_not_released() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()


_LOAD = """
import importlib, sys
heavy, modules = set(sys.argv[1].split(",")), sys.argv[2:]
for module in modules:
    importlib.import_module(module)
    print(module, *sorted(heavy & set(sys.modules)))
"""


def _names_a_heavy_library(file: Path) -> bool:
    """Tell whether the module itself imports one when it is loaded; then others load it at the moment of need."""
    found = [node for node in ast.parse(file.read_bytes()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    named = [alias.name for node in found if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in found if isinstance(node, ast.ImportFrom)]
    return bool({name.split(".")[0] for name in named} & set(HEAVY))


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def test_only_a_module_that_needs_a_heavy_library_loads_it() -> None:
    """So `mlsnap --help`, and each command that does not speak to the other side, starts quickly."""
    known = subprocess.run(
        ("git", "ls-files", "-z", "ci_mlsnap/*.py"), cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    files = [file for name in known if name and (file := ROOT / name).exists()]
    light = [
        _module(file)
        for file in files
        if all(part.isidentifier() for part in _module(file).split("."))
        and file.name != "__main__.py"
        and "project" not in file.parts
        and not _names_a_heavy_library(file)
    ]
    lines = _python("-c", _LOAD, ",".join(HEAVY), *light).splitlines()
    assert len(lines) == len(light) > 10
    assert next((line for line in lines if " " in line), None) is None
