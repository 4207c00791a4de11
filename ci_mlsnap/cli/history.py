"""log: commits with their versions beside git's history, or versions alone. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import columns, emit_json, printable, terminal_width
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.flows.log import Listing, Wanted

Table = Sequence[tuple[str, ...]]

_MESSAGE_ELSEWHERE = 40
"""The width of a message where nobody's terminal says how wide a line may be."""
_MESSAGE_AT_LEAST = 12
_DAY = len("2026-11-25")
_GAP = 2


@click.command()
@click.option(
    "-n", "limit", default=20, show_default=True, type=click.IntRange(1, 100_000), help="How many to list."
)
@click.option("--graph", is_flag=True, help="Draw git's graph beside the commits.")
@click.option("--metric", "metrics", multiple=True, metavar="NAME", help="A column for this metric; repeatable.")
@click.option("--since", default="", metavar="DATE", help="Only from then on, as git reads dates.")
@click.option("--best", default="", metavar="METRIC", help="The best versions by a metric, best first.")
@click.option("--branch", default="", metavar="NAME", help="The versions that were trained on this branch.")
@click.option("--data", default="", metavar="SNAPSHOT", help="The versions trained on this snapshot of data.")
@click.option("--live-at", default="", metavar="DATE", help="The versions that channels led to at that time.")
@click.option("--all", "everything", is_flag=True, help="Also versions outside this history, and what was kept.")
@json_option
@click.argument("revision", default="")
@click.pass_context
def log(ctx: click.Context, /, *, as_json: bool, **asked: object) -> int:
    """List commits, newest first, with their versions and metrics.

    --best, --branch, --data and --live-at list versions alone, of any history unless REVISION is given.
    """
    from ci_mlsnap.flows.log import history

    wanted = _wanted(asked)
    if as_json and wanted.graph:
        raise UsageError(
            "--graph draws for people, and --json prints facts",
            safe="nothing was done",
            hint="`parents` in the JSON have the graph",
        )
    project = open_here(ctx)
    found = history(project, wanted)
    if as_json:
        from ci_mlsnap.report.logged import log_facts

        emit_json([log_facts(line) for line in found.lines])
        return ExitCode.DONE
    _print(found, wanted)
    if not wanted.of_versions and project.repository.is_shallow():
        click.echo("history is cut here: this is a shallow clone (git fetch --unshallow)", err=True)
    return ExitCode.DONE


def _wanted(asked: dict[str, object]) -> Wanted:
    import msgspec

    from ci_mlsnap.flows.log import Wanted

    return msgspec.convert(asked, Wanted)


def _print(found: Listing, wanted: Wanted) -> None:
    from ci_mlsnap.domain.metrics import lower_is_better
    from ci_mlsnap.report.logged import log_rows

    if found.trouble:
        click.echo(printable(f"channels are left out: {found.trouble}"), err=True)
    for metric in found.metrics:
        way = "lower" if lower_is_better(metric) else "higher"
        click.echo(printable(f"{metric}: {way} is taken to be better, from its name"), err=True)
    if not any(line.version or line.gone for line in found.lines):
        none = "no such version" if wanted.of_versions else "no versions yet: `mlsnap run` makes the first one"
        click.echo(none, err=True)
    if found.lines:
        columns(_fitted(log_rows(found.lines, found.metrics), terminal_width()))


def _fitted(table: Table, width: int | None) -> Table:
    """Make a table fit: messages give way first, then times of day, sizes, words, and at last the end of lines."""
    message = table[0].index("MESSAGE")
    if width is None:
        return _cut(table, message, _MESSAGE_ELSEWHERE)
    for shorter in (None, _by_day, _without_size, _without_words):
        table = shorter(table) if shorter else table
        message = table[0].index("MESSAGE")
        room = width - sum(_widths(table)) - _GAP * (len(table[0]) - 1) + _widths(table)[message]
        if room >= _MESSAGE_AT_LEAST:
            return _cut(table, message, room)
    table = _cut(table, message, _MESSAGE_AT_LEAST)
    if room < 1:
        table = _without(table, "MESSAGE")
    *others, _ = _widths(table)
    return _cut(table, len(others), max(1, width - sum(others) - _GAP * len(others)))


def _by_day(table: Table) -> Table:
    return _cut(table, table[0].index("WHEN"), _DAY, end="")


def _without_size(table: Table) -> Table:
    return _without(table, "SIZE")


def _without(table: Table, name: str) -> Table:
    place = table[0].index(name)
    return [(*row[:place], *row[place + 1 :]) for row in table]


def _without_words(table: Table) -> Table:
    places = {place for place, name in enumerate(table[0]) if name == "CHANGE"}
    return [
        tuple(cell.partition(" ")[0] if place in places else cell for place, cell in enumerate(row))
        for row in table
    ]


def _widths(table: Table) -> list[int]:
    return [max(len(printable(row[place])) for row in table) for place in range(len(table[0]))]


def _cut(table: Table, place: int, limit: int, end: str = "…") -> Table:
    def shortened(text: str) -> str:
        shown = printable(text)
        return shown if len(shown) <= limit else shown[: limit - len(end)].rstrip() + end

    return [(*row[:place], shortened(row[place]), *row[place + 1 :]) for row in table]
