"""YAML in its plain form, line by line: mappings, lists and scalars by indentation. Every scalar stays a text."""

from __future__ import annotations

import re
from typing import Any

Node = dict[str, Any] | list[Any]

_COMMENT = re.compile(r"(?:^|\s)#.*")
_BLOCK = re.compile(r"[|>][+-]?[1-9]?[+-]?")
_ANCHOR_ALONE = re.compile(r"(&\S+|!\S*)")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^']|'')*'")
_NO_KEY = "[]{}&*!|>%@`,#"
"""What a plain text cannot begin with."""
_LONGEST = 20_000
_DEEPEST = 100
"""Bounds within which reading takes time in proportion to the text."""


class NotPlain(ValueError):
    """The text is no YAML of the plain form; the message says why."""


def read_plain(text: str) -> Node:
    """Give the mappings and lists of a text, with texts as values. Raises `NotPlain`.

    What could be made of a text (`*alias`, `!tag`, `{a: 1}`, a number) stays that text.
    """
    reader = _Reader(text.split("\n"))
    reader.read()
    return reader.top


class _Reader:
    """Goes through the lines once. `_open` has what is open at which indentation, outermost first."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines
        self._at = 0
        self.top: Node = {}
        self._open: list[tuple[int, Node]] = []
        self._last: tuple[Node, Any, int] | None = None  # where the value stands that was read last

    def read(self) -> None:
        """Read all lines."""
        while self._at < len(self._lines):
            raw = self._lines[self._at].rstrip()
            self._at += 1
            line = _without_comment(raw)
            if not line.strip() or line.startswith("%"):
                continue
            if line == "---" and not self._open:
                continue
            if line in ("---", "..."):
                raise NotPlain("it has several documents")
            indent = len(line) - len(line.lstrip(" "))
            if line[indent] == "\t":
                raise NotPlain("it is indented by tabs")
            self._take(indent, line[indent:])

    def _take(self, indent: int, rest: str) -> None:
        """Take one line: items of lists may begin on it, one in another, before its key or value."""
        while rest == "-" or rest.startswith("- "):
            items = self._node(indent, list)
            items.append("")
            inner = rest[1:].lstrip(" ")
            self._last = (items, len(items) - 1, indent)
            indent += len(rest) - len(inner)
            rest = inner
        key, rest = _key(rest)
        if key is not None:
            mapping = self._node(indent, dict)
            self._last = (mapping, key, indent)
            mapping[key] = ""
        elif rest.startswith("? "):
            raise NotPlain("it has keys that are no plain texts")
        if rest:
            self._value(rest, indent)

    def _node(self, indent: int, kind: type[Any]) -> Any:
        """Give the mapping or list that is open at an indentation, or open it as the value that was read last."""
        # A list may stand at its key's own indentation.
        while self._open and (
            self._open[-1][0] > indent
            or (self._open[-1][0] == indent and kind is dict and isinstance(self._open[-1][1], list))
        ):
            self._open.pop()
        if self._open and self._open[-1][0] == indent and isinstance(self._open[-1][1], kind):
            return self._open[-1][1]
        made = kind()
        if len(self._open) > _DEEPEST:
            raise NotPlain("it is nested too deeply")
        if not self._open:
            self.top = made
        elif self._last is None or self._last[0][self._last[1]] != "" or self._last[2] > indent:
            raise NotPlain(f"line {self._at} is not indented as those before")
        else:
            self._last[0][self._last[1]] = made
        self._open.append((indent, made))
        return made

    def _value(self, rest: str, indent: int) -> None:
        if self._last is None:
            raise NotPlain("it has no names at its top")
        place, key, opened = self._last
        if _ANCHOR_ALONE.fullmatch(rest):
            return  # what it stands for follows
        if _BLOCK.fullmatch(rest):
            place[key] = self._block(opened)
        elif place[key]:
            if indent <= opened or len(place[key]) > _LONGEST:
                raise NotPlain(f"line {self._at} has no name")
            place[key] = f"{place[key]} {rest}"
        else:
            place[key] = _unquoted(self._whole(rest))

    def _block(self, indent: int) -> str:
        """Take the lines that are indented more."""
        taken: list[str] = []
        while self._at < len(self._lines):
            line = self._lines[self._at]
            if line.strip() and len(line) - len(line.lstrip(" ")) <= indent:
                break
            taken.append(line.strip())
            self._at += 1
        return "\n".join(taken).strip("\n")

    def _whole(self, rest: str) -> str:
        """Take the further lines of a list or mapping in brackets."""
        parts, depth = [rest], _depth(rest)
        while rest[0] in "[{" and depth > 0:
            if self._at == len(self._lines):
                raise NotPlain("a bracket is not closed")
            line = _without_comment(self._lines[self._at]).strip()
            self._at += 1
            parts.append(line)
            depth += _depth(line)
        return " ".join(parts)


def _key(text: str) -> tuple[str | None, str]:
    """Take a key off the begin of a line; None when it has none."""
    quoted = _QUOTED.match(text)
    if quoted is None and text[:1] in _NO_KEY:
        return None, text
    start = quoted.end() if quoted else 0
    end = text.find(": ", start)
    end = end if end >= 0 else len(text) - 1 if text.endswith(":") else -1
    if end < 0 or (quoted and text[start:end].strip()):
        return None, text
    return _unquoted(text[:end].rstrip()), text[end + 1 :].lstrip()


def _depth(text: str) -> int:
    bare = _QUOTED.sub("", text)
    return sum((char in "[{") - (char in "]}") for char in bare)


def _without_comment(line: str) -> str:
    """Cut a comment off; one sign in quotes begins none."""
    if "#" not in line:
        return line
    start = 0
    for quoted in _QUOTED.finditer(line):
        found = _COMMENT.search(line, start, quoted.start())
        if found:
            return line[: found.start()].rstrip()
        start = quoted.end()
    found = _COMMENT.search(line, start)
    return line[: found.start()].rstrip() if found else line


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text
