"""safetensors: a length, a JSON object that names tensors and where their bytes are, then the bytes."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from ci_mlsnap.training.models.found import Found, Unread
from ci_mlsnap.training.models.source import Source

_LENGTH = struct.Struct("<Q")
_HEADER_AT_MOST = 16 << 20
_DTYPES = {
    "BOOL": ("bool", 8),
    "U8": ("uint8", 8),
    "I8": ("int8", 8),
    "U16": ("uint16", 16),
    "I16": ("int16", 16),
    "F16": ("float16", 16),
    "BF16": ("bfloat16", 16),
    "U32": ("uint32", 32),
    "I32": ("int32", 32),
    "F32": ("float32", 32),
    "U64": ("uint64", 64),
    "I64": ("int64", 64),
    "F64": ("float64", 64),
    "C64": ("complex64", 64),
    "F8_E4M3": ("float8_e4m3", 8),
    "F8_E5M2": ("float8_e5m2", 8),
    "F8_E8M0": ("float8_e8m0", 8),
    "F6_E2M3": ("float6_e2m3", 6),
    "F6_E3M2": ("float6_e3m2", 6),
    "F4": ("float4", 4),
}
"""Our name for each kind of number, and how many bits it has."""
_WRITERS = {"pt": "pytorch", "tf": "tensorflow", "flax": "flax", "np": "numpy", "mlx": "mlx", "paddle": "paddle"}


def is_safetensors(source: Source) -> bool:
    """Tell it by the length in front, which fits into the file, and the brace behind it."""
    if source.size < _LENGTH.size + 2:
        return False
    (length,) = source.unpack(_LENGTH, 0)
    return 2 <= length <= source.size - _LENGTH.size and source.at(_LENGTH.size, 1) == b"{"


def read_safetensors(source: Source, found: Found) -> None:
    """Take the header; the bytes behind it are measured, not read. Raises `Unread`."""
    found.runs_code, found.why = "no", "numbers and names alone"
    (length,) = source.unpack(_LENGTH, 0)
    if length > _HEADER_AT_MOST:
        raise Unread(f"its header is larger than {_HEADER_AT_MOST >> 20} MiB")
    header = _header(source.at(_LENGTH.size, length))
    metadata = header.pop("__metadata__", {})
    if isinstance(metadata, dict):
        writer = metadata.get("format")
        found.framework = _WRITERS.get(writer, "") if isinstance(writer, str) else ""
    spans = sorted(_tensor(name, facts, found) for name, facts in header.items())
    end = 0
    for start, stop in spans:
        if start != end:
            raise Unread("its tensors overlap, or leave room between them")
        end = stop
    if end != source.size - _LENGTH.size - length:
        raise Unread("its length is not that of its tensors: it is cut off, or something is behind them")


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise Unread("its header is no JSON that can be read") from None
    if not isinstance(header, dict):
        raise Unread("its header is no JSON object")
    return header


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two tensors of one name would be one tensor to this reader and the other to that."""
    if len(dict(pairs)) != len(pairs):
        raise Unread("a name stands twice in its header")
    return dict(pairs)


def _tensor(name: str, facts: Any, found: Found) -> tuple[int, int]:
    try:
        dtype, shape, (start, stop) = facts["dtype"], facts["shape"], facts["data_offsets"]
        named, bits = _DTYPES.get(dtype, (str(dtype).lower(), 0))
        found.add(name, shape, named)
        fits = 0 <= start <= stop and (not bits or math.prod(shape) * bits == (stop - start) * 8)
    except (KeyError, TypeError, ValueError):
        raise Unread("its header says of a tensor not what it should") from None
    if not fits:
        raise Unread("a tensor's size is not that of its shape")
    return start, stop
