"""Every place that strangers' text goes to beside the summary: terminals, logs, statuses, outputs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.cli.printing import columns, printable
from ci_mlsnap.domain.status import CONTEXT_LIMIT, DESCRIPTION_LIMIT, context_for, one_line, status
from tests.ci.test_actions_log import Runner, commands
from tests.report.corpus import HOSTILE


def test_a_terminal_and_a_log_get_one_line_that_nothing_obeys() -> None:
    for text in HOSTILE:
        shown = printable(text)
        assert shown.isprintable()
        assert "##[" not in shown


def test_a_status_is_within_what_github_takes() -> None:
    for text in HOSTILE:
        made = status("a" * 40, context_for("digits", text), "success", text, target_url=text)
        assert len(made.description) <= DESCRIPTION_LIMIT
        assert len(made.context) <= CONTEXT_LIMIT
        assert made.target_url in ("", "https://evil.example/x?y=1", "http://evil.example")
        for shown in (made.description, made.context):
            assert shown == one_line(shown)
            shown.encode()


def test_outputs_come_back_as_they_were_and_nothing_else_is_set(tmp_path: Path) -> None:
    """What no file can hold, half a pair of surrogates, is a question mark."""
    runner = Runner(tmp_path)
    sent = {f"name-{number}": text for number, text in enumerate(HOSTILE)}
    runner.build.output(sent)
    assert runner.outputs() == {name: text.encode(errors="replace").decode() for name, text in sent.items()}


def test_the_runner_obeys_only_what_we_say(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    for text in HOSTILE:
        runner.build.group(text)
        runner.build.error(text, file=text, line=3)
    runner.build.group("")
    obeyed = [name for name, _, _ in commands(runner.log.getvalue())]
    assert obeyed == ["group", "error", *["endgroup", "group", "error"] * (len(HOSTILE) - 1), "endgroup"]
    for line in runner.log.getvalue().split("\n"):
        assert line.startswith("::") or not line
        assert line.isprintable()


def test_the_log_of_jenkins_gets_lines_without_control_characters() -> None:
    log = io.StringIO()
    build = detect({"JENKINS_URL": "http://127.0.0.1/", "GIT_COMMIT": "a" * 40}, stdout=log)
    for text in HOSTILE:
        build.group(text)
        build.error(text, file=text, line=1)
    assert all(line.isprintable() for line in log.getvalue().split("\n"))


def test_columns_stay_columns(capsys: pytest.CaptureFixture[str]) -> None:
    columns([(text, "|") for text in HOSTILE])
    lines = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert len(lines) == len(HOSTILE)
    assert {line.rindex("|") for line in lines} == {len(lines[0]) - 1}
