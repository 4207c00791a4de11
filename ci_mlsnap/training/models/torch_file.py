"""PyTorch's zip archives: a pickle beside the bytes of its tensors, and maybe a program."""

from __future__ import annotations

from ci_mlsnap.training.models.archive import Archive
from ci_mlsnap.training.models.found import Found
from ci_mlsnap.training.models.pickle_file import read_pickle

_PICKLE = "data.pkl"


def is_torch(archive: Archive) -> bool:
    """Tell it by the pickle in the archive's one folder."""
    return bool(_inside(archive, _PICKLE))


def read_torch(archive: Archive, found: Found) -> None:
    """Take the tensors and imports of the pickle, and say whether a program is with it. Raises `Unread`."""
    found.framework = "pytorch"
    folder = _inside(archive, _PICKLE).removesuffix(_PICKLE)
    is_program = f"{folder}constants.pkl" in archive.names
    if is_program:
        found.format = "torchscript"
        found.runs_code, found.why = "yes", "a TorchScript program"
    try:
        read_pickle(archive.member(folder + _PICKLE), found)
    finally:
        if is_program:
            found.runs_code, found.why = "yes", "a TorchScript program"


def _inside(archive: Archive, name: str) -> str:
    """Give the whole name of a member at the top or in a folder there; empty when it is not there."""
    fitting = (it for it in archive.names if it == name or (it.endswith(f"/{name}") and it.count("/") == 1))
    return next(fitting, "")
