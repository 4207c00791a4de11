"""What differs between two versions, as people and scripts read it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ci_mlsnap.cli.printing import printable
from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.comparing import Differences, FileChange, MetricPair, TextChange
from ci_mlsnap.domain.models import ModelChange
from ci_mlsnap.report.compared import (
    SHOWN,
    closing_lines,
    code_text,
    difference_facts,
    difference_markdown,
    difference_rows,
)
from tests.domain.strategies import version
from tests.report.corpus import HOSTILE, KINDS, in_all_places
from tests.report.page import read_page

A, B = "a" * 40, "b" * 40
GOLDEN = Path(__file__).with_name("diff.md")


def _found(**changes: Any) -> Differences:
    found = Differences(
        before=version(A),
        after=version(B),
        metrics=(
            MetricPair(name="accuracy", before=0.9472, after=0.9583, better=True, lower=False),
            MetricPair(name="loss", before=0.141, after=0.163, better=False, lower=True),
        ),
        files=(
            FileChange(path=b"model.pkl", sort="changed", before=143_000, after=160_000, what="content"),
            FileChange(path=b"old.bin", sort="removed", before=10, after=None),
            FileChange(path=b"run.sh", sort="changed", before=9, after=9, what="mode"),
            FileChange(path=b"weights.safetensors", sort="added", before=None, after=27_000),
        ),
        parameters=(
            TextChange(name="hidden", before="[64]", after="[64, 32]", file="params.yaml"),
            TextChange(name="hf_token", before="", after="", file="params.yaml", hidden=True),
        ),
        unread=(("config.yaml", "it has several documents"),),
        code=(
            LineChange(path="train.py", added=14, removed=3),
            LineChange(path="x.png", added=None, removed=None),
        ),
        data=(TextChange(name="images", before="snapshot aaaaaaa", after="snapshot bbbbbbb"),),
        environment=(TextChange(name="host", before="ml-01", after=None),),
        notes=("something is not compared",),
    )
    return msgspec.structs.replace(found, **changes)


def _hostile(text: str) -> Differences:
    change = TextChange(name=text, before=text, after=text, file=text)
    return _found(
        before=version(A, model=text),
        after=version(B, model=text),
        metrics=(MetricPair(name=text, before=text, after=text, better=None, lower=False),),
        files=(
            FileChange(
                path=text.encode(errors="replace"),
                sort="added",
                before=None,
                after=1,
            ),
        ),
        models=(ModelChange(file=text, name=text, before=text, after=text),),
        parameters=(change,),
        unread=((text, "why"),),
        data=(change,),
        environment=(change,),
        notes=(),
    )


def test_rows_have_both_values_and_what_is_said_of_them() -> None:
    assert difference_rows(_found()) == [
        ("", "aaaaaaa", "bbbbbbb", ""),
        ("metrics", "", "", ""),
        ("  accuracy", "0.9472", "0.9583", "+0.0111 better"),
        ("  loss", "0.1410", "0.1630", "+0.0220 worse"),
        ("parameters", "", "", ""),
        ("~ hidden", "[64]", "[64, 32]", "params.yaml"),
        ("~ hf_token", "", "", "not shown"),
        ("files", "", "", ""),
        ("~ model.pkl", "143 KB", "160 KB", ""),
        ("- old.bin", "10 B", "", ""),
        ("~ run.sh", "9 B", "9 B", "mode"),
        ("+ weights.safetensors", "", "27 KB", ""),
        ("data", "", "", ""),
        ("~ images", "snapshot aaaaaaa", "snapshot bbbbbbb", ""),
        ("environment", "", "", ""),
        ("- host", "ml-01", "", ""),
    ]


def test_what_has_no_columns_is_said_in_words() -> None:
    assert list(closing_lines(_found())) == [
        "code: 2 files, +14 -3, 1 binary   (git diff aaaaaaa bbbbbbb)",
        "note: config.yaml differs, and is not shown: it has several documents",
        "note: something is not compared",
    ]


def test_what_is_known_to_be_the_same_is_said_and_nothing_else() -> None:
    same = MetricPair(name="loss", before="nan", after="nan", better=None, lower=True)
    found = _found(files=(), code=(), metrics=(same,), notes=(), unread=())
    assert list(closing_lines(found)) == ["the same: metrics, files, code"]
    assert list(closing_lines(_found(files=None, code=None, metrics=(), notes=(), unread=()))) == []


def test_of_very_many_files_some_are_shown_and_json_has_all() -> None:
    files = tuple(FileChange(path=b"%04d" % number, sort="added", before=None, after=1) for number in range(500))
    found = _found(files=files)
    assert ("  and 480 more", "", "", "--json has all") in difference_rows(found)
    assert sum(row[0].startswith("+ ") for row in difference_rows(found)) == SHOWN
    assert len(difference_facts(found)["files"]) == 500
    assert read_page(difference_markdown(found)).shape.count("tr") < 60


@pytest.mark.parametrize("width", [20, 80, 120, 300, None])
def test_lines_are_no_longer_than_a_terminal(width: int | None) -> None:
    text = "x" * 500
    rows = difference_rows(_hostile(text), width)
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    assert sum(widths) + 6 <= (width or 174) or width == 20


def test_no_line_has_anything_to_obey() -> None:
    for text in HOSTILE:
        found = _hostile(text)
        for line in (*(cell for row in difference_rows(found, 80) for cell in row), *closing_lines(found)):
            assert printable(line).isprintable()


def test_facts_are_what_json_can_carry() -> None:
    odd = os.fsdecode(b"x\xff")
    files = (FileChange(path=b"x\xff", sort="added", before=None, after=1),)
    found = _found(files=files, code=(LineChange(path=odd, added=1, removed=0),))
    facts = json.loads(msgspec.json.encode(difference_facts(found)))
    assert facts["files"][0]["path"] == facts["code"][0]["path"] == "x\\udcff"
    assert set(facts) == {
        *("from", "to", "same_model", "metrics", "parameters", "unread", "files", "code", "data"),
        *("environment", "notes", "models"),
    }
    assert difference_facts(_found(files=None, code=None))["files"] is None


def test_a_page_is_the_one_that_was_approved() -> None:
    """To approve another: read the difference, then write it into the file."""
    assert difference_markdown(_found()) == GOLDEN.read_text()


def test_a_page_has_the_same_words_as_the_lines() -> None:
    page = read_page(difference_markdown(_found()))
    for words in ("accuracy ↑", "+0.0111 better", "loss ↓", "+0.0220 worse", "[64, 32]", "not shown", "added"):
        assert words in page.text
    assert page.texts[0] == "mlsnap · digits · aaaaaaa → bbbbbbb"


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_in_its_cell(kind: str) -> None:
    plain = read_page(difference_markdown(_hostile("x")))
    for text in in_all_places(KINDS[kind]):
        assert read_page(difference_markdown(_hostile(text))).shape == plain.shape, ascii(text)


def test_code_is_counted() -> None:
    assert code_text([LineChange(path="a", added=1, removed=2)]) == "1 file, +1 -2"
