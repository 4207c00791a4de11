"""The pages for people, taken apart: headings, links, code, and transcripts that can be run again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^(`{3,})(\w*)[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"<!-- (run|file: [\w.-]+) -->\n\n?```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def pages() -> list[Path]:
    """Every page of the repository's own documentation."""
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(text: str) -> str:
    """A page without its code blocks."""
    return _FENCE.sub("", text)


def headings(text: str, level: int) -> list[str]:
    return re.findall(rf"^#{{{level}}} (.+?) *$", prose(text), re.MULTILINE)


def anchors(text: str) -> set[str]:
    """The names by which a heading can be reached, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+?) *$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(text: str) -> list[str]:
    return _LINK.findall(prose(text))


def code(text: str) -> Iterator[str]:
    """Each line of each code block, and each code span."""
    for found in _FENCE.finditer(text):
        yield from found[3].splitlines()
    yield from re.findall(r"`([^`\n]+)`", prose(text))


# -- transcripts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Part:
    """A command with the output that the page shows for it, or a file that the reader is asked to write."""

    kind: Literal["command", "file"]
    name: str
    shown: str


def transcript(text: str) -> list[Part]:
    """The blocks that a page marks with `<!-- run -->` or `<!-- file: NAME -->`, in order."""
    parts: list[Part] = []
    for mark, block in _MARKED.findall(text):
        if mark != "run":
            parts.append(Part(kind="file", name=mark.removeprefix("file: "), shown=block))
            continue
        for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = command.partition("\n")
            parts.append(Part(kind="command", name=line, shown=shown))
    return parts


_CHANGING = (
    # What training does not get depends on whoever runs it; the pages leave this line out.
    (r"^ *environment  *--.*\n", ""),
    (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d(\+00:00)?)?", "TIME"),
    (r"\b\d+\.\d\d s\b", "SECONDS"),
    (r"\b[0-9a-f]{7,64}\b", "SHA"),
    (r"\b[\d.]+ ([KMGT]?B)\b", "SIZE"),
    (r"\bcopy on \w+", "copy on FILE-SYSTEM"),
    (r"[ \t]+", " "),
    (r" $", ""),
)


def normal(output: str) -> list[str]:
    """The lines of an output without what differs each time: SHAs, times, sizes, alignment."""
    for pattern, instead in _CHANGING:
        output = re.sub(pattern, instead, output, flags=re.MULTILINE)
    return [line for line in output.splitlines() if line]
