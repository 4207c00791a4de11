from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.status import (
    CONTEXT_LIMIT,
    DESCRIPTION_LIMIT,
    context_for,
    cut,
    is_web_url,
    one_line,
    status,
)

HOSTILE = [
    "\x1b[31mred\x1b[0m",
    "a\r\n::set-output name=x::y",
    "\u202egnp.exe",
    "zero\u200bwidth",
    "null\0byte",
    "\ud800 alone",
    "😀" * 200,
    "日本語" * 80,
    "e\u0301" * 100,
]


@given(st.one_of(st.text(max_size=400), st.sampled_from(HOSTILE)))
def test_a_description_is_one_harmless_line_within_the_limit(text: str) -> None:
    made = status("a" * 40, "mlsnap/digits", "success", text).description
    assert len(made) <= DESCRIPTION_LIMIT
    assert made == one_line(made)
    assert all(unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn") for char in made)
    made.encode()


@given(st.text(max_size=300))
def test_making_text_harmless_twice_changes_nothing_more(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)


@given(st.text(st.characters(categories=("L", "N")), max_size=DESCRIPTION_LIMIT))
def test_ordinary_text_that_fits_stays_as_it_is(text: str) -> None:
    assert status("a" * 40, "c", "error", text).description == text


@given(st.text(max_size=300), st.integers(1, 200))
def test_cutting_keeps_the_beginning_and_the_limit(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short) <= limit
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


def test_a_text_is_cut_at_a_word_where_one_ends_near() -> None:
    assert cut("one two three four five", 20) == "one two three four…"
    assert cut("x" * 30, 20) == "x" * 19 + "…"


@pytest.mark.parametrize("url", ["https://ci.example/run/1", "http://127.0.0.1:8080/x?y=1#z", "https://[::1]/x"])
def test_web_links_are_kept(url: str) -> None:
    assert status("a" * 40, "c", "pending", "t", url).target_url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "//ci.example/x",
        "/srv/ml/models",
        "https://",
        "https://user:secret@ci.example/",
        "https://token@ci.example/",
        "https://ci.example/a b",
        "https://ci.example/a\nb",
        "https://ci.example/\x7f",
        "https://[::1",
        "ftp://ci.example/",
        "https://@ci.example/",
    ],
)
def test_what_is_no_plain_web_link_is_left_out(url: str) -> None:
    assert status("a" * 40, "c", "pending", "t", url).target_url == ""


@given(st.text(max_size=100))
def test_no_text_makes_the_link_check_fail(text: str) -> None:
    assert is_web_url(text) in (True, False)
    assert not is_web_url("https://x.example/" + text + "\n")


def test_contexts_are_stable_names() -> None:
    assert context_for("digits") == "mlsnap/digits"
    assert context_for("digits", "val/accuracy") == "mlsnap/digits/val/accuracy"
    assert context_for("digits", "a\nb") == "mlsnap/digits/a b"


_letters = st.text(st.characters(categories=("L", "N")), min_size=250, max_size=400)


@given(_letters, _letters)
def test_contexts_of_long_metric_names_fit_and_stay_apart(one: str, other: str) -> None:
    shown = {context_for("digits", "a" * 250 + name) for name in (one, other)}
    assert all(len(context) <= CONTEXT_LIMIT for context in shown)
    assert len(shown) == len({one, other})
