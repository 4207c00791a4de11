"""Parameters of a training, as tools leave them in a file: names and texts, for showing what differs.

YAML is read in its plain form alone, line by line: mappings, lists and scalars. Aliases and tags stay the texts
they are, so that no file can grow while it is read, or name something to be made.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import msgspec

from ci_mlsnap.domain.yaml_text import NotPlain, read_plain

FILES = (
    *("params.yaml", "params.yml", "params.json", "params.toml", "dvclive/params.yaml"),
    *("config.yaml", "config.yml", "config.json", "hparams.yaml", "args.yaml", "training_args.json"),
)
"""Where tools and people keep parameters, below the project's folder."""

MAX_BYTES = 256 << 10
MAX_NAMES = 2000
MOST_PUBLISHED = 500
HIDDEN = "(hidden)"
_DOTS = 100
"""How many dots a line of TOML may have: the standard library needs memory for the square of a key's parts."""

_SECRET_NAME = re.compile(
    r"(?<![a-z])(tokens?(?![a-z])|secret|passw|pwd(?![a-z])|passphrase|credential|auth(?!or)|bearer)"
    r"|(api|access|private|account|encryption|signing|ssh|storage)[_.-]?key(?!s?[_.-]?(dim|size))"
)
_TOKENS_OF_TEXT = re.compile(
    r"(max|min|num|n|per|of|total|special|eos|bos|pad|unk|sep|cls|mask|end|start)[_.-](\w{1,30}_)?tokens?$"
)
_SECRET_VALUE = re.compile(
    r"\b(gh[pousr]_|github_pat_|glpat-|hf_|xox[abprs]-|AKIA|ASIA|AIza)[A-Za-z0-9_-]{10}|\bsk-[A-Za-z0-9_-]{20}"
    r"|-----BEGIN |\beyJ[A-Za-z0-9_-]{10,400}\.|://[^/\s:@]{0,200}:[^/\s@]{1,200}@"
)
_LOOKED_AT = 1000
"""How many characters of a name and of a value are looked at, so that none makes it slow; no more are shown."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says, by dotted name; `problem` is why nothing could be read."""

    values: dict[str, str] = {}
    problem: str = ""


def read_parameters(name: str, content: bytes) -> Parameters:
    """Read a file by the kind that its name says; never raises, and takes time in proportion to its length."""
    if len(content) > MAX_BYTES:
        return Parameters(problem=f"it is larger than {MAX_BYTES >> 10} KiB")
    try:
        values = dict(_flat(_parsed(name, content.decode("utf-8-sig"))))
    except NotPlain as error:
        return Parameters(problem=str(error))
    except (ValueError, RecursionError):  # whatever a parser of text raises is one of these
        return Parameters(problem=f"it is no {name.rpartition('.')[2].upper()} that can be read")
    return Parameters(values=values)


def publishable(found: Parameters) -> dict[str, str]:
    """Give the first values as a record may have them: cut, and without what may be a secret."""
    some = list(found.values.items())[:MOST_PUBLISHED]
    return {name: HIDDEN if looks_secret(name, text) else text[:_LOOKED_AT] for name, text in some}


def looks_secret(name: str, value: str) -> bool:
    """Tell whether a value must not be shown: its name, or it itself, looks like a credential's."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name[-_LOOKED_AT:]).lower()
    named = _SECRET_NAME.search(_TOKENS_OF_TEXT.sub("", plain)) is not None
    return named or _SECRET_VALUE.search(value[:_LOOKED_AT]) is not None


def _parsed(name: str, text: str) -> Any:
    if name.endswith(".json"):
        return json.loads(text)
    if name.endswith(".toml"):
        if any(line.count(".") > _DOTS for line in text.splitlines()):
            raise NotPlain(f"a line of it has more than {_DOTS} dots")
        return tomllib.loads(text)
    return read_plain(text)


def _flat(top: Any) -> Iterator[tuple[str, str]]:
    """Give each value with its dotted name; a list of plain values is one. Depth is free: nothing recurses."""
    if not top and isinstance(top, dict):
        return
    if not isinstance(top, dict):
        raise NotPlain("it has no names at its top")
    waiting, count = [("", top)], 0
    while waiting:
        name, value = waiting.pop()
        inner = _named(value)
        count += inner is None
        if count > MAX_NAMES or len(name) > _LOOKED_AT:
            raise NotPlain(f"it has more than {MAX_NAMES} values, or very long names")
        if inner is None:
            yield _whole(name), _whole(_text(value))
        else:
            waiting += [(f"{name}.{key}" if name else str(key), it) for key, it in reversed(inner)]


def _named(value: Any) -> list[tuple[Any, Any]] | None:
    """Give what a value has names for; None when it is shown as one text."""
    if isinstance(value, dict) and value:
        return list(value.items())
    if isinstance(value, list) and any(isinstance(it, dict | list) for it in value):
        return list(enumerate(value))
    return None


def _whole(text: str) -> str:
    """Write half a pair of surrogates, which JSON can name and no UTF-8 can hold, as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, bool | int | float | dict) or value is None else str(value)
