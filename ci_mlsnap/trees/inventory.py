"""What is in a tree: every entry with its facts and, for files, the SHA-256 of the content."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ci_mlsnap.domain.manifest import Entry, Inventory, inventory_of
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.files import attributes, digest, open_found, require_unchanged
from ci_mlsnap.trees.listing import KnownFile, Listing
from ci_mlsnap.trees.walk import Found, reading_error, walk

__all__ = ["KnownFile", "survey", "take_inventory"]

Knowing = Callable[[Found], str]
"""Gives the SHA-256 of a file that need not be read, or nothing."""


def _nothing_known(_found: Found) -> str:
    return ""


def take_inventory(root: Path, *, known: Knowing = _nothing_known) -> Inventory:
    """Give the inventory of a tree; a file that is `known` is not read.

    Raises `TreeUnsupported`, `LinkEscapes`, `LateWriter` for a file that changed meanwhile, `VolumeMissing`,
    `StorageFailed`.
    """
    return survey(root, known=known).inventory()


def survey(root: Path, *, known: Knowing = _nothing_known) -> Listing:
    """Do as `take_inventory`, and keep the files' facts for the next time."""
    listing = Listing()
    with Crew() as crew:
        for found in walk(root):
            _take(found, listing, crew, known)
    return listing


def glimpse(root: Path) -> tuple[Entry, ...]:
    """Give the entries of a tree without reading its files: digests are empty, attributes not looked at."""
    return inventory_of(
        Entry(
            path=found.path,
            kind=found.kind,
            mode=found.stat.st_mode & 0o777,
            mtime_ns=found.stat.st_mtime_ns,
            size=found.stat.st_size if found.kind == "file" else 0,
            target=found.target,
        )
        for found in walk(root)
    ).entries


def stands(root: Path, entry: Entry) -> bool:
    """Tell whether a tree has this entry, by its kind, mode, size, time and target; no file is read."""
    path = root / os.fsdecode(entry.path)
    try:
        facts = path.lstat()
        target = os.readlink(os.fsencode(path)) if stat.S_ISLNK(facts.st_mode) else b""
    except (FileNotFoundError, NotADirectoryError):
        return False
    kinds = {"file": stat.S_IFREG, "dir": stat.S_IFDIR, "link": stat.S_IFLNK}
    return (
        stat.S_IFMT(facts.st_mode) == kinds[entry.kind]
        and facts.st_mode & 0o777 == entry.mode
        and facts.st_mtime_ns == entry.mtime_ns
        and (entry.kind != "file" or facts.st_size == entry.size)
        and target == entry.target
    )


def _take(found: Found, listing: Listing, crew: Crew, known: Knowing) -> None:
    if found.kind == "link":
        listing.add_link(found)
    elif found.kind == "dir":
        listing.add_folder(found.path, found.stat, attributes(found.path, found.folder))
    elif not listing.first_of_group(found):
        sha256 = known(found)
        task = partial(_read, found, open_found(found), listing, crew, sha256)
        crew.do(task, 0 if sha256 else found.stat.st_size)


def _read(found: Found, file: int, listing: Listing, crew: Crew, sha256: str) -> None:
    try:
        extended = attributes(found.path, file)
        if not sha256:
            sha256 = digest(file, found.stat.st_size, crew.go_on)
            require_unchanged(found.path, found.stat, file)
    except OSError as error:
        raise reading_error(found.path, error) from error
    finally:
        os.close(file)
    listing.add_file(found.path, found.stat, sha256, extended)
