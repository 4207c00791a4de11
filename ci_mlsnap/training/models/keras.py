"""Keras: the archive of version 3, and the HDF5 files of all versions; and what their configuration would run."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from typing import Any

from ci_mlsnap.training.models.archive import Archive
from ci_mlsnap.training.models.found import Found, Unread
from ci_mlsnap.training.models.hdf5 import File
from ci_mlsnap.training.models.source import Source

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_CONFIG_AT_MOST = 16 << 20
_NUMBERS, _LAYERS = "numbers and names alone", "a configuration of Keras' own layers"
_LAMBDA = "a Lambda layer, unless loaded with safe_mode=True"
_OF_KERAS = ("keras", "keras_nlp", "keras_cv", "keras_hub", "builtins")


def is_keras(archive: Archive) -> bool:
    """Tell it by the configuration and the note of the version."""
    return {_CONFIG, _METADATA} <= set(archive.names)


def read_keras(archive: Archive, found: Found) -> None:
    """Take version, layers and weights of an archive. Raises `Unread`."""
    found.framework = "keras"
    metadata = _json(archive.member(_METADATA))
    found.version = _text(metadata, "keras_version")
    _take_config(_json(archive.member(_CONFIG)), found)
    if _WEIGHTS in archive.names:
        _take_weights(File(archive.member(_WEIGHTS)), found)


def read_hdf5(source: Source, found: Found) -> None:
    """Take the datasets of an HDF5 file, and what Keras writes into its attributes. Raises `Unread`."""
    file = File(source)
    attributes = file.attributes()
    found.runs_code, found.why = "no", _NUMBERS
    weights = file.attributes("model_weights")
    version = attributes.get("keras_version") or weights.get("keras_version")
    if version:
        found.framework, found.version = "keras", version
    if "model_config" in attributes:
        found.framework = "keras"
        config = attributes["model_config"]
        if config is None:
            raise Unread("its configuration is no text that can be read")
        _take_config(_parsed(config.encode("utf-8", "replace")), found)
    _take_weights(file, found)


def _take_weights(file: File, found: Found) -> None:
    for it in file.datasets():
        found.add(it.name.removeprefix("model_weights/"), it.shape, it.dtype)


def _take_config(config: dict[str, Any], found: Found) -> None:
    found.architecture = _text(config, "class_name")
    found.runs_code, found.why = "no", _LAYERS
    modules: set[str] = set()
    for it in _objects(config):
        name = _text(it, "class_name")
        if name in ("Lambda", "__lambda__", "TFOpLambda") and _is_code(it):
            found.runs_code, found.why = "yes", _LAMBDA
            return
        module = _text(it, "module") if name else ""
        if module == "builtins" and hasattr(builtins, _text(it, "config") or "function"):
            modules.add(f"builtins.{_text(it, 'config')}")
        elif module and module.removeprefix("tensorflow.").partition(".")[0] not in _OF_KERAS:
            modules.add(module)
    if modules:
        found.runs_code = "yes"
        found.why = f"layers of other modules are imported: {', '.join(sorted(modules)[:5])}"


def _is_code(it: dict[str, Any]) -> bool:
    """Tell whether it carries a function's code; a name alone must be known to whoever loads it."""
    inner = it.get("config")
    function = inner.get("function") if isinstance(inner, dict) else None
    return it.get("class_name") == "__lambda__" or isinstance(function, list | dict)


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Give all objects in a configuration."""
    waiting = [config]
    while waiting:
        it = waiting.pop()
        if isinstance(it, dict):
            yield it
            waiting += it.values()
        elif isinstance(it, list):
            waiting += it


def _json(source: Source) -> dict[str, Any]:
    if source.size > _CONFIG_AT_MOST:
        raise Unread(f"its configuration is larger than {_CONFIG_AT_MOST >> 20} MiB")
    return _parsed(source.at(0, source.size))


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        top = json.loads(text)
    except (ValueError, RecursionError):
        raise Unread("its configuration is no JSON that can be read") from None
    if not isinstance(top, dict):
        raise Unread("its configuration is no JSON object")
    return top


def _text(it: dict[str, Any], name: str) -> str:
    value = it.get(name)
    return value if isinstance(value, str) else ""
