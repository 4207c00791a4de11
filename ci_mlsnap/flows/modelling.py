"""Model files of a version: what each says of itself, and whether the policy allows it. Nothing is ever loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.models import NO_MODELS, Model, ModelFile, refusal
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import FormatRefused, MlsnapError
from ci_mlsnap.flows.contents import Part
from ci_mlsnap.flows.workspace import Tree
from ci_mlsnap.training.models.asking import Reader, open_beneath

STEP = "models"
"""The step under which a record has the seconds that this took; without it nobody looked."""
_LOOKED_AT = 100
"""Without a policy only so many files are looked at, the largest ones."""
_SECONDS, _POLICY_SECONDS = 120.0, 3600.0
"""For all files together: what is left out fails no run, unless there is a policy."""
_KEPT_AT_MOST = 50
_TENSORS_AT_MOST = 1000
"""In a record, of all files together."""
_TENSORS_KNOWN = 100
"""Of one file; what has more is looked at again."""
_HEAD = 4096
_CALLS = re.compile(rb"[ci][^\W\d][\w.]*\n[^\W\d][\w.]*\n")
"""What a pickle that is text must have to run anything: something to import."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One volume of a version, where its files can be read and do not change."""

    volume: str
    root: Path
    entries: Sequence[Entry]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """The model files by path; and of all files that were looked at, what is to be known of them by digest."""

    files: tuple[ModelFile, ...]
    known: Mapping[str, Model]


def model_files(
    places: Sequence[Place], *, allowed: tuple[str, ...] = (), known: Mapping[str, Model] | None = None
) -> Looked:
    """Look at the model files of a version.

    Without a policy these are the largest files; what is no model is left out, and what cannot be read is said.
    What is `known` by its digest is not read again. With a policy all files are read. Raises `FormatRefused` for
    the first file that it does not allow.
    """
    found: list[ModelFile] = []
    facts: dict[str, Model] = {}
    before = {} if allowed else known or {}
    with Reader(seconds=_POLICY_SECONDS if allowed else _SECONDS) as reader:
        for place, entry in _wanted(places, everything=bool(allowed)):
            model = before.get(entry.sha256) or _read(reader, place, entry, everything=bool(allowed))
            if _is_whole(model) and len(facts) < _LOOKED_AT:
                facts[entry.sha256] = model
            file = _file(place, entry, model)
            if why := refusal(model, allowed):
                raise _refused(file, why, allowed)
            if model.format not in NO_MODELS and (model.format != "other" or model.problem):
                found.append(file)
    return Looked(files=tuple(sorted(found, key=lambda it: (it.volume, it.path))), known=facts)


def require_allowed(trees: Sequence[Tree], name: SnapshotName, allowed: tuple[str, ...]) -> None:
    """Hold a version that is there against a policy, which may be newer. Raises `FormatRefused`."""
    if not allowed:
        return
    manifests = [tree.driver.manifest(name) for tree in trees]
    if any(manifest.header.files_mode == "none" for manifest in manifests):
        raise FormatRefused(
            f"version {name.short} cannot be held against policy.formats",
            why="its contents were not inventoried",
            safe="the version stays as it is",
            hint="`mlsnap run --retrain` makes another one",
        )
    try:
        model_files(
            [
                Place(volume=tree.volume.name, root=tree.driver.view(name), entries=manifest.entries)
                for tree, manifest in zip(trees, manifests, strict=True)
            ],
            allowed=allowed,
        )
    except FormatRefused as error:
        error.safe = f"version {name.short} stays as it is"
        raise


def models_of(parts: Sequence[Part], version: Version, record: Record | None) -> tuple[ModelFile, ...]:
    """Give the model files of a version, as its record has them, else read through its snapshots.

    Writes nothing; none where the snapshots cannot be reached.
    """
    if record is not None and STEP in record.steps:
        return record.models
    try:
        return read_again(parts, version)
    except MlsnapError:
        return ()


def read_again(
    parts: Sequence[Part], version: Version, only: Collection[bytes] | None = None
) -> tuple[ModelFile, ...]:
    """Read the model files of a version through its snapshots, or only some of them, by path."""
    places = [
        Place(
            volume=part.volume,
            root=part.driver.view(version.name),
            entries=[it for it in part.manifest.entries if only is None or it.path in only],
        )
        for part in parts
    ]
    return model_files(places).files


def kept(files: Sequence[ModelFile]) -> tuple[ModelFile, ...]:
    """Give as much of it as a record keeps."""
    left, some = _TENSORS_AT_MOST, list[ModelFile]()
    for file in files[:_KEPT_AT_MOST]:
        tensors = file.model.tensors[:left]
        left -= len(tensors)
        model = msgspec.structs.replace(file.model, tensors=tensors)
        some.append(msgspec.structs.replace(file, model=model))
    return tuple(some)


def _wanted(places: Sequence[Place], *, everything: bool) -> Iterator[tuple[Place, Entry]]:
    files = [
        (place, entry)
        for place in places
        for entry in place.entries
        if entry.kind == "file" and not entry.same_as and (entry.size or everything)
    ]
    files.sort(key=lambda it: (-it[1].size, it[0].volume, it[1].path))
    yield from files if everything else files[:_LOOKED_AT]


def _is_whole(model: Model) -> bool:
    """Tell whether the facts are all that there are to a file, and few enough to be kept."""
    return not model.problem and model.tensor_count == len(model.tensors) <= _TENSORS_KNOWN


def _read(reader: Reader, place: Place, entry: Entry, *, everything: bool) -> Model:
    """Read one file. Raises nothing for any."""
    try:
        file = open_beneath(place.root, entry.path)
    except OSError as error:
        return Model(format="other", problem=error.strerror or "it cannot be opened")
    try:
        if os.fstat(file).st_size != entry.size:
            return Model(format="other", problem="it is not what the manifest says")
        if not everything and _is_plain_text(os.pread(file, _HEAD, 0)):
            return Model(format="text", runs_code="no", why="a text")
        return reader.read(file)
    except OSError as error:
        return Model(format="other", problem=error.strerror or "it cannot be read")
    finally:
        os.close(file)


def _is_plain_text(head: bytes) -> bool:
    """Tell a text, of which most small files are, without asking a process for it."""
    try:
        head[:-3].decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in head and _CALLS.search(head) is None


def _file(place: Place, entry: Entry, model: Model) -> ModelFile:
    path = os.fsdecode(entry.path).encode("utf-8", "backslashreplace").decode()
    return ModelFile(volume=place.volume, path=path, size=entry.size, sha256=entry.sha256, model=model)


def _refused(file: ModelFile, why: str, allowed: tuple[str, ...]) -> FormatRefused:
    words = ", ".join(f'"{word}"' for word in allowed)
    return FormatRefused(
        f"{cut(one_line(file.path), 100)} in volume {file.volume} is refused by policy.formats",
        why=why,
        safe="nothing was snapshotted; the trained files are where they were",
        hint=f"save it as one of {words}, or let a person who may do so change policy.formats",
    )
