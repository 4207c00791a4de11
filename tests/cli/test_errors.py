"""How an error reads: at most six lines, a slug, a way out, and nothing that a terminal obeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.cli.program import run_program, show_error
from ci_mlsnap.errors import Busy, ExitCode, MlsnapError
from tests.cli.conftest import Folder


def test_an_error_says_what_why_what_is_safe_and_what_next(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(Busy("a run is under way", why="its lease is renewed", safe="nothing was done", hint="wait\nor go"))
    assert capsys.readouterr().err.splitlines() == [
        "mlsnap: error[busy]: a run is under way",
        "  why   its lease is renewed",
        "  safe  nothing was done",
        "  next  wait",
        "        or go",
    ]


def test_what_a_terminal_would_obey_is_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b[31m\x07\x9b2J\u202e\r\n\udcff##[error]::error::x"
    show_error(MlsnapError(hostile, why=hostile.replace("\n", ""), hint="fine"))
    shown = capsys.readouterr().err
    assert shown.splitlines() == [
        r"mlsnap: error[internal]: \x1b[31m\x07\x9b2J\u202e\r\n\udcff#\#[error]::error::x",
        r"  why   \x1b[31m\x07\x9b2J\u202e\r\udcff#\#[error]::error::x",
        "  next  fine",
    ]


@pytest.mark.parametrize(
    ("arguments", "slug", "code"),
    [
        (("show", "no-such-revision"), "no-commit", ExitCode.USAGE),
        (("show", "a\x1b[31mb"), "no-commit", ExitCode.USAGE),
        (("show", "--a\x1b[31mb"), "usage", ExitCode.USAGE),
        (("\x1b[31mlist",), "usage", ExitCode.USAGE),
        (("path",), "no-version", ExitCode.NO_SUCH_VERSION),
        (("conclude",), "no-version", ExitCode.NO_SUCH_VERSION),
        (("run", "--", "no-such-program-anywhere"), "command-missing", ExitCode.TRAINING_FAILED),
    ],
)
def test_every_refusal_has_its_slug_its_code_and_a_way_out(
    folder: Folder, arguments: tuple[str, ...], slug: str, code: ExitCode
) -> None:
    said = folder.mlsnap(*arguments)
    assert said.code == code, said.stderr
    assert said.stdout == ""
    assert said.error[0].startswith(f"mlsnap: error[{slug}]: ")
    assert said.error[-1].startswith(("  next  ", "        "))
    assert len(said.error) <= 6
    assert "\x1b" not in said.stderr
    assert "Traceback" not in said.stderr


def test_outside_of_a_repository_the_way_in_is_shown(tmp_path: Path) -> None:
    said = Folder(path=tmp_path).mlsnap("status")
    assert said.code == ExitCode.USAGE
    assert said.error[0].startswith("mlsnap: error[not-a-repository]: ")
    assert any(line.startswith("  next  ") for line in said.error)


@pytest.mark.parametrize("option", ["--verbose", "-v"])
def test_a_trace_is_shown_only_when_asked_for(folder: Folder, option: str) -> None:
    said = folder.mlsnap(option, "show", "no-such-revision")
    assert said.code == ExitCode.USAGE
    assert "Traceback" in said.stderr


def test_what_nobody_expected_still_ends_in_a_message(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("half\x1b[31m way")

    monkeypatch.setattr("ci_mlsnap.services.open_project", broken)
    assert run_program(["status"]) == ExitCode.INTERNAL
    shown = capsys.readouterr().err
    assert shown.startswith("mlsnap: error[internal]: unexpected RuntimeError: half\\x1b[31m way\n")
    assert "mlsnap finish" in shown


def test_an_interrupted_command_ends_as_the_signal_would(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ci_mlsnap.services.open_project", interrupted)
    assert run_program(["status"]) == ExitCode.INTERRUPTED
    assert capsys.readouterr().err.strip() == "mlsnap: interrupted"
