"""Output for two readers: lines for people, JSON for scripts. Strangers' control characters show escaped."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from ci_mlsnap.ports import Build, Step

_MARKS = {"ok": ("ok", "green"), "note": ("--", "yellow"), "missed": ("no", "red"), "failed": ("no", "red")}


def printable(text: str) -> str:
    """Show what a terminal or a CI's log would act on, or nobody would see, as an escape."""
    if text.isprintable() and "##[" not in text:
        return text  # nearly all is, and lists are long
    # GitHub's runner obeys `##[command]` anywhere in a line of the log.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text).replace("##[", "#\\#[")


def colour() -> bool | None:
    """Say whether to colour: never when `NO_COLOR` is set; else a terminal is coloured (None)."""
    return False if os.environ.get("NO_COLOR") else None


def terminal_width() -> int | None:
    """Give how many characters a line may have; None where no terminal shows it."""
    if not sys.stdout.isatty():
        return None
    import shutil  # it loads what unpacks archives, for nobody but a person at a terminal

    return shutil.get_terminal_size().columns


class Lines:
    """Progress as one line a step, on stderr; in a CI with sections, one section a step's group."""

    def __init__(self, build: Build, *, quiet: bool = False) -> None:
        self._build = build
        self._quiet = quiet

    def step(self, step: Step) -> None:
        """Print one step."""
        if self._quiet:
            return
        mark, colour = _MARKS.get(step.state, ("..", "cyan"))
        took = f"   {step.seconds:.2f} s" if step.seconds is not None else ""
        stamp = "" if step.state != "waiting" else time.strftime("%H:%M:%S ", time.gmtime())
        click.echo(
            f"  {step.name:<11} {click.style(mark, fg=colour)}  {stamp}{printable(step.text)}{took}", err=True
        )
        for detail in step.details:
            click.echo(f"  {'':<15} {printable(detail)}", err=True)

    def group(self, title: str) -> None:
        """Open a section of the build's log."""
        sys.stdout.flush()
        self._build.group(title)


def emit_json(value: Any) -> None:
    """Print one JSON document on stdout; structs as objects, bytes as base64.

    What a terminal or GitHub's runner would act on stands escaped, which means the same to whoever parses it.
    """
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode()
    shown = "".join(char if char.isprintable() or char == "\n" else json.dumps(char)[1:-1] for char in text)
    click.echo(shown.replace("##[", "#\\u0023["))


def columns(rows: Iterable[Sequence[str]], *, right: frozenset[int] = frozenset()) -> None:
    """Print rows in aligned columns; widths are those of the plain text."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if not cells:
        return
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    lines = []
    for row in cells:
        parts = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(parts).rstrip())
    click.echo("\n".join(lines))
