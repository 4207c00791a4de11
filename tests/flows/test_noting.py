"""Versions told as git notes: from one clone to another that has no volume, and never believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.git.notes import REF
from tests.conftest import GitRepository
from tests.flows.conftest import QUIET, Place


@pytest.fixture
def origin(trained: Place, tmp_path: Path) -> Path:
    """Give the place an origin that is a folder."""
    bare = tmp_path / "origin.git"
    trained.repository.git("clone", "--quiet", "--bare", ".", str(bare))
    trained.repository.git("remote", "set-url", "origin", str(bare))
    return bare


def test_versions_travel_as_notes_to_a_clone_without_the_volume(
    trained: Place, origin: Path, tmp_path: Path
) -> None:
    quiet = {**QUIET, "MLSNAP__PROJECT": "octo/digits"}
    facts = trained.mlsnap("publish", "--notes", "--json", env=quiet).facts
    assert facts["notes"] == {"written": 1, "pushed": True, "why": "", "skipped": 0}
    again = trained.mlsnap("publish", "--notes", "--json", env=quiet).facts
    assert again["notes"] == {"written": 0, "pushed": True, "why": "", "skipped": 0}
    other = tmp_path / "other"
    trained.repository.git("clone", "--quiet", str(origin), str(other))
    GitRepository(path=other).git("fetch", "--quiet", "origin", f"{REF}:{REF}")
    said = trained.mlsnap("show", cwd=other, env=quiet, expect=44)
    short = trained.repository.head()[:7]
    assert said.stdout.startswith(f"from a git note, unproven: {short} of model ")
    assert "accuracy 0.9" in said.stdout and said.error[0].startswith("mlsnap: error[no-version]: ")
    said = trained.mlsnap("show", "--json", cwd=other, env=quiet, expect=44)
    assert said.facts["proven"] is False and said.facts["noted"][0]["commit"] == trained.repository.head()


def test_a_forged_note_makes_no_version(trained: Place, origin: Path) -> None:
    trained.mlsnap("publish", "--notes", env=QUIET)
    told = trained.repository.git("notes", f"--ref={REF}", "show", "HEAD")
    line = told.replace('"created":"', '"created":"\u202e')
    second = trained.commit("second\n")
    forged = line.replace(trained.repository.git("rev-parse", "HEAD~1"), second)
    trained.repository.git("notes", f"--ref={REF}", "add", "-m", forged, second)
    said = trained.mlsnap("show", second, env=QUIET, expect=44)
    assert "unproven" in said.stdout and "\u202e" not in said.stdout
    for command in (("restore", second), ("path", second), ("verify", second), ("promote", second, "production")):
        trained.refused("no-version", 44, *command, env=QUIET)


def test_without_a_remote_notes_stay_here_and_the_output_says_so(trained: Place) -> None:
    trained.repository.git("remote", "remove", "origin")
    said = trained.mlsnap("publish", "--notes", env=QUIET)
    assert said.stdout.splitlines()[-1] == "notes: 1 written, not pushed: there is no remote called origin"
    assert trained.repository.git("notes", f"--ref={REF}", "list")


def test_without_being_asked_no_note_is_written(trained: Place, origin: Path) -> None:
    trained.mlsnap("publish", env=QUIET)
    assert trained.repository.git("for-each-ref", "refs/notes", "refs/mlsnap") == ""
