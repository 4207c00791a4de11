"""How the tests look at model files: as runs do, in the child, or in this process where many are looked at."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from ci_mlsnap.domain.models import Model
from ci_mlsnap.training.models.asking import Reader
from ci_mlsnap.training.models.formats import look
from ci_mlsnap.training.models.source import Source

MADE = Path(__file__).with_name("made")


def model_of(path: Path, **wishes: Any) -> Model:
    """Give what a file says of itself, asked as a run asks."""
    with Reader(**wishes) as reader:
        file = os.open(path, os.O_RDONLY)
        try:
            return reader.read(file)
        finally:
            os.close(file)


def here(content: bytes) -> dict[str, Any]:
    """Give the same facts of some bytes, from the readers alone."""
    return look(Source(io.BytesIO(content))).answer()


def shapes(model: Model) -> dict[str, tuple[tuple[int, ...], str]]:
    """Give the tensors by name."""
    return {it.name: (it.shape, it.dtype) for it in model.tensors}
