from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import need
from tests.setting_up.conftest import MLSNAP


@dataclass(frozen=True, kw_only=True)
class Played:
    """What the demo left and said."""

    folder: Path
    output: str

    def after(self, command: str) -> str:
        """Give what a command printed: up to the next command or scene."""
        _, found, rest = self.output.partition(f"\n$ {command}\n")
        assert found, f"{command} was not shown:\n{self.output}"
        return re.split(r"\n(?:\$ |# )", rest)[0]


# All of it in one test: the demo takes its time, and each worker would play it again.
def test_the_demo_plays_to_its_end_and_shows_what_it_promises(tmp_path: Path) -> None:
    need(importlib.util.find_spec("sklearn"), "needs scikit-learn: pip install '.[demo]'")
    done = subprocess.run(
        (MLSNAP, "demo", "--keep", str(tmp_path / "kept")),
        env={**os.environ, "GITHUB_ACTIONS": "true", "MLSNAP_GITHUB_TOKEN": "of-the-person"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout
    played = Played(folder=tmp_path / "kept" / "digits", output=done.stdout)
    assert "of-the-person" not in played.output
    _shows_every_scene(played)
    _shows_a_commit_page(played)
    _scores_as_the_record_says(played)
    _left_the_good_version(played)
    assert "3 versions" in (tmp_path / "kept" / "pages" / "index.html").read_text()


def _shows_every_scene(played: Played) -> None:
    scenes = [line for line in played.output.splitlines() if line.startswith("# ")]
    pushes = ("A repository", "First push", "Second push", "Third push", "The accident")
    words = (*pushes, "Back to the good version", "The bad model", "Any version", "For those who")
    assert [scene[2 : 2 + len(word)] for scene, word in zip(scenes, words, strict=True)] == list(words)
    assert played.output.count("\n$ mlsnap run\n") == 3
    assert "(exit code 12)" in played.output
    assert "(`mlsnap recover` goes back)" in played.after("mlsnap status")
    assert "brought back" in played.after("mlsnap recover")
    good = played.output.rpartition("\n$ mlsnap show ")[2][:7]
    assert f"mlsnap: models are now {good}" in played.after(f"git checkout {good}")
    assert "mlsnap: models are now " in played.after("git checkout main")
    rolled_back = played.output.partition("$ mlsnap rollback")[2].partition("\n$ git checkout ")[2]
    assert f"mlsnap: models stay at {good}, where they were rolled back to" in rolled_back


def _shows_a_commit_page(played: Played) -> None:
    _, _, rest = played.output.partition("demo/digits · commits on main\n")
    page, _, _ = rest.partition("\n\n")
    commits = [line for line in page.splitlines() if line[:3].strip()]
    statuses = [line.strip() for line in page.splitlines() if not line[:3].strip()]
    assert [line[2] for line in commits] == ["✗", "✓", "✓"]
    assert len(statuses) == 3
    assert statuses[0].startswith("mlsnap/digits  failure: Gate missed: ")
    for status in statuses[1:]:
        assert re.match(r"mlsnap/digits  success: Snapshot [0-9a-f]{7} ready: accuracy 0\.\d{4}", status)


def _scores_as_the_record_says(played: Played) -> None:
    shown = re.search(r"accuracy +(0\.\d{4})", played.output.partition("\n$ mlsnap show ")[2])
    scored = re.search(r"0\.\d+", played.after("python score.py"))
    assert shown is not None
    assert scored is not None
    assert f"{float(scored[0]):.4f}" == shown[1]


def _left_the_good_version(played: Played) -> None:
    good = re.search(r"\$ mlsnap checkout ([0-9a-f]{7})\n", played.output)
    assert good is not None
    head = subprocess.run(
        ("git", "rev-parse", "HEAD"), cwd=played.folder, capture_output=True, text=True, check=True
    ).stdout.strip()
    assert head.startswith(good[1])
    assert sorted(os.listdir(played.folder / "models")) != []
    versions = sorted(os.listdir(played.folder / "models" / ".snapshot"))
    assert head in versions
    assert len(versions) >= 3


def test_a_folder_that_is_in_use_is_refused_and_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work").write_text("precious")
    done = subprocess.run(
        (MLSNAP, "demo", "--keep", str(tmp_path / "mine")), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is not empty" in done.stderr
    assert (tmp_path / "mine" / "work").read_text() == "precious"


@pytest.mark.parametrize("lacking", ["sklearn"])
def test_without_its_parts_the_demo_says_how_to_get_them(tmp_path: Path, lacking: str) -> None:
    (tmp_path / f"{lacking}.py").write_text("raise ImportError('not here')\n")
    done = subprocess.run(
        (MLSNAP, "demo"),
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "ci-mlsnap[demo]" in done.stderr
