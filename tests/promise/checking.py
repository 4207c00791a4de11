"""An own look at a store: what stands under `.snapshot` is read and hashed again, by no code of the package."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any


def manifest_of(snapshot: Path) -> tuple[dict[str, Any], dict[bytes, dict[str, Any]], str]:
    """Give a snapshot's header, its entries by path, and the manifest's digest."""
    content = (snapshot / ".mlsnap" / "manifest.jsonl").read_bytes()
    header, *lines = [json.loads(line) for line in content.splitlines()]
    entries = {
        base64.b64decode(line["path64"]) if "path64" in line else str(line["path"]).encode(): line
        for line in lines
    }
    return header, entries, hashlib.sha256(content).hexdigest()


def faults_of(snapshot: Path) -> list[str]:
    """Say in what a snapshot is not what its manifest says; nothing when it is whole."""
    header, entries, _ = manifest_of(snapshot)
    faults = [] if header["name"] == snapshot.name else [f"its manifest is that of {header['name']}"]
    found = _paths(os.fsencode(snapshot))
    faults += [f"{path!r} is missing" for path in sorted(set(entries) - found)]
    faults += [f"{path!r} is in no manifest" for path in sorted(found - set(entries))]
    return faults + [
        f"{path!r} differs" for path in sorted(found & set(entries)) if _differs(snapshot, path, entries[path])
    ]


def _paths(root: bytes) -> set[bytes]:
    found = set()
    for folder, folders, files in os.walk(root):
        if folder == root:
            folders.remove(b".mlsnap")
        found |= {os.path.relpath(os.path.join(folder, name), root) for name in (*folders, *files)}
    return found


def _differs(snapshot: Path, path: bytes, entry: dict[str, Any]) -> bool:
    place = os.path.join(os.fsencode(snapshot), path)
    facts = os.lstat(place)
    if entry["kind"] == "file" and not entry.get("same_as"):
        with open(place, "rb") as file:
            content = file.read()
        if (entry["size"], entry["sha256"]) != (len(content), hashlib.sha256(content).hexdigest()):
            return True
    kind = {"file": stat.S_ISREG, "link": stat.S_ISLNK}.get(entry["kind"], stat.S_ISDIR)
    return not kind(facts.st_mode) or entry["mtime_ns"] != facts.st_mtime_ns


def content_of(tree: Path) -> dict[str, bytes]:
    """Give a tree's regular files without what mlsnap put at its root."""
    return {
        str(path.relative_to(tree)): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.relative_to(tree).parts[0] not in (".mlsnap", ".snapshot")
    }


def everything_of(*roots: Path) -> dict[str, tuple[int, ...]]:
    """Give each file's facts, for holding against those of later: whoever only looks changes none of them."""
    found: dict[str, tuple[int, ...]] = {}
    for root in roots:
        for folder, folders, files in os.walk(root):
            for name in (".", *folders, *files):
                facts = os.lstat(os.path.join(folder, name))
                found[os.path.join(folder, name)] = (facts.st_ino, facts.st_mode, facts.st_size, facts.st_mtime_ns)
    return found
