"""Parameters of two versions: from the commits that they were trained at, and from the model's own files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence

from ci_mlsnap.domain.comparing import LineChange
from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.domain.parameters import FILES, MAX_BYTES, Parameters, read_parameters
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.errors import GitFailed
from ci_mlsnap.flows.context import Project

_Files = Mapping[str, Parameters]


def parameters_of(
    project: Project,
    versions: Sequence[Version],
    entries: Sequence[Sequence[Entry] | None],
    code: Sequence[LineChange] | None,
) -> list[_Files]:
    """Give what each version's files of parameters say, by file, where these are not the same in all.

    What cannot be read is said, and raises nothing.
    """
    below = project.folder.relative_to(project.repository.top).as_posix()
    prefix = "" if below == "." else f"{below}/"
    changed = {line.path for line in code or ()}
    committed = [name for name in FILES if prefix + name in changed]
    trained = _differing(entries)
    return [
        {
            **_committed(project, version, prefix, committed),
            **{f"{version.header.volume}/{name}": it for name, it in _trained(project, version, files, trained)},
        }
        for version, files in zip(versions, entries, strict=True)
    ]


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


def _differing(entries: Sequence[Sequence[Entry] | None]) -> list[str]:
    """Name the files of parameters among those of the models that are not the same in all."""
    wanted = {os.fsencode(name) for name in FILES}
    files = [[it for it in side or () if it.path in wanted and it.kind == "file"] for side in entries]
    known = [{it.path: it.sha256 for it in side} for side in files]
    return [name for name in FILES if len({side.get(os.fsencode(name)) for side in known}) > 1]


def _trained(
    project: Project, version: Version, entries: Sequence[Entry] | None, names: Iterable[str]
) -> Iterable[tuple[str, Parameters]]:
    by_path = {entry.path: entry for entry in entries or () if entry.kind == "file"}
    for name in names:
        entry = by_path.get(os.fsencode(name))
        if entry is not None:
            yield name, _read(project, version, name, entry)


def _read(project: Project, version: Version, name: str, entry: Entry) -> Parameters:
    """Read a file of a version, beneath its snapshot, when it is what the manifest says."""
    if entry.size > MAX_BYTES:
        return Parameters(problem=f"it is larger than {MAX_BYTES >> 10} KiB")
    try:
        path = project.driver.view(version.name) / name
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(file, "rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        return Parameters(problem=error.strerror or "it cannot be read")
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        return Parameters(problem="it is not what the manifest says: `mlsnap verify` says more")
    return read_parameters(name, content)
