from __future__ import annotations

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.durable import lines
from ci_mlsnap.durable.lines import Damage, append, read
from ci_mlsnap.errors import IntegrityDamage, StorageFull
from tests.conftest import LoopMount


def _log(path: Path, count: int) -> list[dict[str, Any]]:
    payloads = [{"op": "publish", "text": "ä\n" * number} for number in range(count)]
    for number, payload in enumerate(payloads, 1):
        assert append(path, payload, fsync=False) == number
    return payloads


def test_a_missing_log_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path / "log") == ([], None)
    assert not (tmp_path / "log").exists()


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    payloads = _log(tmp_path / "log", 5)
    append(tmp_path / "log", {"last": True})
    assert read(tmp_path / "log") == ([*payloads, {"last": True}], None)


def test_each_line_names_its_number_and_the_line_before(tmp_path: Path) -> None:
    _log(tmp_path / "log", 3)
    before = "0" * 16
    for number, line in enumerate((tmp_path / "log").read_bytes().splitlines(), 1):
        assert json.loads(line)["n"] == number
        assert json.loads(line)["prev"] == before
        before = hashlib.sha256(line).hexdigest()[:16]


def test_lines_longer_than_a_block_are_chained_too(tmp_path: Path) -> None:
    payloads = [{"text": character * 200_000} for character in "abc"]
    for payload in payloads:
        append(tmp_path / "log", payload, fsync=False)
    assert read(tmp_path / "log") == (payloads, None)


@given(cut=st.integers(min_value=1, max_value=60))
def test_a_torn_last_line_is_told_and_cut_off_by_the_next_one(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    log = tmp_path_factory.mktemp("torn") / "log"
    payloads = _log(log, 2)
    whole = log.read_bytes()
    append(log, {"a": "crash, then a power cut, in the midst of it"}, fsync=False)
    torn = log.read_bytes()[: len(whole) + cut]
    log.write_bytes(torn)
    assert read(log) == (payloads, Damage(line=3, torn_bytes=cut))
    assert append(log, {"again": 1}) == 3
    assert read(log) == ([*payloads, {"again": 1}], None)


def test_a_log_that_is_nothing_but_a_torn_line_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b'{"n":1,"pr')
    assert read(tmp_path / "log") == ([], Damage(line=1, torn_bytes=10))
    assert append(tmp_path / "log", {}) == 1
    assert read(tmp_path / "log") == ([{}], None)


@given(data=st.data())
def test_each_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """The last line's payload is the one thing that nothing follows: only its form is checked."""
    log = tmp_path_factory.mktemp("changed") / "log"
    payloads = _log(log, 4)
    content = bytearray(log.read_bytes())
    end_of_third = sum(len(line) for line in bytes(content).splitlines(keepends=True)[:3])
    position = data.draw(st.integers(0, end_of_third - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    log.write_bytes(content)
    with pytest.raises(IntegrityDamage, match=r"line \d"):
        read(log)
    assert payloads


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_line_that_was_taken_out_is_found(tmp_path: Path, gone: int) -> None:
    log = tmp_path / "log"
    _log(log, 4)
    kept = log.read_bytes().splitlines(keepends=True)
    del kept[gone]
    log.write_bytes(b"".join(kept))
    with pytest.raises(IntegrityDamage, match=f"line {gone + 1} "):
        read(log)


def test_nothing_is_added_behind_a_damaged_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    _log(log, 1)
    log.write_bytes(log.read_bytes() + b"garbage\n")
    before = log.read_bytes()
    with pytest.raises(IntegrityDamage, match="last line"):
        append(log, {})
    assert log.read_bytes() == before


def test_two_writers_make_one_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LOCK_WAIT", 60.0)
    log = tmp_path / "log"
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda number: append(log, {"writer": number}, fsync=False), range(60)))
    assert sorted(numbers) == list(range(1, 61))
    payloads, damage = read(log)
    assert damage is None
    assert sorted(payload["writer"] for payload in payloads) == list(range(60))


def test_on_a_full_disk_the_log_is_as_before(loop_mount: LoopMount) -> None:
    root = loop_mount("ext4", 8)
    log = root / "log"
    append(log, {"first": 1})
    before = log.read_bytes()
    with pytest.raises(StorageFull):
        append(log, {"much": "x" * (32 << 20)})
    assert log.read_bytes() == before
    assert append(log, {"second": 2}) == 2


def test_no_descriptor_is_left_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"garbage\n")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with pytest.raises(IntegrityDamage):
            append(tmp_path / "log", {})
    assert len(os.listdir("/proc/self/fd")) == before
