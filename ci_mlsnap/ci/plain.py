"""Text for logs: one line is one line, whatever a stranger wrote into it."""

from __future__ import annotations

from typing import TextIO

_ERROR_LIMIT = 4000


def printable(text: str) -> str:
    """Show what a terminal would obey, or nobody would see, as an escape; line ends included."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_lines(text: str) -> list[str]:
    """Cut a text at its line feeds and make each line printable; what is very long ends in dots."""
    cut = text if len(text) <= _ERROR_LIMIT else text[:_ERROR_LIMIT] + "..."
    return [printable(line) for line in cut.split("\n")]


def write_line(log: TextIO, line: str) -> None:
    """Write a line at once, also to a log whose encoding lacks some of its characters."""
    encoding = log.encoding or "utf-8"
    log.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    log.flush()
