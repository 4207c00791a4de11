"""What people read who look for a command."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ci_mlsnap import __version__
from ci_mlsnap.cli.program import program
from ci_mlsnap.cli.table import COMMANDS, HINTS
from tests.cli.conftest import Folder

GOLDEN = Path(__file__).with_name("help.txt")
"""The help as it is shown; written anew with `mlsnap --help > tests/cli/help.txt`."""

SHOWN_80_WIDE = {"COLUMNS": "80"}


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_shows_every_command_by_group(folder: Folder, option: str) -> None:
    said = folder.mlsnap(option, env=SHOWN_80_WIDE)
    assert (said.code, said.stderr) == (0, "")
    # How words are wrapped is click's.
    assert said.stdout.split() == GOLDEN.read_text().split()


def test_without_a_command_the_help_is_shown(folder: Folder) -> None:
    said = folder.mlsnap(env=SHOWN_80_WIDE)
    assert said.code == 2
    assert "Every day:" in said.stdout + said.stderr


@pytest.mark.parametrize("asked", [("--version",), ("--verbose", "--version")])
def test_the_version_is_said_in_one_line(folder: Folder, asked: tuple[str, ...]) -> None:
    said = folder.mlsnap(*asked)
    assert (said.code, said.stdout, said.stderr) == (0, f"mlsnap {__version__}\n", "")


def test_the_table_and_the_commands_are_the_same() -> None:
    context = program.make_context("mlsnap", ["status"])
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        assert command.name == name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_every_option_has_help(name: str) -> None:
    context = program.make_context("mlsnap", ["status"])
    command = program.get_command(context, name)
    assert command is not None
    assert (command.help or "").strip()
    assert COMMANDS[name].help.endswith(".")
    silent = [param.name for param in command.params if isinstance(param, click.Option) and not param.help]
    assert silent == []


def test_every_hint_leads_to_a_command_and_hides_none() -> None:
    assert set(HINTS.values()) <= set(COMMANDS)
    assert not set(HINTS) & set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("list", "log"), ("lst", "log"), ("pull", "restore"), ("undelete", "recover"), ("chekout", "checkout")],
)
def test_a_wrong_guess_gets_the_command_that_was_meant(folder: Folder, typed: str, meant: str) -> None:
    said = folder.mlsnap(typed)
    assert (said.code, said.stdout) == (2, "")
    assert said.error == [
        f"mlsnap: error[usage]: there is no command '{typed}'",
        "  safe  nothing was done",
        f"  next  did you mean `mlsnap {meant}`?",
    ]


def test_what_resembles_nothing_gets_the_list(folder: Folder) -> None:
    said = folder.mlsnap("zzzzzzzz")
    assert said.code == 2
    assert "`mlsnap --help` lists all commands" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        (("status", "--jsn"), r"No such option.*--jsn"),
        (("--verbos",), r"No such option.*--verbos"),
        (("log", "-n", "none"), r"'none'"),
        (("log", "-n", "0"), r"0 is not in the range"),
        (("restore",), r"Missing argument"),
        (("show", "HEAD", "HEAD~1"), r"unexpected extra argument"),
        (("--project", "/no/such/folder", "status"), r"does not exist"),
    ],
)
def test_what_cannot_be_asked_is_refused_like_any_error(
    folder: Folder, arguments: tuple[str, ...], pattern: str
) -> None:
    said = folder.mlsnap(*arguments)
    assert (said.code, said.stdout) == (2, "")
    assert said.error[0].startswith("mlsnap: error[usage]: ")
    assert re.search(pattern, said.error[0])
    assert re.fullmatch(r"  next  `mlsnap[ a-z]* --help` shows what can be asked", said.error[-1])
