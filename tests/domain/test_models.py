"""What a policy for formats refuses, and what differs between model files."""

from __future__ import annotations

from typing import Any

import pytest

from ci_mlsnap.domain.models import Model, ModelFile, Tensor, changes, in_short, refusal, told

SAFE = Model(format="safetensors", runs_code="no")


@pytest.mark.parametrize(
    ("model", "allowed"),
    [
        (SAFE, ("safetensors",)),
        (SAFE, ()),
        (Model(format="pickle", runs_code="yes"), ()),
        (Model(format="pickle", runs_code="yes"), ("pickle",)),
        (Model(format="pytorch", runs_code="yes"), ("safetensors", "pytorch")),
        (Model(format="numpy", runs_code="yes"), ("numpy", "pickle")),
        (Model(format="other", problem="unknown"), ("other",)),
        (Model(format="text", runs_code="no"), ("onnx",)),
        (Model(format="image", runs_code="no"), ("onnx",)),
    ],
)
def test_a_policy_lets_pass_what_it_names(model: Model, allowed: tuple[str, ...]) -> None:
    assert refusal(model, allowed) == ""


@pytest.mark.parametrize(
    ("model", "allowed", "why"),
    [
        (SAFE, ("onnx",), "it is of the format safetensors"),
        (Model(format="other"), ("safetensors",), "it is of no known format"),
        (Model(format="other", problem="it takes too long to read"), ("onnx",), "too long"),
        (Model(format="safetensors", runs_code="no", problem="cut off"), ("safetensors",), "cannot be read as"),
        (Model(format="numpy", runs_code="yes", why="objects"), ("numpy",), "may run code: objects"),
        (Model(format="onnx", runs_code="unknown", why="own"), ("onnx",), "may run code: own"),
        (Model(format="keras", runs_code="yes", why="Lambda"), ("keras",), "may run code: Lambda"),
    ],
)
def test_a_policy_refuses_all_else_and_says_why(model: Model, allowed: tuple[str, ...], why: str) -> None:
    assert why in refusal(model, allowed)


def file(path: str = "m", **facts: Any) -> ModelFile:
    return ModelFile(volume="models", path=path, size=1, model=Model(**{"format": "onnx", **facts}))


def test_files_that_only_one_version_has_are_not_compared() -> None:
    assert changes([file("a")], [file("b")]) == ()


def test_what_differs_is_told_by_name() -> None:
    before = file(framework="keras", version="3.1", tensors=(Tensor(name="x", shape=(), dtype="int8"),))
    after = file(
        framework="keras", version="3.2", runs_code="yes", tensors=(Tensor(name="x", shape=(2,), dtype="int8"),)
    )
    assert [(it.name, it.before, it.after) for it in changes([before], [after])] == [
        ("written by", "keras 3.1", "keras 3.2"),
        ("can run code", "not known", "yes"),
        ("x", "int8", "2 int8"),
    ]


def test_files_of_several_volumes_are_named_with_these() -> None:
    one, other = (ModelFile(volume=it, path="m", size=1, model=Model(format="onnx")) for it in ("a", "b"))
    now = ModelFile(volume="b", path="m", size=1, model=Model(format="keras"))
    assert [it.file for it in changes([one, other], [one, now])] == ["b/m"]


def test_a_line_says_format_writer_size_code_and_what_was_not_read() -> None:
    model = Model(
        format="pickle",
        framework="scikit-learn",
        version="1.9",
        tensor_count=1,
        parameters=3,
        runs_code="yes",
        why="a pickle",
        problem="cut off",
    )
    assert told(model) == (
        "pickle by scikit-learn 1.9; 3 parameters in 1 tensor; "
        "can run code when loaded: a pickle; not read: cut off"
    )


def test_in_short_nothing_is_listed_one_by_one() -> None:
    (short,) = in_short(
        [file(tensors=(Tensor(name="x", shape=(), dtype="int8"),), imports=("os.system",), parameters=1)]
    )
    assert (short.model.tensors, short.model.imports, short.model.parameters) == ((), (), 1)
