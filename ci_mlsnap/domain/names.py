"""Names and identity: commits, snapshots, models, projects, and the marker that says "this is ours"."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import Self

import msgspec

from ci_mlsnap.errors import UsageError

MARKER_LIMIT = 255
"""The longest snapshot comment that ONTAP is known to keep, in characters."""

_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SNAPSHOT = re.compile(
    r"(?P<sha>[0-9a-f]{64}|[0-9a-f]{40})"
    r"(?:\.(?P<attempt>[2-9]|[1-9][0-9]{1,5})|-dirty-(?P<dirty>[0-9a-f]{8})|-keep-(?P<keep>[1-9][0-9]{0,5}))?"
)
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9._-]+)*")
_ABBREVIATED = re.compile(r"~[0-9a-f]{20}")
_MARKER = re.compile(r"mlsnap/1 p=(\S+)(?: model=(\S+))? sha=(\S+) m=([0-9a-f]{64})")


def is_sha(text: str) -> bool:
    """Tell whether `text` is a full commit SHA: 40 or 64 lower-case hex digits."""
    return _SHA.fullmatch(text) is not None


def is_label(text: str) -> bool:
    """Tell whether `text` may name a model, a volume or a channel."""
    return _LABEL.fullmatch(text) is not None


def label_from(text: str) -> str:
    """Make a model's name of a folder's or repository's name; `model` when nothing usable is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].rstrip("-") or "model"


def is_project(text: str) -> bool:
    """Tell whether `text` may be a project id: `owner/name`, or the root commit's SHA."""
    return len(text) <= 255 and _PROJECT.fullmatch(text) is not None


class SnapshotName(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """The only names that ever reach a driver: `<sha>`, `<sha>.2`, `<sha>-dirty-<8 hex>`, `<sha>-keep-<n>`.

    `attempt` counts from 1; the first attempt has the bare SHA as its name.
    """

    sha: str
    attempt: int = 1
    dirty: str = ""
    keep: int = 0

    def __post_init__(self) -> None:
        if _SNAPSHOT.fullmatch(str(self)) is None or (self.attempt > 1) + bool(self.dirty) + (self.keep > 0) > 1:
            raise UsageError(f"{str(self)[:100]!r} is no name of a snapshot")

    def __str__(self) -> str:
        if self.dirty:
            return f"{self.sha}-dirty-{self.dirty}"
        if self.keep:
            return f"{self.sha}-keep-{self.keep}"
        return self.sha if self.attempt == 1 else f"{self.sha}.{self.attempt}"

    @property
    def short(self) -> str:
        """The name as people read it: the first 7 digits of the SHA and what follows the SHA."""
        return self.sha[:7] + str(self)[len(self.sha) :]

    @property
    def is_version(self) -> bool:
        """Tell whether the name is an attempt at a commit, not a keepsake or a dirty tree."""
        return not self.dirty and not self.keep

    @staticmethod
    @lru_cache(maxsize=4096)  # a list of versions reads each name several times
    def parse(text: str) -> SnapshotName:
        """Read a name; raises `UsageError` for anything outside the grammar."""
        found = _SNAPSHOT.fullmatch(text)
        if found is None:
            raise UsageError(f"{text[:100]!r} is no name of a snapshot")
        return SnapshotName(
            sha=found["sha"],
            attempt=int(found["attempt"] or 1),
            dirty=found["dirty"] or "",
            keep=int(found["keep"] or 0),
        )

    @classmethod
    def parse_or_none(cls, text: str) -> SnapshotName | None:
        """Read a name; None for anything outside the grammar, which is then foreign."""
        return cls.parse(text) if _SNAPSHOT.fullmatch(text) else None


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """What a snapshot's native comment says, so that ours are told from foreign ones.

    Within `MARKER_LIMIT` characters: a project id that would not fit is written as `~` and the first
    20 hex digits of its SHA-256. `digest` is the SHA-256 of the manifest file. Data volumes have no model.
    """

    project: str
    model: str
    name: SnapshotName
    digest: str

    def __str__(self) -> str:
        full = self._text(self.project)
        return full if len(full) <= MARKER_LIMIT else self._text(_abbreviated(self.project))

    def _text(self, project: str) -> str:
        model = f" model={self.model}" if self.model else ""
        return f"mlsnap/1 p={project}{model} sha={self.name} m={self.digest}"

    def is_of(self, project: str, model: str) -> bool:
        """Tell whether the marker names this project and model."""
        return self.model == model and self.project in (project, _abbreviated(project))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a marker; None when the text is anything else, which makes the snapshot foreign."""
        found = _MARKER.fullmatch(text)
        name = SnapshotName.parse_or_none(found[3]) if found else None
        if found is None or name is None:
            return None
        project, model = found[1], found[2] or ""
        if not (is_project(project) or _ABBREVIATED.fullmatch(project)) or not (model == "" or is_label(model)):
            return None
        return cls(project=project, model=model, name=name, digest=found[4])


def _abbreviated(project: str) -> str:
    return project if project.startswith("~") else "~" + hashlib.sha256(project.encode()).hexdigest()[:20]
