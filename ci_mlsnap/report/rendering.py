"""Templates by what they make: Markdown and XML, where strangers' text is escaped, and plain text for files."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.pins import told
from ci_mlsnap.domain.status import cut, is_web_url, one_line
from ci_mlsnap.domain.texts import counted, duration, size

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKUP = re.compile(r"[\\`*_{}\[\]<>()#+!|~&$^=:@-]|(?<![0-9])\.|\.(?![0-9])")
"""What means something somewhere in Markdown. A dot outside a number does: `1. ` begins a list, `www.` a link."""
_CELL_LIMIT = 200


def markdown(text: object) -> str:
    """Show text literally in a Markdown table or line: one line, no markup, no HTML, no link, nobody mentioned.

    Every character that could mean something is written as a numeric reference, which Markdown never reads as
    markup. GitHub looks for `@name` and `#1` once more when the references are resolved already: a space without
    width stands after these signs, so that no one is pinged and no issue is linked.
    """
    return _MARKUP.sub(_as_reference, cut(one_line(str(text)), _CELL_LIMIT))


def _as_reference(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};" + ("&#8203;" if found[0] in "@#" else "")


def short(name: str) -> str:
    """Write a snapshot's name as people read it."""
    parsed = SnapshotName.parse_or_none(name)
    return parsed.short if parsed else name[:12]


def link(url: object) -> str:
    """Give a web address as it may stand in a Markdown link, where nothing in it can end that; empty for none."""
    text = str(url)
    if not is_web_url(text) or not text.isascii():
        return ""
    return re.sub(r"[^A-Za-z0-9:/?#@!$&+,;=._~%-]", lambda found: f"%{ord(found[0]):02X}", text)


def render_markdown(template: str, values: Mapping[str, object]) -> str:
    """Render a Markdown template; every value is escaped unless the template marks it as made by us."""
    return _markdown_environment().get_template(template).render(values)


def load_markdown(template: str) -> None:
    """Read a Markdown template now, so that whoever changes its file later changes nothing here."""
    _markdown_environment().get_template(template)


def render_xml(template: str, values: Mapping[str, object]) -> str:
    """Render an XML template; every value is escaped. Characters that XML cannot hold are the caller's to drop."""
    return _xml_environment().get_template(template).render(values)


def render_text(template: str, values: Mapping[str, object]) -> str:
    """Render a plain text file, such as those that `init` writes."""
    return _environment(autoescape=False).get_template(template).render(values)


@functools.cache
def _markdown_environment() -> Environment:
    from markupsafe import Markup

    environment = _environment(autoescape=True)
    environment.filters.update(counted=counted, size=size, duration=duration, short=short, told=told)
    environment.filters["md"] = lambda value: Markup(markdown(value))  # noqa: S704 - markdown() escapes it all
    environment.filters["link"] = lambda value: Markup(link(value))  # noqa: S704 - link() leaves nothing to escape
    # A chart has no character of a stranger that means anything; HTML's escapes would be shown in a fence.
    environment.filters["chart"] = Markup
    return environment


@functools.cache
def _xml_environment() -> Environment:
    return _environment(autoescape=True)


def _environment(*, autoescape: bool) -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ci_mlsnap.report"),
        autoescape=autoescape,  # noqa: S701 - off for TOML and ignore files alone, in an environment of their own
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
