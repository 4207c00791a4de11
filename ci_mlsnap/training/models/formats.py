"""Which format a file has, by its content, and what the reader of that format finds."""

from __future__ import annotations

import codecs
from collections.abc import Callable

from ci_mlsnap.training.models import keras, numpy_file, onnx, pickle_file, safetensors, torch_file
from ci_mlsnap.training.models.archive import Archive, is_packed, is_zip
from ci_mlsnap.training.models.found import Found, Unread
from ci_mlsnap.training.models.hdf5 import is_hdf5
from ci_mlsnap.training.models.source import Source

Reader = Callable[[Source, Found], None]

_PART = 1 << 20
_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_PACKERS = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x5d\x00\x00")
_NOT_LOOKED_INTO = "an archive, or a compressed file, that is not looked into"


def look(source: Source) -> Found:
    """Say what a file is and holds. What cannot be read is said in `problem`; raises nothing for any content."""
    found = Found(format="other", why="of no format that is known here")
    try:
        _look(source, found)
    except Unread as error:
        found.problem = str(error)
    except MemoryError:
        found.problem = "it takes too much memory to read"
    except Exception:  # noqa: BLE001 - whatever a parser of hostile bytes trips over is damage in them
        found.problem = "it is damaged"
    if found.problem and found.runs_code == "no" and found.format != "safetensors":
        found.runs_code, found.why = "unknown", "not all of it was read"
    return found


def _look(source: Source, found: Found) -> None:
    if source.size == 0:
        found.format, found.runs_code, found.why = "text", "no", "empty"
    elif is_zip(source):
        _look_into_zip(source, found)
    else:
        for format_, is_it, read in _FORMATS:
            if is_it(source):
                found.format = format_
                read(source, found)
                return
        _look_at_others(source, found)


def _look_into_zip(source: Source, found: Found) -> None:
    found.format, found.why = "archive", _NOT_LOOKED_INTO
    archive = Archive(source)
    if torch_file.is_torch(archive):
        found.format = "pytorch"
        torch_file.read_torch(archive, found)
    elif keras.is_keras(archive):
        found.format = "keras"
        keras.read_keras(archive, found)
    elif archive.names and any(name.endswith(".npy") for name in archive.names):
        found.format = "numpy"
        numpy_file.read_npz(archive, found)
    elif nested := archive.nested():
        found.why = f"an archive with another one in it: {nested}"


def _look_at_others(source: Source, found: Found) -> None:
    """Tell texts and pictures, which hold no model, from compressed pickles, archives and what is unknown."""
    head = source.at(0, min(source.size, 512))
    if head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        found.format, found.runs_code, found.why = "image", "no", "a picture"
    elif (content := _unpacked(source, head, found)) is not None:
        if pickle_file.is_pickle(content):
            found.format = "pickle"
            pickle_file.read_pickle(content, found)
    elif is_packed(head):
        found.format, found.why = "archive", _NOT_LOOKED_INTO
    elif _is_text(source) and not pickle_file.may_be_pickle(source):
        found.format, found.runs_code, found.why = "text", "no", "a text"


def _unpacked(source: Source, head: bytes, found: Found) -> Source | None:
    """Give what a compressed file holds; None for what is none. It is an archive also where it is too large."""
    if not (head.startswith(_PACKERS) or (head[:1] == b"x" and int.from_bytes(head[:2], "big") % 31 == 0)):
        return None
    from ci_mlsnap.training.models.compressed import unpacked

    unknown = found.format, found.why
    found.format, found.why = "archive", _NOT_LOOKED_INTO
    content = unpacked(source)
    if content is None:
        found.format, found.why = unknown
    return content


def _is_text(source: Source) -> bool:
    """Tell whether all of it is a text: an archive may stand behind one, and is found from its end."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    source.seek(0)
    try:
        while part := source.read(_PART):
            if b"\0" in part:
                return False
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _is_npy(source: Source) -> bool:
    return source.size > len(numpy_file.MAGIC) and source.at(0, len(numpy_file.MAGIC)) == numpy_file.MAGIC


_FORMATS: tuple[tuple[str, Callable[[Source], bool], Reader], ...] = (
    ("safetensors", safetensors.is_safetensors, safetensors.read_safetensors),
    ("numpy", _is_npy, numpy_file.read_npy),
    ("hdf5", is_hdf5, keras.read_hdf5),
    ("pytorch", pickle_file.is_legacy_torch, pickle_file.read_legacy_torch),
    ("onnx", onnx.is_onnx, onnx.read_onnx),
    ("pickle", pickle_file.is_pickle, pickle_file.read_pickle),
)
"""In this order; a pickle has the weakest sign."""
