"""What model files of the newest version were found to be, by digest, so that what is unchanged is not read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from ci_mlsnap.domain.models import Model
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.state import documents


class _Cache(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/known-models/1"):
    models: dict[str, Model]


def read(state: Path) -> Mapping[str, Model]:
    """Give the facts by the file's SHA-256; none where they cannot be read, since files can be looked at again."""
    try:
        cache = documents.read(_path(state), _Cache, way_out="it is made anew")
    except MlsnapError:
        return {}
    return cache.models if cache is not None else {}


def write(state: Path, models: Mapping[str, Model]) -> None:
    """Keep these facts in place of those before. Raises `StorageFull`, `StorageFailed`."""
    documents.write(_path(state), _Cache(models=dict(models)))


def _path(state: Path) -> Path:
    return state / "known-models.json"
