"""Receipts on real files, left by us and by whoever can write there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.receipts import Receipt, objections, settled
from ci_mlsnap.errors import VolumeMissing
from ci_mlsnap.state import receipts

RUN = "aaaaaaaaaaaa-00000000"


def receipt(boot: str = "other-boot", **changes: Any) -> Receipt:
    facts = {"run": RUN, "host": "node2", "boot": boot, "at": "2026-01-01T00:00:00+00:00", "path": "/mnt/model"}
    return Receipt(**{**facts, "files": 3, "folders": 1, **changes})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Give the folder of a run that training may write to."""
    folder = tmp_path / f"{RUN}.out"
    folder.mkdir()
    return folder


@pytest.fixture
def folder(out: Path) -> Path:
    """Give the run's folder for receipts, made."""
    made = receipts.folder_of(out, RUN)
    made.mkdir(parents=True)
    return made


def why_unread(out: Path) -> str:
    left = receipts.read(out, RUN)
    assert left.receipts == ()
    (why,) = left.unread
    assert why.isprintable()
    return why


def test_what_is_left_is_read(out: Path) -> None:
    place = receipts.folder_of(out, RUN)
    receipts.leave(place, receipt())
    receipts.leave(place, receipt("third-boot"))
    left = receipts.read(out, RUN)
    assert sorted(it.boot for it in left.receipts) == ["other-boot", "third-boot"]
    assert left.unread == ()


def test_a_host_that_settles_again_replaces_its_receipt(out: Path) -> None:
    place = receipts.folder_of(out, RUN)
    receipts.leave(place, receipt(errors=1))
    receipts.leave(place, receipt(files=4))
    assert receipts.read(out, RUN).receipts == (receipt(files=4),)


def test_no_folder_is_no_receipt(out: Path, tmp_path: Path) -> None:
    assert receipts.read(out, RUN) == receipts.Left(receipts=())
    assert receipts.read(tmp_path / "absent", RUN) == receipts.Left(receipts=())


def test_nothing_is_made_where_the_runs_folder_is_not_seen(tmp_path: Path) -> None:
    with pytest.raises(VolumeMissing):
        receipts.leave(receipts.folder_of(tmp_path / "not-mounted", RUN), receipt())
    assert list(tmp_path.iterdir()) == []


# -- forged ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["/etc/passwd", "absent", "../../real.json"])
def test_a_link_is_not_followed(out: Path, folder: Path, target: str) -> None:
    (out / "real.json").write_bytes(msgspec.json.encode(receipt()))
    (folder / "a.json").symlink_to(target)
    assert "no regular file" in why_unread(out)


def test_a_fifo_neither_hangs_us_nor_counts(out: Path, folder: Path) -> None:
    os.mkfifo(folder / "a.json")
    assert "no regular file" in why_unread(out)


def test_a_folder_is_none(out: Path, folder: Path) -> None:
    (folder / "a.json").mkdir()
    assert "no regular file" in why_unread(out)


def test_a_huge_file_is_not_read_whole(out: Path, folder: Path) -> None:
    with (folder / "a.json").open("wb") as file:
        file.truncate(10 << 30)
    assert "too large" in why_unread(out)


def test_a_strange_name_is_told_escaped(out: Path, folder: Path) -> None:
    (folder / "\x1b[2J\n\u202e.json").write_text("{}")
    assert "no receipt" in why_unread(out)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "mlsnap/receipt/2"},
        {"files": -1},
        {"files": 2**60},
        {"files": True},
        {"host": ""},
        {"host": "x" * 300},
        {"boot": None},
        {"more": 1},
    ],
)
def test_a_receipt_of_another_form_is_none(out: Path, folder: Path, changes: dict[str, Any]) -> None:
    facts = json.loads(msgspec.json.encode(receipt()))
    (folder / "a.json").write_text(json.dumps({**facts, **changes}))
    assert "no receipt" in why_unread(out)


@given(content=st.binary(max_size=300))
def test_random_bytes_are_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    out = tmp_path_factory.mktemp("out")
    folder = receipts.folder_of(out, RUN)
    folder.mkdir(parents=True)
    (folder / "a.json").write_bytes(content)
    assert "no receipt" in why_unread(out)


@pytest.mark.parametrize("part", ["out", "receipts", "run"])
def test_a_link_in_the_place_of_a_folder_is_not_followed(out: Path, folder: Path, part: str) -> None:
    receipts.leave(folder, receipt())
    replaced = {"out": out, "receipts": folder.parent, "run": folder}[part]
    elsewhere = out.parent / "elsewhere"
    replaced.rename(elsewhere)
    replaced.symlink_to(elsewhere)
    assert receipts.read(out, RUN) == receipts.Left(receipts=())


def test_a_crowd_of_files_is_looked_at_in_part(out: Path, folder: Path) -> None:
    for number in range(5000):
        (folder / f"{number}.json").touch()
    assert len(receipts.read(out, RUN).unread) == 4096


# -- what counts -------------------------------------------------------------------------------------------------


def test_receipts_count_once_for_each_other_host_of_this_run() -> None:
    given = (
        receipt("b", host="node3"),
        receipt("a", host="node2"),
        receipt("a", host="node2-container"),
        receipt("own"),
        receipt("c", run="bbbbbbbbbbbb-00000000"),
        receipt("d", errors=2, why="weights.pt: I/O error"),
    )
    counted = settled(given, run=RUN, own_boot="own")
    assert [it.boot for it in counted] == ["a", "b"]
    said = objections(given, run=RUN, own_boot="own")
    assert len(said) == 3
    assert "host that concludes" in said[0]
    assert "another run" in said[1]
    assert "I/O error" in said[2]
