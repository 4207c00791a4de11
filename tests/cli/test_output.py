"""Output for two readers: facts alone on stdout for scripts; lines for people, on a terminal or in a CI's log."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci_mlsnap.cli.printing import emit_json
from ci_mlsnap.errors import ExitCode
from tests.cli.conftest import PATIENCE, Folder

HOSTILE = "\x1b[31m \x9b2J \u202e ##[error]no"


def on_a_terminal(folder: Folder, *arguments: str, env: Mapping[str, str] | None = None) -> tuple[int, str]:
    """Run a command on a pseudo-terminal; give its exit code and all that was shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        folder.command(*arguments),
        cwd=folder.path,
        env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while part := _read(ours):
            shown += part
        return process.wait(PATIENCE), shown.decode()
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how a terminal says that nobody has its other end any more
        return b""


# -- scripts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (("status", "--json"), {"commit", "version", "live", "waiting"}),
        (("show", "--json"), {"header", "links", "record", "channels"}),
        (("diff", "HEAD", "HEAD", "--json"), {"from", "to", "same_model", "metrics", "files"}),
        (("path", "--json"), {"path"}),
        (("recover", "--json"), {"changed"}),
        (("publish", "--json"), {"sent", "queued", "why"}),
        (("run", "--dry-run", "--json"), {"action", "commit"}),
    ],
)
def test_json_is_one_object_alone_on_stdout(trained: Folder, arguments: tuple[str, ...], keys: set[str]) -> None:
    said = trained.mlsnap(*arguments)
    assert said.code == 0, said.stderr
    assert keys <= said.facts.keys()


@pytest.mark.parametrize("command", ["log", "doctor"])
def test_json_of_lists_is_a_list(trained: Folder, command: str) -> None:
    said = trained.mlsnap(command, "--json")
    assert isinstance(said.facts, list)
    assert said.facts


def test_json_of_a_run_is_its_record_and_training_speaks_beside_it(folder: Folder) -> None:
    said = folder.mlsnap("run", "--json")
    assert said.code == 0, said.stderr
    assert said.facts["outcome"] == "good"
    assert said.facts["volume"]["snapshot"] == folder.repository.head()
    assert "epoch 1" in said.stderr


def test_json_of_each_phase_is_alone_on_stdout(folder: Folder) -> None:
    begun = folder.mlsnap("begin", "--json").facts
    assert begun["action"] == "train"
    assert folder.mlsnap("train", "--plan", begun["plan"]).code == 0
    assert folder.mlsnap("conclude", "--json", "--plan", begun["plan"]).facts["outcome"] == "good"


def test_json_of_restores_names_the_place(folder: Folder, tmp_path: Path) -> None:
    assert folder.mlsnap("run").code == 0
    place = tmp_path / "a copy"
    assert folder.mlsnap("restore", "HEAD", "--to", str(place), "--json").facts["place"] == str(place)
    assert (place / "weights.txt").read_text() == "first\n"
    assert folder.mlsnap("checkout", "main", "--json").facts["changed"] is False


def test_a_refusal_leaves_stdout_empty_also_with_json(folder: Folder) -> None:
    said = folder.mlsnap("path", "--json")
    assert (said.code, said.stdout) == (ExitCode.NO_SUCH_VERSION, "")


def test_json_of_strangers_text_parses_to_the_same_and_shows_nothing_to_obey(
    capsys: pytest.CaptureFixture[str],
) -> None:
    value = {"subject": HOSTILE, "face": "\N{GRINNING FACE}\U000e0001", "text": 'a "b" \\ é\n'}
    emit_json(value)
    shown = capsys.readouterr().out
    assert json.loads(shown) == value
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "##[" not in shown


def test_a_hostile_subject_is_shown_escaped(folder: Folder) -> None:
    folder.repository.commit(HOSTILE)
    for arguments in (("log",), ("log", "--json"), ("run", "--dry-run")):
        said = folder.mlsnap(*arguments)
        assert said.code == 0, said.stderr
        assert all(char.isprintable() or char == "\n" for char in said.stdout + said.stderr)
        assert "##[" not in said.stdout + said.stderr


# -- readers that leave ----------------------------------------------------------------------------------------


def nobody() -> int:
    """Give the writable end of a pipe whose reader is gone."""
    readable, writable = os.pipe()
    os.close(readable)
    return writable


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("log",), ("status", "--json")])
def test_a_reader_that_leaves_is_no_error(trained: Folder, arguments: tuple[str, ...], tmp_path: Path) -> None:
    gone = nobody()
    with (tmp_path / "stderr").open("wb") as stderr:
        assert trained.mlsnap_into(gone, stderr, *arguments) == 0
    os.close(gone)
    assert (tmp_path / "stderr").read_bytes() == b""


def test_a_refusal_keeps_its_code_when_nobody_reads_it(trained: Folder) -> None:
    gone = nobody()
    assert trained.mlsnap_into(gone, gone, "show", "no-such-revision") == ExitCode.USAGE
    os.close(gone)


def test_a_run_goes_on_to_its_end_when_nobody_reads_it(folder: Folder) -> None:
    gone = nobody()
    assert folder.mlsnap_into(gone, gone, "run") == 0
    os.close(gone)
    assert folder.snapshots == [folder.repository.head()]


def test_a_run_with_closed_streams_writes_into_no_file_of_its_own(folder: Folder) -> None:
    line = " ".join(folder.command("run", "<&-", ">&-", "2>&-"))
    assert subprocess.run(("sh", "-c", line), cwd=folder.path, check=False, timeout=PATIENCE).returncode == 0
    assert folder.snapshots == [folder.repository.head()]
    assert folder.mlsnap("status", "--json").facts["live"]["equal"] is True


def test_facts_that_cannot_be_written_are_an_error(trained: Folder) -> None:
    for command in (("status", "--json"), ("--version",), ("log",)):
        with Path("/dev/full").open("wb") as full, Path(trained.path, "said").open("w+b") as said:
            assert trained.mlsnap_into(full, said, *command) == 1
            said.seek(0)
            first, *rest = said.read().decode().splitlines()
        assert first == "mlsnap: error[output-lost]: not all output could be written"
        assert not any("Traceback" in line or "Exception ignored" in line for line in rest)


def test_a_run_whose_output_is_lost_is_made_all_the_same(folder: Folder) -> None:
    with Path("/dev/full").open("wb") as full:
        assert folder.mlsnap_into(full, full, "run", "--json") == 1
        assert folder.mlsnap_into(full, full, "show", "nothing") == ExitCode.USAGE
    assert folder.snapshots == [folder.repository.head()]


# -- people --------------------------------------------------------------------------------------------------


def test_a_terminal_shows_colours(folder: Folder) -> None:
    code, shown = on_a_terminal(folder, "path")
    assert code == ExitCode.NO_SUCH_VERSION
    assert "\x1b[31mmlsnap: error[no-version]" in shown
    code, shown = on_a_terminal(folder, "run")
    assert code == 0
    assert "\x1b[32mok\x1b[0m" in shown


def test_a_terminal_shows_none_where_they_are_not_wanted(folder: Folder) -> None:
    for arguments, expected in ((("path",), ExitCode.NO_SUCH_VERSION), (("doctor",), None), (("run",), 0)):
        code, shown = on_a_terminal(folder, *arguments, env={"NO_COLOR": "1"})
        assert expected is None or code == expected
        assert "mlsnap" in shown or "snapshot" in shown
        assert "\x1b" not in shown


def test_a_pipe_gets_no_colours(trained: Folder) -> None:
    for arguments in (("status",), ("log",), ("doctor",), ("path", "--bogus")):
        said = trained.mlsnap(*arguments)
        assert "\x1b" not in said.stdout + said.stderr


# -- a CI's log ------------------------------------------------------------------------------------------------


@pytest.fixture
def in_actions(folder: Folder, tmp_path: Path) -> dict[str, str]:
    """Give the environment of a push in GitHub Actions."""
    head = folder.repository.head()
    event = tmp_path / "event.json"
    repository = {"full_name": "octo/digits", "default_branch": "main"}
    event.write_text(
        json.dumps(
            {
                "ref": "refs/heads/main",
                "before": "0" * 40,
                "after": head,
                "deleted": False,
                "repository": repository,
                "head_commit": {"id": head},
            }
        )
    )
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": "octo/digits",
        "GITHUB_SHA": head,
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }


def test_in_actions_training_speaks_behind_a_fence_on_the_same_stream(
    folder: Folder, in_actions: dict[str, str]
) -> None:
    said = folder.mlsnap("run", "--ephemeral", env=in_actions)
    assert said.code == 0, said.stderr
    opened, _, rest = said.stdout.partition("::stop-commands::")[2].partition("\n")
    inside, closed, _ = rest.partition(f"::{opened}::")
    assert "epoch 1" in inside
    assert closed


def test_in_actions_json_is_alone_on_stdout_and_the_fence_beside_training(
    folder: Folder, in_actions: dict[str, str], tmp_path: Path
) -> None:
    said = folder.mlsnap("run", "--ephemeral", "--json", env=in_actions)
    assert said.facts["outcome"] == "good"
    opened, _, rest = said.stderr.partition("::stop-commands::")[2].partition("\n")
    inside, closed, _ = rest.partition(f"::{opened}::")
    assert "epoch 1" in inside
    assert closed
    assert "snapshot-name" in (tmp_path / "output").read_text()
    assert (tmp_path / "summary").read_text()


def test_in_actions_an_error_is_annotated_beside_stdout(folder: Folder, in_actions: dict[str, str]) -> None:
    said = folder.mlsnap("path", "--json", env=in_actions)
    assert (said.code, said.stdout) == (ExitCode.NO_SUCH_VERSION, "")
    assert any(line.startswith("::error ::no-version: ") for line in said.stderr.splitlines())
    assert "\x1b" not in said.stderr
