from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ci_mlsnap.domain.manifest import decode_header, header_line
from ci_mlsnap.domain.pins import DataPlan, Pin, PinKind, differing, holder, told, variable
from tests.domain.strategies import header_of

A, B = "a" * 40, "b" * 40
GONE = "; it went or changed while training read it"


def pin(volume: str = "images", **changes: Any) -> Pin:
    facts: dict[str, Any] = {"kind": "snapshot", "path": f"/s/{A}", "token": "t 1", "name": A, "held": True}
    return Pin(volume=volume, **(facts | changes))


@pytest.mark.parametrize(
    ("some", "others", "expected"),
    [
        ([], [], []),
        ([pin()], [pin()], []),
        ([pin(name=A, path="/a")], [pin(name=B, path="/b", held=False)], []),
        ([pin()], [pin(token="t 2")], ["images"]),
        ([pin()], [], ["images"]),
        ([], [pin()], ["images"]),
        ([pin(), pin("labels")], [pin("labels"), pin()], []),
        ([pin(), pin("labels")], [pin(), pin("labels", token="t 2")], ["labels"]),
        ([pin()], [pin(kind="record")], ["images"]),
        ([pin(token="")], [pin(token="")], ["images"]),
        ([pin(drifted=True)], [pin()], ["images"]),
    ],
)
def test_data_is_the_same_only_where_all_volumes_are_known_to_be(
    some: list[Pin], others: list[Pin], expected: list[str]
) -> None:
    assert differing(some, others) == expected
    assert differing(others, some) == expected


@pytest.mark.parametrize(
    ("setting", "kind", "existing"),
    [
        ("snapshot", "snapshot", ""),
        ("record", "record", ""),
        ("existing:daily.*", "existing", "daily.*"),
        ("existing:existing:x", "existing", "existing:x"),
    ],
)
def test_the_setting_says_the_kind_of_pin(setting: str, kind: PinKind, existing: str) -> None:
    data = DataPlan(name="images", path="/d", driver="local", store="/s", pin=setting)
    assert (data.kind, data.existing) == (kind, existing)


def test_training_finds_a_volume_by_a_name_that_a_shell_can_say() -> None:
    assert variable("raw-audio-2") == "MLSNAP_DATA_RAW_AUDIO_2"


def test_each_volume_has_holders_of_its_own_which_no_other_begins_with() -> None:
    ours = holder("org/digits", "digits", "1" * 32)
    version = holder("org/digits", "digits", "1" * 32, A)
    run = holder("org/digits", "digits", "1" * 32, A, "aaaaaaaaaaaa-00000000")
    assert version.startswith(ours) and run.startswith(ours)
    assert len({ours, version, run, holder("org/digits", "digits", "1" * 32, f"{A}.2")}) == 4
    assert not holder("org/digits", "digits", "2" * 32, A).startswith(ours)


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (pin(), "images: snapshot aaaaaaa"),
        (pin(name=f"{A}.2"), "images: snapshot aaaaaaa.2"),
        (
            pin(kind="existing", name="daily.3", held=False),
            "images: its owner's snapshot daily.3, which only its owner keeps",
        ),
        (
            pin("i", kind="existing", name="x\n\x1b[2J", drifted=True),
            "i: its owner's snapshot x ?[2J, which only its owner keeps" + GONE,
        ),
        (pin(kind="record", name=""), "images: not pinned, only written down"),
        (
            pin(kind="record", name="", drifted=True),
            "images: not pinned, only written down; it changed while training read it",
        ),
    ],
)
def test_a_person_reads_what_is_known_of_the_data_and_what_is_not(found: Pin, text: str) -> None:
    assert told(found) == text


def test_a_manifest_without_data_has_the_bytes_that_it_always_had() -> None:
    line = header_line(header_of())
    assert b"pins" not in line and b"data_state" not in line


def test_pins_are_read_back_from_a_manifest_as_they_were() -> None:
    header = msgspec.structs.replace(
        header_of(), pins=(pin(), pin("raw", kind="record", facts={"mount source": "nas:/raw"})), data_state="t"
    )
    assert decode_header(header_line(header)) == header
