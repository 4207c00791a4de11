"""The examples that train: what they say is so, and each is run as its reader would."""

from __future__ import annotations

import ast
import json
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.read import parse_repository_file
from ci_mlsnap.config.settings import Defaults
from tests.conftest import GitRepository
from tests.docs.pages import ROOT
from tests.examples import pythons
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


@dataclass(frozen=True, kw_only=True)
class Made:
    """What an example is to leave: a metric, the file it was read from, and model files as `show` has them."""

    metric: str
    read_from: str
    said: str
    files: dict[str, tuple[str, str]]
    shapes: list[list[int]] | None


MADE = {
    "scikit-learn": Made(
        metric="macro avg.f1-score",
        read_from="scores.json",
        said="pickle by scikit-learn",
        files={"model.joblib": ("pickle", "scikit-learn")},
        shapes=None,  # those of its trees, which differ between releases
    ),
    "safetensors": Made(
        metric="loss",
        read_from="metrics.json",
        said="safetensors by numpy; 18 parameters in 2 tensors",
        files={"model.safetensors": ("safetensors", "numpy")},
        shapes=[[2], [8, 2]],
    ),
    "keras": Made(
        metric="val_accuracy",
        read_from="training.csv",
        said="65 parameters in 4 tensors",
        files={"model.h5": ("hdf5", "keras"), "model.keras": ("keras", "keras")},
        shapes=[[1], [2, 16], [16], [16, 1]],
    ),
    "pytorch": Made(
        metric="accuracy",
        read_from="metrics.csv",
        said="pytorch; 81 parameters in 4 tensors",
        files={"model.pt": ("pytorch", "pytorch")},
        shapes=[[1], [1, 16], [16], [16, 3]],
    ),
}


def test_every_example_is_run() -> None:
    assert sorted(MADE) == FOLDERS


@pytest.mark.parametrize("name", MADE)
def test_an_example_makes_a_version_with_its_metrics_and_says_what_its_model_is(tmp_path: Path, name: str) -> None:
    made, python = MADE[name], _folder_with_python(name, tmp_path)
    shutil.copytree(EXAMPLES / name, tmp_path / name)
    repository = GitRepository(path=tmp_path / name)
    repository.git("init", "--quiet")
    repository.commit("the example")
    environment = {**os.environ, "PATH": f"{python}{os.pathsep}{os.environ['PATH']}"}

    ran = mlsnap("run", cwd=repository.path, env=environment, script=MLSNAP, timeout=PATIENCE)
    output = (ran.stdout + ran.stderr).decode()
    assert ran.returncode == 0, output
    assert made.said in output
    assert made.metric in output
    assert repository.git("status", "--porcelain") == ""

    shown = mlsnap("show", "--json", cwd=repository.path, env=environment, script=MLSNAP, timeout=PATIENCE)
    assert shown.returncode == 0, shown.stderr.decode()
    facts = json.loads(shown.stdout)
    assert facts["header"]["metrics_source"] == made.read_from
    assert made.metric in facts["header"]["metrics"]
    models = {it["path"]: it["model"] for it in facts["models"]}
    assert {path: (it["format"], it["framework"]) for path, it in models.items()} == made.files
    for model in models.values():
        shapes = sorted(it["shape"] for it in model["tensors"])
        assert shapes
        assert shapes == (made.shapes or shapes)


def _folder_with_python(name: str, tmp_path: Path) -> Path:
    if (EXAMPLES / name / "requirements.txt").exists():
        return pythons.of_requirements(EXAMPLES / name)
    if name == "pytorch":
        # PyPI's brings gigabytes for graphics cards; the distribution's is built without.
        return pythons.of_the_distribution("torch", "python3-torch", tmp_path / "bin")
    return pythons.own()
