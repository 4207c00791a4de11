"""What is found in one model file: bounded, in words of its own, with the reason where reading had to stop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

TENSORS_AT_MOST = 500
"""So many are listed; all are counted."""
IMPORTS_AT_MOST = 200
_TEXT_AT_MOST = 200
_LARGEST = 1 << 60
_DIMENSIONS_AT_MOST = 64
_NO_NUMBERS = ("object", "string", "void", "compound", "reference")

RunsCode = Literal["no", "yes", "unknown"]
Shape = tuple[int, ...]


class Unread(Exception):
    """Why a file, or the rest of it, is not read. The text quotes nothing of the file."""


class TooMuch(Unread):
    """The reason is a limit of ours, so that the file may be anything."""


class Found:
    """The facts of one file. `runs_code` says whether loading it can run code, and `why`."""

    def __init__(self, *, format: str, why: str) -> None:
        self.format = format
        self.framework = ""
        self.version = ""
        self.architecture = ""
        self.tensors: list[tuple[str, Shape, str]] = []
        self.tensor_count = 0
        self.parameters = 0
        self.runs_code: RunsCode = "unknown"
        self.why = why
        self.imports: list[str] = []
        self.problem = ""

    def add(self, name: str, shape: Sequence[object], dtype: str) -> None:
        """Take a tensor; an optimizer's state is none of the model's. Raises `Unread` for what is no shape."""
        if name.lower().startswith("optimizer"):
            return
        whole = [size for size in shape if isinstance(size, int) and 0 <= size < _LARGEST]
        numbers = math.prod(whole) if len(whole) <= _DIMENSIONS_AT_MOST else _LARGEST
        if len(whole) != len(shape) or numbers >= _LARGEST:
            raise Unread("one of its tensors has an impossible shape")
        self.tensor_count += 1
        self.parameters += 0 if dtype in _NO_NUMBERS else numbers
        if len(self.tensors) < TENSORS_AT_MOST:
            self.tensors.append((plain(name), tuple(whole), plain(dtype)))

    def name_imports(self, names: Sequence[str]) -> None:
        """Take what a pickle imports."""
        known = dict.fromkeys((*self.imports, *map(plain, names)))
        self.imports = list(known)[:IMPORTS_AT_MOST]

    def answer(self) -> dict[str, Any]:
        """Give all of it as JSON's values."""
        texts = ("format", "framework", "version", "architecture", "runs_code", "why", "problem")
        return {
            **{name: plain(getattr(self, name)) for name in texts},
            "tensors": [{"name": name, "shape": shape, "dtype": dtype} for name, shape, dtype in self.tensors],
            "tensor_count": self.tensor_count,
            "parameters": self.parameters,
            "imports": self.imports,
        }


def plain(text: str) -> str:
    """Cut a file's text, and write what no UTF-8 can hold as an escape."""
    return text[:_TEXT_AT_MOST].encode("utf-8", "backslashreplace").decode()
