"""Notes: what a commit's versions were, as lines of a git note. A cache that whoever may push can forge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

import msgspec

from ci_mlsnap.domain.manifest import ManifestHeader
from ci_mlsnap.domain.metrics import Scalar
from ci_mlsnap.domain.names import SnapshotName, is_sha
from ci_mlsnap.domain.status import cut, one_line

LINE_LIMIT = 4096
"""The longest line in bytes; what is longer is not ours."""

NOTE_LIMIT = 256 << 10
"""The largest note in bytes that is read or added to."""

_METRICS = 40
_MISSED = 10

_Text = Annotated[str, msgspec.Meta(max_length=300)]


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One version, told without its volume. No list of files, path, host, person or log is in it.

    `manifest` is the digest of the manifest, `missed` the findings of gates that were missed.
    """

    format: Literal["mlsnap/note/1"] = "mlsnap/note/1"
    project: _Text
    model: _Text
    commit: str
    tree: str
    snapshot: str
    sequence: int
    manifest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    created: _Text
    good: bool
    missed: tuple[_Text, ...] = ()
    metrics: dict[_Text, Scalar] = {}
    files: int = 0
    bytes: int = 0


def note_of(header: ManifestHeader, digest: str) -> Note:
    """Make the note of a version; of very many metrics the first by name."""
    missed = (cut(one_line(finding.text), 200) for finding in header.verdict.missed)
    metrics = {name: value for name, value in sorted(header.metrics.items()) if len(name) <= 100}
    return Note(
        project=header.project,
        model=header.model,
        commit=header.commit,
        tree=header.tree,
        snapshot=header.name,
        sequence=header.sequence,
        manifest=digest,
        created=header.created,
        good=header.verdict.good,
        missed=tuple(missed)[:_MISSED],
        metrics=dict(list(metrics.items())[:_METRICS]),
        files=header.files,
        bytes=header.bytes,
    )


def line_of(note: Note) -> str:
    """Write a note in one line of ASCII, the same each time; metrics and findings go until it is short enough."""
    while len(line := _written(note)) > LINE_LIMIT and (note.metrics or note.missed):
        metrics, missed = list(note.metrics.items()), note.missed
        if metrics:
            note = msgspec.structs.replace(note, metrics=dict(metrics[:-1]))
        else:
            note = msgspec.structs.replace(note, missed=missed[:-1])
    return line


def read(text: bytes) -> tuple[Note, ...]:
    """Give what a note tells, oldest first; lines that are no notes of ours, and giants, are passed over."""
    if len(text) > NOTE_LIMIT:
        return ()
    found = [note for line in sorted(set(text.split(b"\n"))) if (note := _read_line(line)) is not None]
    return tuple(sorted(found, key=lambda note: (note.sequence, note.snapshot, note.manifest)))


def joined(text: bytes, lines: Iterable[str]) -> bytes | None:
    """Add lines to a note, each once and in order; None when all are there, or it would be larger than is read."""
    there = {line for line in text.split(b"\n") if line}
    wanted = there | {line.encode() for line in lines}
    result = b"".join(line + b"\n" for line in sorted(wanted))
    return None if wanted == there or len(result) > NOTE_LIMIT else result


def _read_line(line: bytes) -> Note | None:
    if not line.startswith(b"{") or len(line) > LINE_LIMIT:
        return None
    try:
        note = _DECODER.decode(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None
    name = SnapshotName.parse_or_none(note.snapshot)
    return note if name is not None and name.sha == note.commit and is_sha(note.commit) else None


def _written(note: Note) -> str:
    line = msgspec.json.encode(msgspec.to_builtins(note) | {"format": note.format}, order="sorted").decode()
    # Escaped, no character is taken for an end of line, or does anything to a terminal.
    return "".join(char if char.isascii() and char.isprintable() else _escaped(char) for char in line)


def _escaped(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


_DECODER = msgspec.json.Decoder(Note)
