from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import need

ROOT = Path(__file__).parents[2]
SCENES = (
    *("A repository", "First push", "Second push", "Third push", "The cluster has", "The accident"),
    *("Back to the good version", "Serving machines", "The bad model goes", "All state is lost"),
)


def test_the_demo_plays_to_its_end_on_an_emulated_cluster(tmp_path: Path) -> None:
    need(importlib.util.find_spec("sklearn"), "needs scikit-learn: pip install '.[demo]'")
    done = subprocess.run(
        (sys.executable, "-m", "tests.ontap.demo", "--keep", str(tmp_path / "kept")),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    said = done.stdout
    scenes = [line[2:] for line in said.splitlines() if line.startswith("# ")]
    assert [scene[: len(word)] for scene, word in zip(scenes, SCENES, strict=True)] == list(SCENES)
    shas = sorted(found.name for found in (tmp_path / "kept/cluster/svm/svm1/ml_digits/.snapshot").iterdir())
    assert len([name for name in shas if re.fullmatch(r"[0-9a-f]{40}", name)]) == 3
    page = said.partition("demo/digits · commits on main\n")[2]
    assert [line[2] for line in page.splitlines()[:6] if line[:3].strip()] == ["✗", "✓", "✓"]
    assert "of-the-emulated-cluster" not in said
