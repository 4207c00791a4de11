"""One request, read and answered: each file by the reader that its kind or its content asks for."""

from __future__ import annotations

from typing import Any, BinaryIO

from ci_mlsnap.training.readers import mlflow
from ci_mlsnap.training.readers.events import as_written, read_events
from ci_mlsnap.training.readers.found import Curves, Found, Refused
from ci_mlsnap.training.readers.json_text import read_json
from ci_mlsnap.training.readers.record_file import is_record_file, require_cut_off
from ci_mlsnap.training.readers.table import is_table, read_table

Head = dict[str, Any]


def answer(files: list[Head], stream: BinaryIO) -> dict[str, Any]:
    """Read the files' bytes from the stream, one after the other; give what is in them, or why one is refused."""
    request = _Request()
    for place, head in enumerate(files):
        try:
            request.take(head, stream.read(head["size"]))
        except Refused as refused:
            why, hint = refused.args
            return {"refused": place, "why": why, "hint": hint}
        except MemoryError:
            return {"refused": place, "why": "it takes too much memory to read", "hint": "write less of it"}
    try:
        return request.answer()
    except Refused as refused:
        why, hint = refused.args
        return {"refused": 0, "why": why, "hint": hint}


class _Request:
    """What the files of one request hold together."""

    def __init__(self) -> None:
        self._found = Found()
        self._curves = Curves()
        self._scalar_tags: dict[str, set[str]] = {}
        self._runs: dict[str, tuple[int, Curves]] = {}

    def take(self, head: Head, content: bytes) -> None:
        kind, name, group = head["kind"], head.get("name", ""), head.get("group", "")
        if kind == "run":
            self._runs[group] = (mlflow.start_of(content), Curves())
        elif kind == "run-metric":
            mlflow.read_metric(content, name, self._runs.setdefault(group, (0, Curves()))[1])
        elif is_record_file(content):
            read_events(content, name, self._scalar_tags.setdefault(group, set()), self._curves)
        elif kind == "events":
            require_cut_off(content)
        elif kind == "table" or is_table(content):
            read_table(content, name, self._found)
        else:
            read_json(content, self._found)

    def answer(self) -> dict[str, Any]:
        """Give all of it; of several runs the one that began last."""
        runs = [run for run in self._runs if self._runs[run][1]]
        group = max(runs, key=lambda run: (self._runs[run][0], run), default="")
        if group:
            self._runs[group][1].give(self._found)
        self._curves.give(self._found, as_written)
        return {**self._found.answer(), "group": group}
