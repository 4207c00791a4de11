"""Files that the real libraries wrote; `made/README.md` says how."""

from __future__ import annotations

import pickle
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.training.models.looking import MADE, model_of, shapes


def test_safetensors_has_its_tensors_and_no_code() -> None:
    model = model_of(MADE / "weights.safetensors")
    assert (model.format, model.framework, model.runs_code) == ("safetensors", "numpy", "no")
    assert shapes(model) == {"fc.weight": ((3, 4), "float32"), "fc.bias": ((3,), "float16")}
    assert (model.tensor_count, model.parameters) == (2, 15)


@pytest.mark.parametrize("name", ["earliest.h5", "latest.h5"])
def test_hdf5_has_its_datasets_in_both_forms_of_the_format(name: str) -> None:
    model = model_of(MADE / name)
    assert (model.format, model.runs_code, model.problem) == ("hdf5", "no", "")
    assert shapes(model) == {
        "layers/dense/kernel": ((3, 4), "float32"),
        "layers/dense/flags": ((2,), "bool"),
        "layers/dense/names": ((2,), "string"),
        "layers/dense/packed": ((10, 10), "int64"),
    }


def test_large_groups_and_long_headers_of_hdf5_are_read_whole() -> None:
    model = model_of(MADE / "many.h5")
    assert model.tensor_count == 60
    assert model.parameters == sum(range(1, 61))


def test_onnx_has_its_producer_and_the_tensors_of_inner_graphs() -> None:
    model = model_of(MADE / "digits.onnx")
    assert (model.format, model.framework, model.version, model.architecture) == ("onnx", "made", "1.0", "digits")
    assert model.runs_code == "no"
    assert shapes(model) == {
        "weight": ((4, 3), "float32"),
        "bias": ((3,), "float32"),
        "inner.weight": ((2,), "float32"),
    }


def test_onnx_that_needs_another_librarys_operators_says_so() -> None:
    model = model_of(MADE / "own_operators.onnx")
    assert model.runs_code == "unknown"
    assert "com.example" in model.why


@pytest.mark.parametrize("protocol", range(6))
def test_scikit_learn_has_its_version_and_arrays_in_every_protocol(tmp_path: Path, protocol: int) -> None:
    import sklearn

    features, classes = load_iris(return_X_y=True)
    made = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, classes)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(made, protocol=protocol))
    model = model_of(tmp_path / "model.pkl")
    assert (model.format, model.framework, model.version) == ("pickle", "scikit-learn", sklearn.__version__)
    assert model.architecture == "sklearn.pipeline.Pipeline"
    assert model.runs_code == "yes"
    assert shapes(model)["steps.1.coef_"] == ((3, 4), "float64")
    assert "sklearn.linear_model._logistic.LogisticRegression" in model.imports


@pytest.mark.parametrize("compress", [0, 3, ("gzip", 1), ("bz2", 1), ("xz", 1), ("lzma", 1)])
def test_joblib_has_the_same_arrays_whether_compressed_or_not(tmp_path: Path, compress: object) -> None:
    arrays = {"a": np.zeros((3, 4), "float32"), "b": [np.ones(5, "int8"), np.array([{}, np.zeros(7)], object)]}
    joblib.dump(arrays, tmp_path / "arrays", compress=compress)
    model = model_of(tmp_path / "arrays")
    assert model.problem == ""
    assert shapes(model) == {
        "a": ((3, 4), "float32"),
        "b.0": ((5,), "int8"),
        "b.1": ((2,), "object"),
        "b.1.1": ((7,), "float64"),
    }


def test_numpys_files_have_their_arrays(tmp_path: Path) -> None:
    np.save(tmp_path / "one.npy", np.zeros((2, 3), ">f4"))
    np.savez(tmp_path / "some.npz", a=np.zeros(3, "complex64"), b=np.array(["text"]))
    np.savez_compressed(tmp_path / "packed.npz", a=np.zeros((100, 100), "uint8"))
    assert shapes(model_of(tmp_path / "one.npy")) == {"array": ((2, 3), "float32")}
    assert shapes(model_of(tmp_path / "some.npz")) == {"a": ((3,), "complex64"), "b": ((1,), "string")}
    packed = model_of(tmp_path / "packed.npz")
    assert (packed.parameters, packed.runs_code) == (10_000, "no")


def test_fields_with_objects_in_an_array_are_objects(tmp_path: Path) -> None:
    np.save(tmp_path / "fields.npy", np.zeros(2, [("a", "f4"), ("b", [("c", "O")])]))
    assert model_of(tmp_path / "fields.npy").runs_code == "yes"


@pytest.mark.parametrize("name", ["state.pt", "state_legacy.pt", "checkpoint.pt", "module.pt", "traced.pt"])
def test_torch_has_the_models_tensors_in_every_form(name: str) -> None:
    model = model_of(MADE / name)
    assert model.format == ("torchscript" if name == "traced.pt" else "pytorch")
    assert (model.framework, model.runs_code, model.problem) == ("pytorch", "yes", "")
    before = "model." if name == "checkpoint.pt" else ""
    assert shapes(model) == {
        f"{before}0.weight": ((3, 4), "float32"),
        f"{before}0.bias": ((3,), "float32"),
        f"{before}1.weight": ((2, 3), "float32"),
        f"{before}1.bias": ((2,), "float32"),
    }
    assert ("tensors alone" in model.why) == (name not in ("module.pt", "traced.pt"))


def test_torchs_kinds_of_numbers_have_their_names() -> None:
    found = shapes(model_of(MADE / "kinds.pt"))
    assert found == {"half": ((2,), "bfloat16"), "whole": ((3,), "int64")}


@pytest.mark.parametrize("name", ["dense.keras", "dense.h5"])
def test_keras_has_its_version_and_its_layers_without_the_optimizers_state(name: str) -> None:
    model = model_of(MADE / name)
    assert (model.framework, model.architecture, model.runs_code) == ("keras", "Sequential", "no")
    assert model.version.startswith("3.")
    assert (model.tensor_count, model.parameters) == (4, 23)


def test_keras_weights_alone_are_hdf5() -> None:
    model = model_of(MADE / "dense.weights.h5")
    assert (model.format, model.parameters) == ("hdf5", 23)
    assert shapes(model)["layers/dense/vars/0"] == ((4, 3), "float32")


@pytest.mark.parametrize("name", ["lambda.keras", "lambda.h5"])
def test_a_lambda_layer_can_run_code(name: str) -> None:
    model = model_of(MADE / name)
    assert model.runs_code == "yes"
    assert "Lambda" in model.why
