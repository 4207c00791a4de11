"""`mlsnap show`: one version, whole."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.metrics import shown
from ci_mlsnap.domain.pins import Pin, told
from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.domain.versions import Answer
from ci_mlsnap.report.rendering import short

FILES_SHOWN = 20


def version_lines(
    answer: Answer, manifest: Manifest, links: Mapping[str, str], lost: Collection[str] = ()
) -> Iterator[str]:
    """Say where a version came from, what it scored, and what is in it; `lost` is data that is there no more."""
    header = manifest.header
    yield f"version   {header.name}" + (f"   ({answer.how} answer)" if answer.how != "own" else "")
    yield f"model     {header.model} of {header.project}, number {header.sequence}, made {header.created}"
    yield f"commit    {header.commit}" + (f" on {header.ref}" if header.ref else "")
    yield f"verdict   {'good' if header.verdict.good else 'gate missed'}"
    for finding in header.verdict.findings:
        yield f"  {'met   ' if finding.good else 'missed'}  {finding.text}"
    if header.metrics:
        yield f"metrics   from {header.metrics_source}"
        for name, value in sorted(header.metrics.items()):
            yield f"  {name:<24} {shown(value)}"
    if header.baseline:
        yield f"baseline  {short(header.baseline)}"
    for pin in header.pins:
        yield f"data      {told(pin)}" + (" (not there any more)" if pin.volume in lost else "")
        yield from _pinned(pin)
    if len(header.members) > 1:
        yield f"volumes   {', '.join(header.members)}; of {header.volume}:"
    yield f"files     {counted(header.files, 'file')}, {size(header.bytes)}"
    files = [entry for entry in manifest.entries if entry.kind != "dir"]
    for entry in files[:FILES_SHOWN]:
        yield f"  {size(entry.size):>8}  {entry.sha256[:12]:<12}  {os.fsdecode(entry.path)}"
    if len(files) > FILES_SHOWN:
        yield f"  and {len(files) - FILES_SHOWN} more: --json lists all"
    yield f"manifest  {answer.version.digest}"
    for label, place in links.items():
        yield f"{label:<9} {place}"


def _pinned(pin: Pin) -> Iterator[str]:
    yield f"  {'read at':<14}  {pin.path}"
    for name, fact in pin.facts.items():
        yield f"  {name:<14}  {fact}"


def version_facts(
    answer: Answer, manifest: Manifest, links: Mapping[str, str], lost: Collection[str] = ()
) -> dict[str, Any]:
    """Give the same as JSON's values; paths that are not UTF-8 have escapes."""
    files = [
        {
            "path": os.fsdecode(entry.path).encode("utf-8", "backslashreplace").decode(),
            "kind": entry.kind,
            "size": entry.size,
            "sha256": entry.sha256,
        }
        for entry in manifest.entries
    ]
    return {
        "how": answer.how,
        "digest": answer.version.digest,
        "header": manifest.header,
        "files": files,
        "links": dict(links),
        "lost_data": list(lost),
    }
