"""Every place that strangers' text goes to beside the summary: terminals, logs, statuses, outputs."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.cli.printing import columns, printable
from ci_mlsnap.domain.announcing import live_text, rolled_up
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.gates import Gate, Verdict
from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.status import (
    CONTEXT_LIMIT,
    DESCRIPTION_LIMIT,
    context_for,
    gate_contexts,
    one_line,
    status,
)
from ci_mlsnap.report.comment import waiting_body
from tests.ci.test_actions_log import Runner, commands
from tests.report.corpus import HOSTILE
from tests.report.page import read_page


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


def test_what_is_told_besides_statuses_is_within_what_github_takes() -> None:
    """A gate's context, a deployment's line, a roll-up's, and what the command line says of them."""
    for text in HOSTILE:
        contexts = gate_contexts("digits", [Gate(metric=text, min=1.0)])
        assert all(len(it) <= CONTEXT_LIMIT and it == one_line(it) for it in contexts.values())
        line = live_text(header(text), text)
        assert (len(line) <= DESCRIPTION_LIMIT, line == one_line(line)) == (True, True)
        there = [status("a" * 40, f"mlsnap/{text}", "failure", text), status("a" * 40, text, "error", text)]
        rolled = rolled_up("a" * 40, there, text)
        assert (rolled.context, rolled.description == one_line(rolled.description)) == ("mlsnap", True)
        assert len(rolled.description) <= DESCRIPTION_LIMIT


def test_a_change_from_outside_is_told_in_words_of_ours() -> None:
    """The workflow's path and the reason come from an event; nothing of it is markup, and nobody is mentioned."""
    plain = read_page(waiting_body("digits", Event(kind="workflow_run", sha="a" * 40)).partition("\n")[2])
    for text in HOSTILE:
        event = Event(kind="workflow_run", sha="a" * 40, workflow=text, untrusted=text, branch=text, actor=text)
        page = read_page(waiting_body("digits", event).partition("\n")[2])
        assert page.shape == plain.shape, ascii(text)


def header(text: str) -> ManifestHeader:
    """Give the header of a version in which this text stands wherever a stranger's may."""
    return ManifestHeader(
        format="mlsnap/manifest/1",
        name="a" * 40,
        volume="models",
        volume_id="1" * 32,
        members=("models",),
        project="org/digits",
        model="digits",
        commit="a" * 40,
        tree="",
        sequence=1,
        created="2026-01-01T00:00:00+00:00",
        metrics={text: 1.0},
        verdict=Verdict(good=True),
        files_mode="changed",
        tool="t",
    )


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
        runner.build.error(text, title=text, file=text, line=3)
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
        build.error(text, title=text, file=text, line=1)
    assert all(line.isprintable() for line in log.getvalue().split("\n"))


def test_columns_stay_columns(capsys: pytest.CaptureFixture[str]) -> None:
    columns([(text, "|") for text in HOSTILE])
    lines = capsys.readouterr().out.removesuffix("\n").split("\n")
    assert len(lines) == len(HOSTILE)
    assert {line.rindex("|") for line in lines} == {len(lines[0]) - 1}
