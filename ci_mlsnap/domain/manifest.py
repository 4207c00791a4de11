"""The manifest: what is in a snapshot and where it came from, as one canonical file.

Format `mlsnap/manifest/1`: JSON lines in UTF-8. The first line is the header; each further line is one
entry, in the order of the path's bytes. A path, link target or link group that is not UTF-8 stands as
base64 under the same key with `64` behind it. The same facts always give the same bytes, so the
manifest's digest (SHA-256 of the whole file) identifies it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec

from ci_mlsnap.domain.gates import Gate, Verdict
from ci_mlsnap.domain.metrics import Scalar
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.errors import IntegrityDamage

FORMAT = "mlsnap/manifest/1"
MANIFEST_PATH = ".mlsnap/manifest.jsonl"
"""Where the manifest stands, below the snapshot's root."""

Kind = Literal["file", "dir", "link"]
FilesMode = Literal["changed", "full", "none"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False, order=True):
    """One thing in the tree. `path` is relative, in bytes, without `.` or `..`.

    `mode` has the permission bits alone (setuid, setgid and sticky are never carried), `size` in bytes and
    `sha256` are for files, `target` is for links. Members of a hard-link group name the group's first path
    in `same_as`; that first one does not.
    """

    path: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    size: int = 0
    sha256: str = ""
    target: bytes = b""
    same_as: bytes = b""
    xattrs: tuple[tuple[str, bytes], ...] = ()


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """All entries of a tree in path order, and the digest that says whether two trees are the same version."""

    entries: tuple[Entry, ...]
    content_digest: str

    @property
    def files(self) -> int:
        """How many regular files there are."""
        return sum(entry.kind == "file" for entry in self.entries)

    @property
    def bytes(self) -> int:
        """The sum of the files' sizes, each hard-link group counted once."""
        return sum(entry.size for entry in self.entries if not entry.same_as)


class ManifestHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Where a snapshot came from. Times are UTC, ISO 8601; `files` and `bytes` count the entries.

    `pins` is the data that the model was trained on. A snapshot of a data volume has no model, and `data_state`
    says which state of the data it is.
    """

    format: Literal["mlsnap/manifest/1"]
    name: str
    volume: str
    volume_id: str
    members: tuple[str, ...]
    project: str
    model: str
    commit: str
    tree: str
    parents: tuple[str, ...] = ()
    attempt: int = 1
    sequence: int
    created: str
    ref: str = ""
    event: str = ""
    inputs_digest: str = ""
    metrics: dict[str, Scalar] = {}
    metrics_source: str = ""
    baseline: str = ""
    gates: tuple[Gate, ...] = ()
    verdict: Verdict
    files_mode: FilesMode
    files: int = 0
    bytes: int = 0
    content_digest: str = ""
    pins: tuple[Pin, ...] = ()
    data_state: str = ""
    tool: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """A header with its entries."""

    header: ManifestHeader
    entries: tuple[Entry, ...] = ()


def inventory_of(entries: Iterable[Entry]) -> Inventory:
    """Put entries in path order and compute their content digest."""
    ordered = tuple(sorted(entries, key=lambda entry: entry.path))
    digest = hashlib.sha256()
    for entry in ordered:
        digest.update(entry_line(entry))
    return Inventory(entries=ordered, content_digest=digest.hexdigest())


def encode(manifest: Manifest) -> Iterator[bytes]:
    """Give the manifest file, line by line; the entries must be in path order."""
    yield header_line(manifest.header)
    for entry in manifest.entries:
        yield entry_line(entry)


def digest_of(lines: Iterable[bytes]) -> str:
    """Give the manifest's digest."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def header_line(header: ManifestHeader) -> bytes:
    """Give the first line of the manifest file."""
    return msgspec.json.encode(header, order="deterministic") + b"\n"


def entry_line(entry: Entry) -> bytes:
    """Give an entry's line, with defaults left out."""
    line: dict[str, Any] = {**_text("path", entry.path), "kind": entry.kind, "mode": entry.mode}
    line["mtime_ns"] = entry.mtime_ns
    if entry.kind == "file":
        line["size"] = entry.size
        line["sha256"] = entry.sha256
    if entry.target:
        line |= _text("target", entry.target)
    if entry.same_as:
        line |= _text("same_as", entry.same_as)
    if entry.xattrs:
        line["xattrs"] = {name: base64.b64encode(value).decode() for name, value in entry.xattrs}
    return _ENCODER.encode(line) + b"\n"


def decode_header(line: bytes) -> ManifestHeader:
    """Read the first line; raises `IntegrityDamage` when it is no header of this format."""
    try:
        return _HEADER.decode(line)
    except _UNREADABLE as error:
        raise IntegrityDamage("a manifest's first line is damaged", why=str(error)[:200]) from None


def decode(lines: Iterable[bytes]) -> Manifest:
    """Read a manifest file; raises `IntegrityDamage` when a line is damaged, out of order, or missing."""
    stream = iter(lines)
    header = decode_header(next(stream, b""))
    digest, entries = hashlib.sha256(), []
    for line in stream:
        digest.update(line)
        entries.append(_entry(line))
    if header.files_mode != "none" and digest.hexdigest() != header.content_digest:
        raise IntegrityDamage("a manifest's entries are not those that its header names")
    if any(before.path >= after.path for before, after in pairwise(entries)):
        raise IntegrityDamage("a manifest's entries are out of order")
    return Manifest(header=header, entries=tuple(entries))


class _Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    kind: Kind
    mode: Annotated[int, msgspec.Meta(ge=0, le=0o777)]
    mtime_ns: int
    path: str = ""
    path64: bytes = b""
    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    sha256: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{64})?$")] = ""
    target: str = ""
    target64: bytes = b""
    same_as: str = ""
    same_as64: bytes = b""
    xattrs: dict[str, bytes] = {}


_ENCODER = msgspec.json.Encoder()
_HEADER = msgspec.json.Decoder(ManifestHeader)
_LINE = msgspec.json.Decoder(_Line)
_UNREADABLE = (msgspec.MsgspecError, UnicodeError)
"""What the decoder raises: bytes that are not UTF-8 come as an error of their own."""


def _text(key: str, value: bytes) -> dict[str, str]:
    try:
        return {key: value.decode()}
    except UnicodeDecodeError:
        return {key + "64": base64.b64encode(value).decode()}


def _entry(line: bytes) -> Entry:
    try:
        found = _LINE.decode(line)
    except _UNREADABLE as error:
        raise IntegrityDamage("a manifest's line is damaged", why=str(error)[:200]) from None
    path = found.path64 or found.path.encode()
    if not path or path.startswith(b"/") or b"\0" in path or {b"", b".", b".."} & set(path.split(b"/")):
        raise IntegrityDamage("a manifest names a path outside its tree")
    return Entry(
        path=path,
        kind=found.kind,
        mode=found.mode,
        mtime_ns=found.mtime_ns,
        size=found.size,
        sha256=found.sha256,
        target=found.target64 or found.target.encode(),
        same_as=found.same_as64 or found.same_as.encode(),
        xattrs=tuple(sorted(found.xattrs.items())),
    )
