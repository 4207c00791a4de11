"""Builds of a CI that are kept for ever because of us: written down before that is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from ci_mlsnap.durable.atomic import make_folder
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.state import documents

_WAY_OUT = "remove the file: builds that are kept then stay kept, until a person releases them"


class _Kept(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/builds/1",
):
    """The names of versions by the address of the build that made them."""

    builds: dict[str, str] = {}


@contextmanager
def alone(state: Path, *, wait: float = 30.0) -> Iterator[None]:
    """Let nobody else keep or release builds during the block: the CI has a switch for it. Raises `Busy`."""
    make_folder(state / "builds")
    with lock(state / "builds" / "lock", wait=wait):
        yield


def read(state: Path) -> Mapping[str, str]:
    """Give the names of versions by the address of the build that is kept for them. Raises `IntegrityDamage`."""
    found = documents.read(_file(state), _Kept, way_out=_WAY_OUT)
    return found.builds if found is not None else {}


def note(state: Path, url: str, version: str) -> None:
    """Write down that a build is kept for a version. Raises `StorageFailed`."""
    documents.write(_file(state), _Kept(builds={**read(state), url: version}))


def forget(state: Path, url: str) -> None:
    """Write down that it is not kept any more. Raises `StorageFailed`."""
    documents.write(
        _file(state), _Kept(builds={known: name for known, name in read(state).items() if known != url})
    )


def _file(state: Path) -> Path:
    return state / "builds" / "kept.json"
