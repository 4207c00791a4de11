"""Starting is cheap: no client library is imported before it is needed."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Folder

HEAVY = {"github", "netapp_ontap", "jenkins", "requests", "urllib3", "jinja2", "rich", "sklearn", "numpy"}
NOT_EVEN_PARSED = HEAVY | {"msgspec", "subprocess", "asyncio"}


def imported(folder: Folder, *arguments: str, expect: int = 0) -> set[str]:
    """Run a command, and give the packages that its process imported."""
    said = folder.mlsnap(*arguments, options=("-X", "importtime"))
    assert said.code == expect, said.stderr[-2000:]
    lines = [line for line in said.stderr.splitlines() if line.startswith("import time:")]
    found = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "ci_mlsnap" in found
    return found


def test_the_version_is_said_without_even_click(folder: Folder) -> None:
    assert not imported(folder, "--version") & (NOT_EVEN_PARSED | {"click", "dataclasses", "typing"})


@pytest.mark.parametrize(
    "arguments", [("--help",), ("restore", "--help"), ("run", "--help"), ("jenkins", "run", "--help")]
)
def test_help_needs_no_more_than_click(folder: Folder, arguments: tuple[str, ...]) -> None:
    assert not imported(folder, *arguments) & NOT_EVEN_PARSED


def test_a_wrong_guess_needs_no_more_than_click(folder: Folder) -> None:
    assert not imported(folder, "list", expect=2) & NOT_EVEN_PARSED


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("log", "--json"),
        ("log", "--graph"),
        ("diff", "HEAD", "HEAD"),
        ("show",),
        ("path", "--json"),
        ("recover",),
        ("publish",),
        ("run", "--dry-run"),
        ("show", "nothing-like-this"),
    ],
)
def test_looking_needs_no_client_library(trained: Folder, arguments: tuple[str, ...]) -> None:
    expect = 2 if "nothing-like-this" in arguments else 0
    assert not imported(trained, *arguments, expect=expect) & HEAVY


def test_a_run_without_a_token_and_a_ci_needs_no_client_library(folder: Folder) -> None:
    assert not imported(folder, "run") & HEAVY
    assert len(folder.snapshots) == 1
