"""What training writes into the files of its step is not obeyed by the steps after it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from ci_mlsnap.ci.actions import Actions
from ci_mlsnap.ci.runner_files import NAMES


@pytest.fixture
def step(tmp_path: Path) -> tuple[Actions, dict[str, Path], io.StringIO]:
    """Give a step, its files, each with a line of its own, and its log."""
    files = {name: tmp_path / name for name in NAMES}
    for name, file in files.items():
        file.write_text(f"{name}=ours\n")
    log = io.StringIO()
    environ = {name: str(file) for name, file in files.items()}
    return Actions(environ, log, None), files, log


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("deed", ["append", "overwrite", "remove", "link", "pipe", "folder link"])
def test_a_file_of_the_step_is_after_training_as_it_was_before(
    step: tuple[Actions, dict[str, Path], io.StringIO], tmp_path: Path, name: str, deed: str
) -> None:
    build, files, log = step
    build.fence()
    evil, file = tmp_path / "evil", files[name]
    evil.write_text("PATH=/evil\n")
    match deed:
        case "append":
            file.write_text(file.read_text() + "PATH=/evil\n")
        case "overwrite":
            file.write_text("PATH=/evil\n")
        case "remove":
            file.unlink()
        case "link" | "folder link":
            file.unlink()
            file.symlink_to(evil if deed == "link" else tmp_path)
        case _:
            file.unlink()
            os.mkfifo(file)
    build.unfence()
    assert not file.is_symlink()
    assert file.read_text() == f"{name}=ours\n"
    assert evil.read_text() == "PATH=/evil\n"
    assert f"::warning::training wrote to {name}" in log.getvalue()
    assert all(other.read_text() == f"{it}=ours\n" for it, other in files.items())


def test_what_is_open_elsewhere_reaches_the_file_no_more(
    step: tuple[Actions, dict[str, Path], io.StringIO],
) -> None:
    build, files, _log = step
    build.fence()
    with files["GITHUB_ENV"].open("a") as kept:
        kept.write("A=1\n")
        kept.flush()
        build.unfence()
        kept.write("LD_PRELOAD=/evil.so\n")
    assert files["GITHUB_ENV"].read_text() == "GITHUB_ENV=ours\n"


def test_what_we_write_ourselves_stays(step: tuple[Actions, dict[str, Path], io.StringIO]) -> None:
    build, files, log = step
    build.fence()
    build.unfence()
    build.output({"plan": "x"})
    assert "plan<<" in files["GITHUB_OUTPUT"].read_text()
    assert "warning" not in log.getvalue()
