from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.metrics import Metrics
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.record import Outcome
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.report.rendering import markdown, short
from ci_mlsnap.report.summary import HEADLINES, summary
from tests.report.corpus import HOSTILE, KINDS, in_all_places
from tests.report.page import Page, read_page
from tests.report.records import BASE, SHA, VOLUME, hostile_record, record

GOLDEN = Path(__file__).with_name("summary.md")


def _seen(text: str) -> str:
    """Say how a stranger's text must read on the page; a space without width is not to be seen."""
    return cut(one_line(text), 200).strip()


def _cells(page: Page) -> list[str]:
    return [text.replace("\u200b", "").strip() for text in page.texts]


def test_a_summary_is_the_one_that_was_approved() -> None:
    """To approve another: read the difference, then write it into the file."""
    queued = record(reason="", queued=("mlsnap/digits",))
    assert summary(queued) == GOLDEN.read_text()


def test_the_summary_says_what_the_model_was_trained_on() -> None:
    pins = (
        Pin(volume="images", kind="snapshot", path="/d", name=SHA, token="t", held=True),
        Pin(volume="raw", kind="record", path="/raw", token="t"),
    )
    text = summary(record(pins=pins))
    assert "**Data** images&#58; snapshot abababa" in text
    assert "**Data** raw&#58; not pinned, only written down" in text


def test_the_summary_says_what_the_run_found() -> None:
    page = read_page(summary(record()))
    for words in (
        "digits",
        "gate missed",
        "accuracy ↑",
        "0.9611",
        "▲ +0.0111 better",
        "val_loss ↓",
        "▲ +0.0500 worse",
        "❌ missed 0.2500 > 0.2000",
        "✅ met 0.9611 >= 0.9000",
    ):
        assert words in page.text
    for words in ("val_loss 0.2500 > 0.2000", "missed", "3 files, 218 KB", "0123456789ab", SHA, BASE[:7]):
        assert words in page.text


def test_the_corpus_is_large() -> None:
    assert len(set(HOSTILE)) >= 300


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_text_in_the_cell_it_belongs_to(kind: str) -> None:
    plain = read_page(summary(hostile_record("x")))
    for text in in_all_places(KINDS[kind]):
        page = read_page(summary(hostile_record(text)))
        assert page.shape == plain.shape, ascii(text)
        cells, seen = _cells(page), _seen(text)
        assert cells[0] == f"❌ mlsnap · {seen} · gate missed"
        assert f"{seen} ↑" in cells or f"{seen} ↓" in cells
        assert seen in cells, "the reason"
        assert f"Gate missed {seen}".strip() in cells


@given(st.text(max_size=300))
def test_any_text_is_shown_literally(text: str) -> None:
    page = read_page(f"{markdown('x' + text)}\n\n| a |\n|---|\n| {markdown('x' + text)} |\n")
    assert page.shape == [
        *("p", "/p", "table", "thead", "tr", "th", "/th", "/tr", "/thead"),
        *("tbody", "tr", "td", "/td", "/tr", "/tbody", "/table"),
    ]
    assert [_cells(page)[0], _cells(page)[2]] == [_seen("x" + text)] * 2


@pytest.mark.parametrize("outcome", list(HEADLINES))
def test_every_outcome_has_a_summary(outcome: Outcome) -> None:
    page = read_page(summary(record(outcome=outcome)))
    assert HEADLINES[outcome] in page.text


def test_a_run_without_a_version_names_no_snapshot() -> None:
    failed = record(outcome="failed", volume=None, metrics=Metrics(), verdict=None, reason="it ended with 3")
    page = read_page(summary(failed))
    assert page.texts == ["❌ mlsnap · digits · failed", "it ended with 3"]


def test_a_version_that_was_not_walked_says_so() -> None:
    volume = msgspec.structs.replace(VOLUME, files=0, bytes=0)
    assert "contents not inventoried" in summary(record(volume=volume))


def test_what_was_not_posted_is_said_with_the_way_to_send_it() -> None:
    page = read_page(summary(record(queued=("mlsnap/digits", "mlsnap/digits/accuracy"))))
    assert page.texts[-1] == "Not posted yet mlsnap/digits, mlsnap/digits/accuracy; mlsnap publish sends it."


def test_a_table_has_an_end() -> None:
    """Of very many metrics the first hundred are shown; the record has all."""
    many = Metrics(scalars={f"m{number:04}": 1.0 for number in range(500)})
    page = read_page(summary(record(metrics=many, verdict=None)))
    assert page.shape.count("tr") == 102
    assert "and 400 more" in page.texts


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", -0.5, 1e300, -1e-300, 123456.0])
def test_every_kind_of_value_keeps_its_row(value: float | str) -> None:
    made = record(metrics=Metrics(scalars={"m": value}), baseline_metrics={"m": 0.0}, verdict=None)
    assert read_page(summary(made)).shape.count("td") == 6


def test_names_of_snapshots_are_shortened_and_others_cut() -> None:
    assert short(f"{SHA}.2") == "abababa.2"
    assert short("hourly.2026-01-02_0305") == "hourly.2026-"
