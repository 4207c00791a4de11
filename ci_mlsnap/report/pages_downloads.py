"""What a version's page offers to take away: the record, checksums, and the manifest as it is in the snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from ci_mlsnap.domain.manifest import Manifest, encode
from ci_mlsnap.domain.record import Record
from ci_mlsnap.report.shown import published

_NOTES = {
    "record.json": "what the run did",
    "SHA256SUMS.txt": "for sha256sum --check in the model's folder",
}
_MANIFEST = "what is in the snapshot, line by line; its SHA-256 is the digest in the commit status"


def note_of(name: str) -> str:
    """Say what a download is for."""
    return _NOTES.get(name, _MANIFEST)


def downloads(record: Record | None, manifests: Sequence[Manifest]) -> Iterator[tuple[str, bytes]]:
    """Give the files by name. Their names end so that a server shows them as text, since a page in a sandbox may
    start no download."""
    if record is not None:
        yield "record.json", record_json(record)
    if manifests and all(manifest.header.files_mode != "none" for manifest in manifests):
        yield "SHA256SUMS.txt", b"".join(_sums(manifests))
    for manifest in manifests:
        name = "manifest.txt" if len(manifests) == 1 else f"manifest-{manifest.header.volume}.txt"
        yield name, b"".join(encode(manifest))


def record_json(record: Record) -> bytes:
    """Give a record as whoever may look may see it."""
    return msgspec.json.format(msgspec.json.encode(published(record)), indent=1) + b"\n"


def _sums(manifests: Sequence[Manifest]) -> Iterator[bytes]:
    """Give lines that `sha256sum --check` reads; names with a line's end or a backslash are escaped."""
    for manifest in manifests:
        below = b"" if len(manifests) == 1 else manifest.header.volume.encode() + b"/"
        for entry in manifest.entries:
            if entry.kind == "file":
                path = below + entry.path
                plain = path.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")
                yield (b"\\" if plain != path else b"") + entry.sha256.encode() + b"  " + plain + b"\n"
