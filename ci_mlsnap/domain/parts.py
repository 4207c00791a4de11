"""Parts of a tree: some of a manifest's paths, each with all that is below it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.errors import NoSuchVersion


def outermost(paths: Iterable[bytes]) -> tuple[bytes, ...]:
    """Give the paths in order, each once, without those that are below another."""
    found: list[bytes] = []
    for path in sorted(set(paths)):
        if not any(is_within(path, other) for other in found):
            found.append(path)
    return tuple(found)


def is_within(path: bytes, part: bytes) -> bool:
    """Tell whether the path is the part, or below it."""
    return path == part or path.startswith(part + b"/")


def folders_above(path: bytes) -> list[bytes]:
    """Give the folders that a path is in, the outermost first, without the root."""
    names = path.split(b"/")
    return [b"/".join(names[:count]) for count in range(1, len(names))]


def entries_of(entries: Sequence[Entry], paths: Sequence[bytes]) -> tuple[Entry, ...]:
    """Give the entries of these parts, in path order; hard links to what is outside of them become files.

    Raises `NoSuchVersion` for a path that no entry has.
    """
    known = {entry.path for entry in entries}
    for path in paths:
        if path not in known:
            raise _no_such_part(path)
    parts = outermost(paths)
    return _regrouped([entry for entry in entries if any(is_within(entry.path, part) for part in parts)])


def breaks_groups(entries: Sequence[Entry], parts: Sequence[bytes]) -> bool:
    """Tell whether a hard-link group is partly in these parts and partly not."""
    inside: dict[bytes, set[bool]] = {}
    for entry in entries:
        if entry.kind == "file":
            within = any(is_within(entry.path, part) for part in parts)
            inside.setdefault(entry.same_as or entry.path, set()).add(within)
    return any(len(sides) > 1 for sides in inside.values())


def _regrouped(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Let the first of each group that is here lead it."""
    leaders: dict[bytes, bytes] = {}
    found = []
    for entry in entries:
        if entry.kind != "file":
            found.append(entry)
            continue
        leader = leaders.setdefault(entry.same_as or entry.path, entry.path)
        found.append(replace(entry, same_as=b"" if leader == entry.path else leader))
    return tuple(found)


def _no_such_part(part: bytes) -> NoSuchVersion:
    shown = part.decode("utf-8", "backslashreplace")[:200]
    return NoSuchVersion(
        f"the version has nothing at {shown!a}",
        safe="nothing was changed",
        hint="paths count from the volume's root; `ls` below `mlsnap path REVISION` shows what there is",
    )
