"""`mlsnap show`: one version, whole."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ci_mlsnap.domain.comparing import environment_of, shown_command
from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.metrics import shown
from ci_mlsnap.domain.models import ModelFile, shape_text
from ci_mlsnap.domain.models import told as told_model
from ci_mlsnap.domain.pins import Pin, told
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.texts import better, change, counted, duration, size
from ci_mlsnap.domain.versions import Answer, Version
from ci_mlsnap.report.rendering import short

FILES_SHOWN = 20
"""Of each volume; JSON has all."""
_TENSORS_SHOWN = 6


class Beside(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a version beside its manifests.

    `links` are places where a person can look at it, `lost` the data volumes whose state is there no more. `base`
    is the version that its gates compared with, and `record` that of the run that made it, where they are there.
    `models` are its model files.
    """

    links: Mapping[str, str] = {}
    lost: Collection[str] = ()
    holds: Sequence[str] = ()
    channels: Sequence[str] = ()
    base: Version | None = None
    record: Record | None = None
    models: Sequence[ModelFile] = ()


def version_lines(answer: Answer, manifests: Sequence[Manifest], beside: Beside | None = None) -> Iterator[str]:
    """Say where a version came from, what it scored, what is in it, what keeps it, and how to get it."""
    beside = beside or Beside()
    header = manifests[0].header
    yield f"version   {header.name}" + (f"   ({answer.how} answer)" if answer.how != "own" else "")
    yield f"model     {header.model} of {header.project}, number {header.sequence}, made {header.created}"
    yield f"commit    {header.commit}" + (f" on {header.ref}" if header.ref else "")
    yield f"verdict   {'good' if header.verdict.good else 'gate missed'}"
    for finding in header.verdict.findings:
        yield f"  {'met   ' if finding.good else 'missed'}  {finding.text}"
    yield from _metrics(answer.version, beside.base)
    yield from _run(beside.record)
    for pin in header.pins:
        yield f"data      {told(pin)}" + (" (not there any more)" if pin.volume in beside.lost else "")
        yield from _pinned(pin)
    if len(manifests) > 1:
        yield f"volumes   {', '.join(manifest.header.volume for manifest in manifests)}"
    for manifest in manifests:
        yield from _contents(manifest, several=len(manifests) > 1)
    yield from _models(beside.models)
    yield f"manifest  {answer.version.digest}"
    yield from (f"channel   {channel} leads here" for channel in beside.channels)
    yield from (f"held by   {hold}" for hold in beside.holds)
    for label, place in beside.links.items():
        yield f"{label:<9} {place}"
    yield f"get it    {_way_to(answer.version)}"


def _metrics(version: Version, base: Version | None) -> Iterator[str]:
    header = version.header
    if version.metrics:
        yield f"metrics   from {header.metrics_source}"
    for name, value in sorted(version.metrics.items()):
        before = base.metrics.get(name) if base is not None else None
        word = {True: " better", False: " worse", None: ""}[better(name, value, before)]
        moved = f"   {change(name, value, before)}{word}, from {shown(before)}" if before is not None else ""
        yield f"  {name:<24} {shown(value)}{moved}"
    if header.baseline:
        yield f"baseline  {short(header.baseline)}" + ("" if base is not None else " (not there any more)")


def _run(record: Record | None) -> Iterator[str]:
    """Say how and where a version was trained."""
    if record is None:
        return
    if "train" in record.steps:
        yield f"trained   in {duration(record.steps['train'])}" + (f" by {record.actor}" if record.actor else "")
    for name, text in environment_of(record).items():
        yield f"{name:<9} {text}"
    if record.run_url:
        yield f"run       {record.run_url}"


def _contents(manifest: Manifest, *, several: bool) -> Iterator[str]:
    header = manifest.header
    of = f" in volume {header.volume}" if several else ""
    if header.files_mode == "none":
        yield f"files     contents not inventoried{of}"
        return
    yield f"files     {counted(header.files, 'file')}, {size(header.bytes)}{of}"
    files = [entry for entry in manifest.entries if entry.kind != "dir"]
    for entry in files[:FILES_SHOWN]:
        yield f"  {size(entry.size):>8}  {entry.sha256[:12]:<12}  {os.fsdecode(entry.path)}"
    if len(files) > FILES_SHOWN:
        yield f"  and {len(files) - FILES_SHOWN} more: --json lists all"


def _models(models: Sequence[ModelFile]) -> Iterator[str]:
    several = len({file.volume for file in models}) > 1
    if models:
        yield f"models    {counted(len(models), 'model file')}"
    for file in models[:FILES_SHOWN]:
        place = f"{file.volume}/{file.path}" if several else file.path
        yield f"  {place}: {told_model(file.model)}"
        if file.model.architecture:
            yield f"    {file.model.architecture}"
        for tensor in file.model.tensors[:_TENSORS_SHOWN]:
            yield f"    {tensor.name:<30}  {shape_text(tensor)}"
        if file.model.tensor_count > _TENSORS_SHOWN:
            yield f"    and {file.model.tensor_count - _TENSORS_SHOWN:,} more tensors"
    if len(models) > FILES_SHOWN:
        yield f"  and {len(models) - FILES_SHOWN} more: --json lists all"


def _way_to(version: Version) -> str:
    name = version.name
    if not name.is_version:
        return f"mlsnap restore {name.short} --to DIR"
    return f"mlsnap checkout {name.short}   (the model alone: mlsnap restore {name.short})"


def _pinned(pin: Pin) -> Iterator[str]:
    yield f"  {'read at':<14}  {pin.path}"
    for name, fact in pin.facts.items():
        yield f"  {name:<14}  {fact}"


def version_facts(answer: Answer, manifests: Sequence[Manifest], beside: Beside | None = None) -> dict[str, Any]:
    """Give the same as JSON's values; paths that are not UTF-8 have escapes."""
    beside = beside or Beside()
    files = [
        {
            "volume": manifest.header.volume,
            "path": os.fsdecode(entry.path).encode("utf-8", "backslashreplace").decode(),
            "kind": entry.kind,
            "size": entry.size,
            "sha256": entry.sha256,
        }
        for manifest in manifests
        for entry in manifest.entries
    ]
    return {
        "how": answer.how,
        "digest": answer.version.digest,
        "header": manifests[0].header,
        "baseline_metrics": beside.base.metrics if beside.base is not None else None,
        "files": files,
        "models": list(beside.models),
        "links": dict(beside.links),
        "lost_data": list(beside.lost),
        "channels": list(beside.channels),
        "holds": list(beside.holds),
        "record": published(beside.record) if beside.record is not None else None,
    }


def published(record: Record) -> Record:
    """Leave out what is not to be shown to whoever may look: values in the command, and what training printed."""
    return msgspec.structs.replace(record, argv=shown_command(record.argv), log_tail="")
