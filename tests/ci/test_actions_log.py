"""What GitHub Actions reads: commands in the log, outputs, the summary. A small runner reads them back."""

from __future__ import annotations

import os
import re
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.errors import UsageError
from ci_mlsnap.ports import Build

EVIL_TEXTS = [
    "first\n::set-output name=a::b",
    "first\r::error::forged",
    "first\r\n##[error]forged",
    "%0A::error::forged%0D",
    "\x1b[31mred\x1b[0m \N{RIGHT-TO-LEFT OVERRIDE} \u2028 \x85 \x00",
    "::stop-commands::x",
    "::endgroup::",
    "half a pair \udc80",
]


def commands(log: str) -> list[tuple[str, str, str]]:
    """Read a log as the runner does: command, properties and unescaped text of each line that it would obey."""
    found, stopped = [], ""
    for line in log.split("\n"):
        command = re.fullmatch(r"\s*::([a-zA-Z0-9-]+)(?: ([^\n]*?))?::(.*)", line, re.DOTALL)
        if stopped:
            stopped = "" if line.strip() == f"::{stopped}::" else stopped
        elif command and command[1] == "stop-commands":
            stopped = command[3]
        elif command:
            text = command[3].replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
            found.append((command[1], command[2] or "", text))
    return found


class Runner:
    """One step: its log, and its files for outputs and the summary."""

    def __init__(self, folder: Path) -> None:
        self.log = StringIO()
        self.output, self.summary = folder / "output", folder / "summary"
        self.output.touch()
        self.summary.touch()
        self.environ = {
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": "push",
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
        }
        self.build: Build = detect(self.environ, stdout=self.log)

    def outputs(self) -> dict[str, str]:
        """Read the outputs as the runner does."""
        lines, found = iter(self.output.read_bytes().decode().split("\n")), dict[str, str]()
        for line in lines:
            if "<<" in line:
                name, _, delimiter = line.partition("<<")
                value = []
                while (inner := next(lines)) != delimiter:
                    value.append(inner)
                found[name] = "\n".join(value)
            elif line:
                name, _, found[name] = line.partition("=")
        return found


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


# -- the log -------------------------------------------------------------------------------------------


def test_a_group_closes_the_one_before_and_an_empty_title_only_closes(runner: Runner) -> None:
    for title in ("plan", "train", "", ""):
        runner.build.group(title)
    assert [(name, text) for name, _, text in commands(runner.log.getvalue())] == [
        ("group", "plan"),
        ("endgroup", ""),
        ("group", "train"),
        ("endgroup", ""),
    ]


def test_an_error_stands_at_its_line(runner: Runner) -> None:
    runner.build.error("a gate was missed", file="mlsnap.toml", line=7)
    runner.build.error("no place")
    assert commands(runner.log.getvalue()) == [
        ("error", "file=mlsnap.toml,line=7", "a gate was missed"),
        ("error", "", "no place"),
    ]


def test_an_error_of_several_lines_is_one_command_and_keeps_its_percent_signs(runner: Runner) -> None:
    runner.build.error("50% done\nthen: it, failed %0A")
    assert commands(runner.log.getvalue()) == [("error", "", "50% done\nthen: it, failed %0A")]


@pytest.mark.parametrize("text", EVIL_TEXTS)
def test_no_text_forges_a_command(runner: Runner, text: str) -> None:
    runner.build.error(text, file=text, line=1)
    runner.build.group(text)
    assert [name for name, _, _ in commands(runner.log.getvalue())] == ["error", "group"]
    assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e]", runner.log.getvalue()) is None


@pytest.mark.parametrize("name", ["a,line=9", "a::b", "a%2Cb", "a:b,c\nd"])
def test_a_files_name_sets_no_other_property(runner: Runner, name: str) -> None:
    runner.build.error("text", file=name, line=1)
    ((_, properties, _),) = commands(runner.log.getvalue())
    assert re.fullmatch(r"file=[^,:\n]*,line=1", properties)


def test_a_very_long_error_is_cut(runner: Runner) -> None:
    runner.build.error("x" * 1_000_000)
    assert len(runner.log.getvalue()) < 5000


def test_behind_a_fence_nothing_is_obeyed_and_after_it_all_is_again(runner: Runner) -> None:
    runner.build.fence()
    runner.log.write("::error::from training\n::stop-commands::guess\n::guess::\n::error::again\n")
    runner.build.unfence()
    runner.build.error("ours")
    assert commands(runner.log.getvalue()) == [("error", "", "ours")]


def test_a_fence_ends_also_after_output_without_a_line_end(runner: Runner) -> None:
    runner.build.fence()
    runner.log.write("epoch 3 ... ")
    runner.build.unfence()
    runner.build.error("ours")
    assert commands(runner.log.getvalue()) == [("error", "", "ours")]


def test_what_we_say_behind_a_fence_is_obeyed_and_the_fence_stands_again(runner: Runner) -> None:
    runner.build.fence()
    runner.log.write("half a line")
    runner.build.error("ours")
    runner.log.write("::error::from training\n")
    runner.build.unfence()
    assert commands(runner.log.getvalue()) == [("error", "", "ours")]


def test_fencing_twice_is_fencing_once_and_each_fence_has_another_word(runner: Runner) -> None:
    runner.build.unfence()
    assert runner.log.getvalue() == ""
    for _ in range(2):
        runner.build.fence()
        runner.build.fence()
        runner.build.unfence()
        runner.build.unfence()
    words = re.findall("::stop-commands::(.+)", runner.log.getvalue())
    assert len(words) == len(set(words)) == 2
    assert min(len(word) for word in words) >= 32


def test_a_log_that_is_not_utf_8_gets_escapes() -> None:
    raw = BytesIO()
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"}
    log = TextIOWrapper(raw, encoding="ascii")
    detect(environ, stdout=log).error("façade")
    assert raw.getvalue() == b"::error ::fa\\xe7ade\n"


# -- outputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "plain", "a=b<<c", "two\nlines", "\n", "ends\n", "EOF", *EVIL_TEXTS[:-1]])
def test_an_output_has_exactly_its_value(runner: Runner, value: str) -> None:
    runner.build.output({"plan": value, "next": "fine"})
    assert runner.outputs() == {"plan": value, "next": "fine"}


def test_no_value_can_end_itself(runner: Runner) -> None:
    """A value made of what was written before does not know the next delimiter."""
    runner.build.output({"first": "x"})
    runner.build.output({"second": runner.output.read_text() + "\nforged=1\n"})
    assert set(runner.outputs()) == {"first", "second"}


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a\nb", "a<<b", "1a", "é"])
def test_an_output_of_a_bad_name_is_refused(runner: Runner, name: str) -> None:
    with pytest.raises(UsageError, match="name of an output"):
        runner.build.output({name: "x"})
    assert runner.output.read_bytes() == b""


def test_half_a_surrogate_pair_is_written_as_a_question_mark(runner: Runner) -> None:
    runner.build.output({"plan": "\udc80"})
    runner.build.summary("\udc80")
    assert runner.outputs() == {"plan": "?"}
    assert runner.summary.read_text() == "?\n"


@pytest.mark.parametrize("kind", ["missing folder", "folder", "fifo", "link"])
def test_an_output_that_cannot_be_written_is_said_and_is_no_error(
    runner: Runner, tmp_path: Path, kind: str
) -> None:
    """By then the version may exist; it must not look failed. A link or a FIFO is of training's making."""
    target = tmp_path / "target"
    target.write_text("untouched")
    runner.output.unlink()
    if kind == "missing folder":
        runner.environ["GITHUB_OUTPUT"] = str(tmp_path / "gone" / "output")
    elif kind == "folder":
        runner.output.mkdir()
    elif kind == "fifo":
        os.mkfifo(runner.output)
    else:
        runner.output.symlink_to(target)
    runner.build.output({"plan": "x"})
    ((name, _, text),) = commands(runner.log.getvalue())
    assert name == "warning"
    assert "GITHUB_OUTPUT cannot be written" in text
    assert target.read_text() == "untouched"


def test_a_fifo_that_somebody_reads_gets_nothing(runner: Runner) -> None:
    runner.summary.unlink()
    os.mkfifo(runner.summary)
    reader = os.open(runner.summary, os.O_RDONLY | os.O_NONBLOCK)
    try:
        runner.build.summary("text")
        assert os.read(reader, 10) == b""
    finally:
        os.close(reader)
    assert "no regular file" in runner.log.getvalue()


def test_a_runner_without_these_files_is_fine() -> None:
    log = StringIO()
    build = detect({"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push"}, stdout=log)
    build.output({"plan": "x"})
    build.summary("text")
    assert log.getvalue() == ""


# -- the summary ---------------------------------------------------------------------------------------


def test_summaries_add_up_each_from_a_new_line(runner: Runner) -> None:
    runner.build.summary("# one")
    runner.build.summary("# two\n\n")
    assert runner.summary.read_text() == "# one\n# two\n"


@pytest.mark.parametrize("line", ["a line\n", "é" * 500 + "\n", "é"])
def test_a_summary_of_more_than_1_mib_is_cut_with_a_notice(runner: Runner, line: str) -> None:
    runner.build.summary("# before\n")
    runner.build.summary(line * ((2 << 20) // len(line)))
    content = runner.summary.read_bytes()
    assert (1 << 20) - 2000 < len(content) <= 1 << 20
    text = content.decode()
    assert text.startswith("# before\n" + line[:1])
    assert "cut here" in text[-100:]
    if line.endswith("\n"):
        assert set(text.removeprefix("# before\n").partition("\n\n*")[0].splitlines()) == {line[:-1]}


def test_a_full_summary_takes_no_more(runner: Runner) -> None:
    runner.build.summary("x\n" * (1 << 19))
    assert runner.summary.stat().st_size == 1 << 20
    runner.build.summary("more")
    assert runner.summary.stat().st_size == 1 << 20


def test_writing_goes_on_when_a_reader_sees_each_line_at_once(runner: Runner, monkeypatch: Any) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(runner.log, "flush", lambda: flushed.append(runner.log.getvalue()))
    runner.build.fence()
    assert flushed
    assert flushed[-1].endswith("\n")
