"""Two versions, and what differs between them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.comparing import Side, compare, environment_of, metric_pairs, shown_command
from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.parameters import Parameters
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.record import Record
from tests.domain.strategies import entries, version

A, B = "a" * 40, "b" * 40


def _record(**changes: Any) -> Record:
    made = Record(
        format="mlsnap/record/1", outcome="good", project="p", model="m", commit=A, host="ml-01", tool="mlsnap 1"
    )
    return msgspec.structs.replace(made, **changes)


def _file(path: str, **changes: Any) -> Entry:
    facts: dict[str, Any] = {"path": path.encode(), "kind": "file", "mode": 0o644, "mtime_ns": 1, "size": 3}
    return Entry(**{**facts, "sha256": "1" * 64, **changes})


def _side(name: str, **changes: Any) -> Side:
    facts = {key: changes.pop(key) for key in ("entries", "record", "parameters") if key in changes}
    return Side(version=version(name, **changes), **{"entries": (), "record": _record(), **facts})


def test_metrics_move_the_good_way_or_not() -> None:
    found = metric_pairs({"accuracy": 0.9, "loss": 0.2, "gone": 1.0}, {"accuracy": 0.8, "loss": 0.1, "new": "nan"})
    assert [(it.name, it.before, it.after, it.better, it.lower) for it in found] == [
        ("accuracy", 0.9, 0.8, False, False),
        ("gone", 1.0, None, None, False),
        ("loss", 0.2, 0.1, True, True),
        ("new", None, "nan", None, False),
    ]


def test_files_come_go_and_change() -> None:
    before = (_file("gone"), _file("same"), _file("model", size=10), _file("dir", kind="dir"))
    after = (_file("same", mtime_ns=9), _file("model", size=12, sha256="2" * 64), _file("new"))
    files = compare(_side(A, entries=before), _side(B, entries=after), code=()).files
    assert files is not None
    assert [(it.path, it.sort, it.before, it.after, it.what) for it in files] == [
        (b"gone", "removed", 3, None, ""),
        (b"model", "changed", 10, 12, "content"),
        (b"new", "added", None, 3, ""),
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"mode": 0o600}, "mode"),
        ({"xattrs": (("user.x", b"1"),)}, "attributes"),
        ({"kind": "link", "target": b"x"}, "kind"),
        ({"sha256": "2" * 64, "mode": 0o600}, "content"),
    ],
)
def test_what_changed_of_a_file_is_said(change: dict[str, Any], what: str) -> None:
    found = compare(_side(A, entries=(_file("f"),)), _side(B, entries=(_file("f", **change),)), code=None)
    assert found.files is not None
    assert [it.what for it in found.files] == [what]


@given(entries, entries)
def test_the_other_way_round_is_the_opposite(one: list[Entry], other: list[Entry]) -> None:
    there = compare(_side(A, entries=one), _side(B, entries=other), code=None).files
    back = compare(_side(B, entries=other), _side(A, entries=one), code=None).files
    opposite = {"added": "removed", "removed": "added", "changed": "changed"}
    assert there is not None and back is not None
    assert [(it.path, it.sort, it.before, it.after, it.what) for it in there] == [
        (it.path, opposite[it.sort], it.after, it.before, it.what) for it in back
    ]


@given(entries, st.dictionaries(st.text(max_size=4), st.floats() | st.just("nan"), max_size=3))
def test_a_version_has_the_same_model_as_itself(files: list[Entry], metrics: dict[str, Any]) -> None:
    finite = {name: value for name, value in metrics.items() if str(value) != "nan"}
    side = _side(A, entries=files, metrics=finite)
    found = compare(side, side, code=())
    assert found.same_model
    assert (found.parameters, found.data, found.environment, found.notes) == ((), (), (), ())


def test_another_metric_is_another_model() -> None:
    found = compare(_side(A, metrics={"loss": 1.0}), _side(B, metrics={"loss": 2.0}), code=())
    assert not found.same_model


def test_contents_that_were_not_inventoried_are_not_said_to_be_the_same() -> None:
    found = compare(_side(A, entries=None), _side(B), code=None)
    assert found.files is None and not found.same_model
    assert any("not inventoried" in note for note in found.notes)


def test_parameters_are_compared_file_by_file() -> None:
    one = {"params.yaml": Parameters(values={"lr": "0.1", "old": "1", "same": "x"})}
    other = {
        "params.yaml": Parameters(values={"lr": "0.2", "same": "x", "new": "1"}),
        "config.json": Parameters(values={"lr": "1"}),
    }
    found = compare(_side(A, parameters=one), _side(B, parameters=other), code=None)
    assert [(it.file, it.name, it.before, it.after) for it in found.parameters] == [
        ("config.json", "lr", None, "1"),
        ("params.yaml", "lr", "0.1", "0.2"),
        ("params.yaml", "old", "1", None),
        ("params.yaml", "new", None, "1"),
    ]


def test_a_secret_is_said_to_differ_and_never_shown() -> None:
    one = {"params.yaml": Parameters(values={"hf_token": "aaa-secret", "url": "https://me:bbb@host/"})}
    other = {"params.yaml": Parameters(values={"hf_token": "ccc-secret"})}
    found = compare(_side(A, parameters=one), _side(B, parameters=other), code=None)
    assert [(it.name, it.before, it.after, it.hidden) for it in found.parameters] == [
        ("hf_token", "", "", True),
        ("url", "", None, True),
    ]
    assert not any(secret in repr(found) for secret in ("-secret", "bbb@"))


def test_a_file_that_cannot_be_read_is_named_with_the_reason() -> None:
    one, other = ({"p.yaml": read} for read in (Parameters(values={"a": "1"}), Parameters(problem="it is odd")))
    found = compare(_side(A, parameters=one), _side(B, parameters=other), code=None)
    assert (found.parameters, found.unread) == ((), (("p.yaml", "it is odd"),))


def test_other_data_is_named_and_the_same_is_not() -> None:
    same = Pin(volume="labels", kind="snapshot", path="/l", name=A, token="t1")
    one = Pin(volume="images", kind="existing", path="/d", name="daily.1", token="t2")
    other = msgspec.structs.replace(one, name="daily.2", token="t3")
    found = compare(_side(A, pins=(same, one)), _side(B, pins=(same, other)), code=None).data
    assert [(it.name, it.before, it.after) for it in found] == [
        (
            "images",
            "its owner's snapshot daily.1, which only its owner keeps",
            "its owner's snapshot daily.2, which only its owner keeps",
        )
    ]


def test_the_environment_is_that_of_the_records() -> None:
    other = _record(
        host="ml-02", packages_digest="f" * 64, argv=("python", "train.py"), passed_variables=("B", "A")
    )
    found = compare(_side(A), _side(B, record=other), code=None).environment
    assert [(it.name, it.before, it.after) for it in found] == [
        ("host", "ml-01", "ml-02"),
        ("command", None, "python train.py"),
        ("packages", None, "f" * 12),
        ("variables", None, "A B"),
    ]
    assert environment_of(_record()) == {"host": "ml-01", "tool": "mlsnap 1"}


def test_without_a_record_it_is_said_what_is_not_compared() -> None:
    found = compare(_side(A, record=None, tool="mlsnap 1"), _side(B, tool="mlsnap 2"), code=None, notes=("first",))
    assert [(it.name, it.before, it.after) for it in found.environment] == [("tool", "mlsnap 1", "mlsnap 2")]
    assert found.notes[0] == "first"
    assert found.notes[1].startswith("no record of aaaaaaa: ")


def test_code_is_passed_on() -> None:
    lines = (LineChange(path="train.py", added=3, removed=1),)
    assert compare(_side(A), _side(B), code=lines).code == lines
    assert compare(_side(A), _side(B), code=None).code is None


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        (("python", "train.py", "--lr", "0.1"), "python train.py --lr 0.1"),
        (("train", "--hf-token", "abc", "--lr=1"), "train --hf-token (hidden) --lr=1"),
        (("train", "--verbose", "--api-key=abc"), "train --verbose --api-key=(hidden)"),
        ("HF_TOKEN=abc EPOCHS=3 python train.py", "HF_TOKEN=(hidden) EPOCHS=3 python train.py"),
        ("curl https://me:abc@host/x", "curl (hidden)"),
        (("train", "--max_tokens", "128"), "train --max_tokens 128"),
        ((), ""),
    ],
)
def test_a_command_is_shown_without_what_looks_like_a_secret(argv: tuple[str, ...] | str, shown: str) -> None:
    assert shown_command(argv) == shown
