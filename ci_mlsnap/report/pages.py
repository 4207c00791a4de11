"""Static pages: how values become HTML that needs no script, no inline style and nothing from elsewhere."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ci_mlsnap.domain.names import is_label
from ci_mlsnap.domain.pins import told
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import counted, duration, size
from ci_mlsnap.errors import ConfigInvalid, MlsnapError
from ci_mlsnap.report.rendering import short

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = (
    "page.html.j2",
    "parts.html.j2",
    "list.html.j2",
    "version.html.j2",
    "comparison.html.j2",
    "pruned.html.j2",
    "badge.svg.j2",
)
STYLE, ICON = "style.css", "icon.svg"
OWN_FILES = (*TEMPLATES, STYLE, ICON)
"""What a folder of templates may have: a file that is there stands in place of the one that comes with mlsnap."""

ReadFile = Callable[[str], bytes | None]
"""Gives a file of a folder of templates by its name, None when it is not there."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """All files that pages are made with, by name, and the digest that tells two looks apart.

    `own` are those that somebody put in place of ours.
    """

    files: Mapping[str, str]
    digest: str
    own: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.digest)


def look_of(read: ReadFile | None = None) -> Look:
    """Read the files that pages are made with, some of them from a folder of templates.

    Raises `ConfigInvalid` for a template that cannot be read as one.
    """
    ours = Path(__file__).with_name("templates")
    found = {name: (ours / name).read_text(encoding="utf-8") for name in OWN_FILES}
    own = {name: text for name in OWN_FILES if read is not None and (text := read(name)) is not None}
    found |= {name: _decoded(name, text) for name, text in own.items()}
    digest = hashlib.sha256(msgspec.json.encode(found, order="sorted")).hexdigest()
    look = Look(files=found, digest=digest, own=tuple(own))
    if own:
        load_pages(look)
    return look


def load_pages(look: Look) -> None:
    """Load and compile all templates now. Raises `ConfigInvalid` for one that cannot be compiled."""
    for name in TEMPLATES:
        with _telling(look, name):
            _environment(look).get_template(name)


def render_page(look: Look, template: str, values: Mapping[str, object]) -> bytes:
    """Render a page or a picture; every value is shown literally, in one line.

    Raises `ConfigInvalid` where somebody's own template fails.
    """
    with _telling(look, template):
        return _environment(look).get_template(template).render(values).encode()


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """How a value moved: a text, and the word that says whether that is better; empty where neither is."""

    text: str
    word: str


def moved(said: str) -> Moved:
    """Take a change apart, as lines have it: `+0.0111 better`."""
    text, _, word = said.rpartition(" ")
    return Moved(text=text, word=word) if word in ("better", "worse") else Moved(text=said, word="")


def file_name(kind: str, name: str) -> str:
    """Name the page of a branch or a metric: readable, and another one for each name, whatever is in it."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    if plain == name and is_label(plain):
        return f"{kind}-{plain}.html"
    return f"{kind}-{plain}-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}.html"


def _decoded(name: str, text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _unusable(name, "it is not UTF-8") from None


@contextmanager
def _telling(look: Look, template: str) -> Iterator[None]:
    """Tell whoever wrote templates what is wrong with them; what is wrong with ours is a mistake of ours."""
    try:
        yield
    except Exception as error:
        if not look.own or isinstance(error, MlsnapError):
            raise
        line = getattr(error, "lineno", None)
        where = f", line {line}" if isinstance(line, int) else ""
        raise _unusable(template, f"{type(error).__name__}: {cut(one_line(str(error)), 200)}{where}") from None


def _unusable(template: str, why: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"report.templates: {template} cannot be used",
        why=why,
        safe="versions and their statuses are as they were; no page was written with it",
        hint="docs/report.md says what templates are given; without the file, the one of mlsnap is used",
    )


@functools.cache
def _environment(look: Look) -> Environment:
    """Make the environment; whose templates are not ours runs them where they can reach nothing but values."""
    from jinja2 import DictLoader, Environment, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from markupsafe import Markup

    def shown_literally(value: object) -> object:
        return value if isinstance(value, Markup) else one_line(str(value))

    kind: type[Environment] = ImmutableSandboxedEnvironment if look.own else Environment
    environment = kind(
        loader=DictLoader(dict(look.files)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=shown_literally,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    filters: dict[str, Any] = {
        "counted": counted,
        "size": size,
        "duration": duration,
        "short": short,
        "told": told,
    }
    environment.filters.update(filters)
    return environment
