"""The examples that train: what they say is so, and those whose libraries are small are run."""

from __future__ import annotations

import ast
import os
import shutil
import sys
from pathlib import Path

import pytest

from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.read import parse_repository_file
from ci_mlsnap.config.settings import Defaults
from tests.conftest import GitRepository
from tests.docs.pages import ROOT
from tests.flows.conftest import MLSNAP, PATIENCE
from tests.warm import mlsnap

EXAMPLES = ROOT / "examples"
FOLDERS = sorted(it.parent.name for it in EXAMPLES.glob("*/train.py"))


@pytest.mark.parametrize("name", FOLDERS)
def test_an_example_is_whole(name: str) -> None:
    folder = EXAMPLES / name
    settings = settle(
        [parse_repository_file((folder / "mlsnap.toml").read_bytes(), "mlsnap.toml")], defaults=Defaults(model="m")
    )
    assert settings.gates and settings.volume.path == "models"
    assert "train.py" in str(settings.train.command)
    tree = ast.parse((folder / "train.py").read_text())
    imported = {it.name for node in ast.walk(tree) if isinstance(node, ast.Import) for it in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    needed = {it.partition(".")[0] for it in imported} - set(sys.stdlib_module_names)
    brought = {"scikit-learn": ["sklearn", "joblib"], "keras": ["numpy"]}
    readme = f"{(folder / 'README.md').read_text()} {brought.get(name)}"
    assert all(it in readme for it in needed)
    assert f"]({name})" in (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "metric", "said"),
    [
        ("scikit-learn", "macro avg.f1-score", "pickle by scikit-learn"),
        ("safetensors", "loss", "safetensors by numpy; 18 parameters in 2 tensors"),
    ],
)
def test_an_example_makes_a_version_with_its_metrics_and_says_what_its_model_is(
    tmp_path: Path, name: str, metric: str, said: str
) -> None:
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    repository = GitRepository(path=tmp_path / name)
    repository.git("init", "--quiet")
    repository.commit("the example")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ran = mlsnap("run", cwd=repository.path, env={**os.environ, "PATH": path}, script=MLSNAP, timeout=PATIENCE)
    output = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, output
    assert said in output
    assert metric in output
    assert repository.git("status", "--porcelain") == ""
