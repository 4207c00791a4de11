"""The readers alone, on what a training that crashes, errs or means harm leaves."""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ci_mlsnap.errors import MetricsInvalid
from ci_mlsnap.training.metrics import find_metrics
from ci_mlsnap.training.readers.answering import answer
from ci_mlsnap.training.readers.events import as_written
from ci_mlsnap.training.readers.record_file import masked_checksum

Said = dict[str, Any]


def ask(*contents: bytes, **head: str) -> Said:
    """Give the child's answer for these files, without the child."""
    heads = [{"kind": "any", "size": len(content), **head} for content in contents]
    said: Said = json.loads(json.dumps(answer(heads, io.BytesIO(b"".join(contents)))))
    return said


# -- event files, made here byte by byte -----------------------------------------------------------------------


def record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return b"".join(
        (length, struct.pack("<I", masked_checksum(length)), data, struct.pack("<I", masked_checksum(data)))
    )


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*parts, value))


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def scalar(tag: str, value: float) -> bytes:
    return field(1, field(1, tag.encode()) + varint(2 << 3 | 5) + struct.pack("<f", value))


def tensor(tag: str, inner: bytes, *, plugin: bytes = b"scalars") -> bytes:
    metadata = field(9, field(1, field(1, plugin))) if plugin else b""
    return field(1, field(1, tag.encode()) + metadata + field(8, inner))


def event(step: int, *values: bytes) -> bytes:
    return record(varint(2 << 3) + varint(step) + field(5, b"".join(values)))


VERSION = record(field(3, b"brain.Event:2"))


def test_the_checksum_is_the_published_one() -> None:
    # The check value of CRC-32C for "123456789" is e3069283; masking turns it by 15 bits and adds a constant.
    crc = 0xE3069283
    assert masked_checksum(b"123456789") == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def test_a_file_that_ends_within_a_record_gives_what_is_before() -> None:
    whole = VERSION + event(1, scalar("loss", 0.5)) + event(2, scalar("loss", 0.25))
    for cut in range(len(VERSION) + len(event(1, scalar("loss", 0.5))), len(whole)):
        assert ask(whole[:cut], kind="events")["scalars"] == {"loss": 0.5}
    assert ask(whole, kind="events")["scalars"] == {"loss": 0.25}


@pytest.mark.parametrize("length", range(12))
def test_a_file_that_was_only_begun_holds_nothing(length: int) -> None:
    assert ask(VERSION[:length], kind="events")["scalars"] == {}


def test_a_flipped_bit_is_found_wherever_it_is() -> None:
    whole = VERSION + event(1, scalar("loss", 0.5)) + VERSION
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        assert "why" in ask(bytes(damaged), kind="events"), place


def test_a_training_that_went_on_from_an_earlier_step_replaces_what_was_after_it() -> None:
    steps = [(1, 0.9), (2, 0.8), (3, 0.7), (2, 0.5), (3, 0.4)]
    said = ask(*(event(step, scalar("loss", value)) for step, value in steps), kind="events", group="runs")
    assert said["curves"] == [{"name": "loss", "steps": [1, 2, 3], "values": [0.9, 0.5, 0.4]}]


@given(st.floats(width=32, allow_nan=False))
def test_a_value_is_written_shorter_and_stays_the_same_32_bits(value: float) -> None:
    short = as_written(value)
    assert struct.pack("<f", short) == struct.pack("<f", value)
    assert len(repr(short)) <= len(repr(value))


@pytest.mark.parametrize("step", [-1, -(2**63), 2**63 - 1])
def test_steps_of_any_size_are_read(step: int) -> None:
    assert ask(event(step, scalar("loss", 1)))["curves"][0]["steps"] == [float(step)]


@pytest.mark.parametrize(
    ("kind", "inner", "value"),
    [
        (1, field(4, struct.pack("<f", 0.9)), 0.9),
        (1, varint(5 << 3 | 5) + struct.pack("<f", 0.1), 0.1),
        (1, field(5, struct.pack("<f", 0.3)), 0.3),
        (1, field(4, struct.pack("<f", 2**24)), 2**24),
        (2, field(4, struct.pack("<d", 1 / 3)), 1 / 3),
        (2, varint(6 << 3 | 1) + struct.pack("<d", 1 / 3), 1 / 3),
        (3, field(4, struct.pack("<i", -7)), -7),
        (9, field(4, struct.pack("<q", 2**40)), 2**40),
        (19, field(4, struct.pack("<e", 0.5)), 0.5),
        (1, field(4, struct.pack("<f", math.nan)), "nan"),
        (1, field(4, struct.pack("<f", -math.inf)), "-inf"),
    ],
)
def test_a_tensor_of_one_number_is_a_scalar(kind: int, inner: bytes, value: float | str) -> None:
    said = ask(event(1, tensor("loss", varint(1 << 3) + varint(kind) + inner)))
    assert said["scalars"] == {"loss": value}


@pytest.mark.parametrize(
    ("kind", "inner"),
    [
        (1, field(4, struct.pack("<ff", 1, 2))),
        (1, b""),
        (1, field(4, b"abc")),
        (2, field(4, struct.pack("<f", 1))),
        (7, field(8, b"a text")),
        (99, field(4, struct.pack("<f", 1))),
    ],
)
def test_a_tensor_that_is_no_number_is_left_out(kind: int, inner: bytes) -> None:
    said = ask(event(1, tensor("loss", varint(1 << 3) + varint(kind) + inner)))
    assert said["scalars"] == {}


def test_tensors_of_other_plugins_are_left_out_and_a_tag_is_named_a_scalar_once() -> None:
    number = varint(1 << 3) + varint(1) + field(4, struct.pack("<f", 2))
    other = event(1, tensor("picture", number, plugin=b"images"), tensor("unnamed", number, plugin=b""))
    first, later = event(1, tensor("loss", number)), event(2, tensor("loss", number, plugin=b""))
    said = ask(other + first, later, kind="events", group="runs")
    assert said["curves"] == [{"name": "loss", "steps": [1, 2], "values": [2, 2]}]


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 20,  # a number that does not end
        varint(5 << 3 | 2) + varint(2**63) + b"x",  # a length beyond the record
        varint(5 << 3 | 2) + b"\x05x",
        varint(1 << 3 | 1) + b"1234",
        varint(5 << 3 | 3),  # a group, which nobody writes
        field(5, b"\x0a"),
        field(5, varint(1 << 3 | 0) + b"\x01"),  # a value that is a number
        field(5, field(1, field(1, b"\xff\xfe"))),  # a tag that is no text
        field(5, field(1, varint(2 << 3 | 1) + b"12345678")),  # 64 bits where 32 belong
        varint(2 << 3 | 2) + b"\x01x",  # a step that is a text
        field(5, field(1, field(9, b"\x0a\xff"))),
    ],
)
def test_a_record_that_lies_is_refused(data: bytes) -> None:
    assert ask(VERSION + record(data))["why"] == "one of its records is no event"


def test_a_record_longer_than_any_file_counts_as_cut_off() -> None:
    length = struct.pack("<Q", 2**64 - 1)
    lie = length + struct.pack("<I", masked_checksum(length)) + b"x" * 100
    assert ask(VERSION + event(1, scalar("loss", 0.5)) + lie)["scalars"] == {"loss": 0.5}


@given(st.binary(max_size=400), st.sampled_from(["any", "events", "table", "run", "run-metric"]))
@example(b"\x00" * 100, "any")
@example(b'{"params": [1], "rank_test_a": [1], "b": [[1]]}', "any")
@example(b'{"log_history": [1, {"step": "x", "a": 1e999}], "global_step": null}', "any")
def test_random_bytes_give_metrics_or_a_refusal(content: bytes, kind: str) -> None:
    sound(ask(content, kind=kind, name="n", group="g"))


@given(st.lists(st.binary(max_size=80) | st.binary(max_size=60).map(lambda data: field(5, data)), max_size=5))
def test_random_records_give_metrics_or_a_refusal(contents: list[bytes]) -> None:
    sound(ask(VERSION + b"".join(map(record, contents)), kind="events"))


@given(st.data())
def test_event_files_with_a_changed_byte_but_right_checksums_give_metrics_or_a_refusal(
    data: st.DataObject,
) -> None:
    number = varint(1 << 3) + varint(1) + field(4, struct.pack("<f", 2))
    content = bytearray(varint(2 << 3) + varint(7) + field(5, scalar("a", 1) + tensor("b", number)))
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    sound(ask(record(bytes(content)), kind="events"))


def sound(said: Said) -> None:
    if "refused" in said:
        assert said["why"]
        assert said["hint"]
    else:
        assert all(isinstance(name, str) and name for name in said["scalars"])
        assert all(len(curve["steps"]) == len(curve["values"]) <= 1000 for curve in said["curves"])


# -- tables ----------------------------------------------------------------------------------------------------


def table(*lines: str) -> Said:
    return ask("\n".join(lines).encode(), kind="table")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_tables_are_split_at_what_their_first_line_is_split_at(separator: str) -> None:
    said = table(*(separator.join(row) for row in (("epoch", "loss", "acc"), ("3", "0.5", ""), ("4", "", "nan"))))
    assert said["scalars"] == {"loss": 0.5, "acc": "nan"}
    assert said["curves"][0] == {"name": "loss", "steps": [3], "values": [0.5]}


def test_blanks_of_all_loggers_are_left_out_and_columns_of_text_too() -> None:
    said = table("step,loss,note,time", "1,0.5,fine,00:01", "2,NA,,00:02", '3,None,"[1, 2]",00:03')
    assert said["scalars"] == {"loss": 0.5}


def test_rows_may_be_short_or_long() -> None:
    assert table("step,a,b", "1", "2,5", "3,6,7,8,9", "")["scalars"] == {"a": 6, "b": 7}


def test_a_quoted_name_may_hold_a_separator_and_a_line_end() -> None:
    assert table('step,"a,\n=cmd()"', "1,2")["scalars"] == {"a,\n=cmd()": 2}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no column"),
        (b"1,2,3\n4,5,6\n", "no column"),
        (b"step,epoch\n1,2\n", "no column"),
        (b"step,loss\n", "no column"),
        (b"loss,loss\n1,2\n", "same name"),
        (b"2026-01-01 10:00:00,123 INFO begin\n2026-01-01 10:00:01,456 INFO end\n", "no column"),
        (b"step,loss\n1,\xff\n", "UTF-8"),
        (b'step,loss\n1,"' + b"x" * 200_000, "no table"),
        (b",".join(b"c%d" % place for place in range(2000)) + b"\n" + b",".join([b"1"] * 2000), "more than 1000"),
        (b"step," + b"x" * 300 + b"\n1,2\n", "name of a metric"),
    ],
)
def test_a_table_that_is_none_is_refused(content: bytes, why: str) -> None:
    assert why in ask(content, kind="table")["why"]


# -- curves ----------------------------------------------------------------------------------------------------


def test_a_curve_of_many_points_is_thinned_the_same_way_each_time() -> None:
    lines = "step,loss\n" + "".join(f"{step},{step / 2}\n" for step in range(50_000))
    said = ask(lines.encode(), kind="table")
    (curve,) = said["curves"]
    assert said == ask(lines.encode(), kind="table")
    assert len(curve["steps"]) == 1000
    assert (curve["steps"][0], curve["steps"][-1], curve["values"][-1]) == (0, 49_999, 24_999.5)
    gaps = [later - earlier for earlier, later in pairwise(curve["steps"])]
    assert min(gaps) > 0
    assert max(gaps) < 4 * 50


def test_points_that_all_have_one_step_leave_the_last() -> None:
    said = ask(b"step,loss\n" + b"0,1\n" * 10_000 + b"0,2\n", kind="table")
    assert said["curves"] == [{"name": "loss", "steps": [0], "values": [2]}]


# -- MLflow ----------------------------------------------------------------------------------------------------


def store(root: Path, runs: Iterable[tuple[str, str, str]]) -> None:
    for run, start, lines in runs:
        folder = root / f"mlruns/1/{run}/metrics"
        folder.mkdir(parents=True)
        (folder.parent / "meta.yaml").write_text(f"run_name: 'x'\n{start}\n")
        (folder / "loss").write_text(lines)


@pytest.mark.parametrize("start", ["start_time: soon", "start_time: !!python/object:os.system 1", "", "x" * 1000])
def test_a_run_that_does_not_say_when_it_began_is_the_oldest(tmp_path: Path, start: str) -> None:
    store(tmp_path, [("a", "start_time: 5", "1 0.5 0\n"), ("b", start, "1 0.9 0\n")])
    assert find_metrics((tmp_path,), None).source == "mlruns/1/a"


def test_old_lines_have_no_step_and_a_line_that_is_being_written_is_left_out() -> None:
    said = ask(b"1700000000 0.5\n1700000001 0.25\n1700000002 0.1", kind="run-metric", name="loss", group="0/r")
    assert said["curves"] == [{"name": "loss", "steps": [0, 1], "values": [0.5, 0.25]}]
    assert said["group"] == "0/r"


@pytest.mark.parametrize("line", [b"1700000000\n", b"now low 1\n", b"1 \xff 1\n", b"1 1 x\n", b"\n\n"])
def test_a_line_that_says_nothing_is_refused(line: bytes) -> None:
    assert "no time, value and step" in ask(line, kind="run-metric", name="loss", group="0/r")["why"]


# -- what only has a tool's name -------------------------------------------------------------------------------


def test_what_is_no_metrics_is_passed_over_and_told(tmp_path: Path) -> None:
    (tmp_path / "training.log").write_text("10:00:00,1 INFO begin\n10:00:01,2 INFO end\n")
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"loss"')
    (tmp_path / "runs").symlink_to("/etc")
    (tmp_path / "scores.json").write_text('{"f1": 0.5}')
    told: list[str] = []
    metrics = find_metrics((tmp_path,), None, tell=told.append)
    assert (metrics.source, metrics.scalars) == ("scores.json", {"f1": 0.5})
    assert [text for text in told if "trainer_state.json" in text]
    assert [text for text in told if "training.log" in text]
    assert [text for text in told if "'runs'" in text and "link" in text]
    assert all(text.isprintable() for text in told)


def test_the_same_file_is_refused_where_it_is_configured(tmp_path: Path) -> None:
    (tmp_path / "training.log").write_text("10:00:00,1 INFO begin\n")
    with pytest.raises(MetricsInvalid, match=r"training\.log"):
        find_metrics((tmp_path,), "training.log")


def test_a_folder_with_very_many_files_is_looked_through(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"part-{number}").touch()
    (tmp_path / "events.out.tfevents.1").write_bytes(event(1, scalar("loss", 0.5)))
    assert find_metrics((tmp_path,), None, tell=pytest.fail).scalars == {"loss": 0.5}


def test_too_many_versions_are_told_and_not_cut_off(tmp_path: Path) -> None:
    for number in range(1001):
        (tmp_path / f"lightning_logs/version_{number}").mkdir(parents=True)
    told: list[str] = []
    assert find_metrics((tmp_path,), None, tell=told.append).source == ""
    assert "too many" in told[0]


def test_event_files_share_one_bound(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"events.out.tfevents.{number}").write_bytes(b"x" * 1000)
    told: list[str] = []
    assert find_metrics((tmp_path,), None, max_bytes=1000, tell=told.append).source == ""
    assert "larger" in told[0]
