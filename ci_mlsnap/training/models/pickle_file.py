"""Pickles as files: plain, joblib's with arrays in between, compressed, and torch's of before 1.6."""

from __future__ import annotations

import io
import re

from ci_mlsnap.training.models import arrays
from ci_mlsnap.training.models.arrays import array_of, bytes_of, things
from ci_mlsnap.training.models.found import Found, TooMuch, Unread
from ci_mlsnap.training.models.pickled import Global, Machine, Thing
from ci_mlsnap.training.models.source import Source

RUNS = "a pickle runs what it names"
_TENSORS_ALONE = "a pickle of tensors alone; torch.load(weights_only=True) runs none"
_SAFE_FOR_TORCH = re.compile(
    r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor|tensor_v2|parameter|qtensor)|torch\.Size"
    r"|torch\.(\w{1,20}Storage|u?int\d{1,2}|float\d{1,2}|bfloat16|bool|complex\d{1,3})"
)
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_NAME = re.compile(r"[^\W\d]\w{0,100}(\.[^\W\d]\w{0,100}){1,20}")
_FRAMEWORKS = {"sklearn": "scikit-learn", "torch": "pytorch"}
_KNOWN = (
    "sklearn",
    "torch",
    "xgboost",
    "lightgbm",
    "catboost",
    "keras",
    "tensorflow",
    "transformers",
    "statsmodels",
)
_NESTED_AT_MOST = 20


def is_pickle(source: Source) -> bool:
    """Tell it by the first bytes, and where these are no sign, by what following it would call.

    A pickle of an old protocol is text, and whatever comes after its first call does not stop that from running.
    """
    head = source.at(0, min(2, source.size))
    if head[:1] == b"\x80" and head[1:] <= b"\x05":
        return True
    return _calls_something(source)


def may_be_pickle(source: Source) -> bool:
    """Tell whether what looks like none goes on for longer than it was followed."""
    try:
        _calls_something(source, raises=True)
    except TooMuch:
        return True
    return False


def is_legacy_torch(source: Source) -> bool:
    """Tell whether it begins with the number that torch wrote before 1.6."""
    return source.size > len(_LEGACY_MAGIC) and source.at(0, len(_LEGACY_MAGIC)) == _LEGACY_MAGIC


def read_pickle(source: Source, found: Found, *, before: int = 0) -> None:
    """Take the arrays, imports and the outermost object of a pickle, the one that follows so many others.

    Raises `Unread`.
    """
    found.runs_code, found.why = "yes", RUNS
    machine = Machine(source, built=lambda thing: _pass_array(source, machine, thing, _NESTED_AT_MOST))
    source.seek(0)
    try:
        for _ in range(before):
            machine.follow()
        top = machine.follow()
    finally:
        found.name_imports(list(machine.imports))
    _say_what_runs(machine, found)
    if isinstance(top, Thing):
        found.architecture = _class_of(top)
    found.framework = found.framework or _framework(found)
    for name, thing in things(top):
        array = array_of(thing)
        if array is not None:
            found.add(name or "array", *array)
        elif not found.version and isinstance(version := thing.get("_sklearn_version"), str):
            found.framework, found.version = "scikit-learn", version


def read_legacy_torch(source: Source, found: Found) -> None:
    """Take torch's old form: number, version and machine are pickles before the object's. Raises `Unread`."""
    found.framework = "pytorch"
    read_pickle(source, found, before=3)


def _calls_something(source: Source, *, raises: bool = False) -> bool:
    """Tell whether it begins like a pickle that imports something and calls it."""
    source.seek(0)
    machine = Machine(source)
    try:
        machine.follow()
    except TooMuch:
        if raises:
            raise
    except Unread:
        pass
    return machine.calls > 0 and any(_NAME.fullmatch(name) for name in machine.imports)


def _pass_array(source: Source, machine: Machine, thing: Thing, depth: int) -> None:
    """Go past the bytes that joblib puts behind an array's description; objects are a pickle there."""
    if thing.kind != arrays.JOBLIB_WRAPPER:
        return
    array = array_of(thing)
    if array is None or depth == 0:
        raise Unread("one of its arrays cannot be passed by")
    if array[1] == "object":
        nested = Machine(source, built=lambda inner: _pass_array(source, nested, inner, depth - 1))
        nested.imports = machine.imports
        objects = nested.follow()
        # That is the array once more, of which the objects alone are news.
        thing.arguments = objects.state if isinstance(objects, Thing) else objects
        return
    if thing.get("numpy_array_alignment_bytes") is not None:
        source.seek(source.exactly(1)[0], io.SEEK_CUR)
    count = bytes_of(array, thing.get("dtype"))
    if count > source.size - source.tell():
        raise Unread("it is cut off")
    source.seek(count, io.SEEK_CUR)


def _say_what_runs(machine: Machine, found: Found) -> None:
    if not machine.imports:
        found.runs_code, found.why = "no", "a pickle that imports nothing"
    elif all(_SAFE_FOR_TORCH.fullmatch(name) for name in machine.imports) and "pytorch" in _framework(found):
        found.why = _TENSORS_ALONE


def _class_of(top: Thing) -> str:
    """Name the class of an object; old protocols make it by a function, whose first argument that is."""
    first = top.arguments[0] if isinstance(top.arguments, tuple) and top.arguments else None
    if top.kind in ("copy_reg._reconstructor", "copyreg._reconstructor") and isinstance(first, Global):
        return first.name
    return top.kind if top.kind != "collections.OrderedDict" else ""


def _framework(found: Found) -> str:
    """Name the library: that of the outermost object, else the first known one that is imported."""
    modules = [name.partition(".")[0] for name in (found.architecture, *found.imports)]
    known = next((module for module in modules if module in _KNOWN), "")
    return _FRAMEWORKS.get(known, known)
