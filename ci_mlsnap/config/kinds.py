"""Kinds of values: how each is read, how it is described to people, and its JSON Schema."""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import urlsplit

import msgspec

from ci_mlsnap.config.durations import seconds
from ci_mlsnap.domain.models import ALLOWABLE
from ci_mlsnap.domain.names import is_label, is_project
from ci_mlsnap.domain.pins import EXISTING
from ci_mlsnap.domain.policy import Amount, Best
from ci_mlsnap.domain.status import is_web_url

_MOST = 100_000
"""More than anybody keeps."""


class WrongValue(Exception):
    """The value is not of the kind. The text says what is wrong with it, and never quotes it whole."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of value. `read` gives the value in its final type or raises `WrongValue`."""

    accepts: str
    schema: Mapping[str, object]
    read: Callable[[object], object]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"is {type_name(value)}, not a string")
    if not value.strip() or "\0" in value:
        raise WrongValue("is empty" if not value.strip() else "holds a NUL character")
    return value


def type_name(value: object) -> str:
    """Name a TOML value's type as people call it."""
    names = {bool: "a boolean", int: "an integer", float: "a float", str: "a string", dict: "a table"}
    if isinstance(value, list | tuple):
        return "an array"
    return names.get(type(value), "a date or a time")


def _checked(accepts: str, fits: Callable[[str], bool], pattern: str) -> Kind:
    def read(value: object) -> object:
        text = _text(value)
        if not fits(text):
            raise WrongValue("is not accepted")
        return text

    return Kind(accepts=accepts, schema={"type": "string", "pattern": pattern}, read=read)


def _matching(accepts: str, pattern: str) -> Kind:
    """A text that a pattern fits as a whole, which the schema says too."""
    return _checked(accepts, lambda text: re.fullmatch(pattern, text, re.ASCII) is not None, f"^{pattern}$")


def choice(*options: str) -> Kind:
    """One of a few words."""

    def read(value: object) -> object:
        if value not in options or not isinstance(value, str):
            raise WrongValue(f"is {type_name(value)}" if not isinstance(value, str) else "is none of these words")
        return value

    shown = ", ".join(f'"{option}"' for option in options)
    return Kind(
        accepts=shown if len(options) == 1 else f"one of {shown}", schema={"enum": list(options)}, read=read
    )


def strings(accepts: str, fits: Callable[[str], bool], pattern: str) -> Kind:
    """An array of at least one string, each of which fits."""

    def read(value: object) -> object:
        if not isinstance(value, list | tuple):
            raise WrongValue(f"is {type_name(value)}, not an array")
        if not value:
            raise WrongValue("is an empty array")
        for number, item in enumerate(value, 1):
            if not fits(_text(item)):
                raise WrongValue(f"has an item (number {number}) that is not accepted")
        return tuple(value)

    items = {"type": "string", "pattern": pattern}
    return Kind(accepts=accepts, schema={"type": "array", "minItems": 1, "items": items}, read=read)


def number(*, least: float | None = None) -> Kind:
    """A finite number; a boolean is none, and neither is a number in quotes."""

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise WrongValue(f"is {type_name(value)}, not a number")
        if abs(value) > 1e300 or not math.isfinite(value):
            raise WrongValue("is not a finite number")
        if least is not None and value < least:
            raise WrongValue(f"is less than {least:g}")
        return float(value)

    schema: dict[str, object] = {"type": "number"} | ({} if least is None else {"minimum": least})
    return Kind(accepts="a number" if least is None else f"a number, {least:g} or more", schema=schema, read=read)


def count(*, least: int, most: int) -> Kind:
    """A whole number within bounds."""

    def read(value: object) -> object:
        if isinstance(value, bool) or not isinstance(value, int):
            raise WrongValue(f"is {type_name(value)}, not an integer")
        if not least <= value <= most:
            raise WrongValue(f"is not within {least} and {most}")
        return value

    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(accepts=f"an integer from {least} to {most}", schema=schema, read=read)


def _amount(value: object, *, units: Mapping[str, int]) -> object:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise WrongValue(f"is {type_name(value)}")
    if isinstance(value, int):
        if value < 1:
            raise WrongValue("is less than 1")
        return Amount(count=value)
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([%A-Za-z]{1,2})", value, re.ASCII)
    if found is not None and found[2] == "%" and 0 < float(found[1]) <= 100:
        return Amount(share=float(found[1]) / 100)
    if found is not None and found[2] in units and float(found[1]) > 0:
        return Amount(count=round(float(found[1]) * units[found[2]]))
    raise WrongValue("is no such amount")


def _best(value: object) -> object:
    if not isinstance(value, Mapping):
        raise WrongValue(f"is {type_name(value)}, not a table")
    if value.keys() != {"metric", "count"}:
        raise WrongValue("has not exactly the two keys")
    metric, best = value["metric"], value["count"]
    if not isinstance(metric, str) or not (metric.isprintable() and 0 < len(metric) <= 100):
        raise WrongValue("has a metric that is no name")
    if isinstance(best, bool) or not isinstance(best, int) or not 1 <= best <= _MOST:
        raise WrongValue("has a count that is no integer from 1 on")
    return Best(metric=metric, count=best)


def _boolean(value: object) -> object:
    if not isinstance(value, bool):
        raise WrongValue(f"is {type_name(value)}, not a boolean")
    return value


def _comment(value: object) -> object:
    if isinstance(value, bool):
        return "always" if value else "never"
    if value != "on-change":
        raise WrongValue("is none of them")
    return value


def _duration(value: object) -> object:
    found = seconds(value)
    if found is None:
        raise WrongValue("is no duration")
    return found


def _command(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if not isinstance(value, list | tuple) or not value:
        raise WrongValue(f"is {type_name(value)}" if value not in ([], ()) else "is an empty array")
    if not all(isinstance(item, str) and "\0" not in item for item in value) or not value[0]:
        raise WrongValue("has an item that is no string, or no program's name in front")
    return tuple(value)


def _is_inside(text: str) -> bool:
    return not text.startswith("/") and ".." not in text.split("/") and text.rstrip("/") not in ("", ".")


def _is_pattern(text: str) -> bool:
    # A colon in front is where git's own pattern language starts, which can lead out of the folder.
    return _is_inside(text) and not text.startswith(":")


def _is_branch(text: str) -> bool:
    return (
        re.fullmatch(r"(?!-|refs/|/)[^\s\x00-\x20\x7f~^:?*\[\\]+(?<!/)(?<!\.lock)", text) is not None
        and ".." not in text
    )


def _is_pin(text: str) -> bool:
    """Tell whether a text says how data is pinned; the glob is for one name, not for a path."""
    glob = text.removeprefix(EXISTING) if text.startswith(EXISTING) else ""
    return text in ("snapshot", "record") or (
        0 < len(glob) <= 255 and glob.isprintable() and "/" not in glob and glob not in (".", "..")
    )


def _is_variable(text: str) -> bool:
    ours = text.startswith(("MLSNAP_", "ACTIONS_")) or text in ("GITHUB_TOKEN", "GH_TOKEN")
    return re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text, re.ASCII) is not None and not ours


def _is_endpoint(text: str) -> bool:
    """Tell whether a token may be sent to this URL: https, or http to this machine itself; no login in it."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
        clean = (
            parts.username is None
            and not parts.query
            and not parts.fragment
            and re.search(r"[\s\x00-\x20]", text) is None
        )
        return (
            clean and bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)))
        )
    except ValueError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_web_folder(text: str) -> bool:
    """Tell whether a text is the URL of a folder: http or https, without a login, a query and a fragment."""
    return is_web_url(text) and re.search(r"[?#\\]", text) is None and text.isascii() and len(text) <= 1000


def _web_folder(value: object) -> object:
    text = _text(value)
    if not _is_web_folder(text):
        raise WrongValue("is not accepted")
    return text.rstrip("/")


def _is_host(text: str) -> bool:
    """Tell whether a text is a host's name or address alone: no scheme, port, path or login."""
    if len(text) <= 253 and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", text, re.ASCII):
        return True
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


LABEL = _checked(
    "lower-case letters, digits and hyphens, at most 63, no hyphen in front",
    is_label,
    "^[a-z0-9][a-z0-9-]{0,62}$",
)
PROJECT = _checked('"owner/name"', is_project, "^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*$")
FORGE_REPOSITORY = _checked(
    '"owner/name"',
    lambda text: (
        re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*/(?!\.{1,2}$)[A-Za-z0-9._-]+", text, re.ASCII) is not None
    ),
    "^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+$",
)
PATH = _checked("a path", lambda text: text == text.strip(), "^\\S(.*\\S)?$")
INNER_PATH = _checked(
    "a relative path inside the project's folder, without `..`",
    _is_inside,
    "^(?!/)(?!(.*/)?\\.\\.(/|$))(?!\\./?$).+$",
)
ENDPOINT = _checked(
    "an https URL without a login (http only to this machine itself)", _is_endpoint, "^https?://[^@?#\\s]+$"
)
WEB_FOLDER = Kind(
    accepts="an http or https URL without a login, a query and a fragment",
    schema={"type": "string", "pattern": "^https?://[^@?#\\s]+$"},
    read=_web_folder,
)
HOST = _checked(
    "a host name or an IP address, without a scheme or a port",
    _is_host,
    "^[A-Za-z0-9:]([A-Za-z0-9.:_-]*[A-Za-z0-9:])?$",
)
ACCOUNT = _matching(
    "a name of letters, digits and . _ - \\ @, at most 255",
    r"[A-Za-z0-9._\\@-]{1,255}",
)
SNAPMIRROR_LABEL = _matching(
    "letters, digits and . _ -, at most 31",
    r"[A-Za-z0-9._-]{1,31}",
)
NATIVE_VOLUME = _matching(
    "a volume's name, or its UUID",
    r"[A-Za-z0-9_][A-Za-z0-9_-]{0,202}",
)
FINGERPRINT = _matching(
    "the SHA-256 of a certificate: 32 pairs of hex digits, with or without colons",
    r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2}){31}",
)
PIN = _checked(
    '"snapshot", "record", or "existing:" and a glob for the names of snapshots, such as "existing:daily.*"',
    _is_pin,
    "^(snapshot|record|existing:(?!\\.{1,2}$)[^/\\x00-\\x1f\\x7f]{1,255})$",
)
BOOLEAN = Kind(accepts="true or false", schema={"type": "boolean"}, read=_boolean)
COMMENT = Kind(
    accepts='true, false, or "on-change"',
    schema={"anyOf": [{"type": "boolean"}, {"type": "string", "enum": ["on-change"]}]},
    read=_comment,
)
_SHARE = "[0-9]+(\\.[0-9]+)?%"
SPACE = Kind(
    accepts='a share of the storage such as "20%", or a size such as "500 GB", or a number of bytes',
    schema={
        "anyOf": [
            {"type": "string", "pattern": f"^({_SHARE}|[0-9]+(\\.[0-9]+)? ?(KB|MB|GB|TB))$"},
            {"type": "integer", "minimum": 1},
        ]
    },
    read=partial(_amount, units={"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}),
)
AMOUNT = Kind(
    accepts='a number, or a share such as "25%"',
    schema={"anyOf": [{"type": "string", "pattern": f"^{_SHARE}$"}, {"type": "integer", "minimum": 1}]},
    read=partial(_amount, units={}),
)
BEST = Kind(
    accepts='a metric and how many, such as { metric = "accuracy", count = 5 }',
    schema={
        "type": "object",
        "required": ["metric", "count"],
        "additionalProperties": False,
        "properties": {
            "metric": {"type": "string", "pattern": "^[^\\x00-\\x1f\\x7f]{1,100}$"},
            "count": {"type": "integer", "minimum": 1},
        },
    },
    read=_best,
)
DURATION = Kind(
    accepts='a duration such as "90s", "30m", "6h", "2d", or a number of seconds',
    schema={
        "anyOf": [
            {"type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?[smhd]$"},
            {"type": "number", "minimum": 0},
        ]
    },
    read=_duration,
)
COMMAND = Kind(
    accepts="a string for /bin/sh, or an array of a program and its arguments",
    schema={
        "anyOf": [
            {"type": "string", "minLength": 1},
            {"type": "array", "minItems": 1, "items": {"type": "string"}},
        ]
    },
    read=_command,
)
VARIABLES = strings(
    "an array of names of environment variables, none of mlsnap's or of the CI's own",
    _is_variable,
    "^(?!MLSNAP_|ACTIONS_|(GITHUB|GH)_TOKEN$)[A-Za-z_][A-Za-z0-9_]*$",
)
GLOBS = strings('an array of patterns inside the project\'s folder, such as ["*.py"]', _is_pattern, "^(?![/:]).+$")
FORMATS = strings(
    f"an array of formats of model files: {', '.join(ALLOWABLE)}",
    ALLOWABLE.__contains__,
    f"^({'|'.join(ALLOWABLE)})$",
)
BRANCHES = strings(
    'an array of branch names, such as ["main"]; no patterns',
    _is_branch,
    "^(?!-|refs/|/)[^\\s~^:?*\\[\\\\]+$",
)
