"""Templates in two environments: Markdown, where strangers' text is escaped, and plain text for files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import duration, size

if TYPE_CHECKING:
    from jinja2 import Environment

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+!|~&$^=:@-])")
_CELL_LIMIT = 200


def markdown(text: object) -> str:
    """Show text literally in a Markdown table or line: one line, no markup, no HTML, nobody mentioned.

    Every character that could mean something is written as a numeric reference, which Markdown never reads
    as markup, and `@` among them so that no one is pinged.
    """
    return _MARKDOWN.sub(lambda found: f"&#{ord(found[1])};", cut(one_line(str(text)), _CELL_LIMIT))


def short(name: str) -> str:
    """Write a snapshot's name as people read it."""
    parsed = SnapshotName.parse_or_none(name)
    return parsed.short if parsed else name[:12]


def render_markdown(template: str, values: Mapping[str, object]) -> str:
    """Render a Markdown template; every value is escaped unless the template marks it as made by us."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("ci_mlsnap.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    _add_filters(environment)
    environment.filters["md"] = lambda value: Markup(markdown(value))  # noqa: S704 - markdown() escapes it all
    return environment.get_template(template).render(values)


def render_text(template: str, values: Mapping[str, object]) -> str:
    """Render a plain text file, such as those that `init` writes."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ci_mlsnap.report"),
        autoescape=False,  # noqa: S701 - TOML and ignore files, in an environment of their own
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def _add_filters(environment: Environment) -> None:
    environment.filters.update(size=size, duration=duration, short=short)
