"""Model files: what runs, `show` and `diff` say of them, and what a policy refuses."""

from __future__ import annotations

import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np

from tests.flows.conftest import QUIET, MakePlace, Place
from tests.training.models.test_canary import CONTAINERS, Canary

TRAIN = 'cp files/* "$MLSNAP_MODEL_DIR"\n'
SETTINGS = 'train = "sh train.sh"\nvolume = "models"\n'


def safetensors(**shapes: tuple[int, ...]) -> bytes:
    """Give a file with these tensors of 32 bits, all zeros."""
    header: dict[str, Any] = {}
    end = 0
    for name, shape in shapes.items():
        size = 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end)


def trains(place: Place, policy: str = "", /, **files: bytes) -> str:
    """Commit a training that leaves these files, with this policy."""
    settings = f"{SETTINGS}[policy]\nformats = {policy}\n" if policy else SETTINGS
    old = place.folder / "files"
    for file in old.glob("*"):
        file.unlink()
    made: dict[str, str | bytes] = {f"files/{name}": content for name, content in files.items()}
    return place.repository.commit("a model", {"train.sh": TRAIN, "mlsnap.toml": settings, **made})


def test_a_run_says_what_its_model_files_are_and_the_record_keeps_it(place: Place) -> None:
    trains(place, model=safetensors(weight=(3, 4), bias=(3,)), notes=b"just a text\n")
    said = place.mlsnap("run", env=QUIET)
    assert "model       ok  model: safetensors; 15 parameters in 2 tensors" in said.text
    facts = place.mlsnap("show", "--json").facts
    assert [(it["path"], it["model"]["format"]) for it in facts["models"]] == [("model", "safetensors")]
    assert facts["record"]["models"] == facts["models"]
    assert facts["models"][0]["model"]["tensors"][0] == {"name": "weight", "shape": [3, 4], "dtype": "float32"}
    shown = place.mlsnap("show").stdout
    assert "  model: safetensors; 15 parameters in 2 tensors" in shown
    assert "3x4 float32" in shown


def test_a_version_without_a_record_is_read_through_its_snapshot(place: Place) -> None:
    trains(place, model=safetensors(weight=(3, 4)))
    place.mlsnap("run", env=QUIET)
    before = place.mlsnap("show", "--json").facts["models"]
    for record in (place.store / "state" / "runs").glob("*/record.json"):
        record.unlink()
    facts = place.mlsnap("show", "--json").facts
    assert (facts["record"], facts["models"]) == (None, before)


def test_diff_says_which_tensors_changed(place: Place) -> None:
    trains(place, model=safetensors(a=(3, 4), b=(3,), c=(2,)), same=safetensors(x=(1,)))
    place.mlsnap("run", env=QUIET)
    trains(place, model=safetensors(a=(6, 4), c=(2,), d=(5,)), same=safetensors(x=(1,)))
    place.mlsnap("run", env=QUIET)
    facts = place.mlsnap("diff", "HEAD~1", "HEAD", "--json").facts["models"]
    assert [(it["file"], it["name"], it["before"], it["after"]) for it in facts] == [
        ("model", "parameters", "17", "31"),
        ("model", "a", "3x4 float32", "6x4 float32"),
        ("model", "b", "3 float32", None),
        ("model", "d", None, "5 float32"),
    ]
    lines = place.mlsnap("diff", "HEAD~1", "HEAD").stdout.splitlines()
    assert any(line.split() == ["~", "a", "3x4", "float32", "6x4", "float32", "model"] for line in lines)
    assert "Models" in place.mlsnap("diff", "HEAD~1", "HEAD", "--md").stdout


def test_a_file_that_cannot_be_read_fails_no_run(place: Place) -> None:
    trains(place, model=safetensors(a=(3, 4))[:-1], hdf=b"\x89HDF\r\n\x1a\n" + b"\xff" * 100)
    said = place.mlsnap("run", env=QUIET)
    assert said.text.count("not read: ") == 2


def test_names_of_hostile_tensors_are_shown_escaped(place: Place) -> None:
    trains(place, model=safetensors(**{"a\x1b[31m\u202e": (1,)}))
    place.mlsnap("run", env=QUIET)
    assert "\x1b" not in place.mlsnap("show").text
    assert "\u202e" not in place.mlsnap("show", "--json").facts["models"][0]["model"]["tensors"][0]["name"]


# -- the policy ----------------------------------------------------------------------------------------


def test_a_format_that_the_policy_does_not_allow_is_refused_before_a_version(trained: Place) -> None:
    content = pickle.dumps({"a": 1})
    sha = trains(trained, '["safetensors", "onnx"]', model=content, text=b"a text is no model\n")
    before = trained.snapshots()
    said = trained.refused("format-refused", 40)
    assert trained.snapshots() == before
    trained.require_rest()
    assert "model in volume models" in said.error[0]
    assert "format pickle" in said.stderr
    assert (trained.volume / "model").read_bytes() == content
    assert trained.states(sha) == ["pending", "error"]


def test_a_damaged_file_is_refused_by_a_policy(trained: Place) -> None:
    trains(trained, '["safetensors"]', model=safetensors(a=(3, 4))[:-1])
    assert "cannot be read as safetensors" in trained.refused("format-refused", 40).stderr


def test_formats_that_the_policy_allows_make_a_version(place: Place) -> None:
    trains(place, '["safetensors"]', model=safetensors(a=(3, 4)), text=b"beside it\n", empty=b"")
    place.mlsnap("run", env=QUIET)


def test_refused_files_in_a_workspace_stay_for_the_next_run_of_the_commit(make_place: MakePlace) -> None:
    place = make_place(shared=True)
    settings = f'train = "sh train.sh"\n[volumes.models]\npath = "{place.volume}"\nview = "models"\n'
    files: dict[str, str | bytes] = {"files/model": pickle.dumps([1]), "train.sh": TRAIN}
    place.repository.commit("a pickle", {"mlsnap.toml": settings, **files})
    strict = {"MLSNAP__POLICY__FORMATS": '["safetensors"]'}
    place.refused("format-refused", 40, env=strict)
    (kept,) = (place.store / "work").iterdir()
    assert (kept / "model").read_bytes() == pickle.dumps([1])


def test_small_files_are_looked_at_too_where_there_is_a_policy(place: Place, tmp_path: Path) -> None:
    many = {f"big{number}": safetensors(a=(number + 100,)) for number in range(120)}
    trains(place, '["safetensors"]', small=pickle.dumps(Canary(tmp_path / "nest"), protocol=0), **many)
    assert "small" in place.refused("format-refused", 40).error[0]
    assert not (tmp_path / "nest").exists()


# -- nothing is loaded -----------------------------------------------------------------------------------


def test_no_command_wakes_a_canary(place: Place, tmp_path: Path) -> None:
    nest = tmp_path / "nest"
    made = {f"model{number}": make(Canary(nest)) for number, (_, make) in enumerate(CONTAINERS.values())}
    trains(place, "", **made)
    place.mlsnap("run", env=QUIET)
    trains(place, "", **{**made, "model0": pickle.dumps([Canary(nest), 1], protocol=0)})
    place.mlsnap("run", env=QUIET)
    for command in (("show",), ("show", "--json"), ("diff", "HEAD~1", "HEAD"), ("log",), ("verify",)):
        place.mlsnap(*command)
    assert not nest.exists()


def test_an_unchanged_file_is_not_read_again_unless_there_is_a_policy(place: Place) -> None:
    trains(place, model=safetensors(a=(3, 4)), other=b"\x00one")
    place.mlsnap("run", env=QUIET)
    known = place.store / "state" / "known-models.json"
    # Told from what is read by a mark that no file has.
    known.write_text(known.read_text().replace('"numbers and names alone"', '"remembered"'))
    trains(place, model=safetensors(a=(3, 4)), other=b"\x00two")
    place.mlsnap("run", env=QUIET)
    assert place.mlsnap("show", "--json").facts["models"][0]["model"]["why"] == "remembered"
    trains(place, '["safetensors", "other"]', model=safetensors(a=(3, 4)), other=b"\x00three")
    place.mlsnap("run", env=QUIET)
    assert place.mlsnap("show", "--json").facts["models"][0]["model"]["why"] == "numbers and names alone"


def test_a_version_that_answers_a_commit_is_held_against_its_policy(place: Place) -> None:
    inputs = 'train = { command = "sh train.sh", inputs = ["train.sh", "files/*"] }\nvolume = "models"\n'
    files: dict[str, str | bytes] = {"files/model": pickle.dumps([1]), "train.sh": TRAIN}
    place.repository.commit("a pickle", {"mlsnap.toml": inputs, **files})
    place.mlsnap("run", env=QUIET)
    place.configure(f'{inputs}[policy]\nformats = ["pickle"]\n')
    assert "nothing was trained" in place.mlsnap("run", env=QUIET).text
    place.configure(f'{inputs}[policy]\nformats = ["safetensors"]\n')
    with place.versions_kept():
        said = place.refused("format-refused", 40)
    assert "stays as it is" in said.stderr
