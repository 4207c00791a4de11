"""On which line of a TOML text a key stands."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping

LONGEST_STATEMENT = 200
"""Lines; a statement that is longer is not followed, and the keys behind it have no line."""

DEEPEST = 8
"""Tables; a file that nests deeper is none of ours."""

Place = tuple[str, ...]


def lines_of(text: str) -> dict[Place, int]:
    """Give the first line, counted from 1, of each key and table of a valid TOML text.

    A statement of TOML is complete with the first of its lines at which it parses by itself, so the parser
    itself finds the borders; there is no second grammar here that could disagree.
    """
    found: dict[Place, int] = {}
    table: Place = ()
    for number, statement in _statements(text):
        value = tomllib.loads(statement)
        header = statement.lstrip().startswith("[")
        if header:
            table = max(_places(value, ()), key=len, default=())
        for place in _places(value, () if header else table):
            found.setdefault(place, number)
    return found


def _statements(text: str) -> Iterator[tuple[int, str]]:
    pending: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        pending.append(line)
        if len(pending) > LONGEST_STATEMENT:
            return
        try:
            tomllib.loads("\n".join(pending))
        except ValueError:
            continue
        yield number - len(pending) + 1, "\n".join(pending)
        pending = []


def _places(value: object, above: Place) -> Iterator[Place]:
    if not isinstance(value, Mapping) or len(above) > DEEPEST:
        return
    for name, below in value.items():
        yield (*above, name)
        yield from _places(below, (*above, name))
