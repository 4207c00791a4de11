"""A page of the report, read as strictly as HTML allows, with the rules that all of them keep."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from xml.etree.ElementTree import Element

import html5lib

XLINK = "{http://www.w3.org/1999/xlink}href"
OURS = re.compile(r"https?://\S+")
_FORBIDDEN = {"script", "style", "iframe", "object", "embed", "form", "base", "template", "foreignobject", "image"}
_URLS = {"href", "src", "action", "formaction", "data", "poster", "srcset", "background"}


class Page:
    """A page that keeps the rules; whatever breaks one fails the test."""

    def __init__(self, content: bytes, place: Path | None = None) -> None:
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.root: Element = parser.parse(content.decode())
        self.place = place
        self._require_no_code()
        self._require_structure()

    @property
    def shape(self) -> list[str]:
        """The elements in their order, with the names of their attributes."""
        return [f"{_tag(it)} {sorted(it.attrib)}" for it in self.elements()]

    @property
    def text(self) -> str:
        """All that is to be read, in one line."""
        return " ".join(" ".join(self.root.itertext()).split())

    def elements(self, tag: str = "") -> Iterator[Element]:
        """Give all elements of a kind, or all there are; comments would be none, and must not be there."""
        for it in self.root.iter():
            assert isinstance(it.tag, str), "a comment"
            if not tag or _tag(it) == tag:
                yield it

    def links(self) -> list[str]:
        """Give where the page leads, and what it is made with."""
        return [value for it in self.elements() for name, value in it.attrib.items() if name.lower() in _URLS]

    def _require_no_code(self) -> None:
        for it in self.elements():
            assert _tag(it).lower() not in _FORBIDDEN, _tag(it)
            for name, value in it.attrib.items():
                assert not name.lower().startswith("on"), name
                assert name.lower() not in {"style", "srcdoc", "integrity", "crossorigin"}, name
                assert name != XLINK
                if name.lower() in _URLS:
                    assert re.match(r"(https?://|[^:]*$)", value), f"a link to another scheme: {value!r}"
                    if _tag(it) != "a":
                        assert not OURS.match(value), f"something from elsewhere: {value!r}"

    def _require_structure(self) -> None:
        levels = [int(_tag(it)[1]) for it in self.elements() if re.fullmatch("h[1-6]", _tag(it))]
        assert levels[0] == 1 and levels.count(1) == 1, levels
        assert all(after <= before + 1 for before, after in pairwise(levels)), levels
        for table in self.elements("table"):
            heads = [it for it in table.iter() if it.tag == "th"]
            assert heads and all(it.get("scope") in ("col", "row") for it in heads)
            assert all((it.text or "").strip() or len(it) for it in heads if it.get("scope") == "row")
        for chart in self.elements("svg"):
            if chart.get("role") == "img":
                kinds = [_tag(it) for it in chart]
                assert kinds[:2] == ["title", "desc"]
                assert all("".join(it.itertext()).strip() for it in list(chart)[:2])
        ids = Counter(it.get("id") for it in self.elements() if it.get("id"))
        assert [name for name, count in ids.items() if count > 1] == []
        for it in self.elements():
            named = (it.get("aria-labelledby") or "").split()
            assert set(named) <= set(ids), named
        (html,) = self.elements("html")
        assert html.get("lang")
        assert next(self.elements("title")).text


def _tag(it: Element) -> str:
    return str(it.tag).rpartition("}")[2]


def read_site(folder: Path) -> dict[str, Page]:
    """Read all pages of a report; every link within it must lead to a file of it, every fragment to an id."""
    pages = {
        path.relative_to(folder).as_posix(): Page(path.read_bytes(), path)
        for path in sorted(folder.rglob("*.html"))
    }
    for name, page in pages.items():
        for link in page.links():
            if not OURS.match(link):
                _require_target(folder, pages, name, link)
    return pages


def _require_target(folder: Path, pages: dict[str, Page], name: str, link: str) -> None:
    path, _, fragment = link.partition("#")
    target = (folder / name).parent / path if path else folder / name
    assert target.is_file(), f"{name}: {link} leads nowhere"
    found = target.resolve().relative_to(folder.resolve()).as_posix()
    if fragment:
        assert fragment in {it.get("id") for it in pages[found].elements()}, f"{name}: {link} has no such place"
