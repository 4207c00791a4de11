"""What the pages name exists, and what exists is in the pages."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shlex
from functools import cache
from pathlib import Path

import click
import pytest

import ci_mlsnap
from ci_mlsnap.cli.program import program
from ci_mlsnap.cli.table import COMMANDS
from ci_mlsnap.config.keys import KEYS
from ci_mlsnap.errors import ExitCode, MlsnapError
from tests.docs.pages import ROOT, anchors, code, headings, links, pages, text_of

_FLAG = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*)")
_MLSNAP = re.compile(r"\b(?:git )?mlsnap (?P<rest>[^|;&>)]*)")


def _errors() -> set[type[MlsnapError]]:
    """Every error of the package, wherever it is defined."""
    for module in pkgutil.walk_packages(ci_mlsnap.__path__, "ci_mlsnap."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[MlsnapError]] = set()
    waiting: list[type[MlsnapError]] = [MlsnapError]
    while waiting:
        kind = waiting.pop()
        if kind.__module__.startswith("ci_mlsnap."):
            found.add(kind)
        waiting.extend(kind.__subclasses__())
    return found


@cache
def _command(name: str) -> click.Command:
    command = program.get_command(click.Context(program), name)
    assert command is not None
    return command


def _flags(command: click.Command) -> set[str]:
    own = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    below = command.commands.values() if isinstance(command, click.Group) and command is not program else ()
    return own.union({"-h", "--help"}, *map(_flags, below))


def _pages() -> list[object]:
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in pages()]


# -- errors and exit codes -----------------------------------------------------------------------------


def test_every_slug_of_an_error_is_a_heading_and_every_heading_is_a_slug() -> None:
    assert sorted(headings(text_of("docs/errors.md"), 3)) == sorted({kind.slug for kind in _errors()})


def test_every_error_stands_below_its_exit_code() -> None:
    codes = {
        kind.slug: {int(other.exit_code) for other in _errors() if other.slug == kind.slug} for kind in _errors()
    }
    sections = re.split(r"^## ", text_of("docs/errors.md"), flags=re.MULTILINE)[1:]
    for section in sections:
        title, _, body = section.partition("\n")
        numbers = {int(number) for number in re.findall(r"\d+", title)}
        for slug in re.findall(r"^### (.+)$", body, re.MULTILINE):
            assert codes[slug] <= numbers, f"{slug} stands below {title!r}"


@pytest.mark.parametrize("slug", sorted({kind.slug for kind in _errors()}))
def test_every_error_says_what_happened_why_what_is_safe_and_what_to_do(slug: str) -> None:
    section = text_of("docs/errors.md").partition(f"\n### {slug}\n")[2].partition("\n#")[0]
    assert re.findall(r"^- \*\*(.+?)\.\*\*", section, re.MULTILINE) == [
        "What happened",
        "Usual reasons",
        "Safe",
        "What to do",
    ]


def test_the_table_of_exit_codes_has_each_with_its_name() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", text_of("docs/exit-codes.md"), re.MULTILINE)
    assert [(int(number), name) for number, name in rows] == [(int(code), code.name) for code in ExitCode]


# -- commands ------------------------------------------------------------------------------------------


def test_every_command_has_its_section_in_the_order_of_the_help() -> None:
    assert headings(text_of("docs/commands.md"), 3) == [f"mlsnap {name}" for name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_in_its_section(name: str) -> None:
    section = text_of("docs/commands.md").partition(f"\n### mlsnap {name}\n")[2].partition("\n#")[0]
    long = {flag for flag in _flags(_command(name)) if flag.startswith("--")} - {"--help"}
    assert long <= set(re.findall(r"`(--[a-z-]+)", section))


def _misnamed(line: str) -> list[str]:
    """The commands and flags of ours in a line of code that the command line does not have."""
    wrong = []
    for found in _MLSNAP.finditer(line):
        words = _words(found["rest"])
        own = words[: words.index("--")] if "--" in words else words
        before = [word for word in own if not word.startswith("-")]
        if not before or not re.fullmatch(r"[a-z]+", before[0]):
            known = _flags(program)
        elif before[0] not in COMMANDS:
            wrong.append(before[0])
            continue
        else:
            known = _flags(program) | _flags(_command(before[0]))
        wrong += [
            flag for word in own for flag in _FLAG.findall(word)[:1] if word.startswith("-") and flag not in known
        ]
    return wrong


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError:  # an apostrophe of prose
        return text.split()


@pytest.mark.parametrize("page", _pages())
def test_no_page_names_a_command_or_an_option_that_there_is_not(page: Path) -> None:
    named = [
        line
        for line in code(page.read_text(encoding="utf-8"))
        if re.match(r"(\$ )?(git )?mlsnap\b|.*\bmlsnap [a-z]+ .*-", line)
    ]
    assert {line: wrong for line in named if (wrong := _misnamed(line))} == {}


def test_a_wrong_command_and_a_wrong_option_would_be_found() -> None:
    assert _misnamed("mlsnap restore HEAD --force") == ["--force"]
    assert _misnamed("mlsnap upload") == ["upload"]
    assert _misnamed("mlsnap --verbose restore HEAD --to DIR") == []
    assert _misnamed("mlsnap run -- python train.py --fast") == []


# -- settings and links --------------------------------------------------------------------------------


@pytest.mark.parametrize("page", _pages())
def test_every_variable_that_a_page_sets_is_one_of_a_key(page: Path) -> None:
    known = {tuple(part.upper() for part in key.path) for key in KEYS}
    for variable in re.findall(r"\bMLSNAP__\w+\b", page.read_text(encoding="utf-8")):
        parts = tuple(variable.split("__")[1:])
        fits = any(
            len(parts) == len(key) and all(k in ("*", p.upper()) for k, p in zip(key, parts, strict=True))
            for key in known
        )
        assert fits, variable


@pytest.mark.parametrize("page", _pages())
def test_every_relative_link_leads_to_a_page_and_a_heading(page: Path) -> None:
    for link in links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{link}: no such heading"


def test_every_decision_is_in_the_list_of_decisions() -> None:
    records = sorted(path.name for path in (ROOT / "docs/adr").glob("[0-9]*.md"))
    assert links(text_of("docs/adr/README.md")) == records
