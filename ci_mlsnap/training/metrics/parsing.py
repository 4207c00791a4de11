"""The parent of the process that parses: gives it bytes, and trusts its answer no more than the bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from ci_mlsnap.domain.metrics import Curve, Metrics, Scalar
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.training.metrics.opening import refused

_CHILD = Path(__file__).with_name("child.py")
_TEXT_AT_MOST = 200


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A file of metrics as it was read, not yet parsed.

    `kind` says what it must be, or that its content decides: JSON, a table or events. `name` is its metric's,
    where a file holds only one, for events what goes before each tag; files of a `group` belong together: a
    folder of event files, a run of MLflow.
    """

    path: PurePosixPath
    kind: Literal["any", "table", "events", "run", "run-metric"] = "any"
    content: bytes
    name: str = ""
    group: str = ""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    scalars: dict[str, Scalar] = {}
    curves: tuple[Curve, ...] = ()
    group: str = ""
    refused: int | None = None
    why: str = ""
    hint: str = ""


def parse(files: Sequence[Found], *, source: str, seconds: float) -> Metrics:
    """Give the metrics of these files, parsed by a child without secrets, in bounded time and memory.

    `source` names the files for people; where they are of several runs, the chosen one's group is named instead.
    Raises `MetricsInvalid`.
    """
    answer = _asked(files, seconds)
    if answer is None:
        first = files[0].path
        raise refused(first, "it takes too long or too much memory to read", "write less: final values and curves")
    if answer.refused is not None:
        path = files[answer.refused].path if 0 <= answer.refused < len(files) else files[0].path
        raise refused(path, *(cut(one_line(text), _TEXT_AT_MOST) for text in (answer.why, answer.hint)))
    source = answer.group if any(file.group == answer.group for file in files if answer.group) else source
    return Metrics(source=source, scalars=answer.scalars, curves=answer.curves)


def _asked(files: Sequence[Found], seconds: float) -> _Answer | None:
    head = [
        {"name": file.name, "kind": file.kind, "group": file.group, "size": len(file.content)} for file in files
    ]
    request = b"".join((json.dumps(head).encode(), b"\n", *(file.content for file in files)))
    # A file, in memory, since the child's limit on file sizes then bounds the answer too.
    with os.fdopen(os.memfd_create("metrics"), "r+b") as answer:
        try:
            done = subprocess.run(
                (sys.executable, "-I", "-S", str(_CHILD)),
                input=request,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
                timeout=seconds,
                check=False,
            )
            answer.seek(0)
            return msgspec.json.decode(answer.read(), type=_Answer) if done.returncode == 0 else None
        except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError, UnicodeDecodeError):
            return None
