"""Arrays in what a pickle would be: NumPy's and torch's, by the calls that make them, with names."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ci_mlsnap.training.models.found import Unread
from ci_mlsnap.training.models.numpy_file import kind_of
from ci_mlsnap.training.models.pickled import Global, Stored, Thing

JOBLIB_WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
_PLACES_AT_MOST = 500_000
_NAME_AT_MOST = 300
_UNSPOKEN = frozenset(("_parameters", "_buffers", "_modules"))
"""Where torch's modules keep what they hold; the names inside are those that people know."""
_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
    "QInt8": "qint8",
    "QUInt8": "quint8",
    "QInt32": "qint32",
}
_TENSORS = tuple(f"torch._utils._rebuild_{it}" for it in ("tensor", "tensor_v2", "tensor_v3", "qtensor"))
_RECONSTRUCTED = tuple(f"numpy.{it}.multiarray._reconstruct" for it in ("core", "_core"))
_FROM_BUFFER = tuple(f"numpy.{it}.numeric._frombuffer" for it in ("core", "_core"))

Array = tuple[tuple[object, ...], str]


def things(top: Any) -> Iterator[tuple[str, Thing]]:
    """Give all objects in an object, each once, with the name of its place. Raises `Unread` for too many."""
    waiting: list[tuple[str, Any]] = [("", top)]
    seen: set[int] = set()
    while waiting:
        name, it = waiting.pop()
        if not isinstance(it, Thing | tuple) or id(it) in seen:
            continue
        seen.add(id(it))
        if len(seen) > _PLACES_AT_MOST:
            raise Unread("it holds more objects than are looked at")
        if isinstance(it, Thing):
            yield name, it
        waiting += reversed(_inside(name, it))


def array_of(thing: Thing) -> Array | None:
    """Give the shape and kind of what is an array; None for anything else."""
    arguments = thing.arguments if isinstance(thing.arguments, tuple) else ()
    if thing.kind in _TENSORS and len(arguments) > 2:
        return _shape(arguments[2]), _kind_of_storage(arguments)
    if thing.kind in _RECONSTRUCTED and isinstance(thing.state, tuple) and len(thing.state) > 2:
        return _shape(thing.state[1]), kind_of_dtype(thing.state[2])
    if thing.kind in _FROM_BUFFER and len(arguments) > 2:
        return _shape(arguments[2]), kind_of_dtype(arguments[1])
    if thing.kind == JOBLIB_WRAPPER and thing.state is not None:
        return _shape(thing.get("shape")), kind_of_dtype(thing.get("dtype"))
    return None


def kind_of_dtype(dtype: Any) -> str:
    """Name the kind of number of a pickled `numpy.dtype`."""
    return kind_of(dtype.arguments[0]) if _is_dtype(dtype) else "void"


def bytes_of(array: Array, dtype: Any) -> int:
    """Give how many bytes an array of NumPy's takes. Raises `Unread` where that cannot be told."""
    shape, _ = array
    text = dtype.arguments[0].lstrip("<>=|") if _is_dtype(dtype) else ""
    size = int(text[1:]) if text[1:].isdecimal() and len(text) < 10 else 0
    whole = [it for it in shape if isinstance(it, int) and it >= 0]
    if not size or len(whole) != len(shape):
        raise Unread("the size of one of its arrays cannot be told")
    return math.prod(whole) * size * (4 if text[0] == "U" else 1)


def _is_dtype(dtype: Any) -> bool:
    return (
        isinstance(dtype, Thing)
        and dtype.kind in ("numpy.dtype", "numpy.dtypes")
        and isinstance(dtype.arguments, tuple)
        and bool(dtype.arguments)
        and isinstance(dtype.arguments[0], str)
    )


def _shape(shape: Any) -> tuple[object, ...]:
    if isinstance(shape, Thing) and shape.kind == "torch.Size" and shape.arguments:
        shape = shape.arguments[0]
    return shape if isinstance(shape, tuple) else (None,)


def _kind_of_storage(arguments: tuple[Any, ...]) -> str:
    if len(arguments) > 6 and isinstance(arguments[6], Global):
        return arguments[6].name.removeprefix("torch.")
    stored = arguments[0]
    key = stored.key if isinstance(stored, Stored) else None
    storage = key[1] if isinstance(key, tuple) and len(key) > 1 else None
    name = storage.name.removeprefix("torch.").removesuffix("Storage") if isinstance(storage, Global) else ""
    return _STORAGES.get(name, "unknown")


def _inside(name: str, it: Thing | tuple[Any, ...]) -> list[tuple[str, Any]]:
    """Give what an object holds, each with its name."""
    if isinstance(it, tuple):
        return [(name, part) for part in it]
    inside = [(_joined(name, key), value) for key, value in it.pairs]
    inside += [(_joined(name, place), value) for place, value in enumerate(it.elements)]
    states = it.state if isinstance(it.state, tuple) else (it.state,)
    inside += [(name, state) for state in states]
    return [*inside, (name, it.arguments)] if it.maker is not None else inside


def _joined(name: str, key: Any) -> str:
    if not isinstance(key, str | int):
        return name
    if key in _UNSPOKEN:
        return name
    return f"{name}.{key}"[:_NAME_AT_MOST] if name else str(key)[:_NAME_AT_MOST]
