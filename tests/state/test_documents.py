from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from ci_mlsnap.errors import IntegrityDamage, Refused, StorageFailed
from ci_mlsnap.state import documents


class Note(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/note/2"):
    text: str


def read(path: Path) -> Note | None:
    return documents.read(path, Note, way_out="the way out")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "below" / "note.json"
    documents.write(path, Note(text="ü\n"))
    assert read(path) == Note(text="ü\n")


def test_a_missing_document_is_none_and_nothing_is_made(tmp_path: Path) -> None:
    assert read(tmp_path / "not" / "there.json") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"format":"mlsnap/note/2"}', b'{"text":"a"}', b'{"format":"x/9","text":"a"}', b"\xff"],
)
def test_a_damaged_document_is_not_taken_for_a_missing_one(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "note.json"
    path.write_bytes(content)
    with pytest.raises(IntegrityDamage) as caught:
        read(path)
    assert caught.value.hint == "the way out"
    assert path.read_bytes() == content


def test_a_document_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "note.json"
    path.write_bytes(content := b'{"format":"mlsnap/note/3","words":["a"]}')
    with pytest.raises(Refused, match="newer mlsnap"):
        read(path)
    assert path.read_bytes() == content


def test_a_link_in_place_of_a_document_is_not_followed(tmp_path: Path) -> None:
    documents.write(tmp_path / "elsewhere.json", Note(text="a"))
    (tmp_path / "note.json").symlink_to("elsewhere.json")
    with pytest.raises(StorageFailed):
        read(tmp_path / "note.json")


def test_a_fifo_in_place_of_a_document_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "note.json")
    with pytest.raises(IntegrityDamage):
        read(tmp_path / "note.json")


def test_removing_twice_is_removing_once(tmp_path: Path) -> None:
    documents.write(tmp_path / "note.json", Note(text="a"))
    documents.remove(tmp_path / "note.json")
    documents.remove(tmp_path / "note.json")
    assert read(tmp_path / "note.json") is None
