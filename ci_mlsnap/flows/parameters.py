"""Parameters of two versions: from the commits that they were trained at, and from the model's own files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from ci_mlsnap.domain.code import LineChange
from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.parameters import FILES, MAX_BYTES, Parameters, publishable, read_parameters
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import GitFailed
from ci_mlsnap.flows.contents import Part
from ci_mlsnap.flows.context import Project

_Files = Mapping[str, Parameters]
_WANTED = frozenset(name.encode() for name in FILES)


def parameters_of(
    project: Project,
    versions: Sequence[Version],
    parts: Sequence[Sequence[Part]],
    code: Sequence[LineChange] | None,
) -> list[_Files]:
    """Give what each version's files of parameters say, by file, where these are not the same in all.

    What cannot be read is said, and raises nothing.
    """
    below = project.folder.relative_to(project.repository.top).as_posix()
    prefix = "" if below == "." else f"{below}/"
    changed = {line.path for line in code or ()}
    committed = [name for name in FILES if prefix + name in changed]
    trained = [dict(_trained(side)) for side in parts]
    names = dict.fromkeys(name for side in trained for name in side)
    differing = [name for name in names if len({_digest(side, name) for side in trained}) > 1]
    return [
        {
            **_committed(project, version, prefix, committed),
            **{name: _read(version, *side[name]) for name in differing if name in side},
        }
        for version, side in zip(versions, trained, strict=True)
    ]


def committed_parameters(project: Project, commit: str, *, checked_out: str) -> dict[str, dict[str, str]]:
    """Give what the files of parameters say at a commit, by file, without what may be a secret.

    Files that the checkout has not are not asked for, where it is of this commit. What cannot be read is left out.
    """
    below = project.folder.relative_to(project.repository.top).as_posix()
    prefix = "" if below == "." else f"{below}/"
    names = [name for name in FILES if commit != checked_out or (project.folder / name).is_file()]
    found: dict[str, dict[str, str]] = {}
    for name in names:
        with suppress(GitFailed):
            content = project.repository.file_at(commit, prefix + name)
            values = publishable(read_parameters(name, content)) if content is not None else {}
            found |= {name: values} if values else {}
    return found


def _committed(project: Project, version: Version, prefix: str, names: Iterable[str]) -> _Files:
    found: dict[str, Parameters] = {}
    for name in names:
        try:
            content = project.repository.file_at(version.header.commit, prefix + name)
        except GitFailed as error:
            found[name] = Parameters(problem=error.why or error.what)
        else:
            if content is not None:
                found[name] = read_parameters(name, content)
    return found


def _trained(parts: Sequence[Part]) -> Iterator[tuple[str, tuple[Part, Entry]]]:
    """Give the files of parameters that are in a version itself, by volume and name."""
    for part in parts:
        for entry in part.manifest.entries:
            if entry.path in _WANTED and entry.kind == "file":
                yield f"{part.volume}/{entry.path.decode()}", (part, entry)


def _digest(side: Mapping[str, tuple[Part, Entry]], name: str) -> str:
    return side[name][1].sha256 if name in side else ""


def _read(version: Version, part: Part, entry: Entry) -> Parameters:
    """Read a file of a version, beneath its snapshot, when it is what the manifest says."""
    name = entry.path.decode()
    if entry.size > MAX_BYTES:
        return Parameters(problem=f"it is larger than {MAX_BYTES >> 10} KiB")
    try:
        path = part.driver.view(version.name) / name
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return Parameters(problem=error.strerror or "it cannot be read")
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        return Parameters(problem="it is not what the manifest says: `mlsnap verify` says more")
    return read_parameters(name, content)
