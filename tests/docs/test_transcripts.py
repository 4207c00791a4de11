"""The README's and the tutorial's commands do what these pages show, for somebody who starts from nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import Part, normal, text_of, transcript

HOME = "/home/ada"
"""Where the pages' reader works."""

_ORIGIN = "https://github.com/acme/digits.git"


class Newcomer:
    """A home folder, a repository in it, and an environment that knows nothing of this machine's."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "digits"
        self.folder.mkdir()
        (home / ".gitconfig").write_text(
            "[user]\n\tname = Ada\n\temail = ada@example.org\n"
            "[init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n"
        )
        self._environment = {
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }

    def types(self, command: str) -> str:
        """Run a command and give what the terminal would show."""
        done = subprocess.run(
            ("sh", "-c", command),
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"`{command}` ended with {done.returncode}:\n{done.stdout}"
        return done.stdout.replace(str(self.home), HOME)

    def follows(self, part: Part) -> None:
        """Do what the page says, and hold what happens against what it shows."""
        if part.kind == "file":
            (self.folder / part.name).write_text(part.shown)
        else:
            assert normal(self.types(part.name)) == normal(part.shown), part.name


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    return Newcomer(tmp_path)


def test_the_readme_shows_what_happens_in_a_repository_of_ones_own(newcomer: Newcomer) -> None:
    newcomer.types(f"git init --quiet && git remote add origin {_ORIGIN}")
    parts = transcript(text_of("README.md"))
    assert sum(part.kind == "command" for part in parts) >= 6
    for part in parts:
        newcomer.follows(part)


def test_the_tutorial_shows_what_happens_from_an_empty_folder_on(newcomer: Newcomer) -> None:
    parts = transcript(text_of("docs/tutorial.md"))
    assert sum(part.kind == "command" for part in parts) >= 15
    for part in parts:
        newcomer.follows(part)


def test_an_output_that_differs_in_more_than_the_changing_parts_is_noticed() -> None:
    shown = "snapshot   ok  ad6f911  1 file, 58 B   0.10 s\n"
    assert normal(shown) == normal("snapshot ok 75a30a1 1 file, 9.1 KB 2.35 s\n")
    assert normal(shown) != normal("snapshot ok 75a30a1 2 files, 9.1 KB 2.35 s\n")
    assert normal(shown) != normal("snapshot no 75a30a1 1 file, 9.1 KB 2.35 s\n")
