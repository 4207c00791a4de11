"""A page of Markdown as a forge shows it: rendered by a CommonMark parser with GitHub's tables, read strictly."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from markdown_it import MarkdownIt

ALLOWED = {
    **dict.fromkeys(("h3", "p", "strong", "code", "table", "thead", "tbody", "tr"), ()),
    **dict.fromkeys(("th", "td"), ("style",)),
    **dict.fromkeys(("details", "summary", "pre"), ()),
    "a": ("href",),
}
"""The elements of a summary or comment, with the attributes that they may have."""

_REFERENCE = re.compile(r"(?<![\w`])@[A-Za-z0-9]|(?<!\w)#[0-9]|[\w.+-]@[\w-]+\.")
_AUTOLINK = re.compile(r"\bwww\.|[a-z]+://|\b(mailto|xmpp):", re.IGNORECASE)


_PLACES = ("h3", "p", "th", "td", "summary", "pre")


@dataclass(kw_only=True)
class Page:
    """What is on a page: `shape` is the elements in order, `texts` what stands in each cell, heading and line."""

    shape: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that is to be read."""
        return "\n".join(self.texts)


def read_page(markdown: str, *, link: str = "") -> Page:
    """Render and read; anything that is no part of a summary fails the test. `link` is the only one allowed."""
    around = markdown.replace(f"]({link})", "]()") if link else markdown
    assert _AUTOLINK.search(around) is None, "GitHub makes a link of it"
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
    reader = _Reader(link)
    reader.feed(html)
    reader.close()
    assert reader.open == []
    # GitHub looks for people and issues in the text as it is shown.
    assert _REFERENCE.search(reader.page.text) is None, ascii(reader.page.text)
    return reader.page


class _Reader(HTMLParser):
    def __init__(self, link: str) -> None:
        super().__init__(convert_charrefs=True)
        self.page = Page()
        self.link = link
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED, f"a foreign element: {tag}"
        if tag == "code" and "pre" in self.open:
            assert attrs == [("class", "language-mermaid")], f"a foreign block: {attrs}"
        elif tag == "a":
            assert attrs == [("href", self.link)], f"a foreign link: {attrs}"
        else:
            assert {name for name, _ in attrs} <= set(ALLOWED[tag]), f"a foreign attribute of {tag}: {attrs}"
            assert all(re.fullmatch(r"text-align:(left|right)", value or "") for _, value in attrs)
        self.open.append(tag)
        self.page.shape.append(tag)
        if tag in _PLACES:
            self.page.texts.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"a foreign element: {tag}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.page.shape.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if set(self.open) & set(_PLACES):
            self.page.texts[-1] += data
        else:
            assert not data.strip(), f"text outside: {data!r}"

    def handle_comment(self, data: str) -> None:
        raise AssertionError("a comment")

    def handle_decl(self, decl: str) -> None:
        raise AssertionError("a declaration")

    def handle_pi(self, data: str) -> None:
        raise AssertionError("an instruction")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError("a declaration")
