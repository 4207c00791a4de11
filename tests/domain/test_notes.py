"""A note's lines: what is in them, what is read of strangers', and how they are joined."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.gates import Finding, Verdict
from ci_mlsnap.domain.metrics import Scalar
from ci_mlsnap.domain.notes import LINE_LIMIT, NOTE_LIMIT, joined, line_of, note_of, read
from tests.domain.strategies import digests, header_of, shas

DIGEST = "d" * 64
LINES = st.lists(
    st.text(st.characters(codec="ascii", exclude_characters="\n"), min_size=1, max_size=8), max_size=6
)


def _note(**changes: object) -> bytes:
    """Write a note as a stranger may: ours, with these fields changed."""
    return json.dumps(json.loads(line_of(note_of(header_of(), DIGEST))) | changes).encode()


@given(
    sha=shas,
    digest=digests,
    metrics=st.dictionaries(st.text(max_size=120), st.one_of(st.floats(-1e9, 1e9), st.just("nan")), max_size=60),
    reasons=st.lists(st.text(max_size=400), max_size=15),
)
def test_a_version_is_told_in_one_short_line_and_read_again(
    sha: str, digest: str, metrics: dict[str, Scalar], reasons: list[str]
) -> None:
    verdict = Verdict(good=not reasons, findings=tuple(Finding(metric="m", good=False, text=it) for it in reasons))
    header = header_of(name=sha, commit=sha, metrics=metrics, verdict=verdict, ref="refs/heads/secret-branch")
    line = line_of(note_of(header, digest))
    assert line.isascii() and line.isprintable() and len(line) <= LINE_LIMIT
    assert "secret-branch" not in line and "models" not in line
    (found,) = read(line.encode())
    assert (found.snapshot, found.manifest, found.good) == (sha, digest, not reasons)
    assert line_of(found) == line


@pytest.mark.parametrize(
    "text",
    [
        b"a colleague's remark",
        b"{",
        b"[" * 100_000,
        b"\xff\xfe",
        _note(format="mlsnap/note/2"),
        _note(snapshot="../../etc"),
        _note(snapshot="b" * 40),
        _note(commit="HEAD"),
        _note(manifest="d" * 63),
        _note(good="yes"),
        _note(metrics={"x": ["a"]}),
        _note(model="m" * 5000),
        b"{" + b" " * LINE_LIMIT + _note()[1:],
    ],
)
def test_what_is_no_note_of_ours_tells_nothing_and_spoils_nothing(text: bytes) -> None:
    assert read(text) == ()
    assert [note.manifest for note in read(text + b"\n" + _note())] == [DIGEST]


def test_a_giant_tells_nothing() -> None:
    assert read(_note() + b"\n" * NOTE_LIMIT) == ()


@given(one=LINES, other=LINES)
def test_lines_are_joined_each_once_in_whatever_order(one: list[str], other: list[str]) -> None:
    def both(first: list[str], second: list[str]) -> bytes:
        begun = joined(b"", first) or b""
        return joined(begun, second) or begun

    assert both(one, other) == both(other, one)
    assert set(both(one, other).decode().split("\n")) - {""} == {*one, *other}
    assert joined(both(one, other), one) is None


def test_nothing_is_added_to_a_note_that_would_be_too_large_to_be_read() -> None:
    assert joined(b"x" * NOTE_LIMIT, ["one more"]) is None
