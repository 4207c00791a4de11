"""The pages in a real browser, under the content policies of those who serve them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.report.browser import POLICIES, Browser, served
from tests.report.site import Site, make_site

LONG = "a-very-long-name-of-a-metric-without-any-space-" * 3


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Give a store with usual versions, and one whose every text is one long word."""
    made = make_site(tmp_path_factory.mktemp("site"), 6, ("refs/heads/main", "refs/heads/tune"))
    made.add(text=LONG)
    made.write(made.folder / "out")
    return made


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def pages_of(site: Site) -> list[str]:
    out = site.folder / "out"
    lists = sorted(path.name for path in out.glob("*.html"))
    return [*lists, *(f"{name}/{page}.html" for name in site.names[-2:] for page in ("index", "comparison"))]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_page_breaks_the_policy_or_misses_a_file(site: Site, browser: Browser, policy: str) -> None:
    with served(site.folder / "out", POLICIES[policy]) as url:
        for page in pages_of(site):
            assert browser.open(f"{url}/{page}") == [], page
            assert browser.evaluate("getComputedStyle(document.body).marginTop") == "0px", "no style sheet"
            assert browser.evaluate("document.scripts.length") == 0


def test_a_page_that_breaks_the_policy_would_be_found(tmp_path: Path, browser: Browser) -> None:
    (tmp_path / "bad.html").write_text('<!doctype html><title>x</title><p style="color:red">x<img src="gone.png">')
    with served(tmp_path, POLICIES["Jenkins"]) as url:
        said = browser.open(f"{url}/bad.html")
    assert any("Content Security Policy" in line for line in said)
    assert any(line.startswith("network: ") for line in said), "the picture that is not there"


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [320, 1280])
def test_nothing_is_wider_than_the_page(site: Site, browser: Browser, width: int, dark: bool) -> None:
    browser.look(width, dark=dark)
    for page in pages_of(site):
        assert browser.open((site.folder / "out" / page).as_uri()) == []
        assert browser.width() == width, page
    ground = browser.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")


def test_a_point_of_a_chart_leads_to_its_version(site: Site, browser: Browser) -> None:
    browser.look(1280, dark=False)
    with served(site.folder / "out", POLICIES["Jenkins"]) as url:
        browser.open(f"{url}/index.html")
        box = browser.evaluate("JSON.stringify(document.querySelector('.chart a .reach').getBoundingClientRect())")
        found = json.loads(box)
        place = {"x": found["x"] + found["width"] / 2, "y": found["y"] + found["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            browser.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)
        browser.arrive()
        assert browser.evaluate("location.pathname") == f"/{site.names[-1]}/index.html"
