"""The page of one version, the comparison with what it was measured against, and the files to take away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ci_mlsnap.domain.comparing import Differences, environment_of, metric_pairs
from ci_mlsnap.domain.manifest import Manifest
from ci_mlsnap.domain.metrics import Curve, Scalar, lower_is_better, number, shown
from ci_mlsnap.domain.pins import told
from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.status import cut, is_web_url, one_line
from ci_mlsnap.domain.texts import change, counted, duration, size
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.report.chart import Track, track_chart
from ci_mlsnap.report.pages import Look, moved, render_page
from ci_mlsnap.report.pages_downloads import downloads, note_of
from ci_mlsnap.report.pages_list import Link
from ci_mlsnap.report.pages_tables import comparison, tables_of
from ci_mlsnap.report.rendering import short

_METRICS_SHOWN = 100
_CURVES_SHOWN = 24
_STEPS_SHOWN = 60
_WORDS = {True: " better", False: " worse", None: ""}
_RUN_ON_ACTIONS = re.compile(r"(https?://[^/\s]+/[^/\s]+/[^/\s]+)/actions/runs/[0-9]+")


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best value of a metric among good versions before one, and whose it was."""

    version: str
    value: Scalar


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a version. `base` is what its gates compared with, `older` and `newer` its neighbours.

    `manifests` are None where there are too many files to list, or where they cannot be read: `notes` say why.
    `found` is what differs from the version it is compared with. `best_so_far`: it was the best when it was made.
    """

    version: Version
    record: Record | None = None
    base: Version | None = None
    base_record: Record | None = None
    channels: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    best_before: Mapping[str, Best] = {}
    best_so_far: bool = False
    older: str = ""
    newer: str = ""
    before_record: Record | None = None
    manifests: Sequence[Manifest] | None = None
    found: Differences | None = None
    notes: tuple[str, ...] = ()


def version_pages(look: Look, site: Mapping[str, str], told_of: Told) -> dict[str, bytes]:
    """Render all that is in a version's folder, by name."""
    files = dict(downloads(told_of.record, told_of.manifests or ()))
    page = {"page": _page(told_of, files), "site": site, "up": "../"}
    files["index.html"] = render_page(look, "version.html.j2", page)
    if told_of.found is not None:
        page = {"page": comparison(told_of.found, _subjects(told_of)), "site": site, "up": "../"}
        files["comparison.html"] = render_page(look, "comparison.html.j2", page)
    return files


def subject_of(version: Version, record: Record | None) -> str:
    """Say which change a version is of."""
    subject = one_line(record.subject) if record is not None else ""
    return cut(subject, 200) or f"Version {version.name.short}"


def _subjects(it: Told) -> dict[str, str]:
    before = it.found.before if it.found is not None else it.version
    return {
        before.header.name: subject_of(before, it.before_record),
        it.version.header.name: subject_of(it.version, it.record),
    }


def _page(it: Told, files: Mapping[str, bytes]) -> dict[str, Any]:
    version, header = it.version, it.version.header
    return {
        "name": version.name.short,
        "message": subject_of(version, it.record),
        "commit": header.commit,
        "facts": list(_facts(it)),
        "older": it.older,
        "newer": it.newer,
        "good": version.good,
        "verdict": _verdict(version),
        "findings": header.verdict.findings,
        "marks": [
            *(["best so far"] if it.best_so_far else []),
            *it.channels,
            *(f"held by {by}" for by in it.holds),
        ],
        "metrics": _metrics(it),
        "metrics_note": _metrics_note(it),
        "curves": _curves(it),
        "curves_note": "Dashed: the baseline's." if it.base_record and it.base_record.metrics.curves else "",
        "tables": list(tables_of(it.found, it.manifests, it.record)),
        "lineage": list(_lineage(it)),
        "environment": list(environment_of(it.record).items()) if it.record else [],
        "commands": list(_commands(version)),
        "downloads": [Link(href=name, text=name, note=note_of(name)) for name in files],
        "notes": it.notes,
    }


def _facts(it: Told) -> Iterator[tuple[str, str]]:
    header, record = it.version.header, it.record
    if header.ref:
        yield "branch", header.ref.removeprefix("refs/heads/")
    if record is not None and record.pull_request:
        yield "pull request", f"#{record.pull_request}"
    yield "made", header.created[:16].replace("T", " ")
    if record is not None and record.actor:
        yield "by", record.actor
    yield "number", f"{header.sequence}" + (f", attempt {header.attempt}" if header.attempt > 1 else "")
    yield "files", "not inventoried" if header.files_mode == "none" else _held(header.files, header.bytes)


def _held(files: int, size_of_all: int) -> str:
    return f"{counted(files, 'file')}, {size(size_of_all)}"


def _verdict(version: Version) -> str:
    if not version.good:
        return "Gate missed: kept for study, not advanced"
    return "Good: every gate is met" if version.header.verdict.findings else "Good"


def _metrics(it: Told) -> list[dict[str, Any]]:
    before = it.base.metrics if it.base is not None else (it.record.baseline_metrics if it.record else {})
    pairs = [pair for pair in metric_pairs(before, it.version.metrics) if pair.after is not None]
    return [
        {
            "name": pair.name,
            "arrow": "↓ lower" if lower_is_better(pair.name) else "↑ higher",
            "value": shown(pair.after),
            "base": shown(pair.before) if pair.before is not None else "",
            "change": moved(change(pair.name, pair.after, pair.before) + _WORDS[pair.better]),
            "best": shown(it.best_before[pair.name].value) if pair.name in it.best_before else "",
            "best_name": it.best_before[pair.name].version if pair.name in it.best_before else "",
        }
        for pair in pairs[:_METRICS_SHOWN]
        if pair.after is not None
    ]


def _metrics_note(it: Told) -> str:
    header = it.version.header
    parts = [f"Read from {header.metrics_source}." if header.metrics_source else ""]
    if header.baseline:
        gone = "" if it.base is not None else ", which is not there any more"
        parts.append(f"The baseline is {short(header.baseline)}{gone}.")
    if len(header.metrics) > _METRICS_SHOWN:
        parts.append(f"{len(header.metrics) - _METRICS_SHOWN} more are in record.json.")
    return " ".join(part for part in parts if part)


def _curves(it: Told) -> list[dict[str, Any]]:
    curves = it.record.metrics.curves[:_CURVES_SHOWN] if it.record is not None else ()
    before = {curve.name: curve for curve in it.base_record.metrics.curves} if it.base_record is not None else {}
    drawn = ((curve, before.get(curve.name)) for curve in curves)
    return [made for curve, base in drawn if (made := _curve(curve, base)) is not None]


def _curve(curve: Curve, before: Curve | None) -> dict[str, Any] | None:
    name = cut(one_line(curve.name), 60)
    said = f"{counted(len(curve.values), 'step')}. The table below has the numbers."
    chart = track_chart(_track(curve), _track(before) if before else None, title=name, description=said)
    if chart is None:
        return None
    pairs = list(zip(curve.steps, curve.values, strict=False))
    every = -(-len(pairs) // _STEPS_SHOWN) or 1
    rows = [*pairs[:-1:every], *pairs[-1:]]
    more = f"{len(rows)} of {len(pairs)} steps; record.json has all." if every > 1 else ""
    return {
        "name": name,
        "chart": chart,
        "rows": [(f"{step:g}", shown(value)) for step, value in rows],
        "more": more,
    }


def _track(curve: Curve) -> Track:
    return Track(steps=curve.steps, values=[number(value) for value in curve.values])


# -- lineage and commands ------------------------------------------------------------------------------


def _lineage(it: Told) -> Iterator[dict[str, Any]]:
    """Say what led to the version, and where it leads: from the commit and the data to the channels."""
    header, record = it.version.header, it.record
    found = _RUN_ON_ACTIONS.fullmatch(record.run_url) if record is not None else None
    place = f"{found[1]}/commit/{header.commit}" if found else ""
    parents = [f"parent {parent}" for parent in header.parents]
    yield _step("commit", header.commit, href=place, lines=parents)
    for pin in header.pins:
        lines = [f"read at {pin.path}", *(f"{name} {fact}" for name, fact in pin.facts.items())]
        yield _step("data", told(pin), lines=lines)
    if record is not None:
        yield _run(record)
    for volume in record.volumes if record is not None else ():
        lines = [f"{volume.path}/.snapshot/{header.name}", f"manifest {volume.manifest_digest}"]
        yield _step("snapshot", f"{header.name} of {volume.name} ({volume.driver}, {volume.way})", lines=lines)
    if record is None:
        yield _step("snapshot", header.name, lines=[f"manifest {it.version.digest}"])
    for channel in it.channels:
        yield _step("channel", channel)


def _run(record: Record) -> dict[str, Any]:
    times = [f"{name} {duration(seconds)}" for name, seconds in record.steps.items()]
    text = record.run_url if is_web_url(record.run_url) else f"by hand on {record.host}"
    by = f"{record.event or 'run'}" + (f" by {record.actor}" if record.actor else "")
    return _step(
        "run", text, href=text if is_web_url(text) else "", lines=[by, *([", ".join(times)] if times else [])]
    )


def _step(what: str, text: str, *, href: str = "", lines: Iterable[str] = ()) -> dict[str, Any]:
    return {"what": what, "text": text, "href": href, "lines": list(lines)}


def _commands(version: Version) -> Iterator[tuple[str, str]]:
    name = version.name.short
    yield "Get code and model", f"git fetch && mlsnap checkout {name}"
    yield "Get the model alone", f"mlsnap restore {name}"
    yield "Put the models back to it", f"mlsnap rollback {name}"
    yield "Check it against manifest and ledger", f"mlsnap verify {name}"
    yield "Where it can be read", f"mlsnap path {name}"
