"""The pages: strict HTML without code, links that lead somewhere, strangers' text as text, size and contrast."""

from __future__ import annotations

import html
import json
import re
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.domain.status import one_line
from ci_mlsnap.flows import report_lists
from ci_mlsnap.report.pages import look_of
from ci_mlsnap.state import channels
from tests.report.corpus import KINDS
from tests.report.html import OURS, Page, read_site
from tests.report.site import Site, make_site

REFS = ("refs/heads/main", "refs/heads/main", "refs/heads/tune-lr", "refs/heads/feature/ä b")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Give a store with thirteen versions, for tests that only look."""
    return make_site(tmp_path_factory.mktemp("site"), 13, REFS)


@pytest.fixture(scope="module")
def out(site: Site) -> Path:
    """Give the pages of these versions, ten in a list."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(report_lists, "PER_PAGE", 10)
        site.write(site.folder / "out")
    return site.folder / "out"


@pytest.fixture(scope="module")
def pages(out: Path) -> dict[str, Page]:
    """Give these pages, read strictly, with all their links followed."""
    return read_site(out)


def test_there_is_a_page_for_each_version_branch_and_metric(site: Site, pages: dict[str, Page]) -> None:
    versions = {f"{name}/{page}.html" for name in site.names for page in ("index", "comparison")}
    lists = set(pages) - versions
    assert versions - set(pages) == {f"{site.names[0]}/comparison.html"}, "the first has none before it"
    assert {
        "index.html",
        "versions-1.html",
        "branch-main.html",
        "metric-accuracy.html",
        "metric-loss.html",
    } < lists
    assert [name for name in lists if re.fullmatch(r"branch-feature-b-[0-9a-f]{8}\.html", name)]
    assert len(lists) == 7


def test_every_version_is_in_a_list_and_no_list_is_long(site: Site, pages: dict[str, Page]) -> None:
    listed = {name: [link.partition("/")[0] for link in page.links()] for name, page in pages.items()}
    assert set(site.names) <= {*listed["index.html"], *listed["versions-1.html"]}
    for page in pages.values():
        for table in page.elements("table"):
            assert len(list(table.iter("tr"))) <= 201


def test_the_points_of_a_chart_lead_to_their_versions(site: Site, pages: dict[str, Page]) -> None:
    chart = next(it for it in pages["metric-accuracy.html"].elements("svg") if it.get("role") == "img")
    links = [it.get("href") for it in chart.iter() if str(it.tag).endswith("}a")]
    assert links == [f"{name}/index.html" for name in site.names]
    newest = next(it for it in pages["index.html"].elements("svg") if it.get("role") == "img")
    labels = ["".join(it.itertext()) for it in newest.iter() if str(it.tag).endswith("}title")]
    assert f"{site.names[7][:7]}: accuracy 0.8000, gate missed. Larger batches" in labels


def test_what_runs_of_github_came_from_is_linked(site: Site, pages: dict[str, Page]) -> None:
    page = pages[f"{site.names[5]}/index.html"]
    assert [link for link in page.links() if OURS.match(link)] == [
        f"https://github.com/octo/digits/commit/{site.names[5]}",
        "https://github.com/octo/digits/actions/runs/5",
    ]


def test_a_page_says_nothing_that_may_be_a_secret(out: Path) -> None:
    for path in out.rglob("*"):
        if path.is_file():
            assert b"hunter" not in path.read_bytes(), path
    assert b"(hidden)" in next(out.glob("*/index.html")).read_bytes()


def test_pictures_are_whole_and_without_code(out: Path) -> None:
    for name in ("badge.svg", "icon.svg"):
        tags = {it.tag.rpartition("}")[2] for it in ET.fromstring((out / name).read_text()).iter()}
        assert tags <= {"svg", "title", "rect", "path", "g", "text", "circle"}
        assert not re.search(r"style=|\bon\w+=|href", (out / name).read_text())


def test_the_style_sheet_brings_nothing_from_elsewhere(out: Path) -> None:
    style = (out / "style.css").read_text()
    assert not re.search(r"url\(|@import|expression|data:|!important", style)


# -- what strangers write ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Give the shape of the page of a version whose texts are usual words."""
    pages = _written(tmp_path_factory.mktemp("usual"), ["usual words", "usual words"])
    return _shape(_pages_of_versions(pages)[-1])


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_text(tmp_path: Path, kind: str, usual: list[str]) -> None:
    """Each version has one text, wherever a stranger's may stand."""
    texts = [text.encode(errors="replace").decode() for text in KINDS[kind]]
    pages = _written(tmp_path, texts)
    versions = _pages_of_versions(pages)
    assert len(versions) == len(texts)
    for text, page in zip(texts, versions, strict=True):
        said = one_line(text)
        heading = "".join(next(page.elements("h1")).itertext())
        assert heading == (said if len(said) <= 200 else said[:199] + "…"), ascii(text)
        assert set(_shape(page)) <= set(usual), ascii(text)
    for page in pages.values():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e\u2066\u200b]", page.text)


def _written(folder: Path, texts: list[str]) -> dict[str, Page]:
    site = make_site(folder)
    for text in texts:
        site.add(text=text)
    site.write(folder / "out")
    assert len(list(ET.fromstring((folder / "out/badge.svg").read_text()).iter())) == 7
    return read_site(folder / "out")


def _pages_of_versions(pages: dict[str, Page]) -> list[Page]:
    """Give the pages of versions, oldest first."""
    found = [page for name, page in pages.items() if name.endswith("/index.html")]
    return sorted(found, key=lambda page: int(re.findall(r"number (\d+)", page.text)[0]))


def _shape(page: Page) -> list[str]:
    """Give the shape; whether the run's address can be a link depends on the address."""
    return [it for it in page.shape if not it.startswith("a ")]


def test_a_channel_and_a_hold_stand_on_the_index_as_text(tmp_path: Path) -> None:
    hostile = '"><script>alert(1)</script>\x1b[31m\u202e'
    site = make_site(tmp_path, 2)
    driver, name = site.driver, site.driver.list()[0].marker
    assert name is not None
    driver.hold(name.name, f"person {hostile}")
    moves = Move(
        channel="production",
        before="",
        version=str(name.name),
        link="x",
        manifest="",
        who=hostile,
        at="2026-11-01T00:00:00+00:00",
        why=hostile,
    )
    with channels.alone(driver.state_folder()):
        channels.begin(driver.state_folder(), moves)
        channels.finish(driver.state_folder())
    site.write(tmp_path / "out")
    index = read_site(tmp_path / "out")["index.html"]
    assert index.text.count(one_line(hostile)) == 3


# -- size and looks ------------------------------------------------------------------------------------


def test_the_index_stays_small_however_many_versions_there_are(out: Path) -> None:
    assert (out / "index.html").stat().st_size < 120_000
    assert all(path.stat().st_size < 1 << 20 for path in out.rglob("*.html"))


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _palettes() -> dict[str, dict[str, str]]:
    style = look_of().files["style.css"]
    found = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    ]
    return dict(zip(("light", "dark", "print"), found, strict=True))


@pytest.mark.parametrize("palette", ["light", "dark", "print"])
def test_every_colour_of_text_keeps_its_contrast_on_every_ground(palette: str) -> None:
    colours = _palettes()[palette]
    grounds = [name for name in colours if name.endswith("ground") or name == "raised"]
    assert len(grounds) == 4
    for ink in ("ink", "quiet", "link", "good", "missed"):
        for ground in grounds:
            bright, dim = sorted((_luminance(colours[ink]), _luminance(colours[ground])), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, f"{ink} on {ground}"


def test_a_verdict_is_said_in_words_and_not_by_colour_alone(site: Site, pages: dict[str, Page]) -> None:
    rows = [" ".join("".join(row.itertext()).split()) for row in pages["index.html"].elements("tr")]
    assert any(row.startswith("✗ gate missed") for row in rows)
    assert any(row.startswith("✓ good") for row in rows)
    assert "worse" in pages[f"{site.names[2]}/index.html"].text


def test_the_numbers_of_a_curve_are_in_a_table(site: Site, pages: dict[str, Page]) -> None:
    page = pages[f"{site.names[1]}/index.html"]
    table = next(it for it in page.elements("table") if "Step" in "".join(it.itertext()))
    assert len(list(table.iter("tr"))) == 21
    assert "Dashed: the baseline's." in page.text


def test_facts_are_those_that_the_terminal_says(site: Site, out: Path, pages: dict[str, Page]) -> None:
    record = json.loads((out / site.names[4] / "record.json").read_bytes())
    page = pages[f"{site.names[4]}/index.html"].text
    assert "lr 0.4 0.3 params.yaml hidden [64, 32] params.yaml" in page
    assert "model.pkl pickle 6,574 can run code" in page
    comparison = pages[f"{site.names[4]}/comparison.html"].text
    assert "Models Name 512572f 1bcfb39 Change parameters 6,573 6,574 changed, model.pkl" in comparison
    for words in ("accuracy", "+0.0100 better", "daily.1, which only its owner keeps", "python train.py --fast"):
        assert words in page
    assert html.escape(record["actor"]) in page
    assert list(chain(record["metrics"]["scalars"])) == ["accuracy", "loss"]
