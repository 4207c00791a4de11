"""Model files: what each says of itself, without having been loaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

import msgspec

from ci_mlsnap.domain.texts import counted

Format = Literal[
    "safetensors",
    "onnx",
    "numpy",
    "hdf5",
    "keras",
    "pytorch",
    "torchscript",
    "pickle",
    "archive",
    "text",
    "image",
    "other",
]
RunsCode = Literal["no", "yes", "unknown"]

FORMATS: tuple[Format, ...] = get_args(Format)
NO_MODELS: tuple[Format, ...] = ("text", "image")
"""What is beside a model, and needs no one's leave."""
ALLOWABLE: tuple[Format, ...] = tuple(it for it in FORMATS if it not in NO_MODELS)
_CODE_BY_NATURE: tuple[Format, ...] = ("pytorch", "torchscript", "pickle", "archive", "other")


class Tensor(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor by its name in the file; `dtype` as NumPy names it."""

    name: str
    shape: tuple[int, ...]
    dtype: str


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one file says of itself. `framework` and `version` wrote it, where it says so.

    `tensors` are the first of `tensor_count`; `parameters` counts the numbers in all of them, an optimizer's left
    out. `runs_code` tells whether loading it can run code, and `why`. `imports` are what a pickle names. `problem`
    is why it was not read, or not to its end.
    """

    format: Format
    framework: str = ""
    version: str = ""
    architecture: str = ""
    tensors: tuple[Tensor, ...] = ()
    tensor_count: int = 0
    parameters: int = 0
    runs_code: RunsCode = "unknown"
    why: str = ""
    imports: tuple[str, ...] = ()
    problem: str = ""


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of a version with its facts. `path` has escapes where it is not UTF-8; `size` in bytes."""

    volume: str
    path: str
    size: int
    sha256: str = ""
    model: Model


def refusal(model: Model, allowed: tuple[str, ...]) -> str:
    """Say why a policy that allows these formats refuses a file; empty when it does not."""
    if model.format in NO_MODELS or not allowed:
        return ""
    if model.format not in allowed:
        named = "of no known format" if model.format == "other" else f"of the format {model.format}"
        return f"it is {named}" + (f" ({model.problem})" if model.problem else "")
    if model.format in _CODE_BY_NATURE:
        return ""
    if model.problem:
        return f"it cannot be read as {model.format}: {model.problem}"
    if model.runs_code != "no" and "pickle" not in allowed:
        return f"it is of the format {model.format}, and loading it may run code: {model.why}"
    return ""


def in_short(files: Iterable[ModelFile]) -> tuple[ModelFile, ...]:
    """Leave out what is listed one by one: tensors and imports."""
    return tuple(
        msgspec.structs.replace(it, model=msgspec.structs.replace(it.model, tensors=(), imports=()))
        for it in files
    )


def told(model: Model) -> str:
    """Say in a line what a file is: format, writer, how much is in it, and whether loading it may run code."""
    by = " ".join(filter(None, (model.framework, model.version)))
    by = "" if by == model.format else by
    holds = ""
    if model.tensor_count:
        holds = f"{counted(model.parameters, 'parameter')} in {counted(model.tensor_count, 'tensor')}"
    code = {"no": "", "yes": f"can run code when loaded: {model.why}", "unknown": model.why}[model.runs_code]
    unread = f"not read: {model.problem}" if model.problem else ""
    return "; ".join(filter(None, (f"{model.format}{f' by {by}' if by else ''}", holds, code, unread)))


class ModelChange(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a model file that differs; None where one has it not. `name` is a fact's, or a tensor's."""

    file: str
    name: str
    before: str | None
    after: str | None


def changes(before: Iterable[ModelFile], after: Iterable[ModelFile]) -> tuple[ModelChange, ...]:
    """Say what differs between the model files of two versions, for those that both have."""
    sides = [{f"{it.volume}/{it.path}": it for it in side} for side in (before, after)]
    one, other = sides
    several = len({it.volume for side in sides for it in side.values()}) > 1
    found: list[ModelChange] = []
    for file in sorted(one.keys() & other.keys()):
        old, new = one[file].model, other[file].model
        for side_by_side in ((_facts(old), _facts(new)), (_tensors(old), _tensors(new))):
            found += _differing(file if several else other[file].path, *side_by_side)
    return tuple(found)


def _differing(file: str, before: dict[str, str], after: dict[str, str]) -> Iterable[ModelChange]:
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            yield ModelChange(file=file, name=name, before=before.get(name), after=after.get(name))


def _facts(model: Model) -> dict[str, str]:
    facts = {
        "format": model.format,
        "written by": " ".join(filter(None, (model.framework, model.version))),
        "architecture": model.architecture,
        "parameters": f"{model.parameters:,}" if model.tensor_count else "",
        "tensors": f"{model.tensor_count:,}" if model.tensor_count else "",
        "can run code": {"no": "no", "yes": "yes", "unknown": "not known"}[model.runs_code],
        "not read": model.problem,
    }
    return {name: text for name, text in facts.items() if text}


def _tensors(model: Model) -> dict[str, str]:
    return {it.name: shape_text(it) for it in model.tensors}


def shape_text(tensor: Tensor) -> str:
    """Write a tensor's shape and kind: `64x784 float32`, `float32` for a single number."""
    return " ".join(filter(None, ("x".join(map(str, tensor.shape)), tensor.dtype)))
