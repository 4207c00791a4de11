"""Writes the files of this folder, one library at a time: `python make.py keras`. See README.md."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def safetensors() -> None:
    np: Any = import_module("numpy")
    save_file: Any = import_module("safetensors.numpy").save_file

    weights = {"fc.weight": np.ones((3, 4), "float32"), "fc.bias": np.zeros(3, "float16")}
    save_file(weights, HERE / "weights.safetensors", metadata={"format": "np"})


def h5py() -> None:
    h5py: Any = import_module("h5py")
    np: Any = import_module("numpy")

    for name, version in (("earliest.h5", "earliest"), ("latest.h5", "latest")):
        with h5py.File(HERE / name, "w", libver=version) as file:
            file.attrs["note"] = "a text"
            group = file.create_group("layers/dense")
            group["kernel"] = np.ones((3, 4), "float32")
            group["flags"] = np.zeros(2, "bool")
            group["names"] = np.array([b"a", b"b"])
            group.create_dataset("packed", data=np.zeros((10, 10), "int64"), chunks=(5, 5), compression="gzip")
    with h5py.File(HERE / "heap.h5", "w", libver="latest") as file:
        for number in range(20):
            file.attrs[f"attribute {number}"] = "x"
    with h5py.File(HERE / "many.h5", "w") as file:
        for number in range(60):
            file.attrs[f"attribute {number}"] = "x" * 50
            file[f"group/tensor {number:02}"] = np.zeros(number + 1, "float64")


def onnx() -> None:
    np: Any = import_module("numpy")
    onnx: Any = import_module("onnx")
    helper, numpy_helper, kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT

    def const(name: str, shape: tuple[int, ...]) -> Any:
        return numpy_helper.from_array(np.ones(shape, "float32"), name)

    def graph(name: str, inner: list[Any], initializer: list[Any]) -> Any:
        out = helper.make_tensor_value_info("y", kind, [1, 3])
        into = helper.make_tensor_value_info("x", kind, [1, 4])
        return helper.make_graph(inner, name, [into], [out], initializer)

    branch = helper.make_graph(
        [helper.make_node("Identity", ["inner.weight"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", kind, [2])],
        [const("inner.weight", (2,))],
    )
    nodes = [
        helper.make_node("MatMul", ["x", "weight"], ["m"]),
        helper.make_node("Add", ["m", "bias"], ["y"]),
        helper.make_node("If", ["flag"], ["w"], then_branch=branch, else_branch=branch),
    ]
    model = helper.make_model(
        graph("digits", nodes, [const("weight", (4, 3)), const("bias", (3,))]),
        producer_name="made",
        producer_version="1.0",
        opset_imports=[helper.make_opsetid("", 18)],
    )
    onnx.save(model, HERE / "digits.onnx")
    own = helper.make_node("Own", ["x"], ["y"], domain="com.example")
    model = helper.make_model(
        graph("own", [own], []),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)],
    )
    onnx.save(model, HERE / "own_operators.onnx")


def keras() -> None:
    keras: Any = import_module("keras")

    def model(*layers: Any) -> Any:
        made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="hidden"), *layers])
        made.compile("adam", "mse")
        return made

    plain = model(keras.layers.Dense(2, name="out"))
    plain.fit(keras.ops.ones((2, 4)), keras.ops.ones((2, 2)), verbose=0)
    plain.save(HERE / "dense.keras")
    plain.save(HERE / "dense.h5")
    plain.save_weights(HERE / "dense.weights.h5")
    with_code = model(keras.layers.Lambda(lambda x: x * 2))
    with_code.save(HERE / "lambda.keras")
    with_code.save(HERE / "lambda.h5")


def torch() -> None:
    torch: Any = import_module("torch")

    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(1, 4)).sum().backward()
    optimizer.step()
    torch.save(module.state_dict(), HERE / "state.pt")
    torch.save(module.state_dict(), HERE / "state_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(module, HERE / "module.pt")
    checkpoint = {"epoch": 3, "model": module.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save(checkpoint, HERE / "checkpoint.pt")
    torch.jit.save(torch.jit.trace(module, torch.ones(1, 4)), str(HERE / "traced.pt"))
    torch.save(
        {"half": torch.zeros(2, dtype=torch.bfloat16), "whole": torch.zeros(3, dtype=torch.int64)},
        HERE / "kinds.pt",
    )


if __name__ == "__main__":
    {"safetensors": safetensors, "h5py": h5py, "onnx": onnx, "keras": keras, "torch": torch}[sys.argv[1]]()
