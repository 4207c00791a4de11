"""PyTorch's archives, written by hand: what `torch.save` puts into them, without torch."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

LEGACY = tuple(pickle.dumps(it, protocol=2) for it in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))


def torch_zip(top: Any, folder: str = "model/", *, constants: bool = False) -> bytes:
    """Give an archive whose pickle is of this object; with `constants` it is a TorchScript program's."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(f"{folder}data.pkl", pickle.dumps(top, protocol=2))
        if constants:
            archive.writestr(f"{folder}constants.pkl", pickle.dumps(()))
        archive.writestr(f"{folder}version", b"3\n")
    return content.getvalue()


def torch_legacy(top: Any) -> bytes:
    """Give a file in the form before 1.6."""
    return b"".join((*LEGACY, pickle.dumps(top, protocol=2), pickle.dumps([], protocol=2)))
