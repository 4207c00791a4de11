"""Model files that are damaged, made to harm, or both: each ends in a plain reason."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ci_mlsnap.domain.models import Model
from ci_mlsnap.training.models import asking, pickled
from ci_mlsnap.training.models.asking import Reader, open_beneath
from tests.training.models.looking import MADE, here, model_of
from tests.training.models.torch_zip import torch_legacy, torch_zip

SECRET = "never-to-be-quoted"


def with_header(header: object, behind: bytes = b"") -> bytes:
    """Give a safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + behind


def tensor(**changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def npy(header: bytes) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def keras_zip(config: object) -> bytes:
    return zipped({"config.json": json.dumps(config).encode(), "metadata.json": b"{}"})


DAMAGED: dict[str, tuple[str, bytes, str]] = {
    "header that is no JSON": ("safetensors", with_header(b"{" + SECRET.encode()), "no JSON"),
    "header that is nested": ("safetensors", with_header(b'{"a":' * 50_000), "no JSON"),
    "name twice": ("safetensors", with_header(b'{"a":1,"a":1}'), "twice"),
    "tensor that is none": ("safetensors", with_header({"a": SECRET}), "not what it should"),
    "negative shape": ("safetensors", with_header({"a": tensor(shape=[-2])}), "impossible shape"),
    "giant shape": ("safetensors", with_header({"a": tensor(shape=[1 << 40, 1 << 40])}), "impossible shape"),
    "shape of a thousand dimensions": ("safetensors", with_header({"a": tensor(shape=[1] * 1000)}), "impossible"),
    "cut off": ("safetensors", with_header({"a": tensor()}, bytes(7)), "cut off"),
    "something behind": ("safetensors", with_header({"a": tensor()}, bytes(9)), "behind them"),
    "overlap": (
        "safetensors",
        with_header({"a": tensor(), "b": tensor(data_offsets=[4, 12])}, bytes(12)),
        "overlap",
    ),
    "wrong size": ("safetensors", with_header({"a": tensor(shape=[3])}, bytes(8)), "not that of its shape"),
    "literal that calls": ("numpy", npy(b"{'descr': __import__('os').system('x')}\n"), "no literal"),
    "literal that is nested": ("numpy", npy(b"(" * 60_000), "no literal"),
    "array without a shape": ("numpy", npy(b"{'descr': '<f4'}"), "not what it should"),
    "kinds in one text": (
        "numpy",
        npy(b"{'descr': 'i4,O8', 'fortran_order': False, 'shape': (1,)}"),
        "not what it",
    ),
    "kind by its long name": (
        "numpy",
        npy(b"{'descr': 'object', 'fortran_order': False, 'shape': (1,)}"),
        "not what",
    ),
    "long header of an array": ("numpy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100), "very long"),
    "archive without an end": ("archive", zipped({"a": b"x"})[:-30] + bytes(30), "without an end"),
    "module that is another name": (
        "keras",
        zipped({"config.json": b"[1]", "metadata.json": b"{}"}),
        "no JSON object",
    ),
    "configuration that is nested": (
        "keras",
        zipped({"config.json": b"[" * 100_000, "metadata.json": b"{}"}),
        "no JSON that can be read",
    ),
    "pickle that is cut off": ("pickle", pickle.dumps(list(range(1000)))[:-10], "cut off"),
    "pickle of a long text": ("pickle", b"\x80\x04B\xff\xff\xff\x7f", "cut off"),
    "pickle of nothing": ("pickle", b"\x80\x04.", ""),
    "pickle that pops too much": ("pickle", b"\x80\x040.", "no pickle that can be read"),
    "pickle that remembers nothing": ("pickle", b"\x80\x04h\x05.", "no pickle that can be read"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_ends_in_a_plain_reason_that_quotes_nothing(name: str) -> None:
    format_, content, why = DAMAGED[name]
    found = here(content)
    assert found["format"] == format_
    assert why in found["problem"]
    assert SECRET not in json.dumps(found)


def test_a_bomb_in_an_archive_is_not_unpacked(tmp_path: Path) -> None:
    bomb = zipped({"a.npy": b"\x93NUMPY" + bytes(33 << 20)})
    assert len(bomb) < 1 << 20
    (tmp_path / "bomb").write_bytes(bomb)
    assert "larger than 32 MiB" in model_of(tmp_path / "bomb").problem


def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(65 << 20), 1))
    model = model_of(tmp_path / "bomb")
    assert model.format == "archive"
    assert "larger than 64 MiB" in model.problem


def test_what_begins_like_a_compressed_file_and_is_none_is_unknown() -> None:
    assert here(b"x\x9c\xff\xff damage")["format"] == "other"
    assert here(b"x^2 + y^2 = 1\n")["format"] == "text"


def test_a_pickle_that_grows_when_it_is_loaded_stays_small() -> None:
    """Each list holds the one before ten times: loaded, walked or printed it would be ten to the hundredth."""
    laughs = b"\x80\x04]\x94" + b"".join(b"](" + b"h%c" % number * 10 + b"e\x94" for number in range(100)) + b"."
    found = here(laughs)
    assert (found["format"], found["problem"]) == ("pickle", "")


def test_tuples_that_are_nested_in_themselves_are_never_hashed() -> None:
    twice = b"".join(b"h%ch%c\x86\x94" % (number, number) for number in range(90))
    found = here(b"\x80\x04)\x94" + twice + b"}h\x5aK\x01s.")
    assert found["problem"] == ""


def test_deep_objects_cost_nothing_but_their_length() -> None:
    assert here(b"\x80\x04" + b"]" * 30_000 + b"a" * 29_999 + b".")["format"] == "pickle"


def test_a_file_with_very_many_instructions_is_left_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickled, "STEPS_AT_MOST", 1000)
    found = here(b"\x80\x02(" + b"K\x01" * 1000 + b"l.")
    assert "instructions" in found["problem"]


def test_bytes_in_a_pickle_are_stepped_over(tmp_path: Path) -> None:
    """Sparse, so the file takes no space; read whole, it would be a gigabyte."""
    with (tmp_path / "large").open("wb") as file:
        file.write(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 30))
        file.seek(1 << 30, os.SEEK_CUR)
        file.write(b"\x940cos\nsystem\n.")
    model = model_of(tmp_path / "large")
    assert (model.format, model.problem, model.imports) == ("pickle", "", ("os.system",))


def test_a_tensor_file_of_many_gigabytes_is_measured_and_not_read(tmp_path: Path) -> None:
    size = 40 << 30
    with (tmp_path / "large").open("wb") as file:
        file.write(with_header({"a": tensor(shape=[size // 4], data_offsets=[0, size])}))
        file.truncate(file.tell() + size)
    assert model_of(tmp_path / "large").parameters == size // 4


def test_two_members_of_one_name_are_refused() -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model/data.pkl", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("model/data.pkl", b"two")
    assert "the same name" in here(content.getvalue())["problem"]


@pytest.mark.parametrize("member", [b"PK\x03\x04rest", gzip.compress(b"x"), bytes(257) + b"ustar"])
def test_an_archive_in_an_archive_is_named(member: bytes) -> None:
    found = here(zipped({"inner": member}))
    assert (found["format"], found["runs_code"]) == ("archive", "unknown")
    assert "inner" in found["why"]


@pytest.mark.parametrize(
    ("layer", "runs"),
    [
        ({"class_name": "Dense", "module": "keras.layers", "config": {}}, "no"),
        ({"class_name": "Lambda", "module": "keras.layers", "config": {"function": ["code", None, None]}}, "yes"),
        ({"class_name": "__lambda__", "config": {"value": "code"}}, "yes"),
        ({"class_name": "Own", "module": "somebody.layers", "config": {}}, "yes"),
        ({"class_name": "Own", "module": "keras_evil", "config": {}}, "yes"),
        ({"class_name": "system", "module": "os", "config": {}}, "yes"),
        ({"class_name": "function", "module": "builtins", "config": "exec"}, "yes"),
        ({"class_name": "function", "module": "builtins", "config": "own_loss"}, "no"),
    ],
)
def test_keras_layers_that_are_not_its_own_can_run_code(layer: dict[str, object], runs: str) -> None:
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    assert here(keras_zip(config))["runs_code"] == runs


@pytest.mark.parametrize("name", [name for name, (format_, *_) in DAMAGED.items() if format_ != "safetensors"])
def test_what_is_not_read_to_its_end_is_never_said_to_run_nothing(name: str) -> None:
    found = here(DAMAGED[name][1])
    assert found["runs_code"] != "no" or not found["problem"]


def test_objects_in_fields_of_an_array_are_found_however_they_are_written() -> None:
    for descr in ("[('a', '|O')]", "[('a', [('b', 'O8', (2,))])]", "('|O', (2,))", "[(('title', 'a'), 'O')]"):
        found = here(npy(f"{{'descr': {descr}, 'shape': (1,)}}".encode()))
        assert (found["runs_code"], found["problem"]) == ("yes", ""), descr


@pytest.mark.parametrize("before", [b"", b"V" + b"x" * 70_000 + b"\n0", b"Vx\n0" * 1000])
def test_a_pickle_that_is_a_text_is_none(monkeypatch: pytest.MonkeyPatch, before: bytes) -> None:
    monkeypatch.setattr(pickled, "STEPS_AT_MOST", 1000)
    found = here(before + b"cos\nsystem\n(S'true'\ntR.")
    assert found["format"] in ("pickle", "other")
    assert found["runs_code"] != "no"


def test_a_later_odd_name_hides_no_call() -> None:
    found = here(b"cos\nsystem\n(S'true'\ntR0c\xc2\xa0 odd\nname\n.")
    assert (found["format"], found["runs_code"]) == ("pickle", "yes")


def test_a_text_with_an_archive_behind_it_is_no_text() -> None:
    content = b"just a text\n" * 100_000 + zipped({"config.json": b"{}"})
    assert here(content)["format"] == "other"


def test_attributes_of_hdf5_in_a_heap_are_said_to_be_unread() -> None:
    model = model_of(MADE / "heap.h5")
    assert (model.format, model.runs_code) == ("hdf5", "unknown")
    assert "in a form that is not read" in model.problem


@pytest.mark.parametrize(
    "text", [b"class Model:\n    pass\n", b"# notes\n", b"{}", b"a,b\n1,2\n", b"(see below)\n"]
)
def test_texts_are_texts(text: bytes) -> None:
    found = here(text)
    assert (found["format"], found["runs_code"]) == ("text", "no")


def test_what_is_not_known_is_said_to_be_unknown() -> None:
    found = here(bytes(range(256)))
    assert (found["format"], found["runs_code"]) == ("other", "unknown")


# -- the child -------------------------------------------------------------------------------------------


def hanging(folder: Path, text: str) -> Path:
    """Give a child that answers no file."""
    child = folder / "child.py"
    child.write_text(f"import socket, sys, time\nasking = socket.socket(fileno=0)\n{text}\n")
    return child


@pytest.mark.parametrize(
    ("acts", "why"),
    [
        ("sys.exit(1)", "too long or too much memory"),
        ("asking.recv(1); sys.exit(0)", "too long or too much memory"),
        ("time.sleep(100)", "takes too long"),
        ("asking.recv(1); asking.sendall(b'\\x7f\\xff\\xff\\xff'); time.sleep(100)", "too long or too much"),
        ("asking.recv(1); asking.sendall(b'\\0\\0\\0\\2{}'); time.sleep(100)", "failed"),
        ("asking.recv(1); asking.sendall(b'\\0\\0\\0\\1\\xff'); time.sleep(100)", "failed"),
    ],
)
def test_a_child_that_dies_hangs_or_lies_costs_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, acts: str, why: str
) -> None:
    file = os.open(MADE / "weights.safetensors", os.O_RDONLY)
    with Reader() as reader:
        with monkeypatch.context() as patch:
            patch.setattr(asking, "_CHILD", hanging(tmp_path, acts))
            if acts.startswith("time"):
                patch.setattr(asking, "_SLACK", 0.3 - asking.FILE_SECONDS)
            assert why in reader.read(file).problem
        assert reader.read(file).problem == ""
    os.close(file)


def test_when_the_time_is_over_files_are_left_unread() -> None:
    model = model_of(MADE / "weights.safetensors", seconds=-1.0)
    assert model.problem == "no time was left for it"


def test_texts_of_an_answer_are_made_harmless(tmp_path: Path) -> None:
    name = "a\x1b[2J\u202e\n"
    (tmp_path / "model").write_bytes(with_header({name: tensor()}, bytes(8)))
    (found,) = model_of(tmp_path / "model").tensors
    assert found.name.isprintable()


def test_the_child_has_no_environment_and_no_file_but_the_one_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = hanging(
        tmp_path,
        "import json, os\n"
        "_, files, _, _ = socket.recv_fds(asking, 1, 1)\n"
        "seen = f'{sorted(os.environ)} {os.getcwd()} {len(os.listdir(\"/proc/self/fd\"))}'\n"
        "answer = json.dumps({'format': 'other', 'why': seen}).encode()\n"
        "asking.sendall(len(answer).to_bytes(4, 'big') + answer)",
    )
    monkeypatch.setattr(asking, "_CHILD", spy)
    monkeypatch.setenv("MLSNAP_GITHUB_TOKEN", SECRET)
    why = model_of(MADE / "weights.safetensors").why
    environment, folder, count = why.rsplit(" ", 2)
    assert SECRET not in environment
    assert "TOKEN" not in environment
    assert folder == "/"
    assert int(count) <= 5, "socket, stdout, stderr, the file, and the listing's own"


def test_no_link_is_followed_on_the_way_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "model").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "inside")
    (tmp_path / "model").symlink_to("/etc/hostname")
    os.close(open_beneath(tmp_path, b"inside/model"))
    for path in (b"link/model", b"model", b"none"):
        with pytest.raises(OSError, match=r"^\[Errno"):
            open_beneath(tmp_path, path)


BY_CHANCE = settings(max_examples=min(100, settings().max_examples))

# -- by chance -------------------------------------------------------------------------------------------


def _saved(save: Any, *arrays: Any, **named: Any) -> bytes:
    content = io.BytesIO()
    save(content, *arrays, **named)
    return content.getvalue()


WHOLE = [
    *(
        file.read_bytes()
        for file in sorted(MADE.iterdir())
        if file.suffix not in (".py", ".md") and file.is_file()
    ),
    *(pickle.dumps({"a": np.zeros(3), "b": [1, 2.0, "x", (None, True)]}, protocol=it) for it in range(6)),
    _saved(np.save, np.zeros((2, 3))),
    _saved(np.savez_compressed, a=np.zeros(3)),
    torch_zip({"a": [1]}),
    torch_legacy({"a": [1]}),
]


def _cut_and_changed(whole: bytes) -> st.SearchStrategy[bytes]:
    """Give the file with some bytes changed, some moved, or its end cut off."""
    places = st.integers(0, len(whole) - 1)
    changes = st.lists(st.tuples(places, st.integers(0, 255)), max_size=6)

    def changed(edits: list[tuple[int, int]], end: int, move: int) -> bytes:
        content = bytearray(whole[: end or None])
        for place, value in edits:
            if place < len(content):
                content[place] = value
        return bytes(content[move:] + content[:move])

    ends = st.one_of(st.just(0), places)
    moves = st.one_of(st.just(0), st.integers(0, 16))
    return st.builds(changed, changes, ends, moves)


@BY_CHANCE
@given(st.sampled_from(WHOLE).flatmap(_cut_and_changed))
def test_damaged_files_end_in_facts_that_fit(content: bytes) -> None:
    _require_facts(here(content))


@BY_CHANCE
@given(st.binary(max_size=300))
def test_any_bytes_end_in_facts_that_fit(content: bytes) -> None:
    for before in (
        b"",
        b"\x80\x04",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00",
        b"\x89HDF\r\n\x1a\n\0",
        b"\x08\x08",
        b"\x1f\x8b",
    ):
        _require_facts(here(before + content))


@BY_CHANCE
@given(
    st.recursive(
        st.one_of(st.none(), st.integers(), st.text(), st.binary()),
        lambda it: st.lists(it) | st.dictionaries(st.text(), it),
    ),
    st.integers(0, 5),
)
def test_what_pickle_writes_is_followed_to_its_end_and_imports_nothing_of_its_own(
    value: Any, protocol: int
) -> None:
    found = here(
        b"\x80\x02" + pickle.dumps(value, protocol=protocol)
        if protocol < 2
        else pickle.dumps(value, protocol=protocol)
    )
    assert (found["format"], found["problem"]) == ("pickle", "")
    assert set(found["imports"]) <= {"_codecs.encode", "__builtin__.bytes", "__builtin__.bytearray"}


def _require_facts(found: dict[str, Any]) -> None:
    model = msgspec.convert(json.loads(json.dumps(found)), Model)
    assert len(model.tensors) <= 500
    assert model.runs_code != "no" or not model.imports
    assert all(len(text) <= 400 for text in (model.why, model.problem, *model.imports))
