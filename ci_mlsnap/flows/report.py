"""report: all that is known of a model as static pages. Reads the snapshots and the state, and only them.

A page is made anew when what it is made of changed: each has a key that says so without making it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import msgspec

from ci_mlsnap.domain.record import Record
from ci_mlsnap.domain.retention import neighbours
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows.context import TOOL
from ci_mlsnap.flows.report_lists import facts_of_list, lists_of, render_list
from ci_mlsnap.flows.report_shelf import Shelf, shelf_of
from ci_mlsnap.flows.report_versions import facts_of, render_version, told_of
from ci_mlsnap.ports import Driver
from ci_mlsnap.report.junit import junit
from ci_mlsnap.report.pages import ICON, STYLE, Look, load_pages
from ci_mlsnap.report.pages_downloads import record_json
from ci_mlsnap.report.pages_folder import Group, Written, write_groups
from ci_mlsnap.report.pages_list import badge
from ci_mlsnap.report.pages_pruned import pruned_page
from ci_mlsnap.report.summary import summary

RUN = "run"
"""The group of the files of the run that ended last."""


def write_report(
    driver: Driver, folder: Path, look: Look, *, project: str, model: str, run: Group | None = None
) -> Written:
    """Write the pages of all versions into a folder, as far as they are not there already, and the files of a run.

    Raises `Refused` for a folder that holds something else, `StorageFailed`, `Busy`.
    """
    shelf = shelf_of(driver)
    site = {"project": project, "model": model, "tool": TOOL}
    groups = [*([run] if run is not None else []), *_groups(shelf, look, site, _space(driver))]
    return write_groups(folder, groups, project=project, model=model, kept=() if run is not None else (RUN,))


def _groups(shelf: Shelf, look: Look, site: Mapping[str, str], space: str) -> Iterator[Group]:
    """Give all that is to be in the folder, versions before the lists that lead to them."""

    def key(*parts: object) -> str:
        text = msgspec.json.encode([look.digest, site, *parts], order="deterministic")
        return hashlib.sha256(text).hexdigest()[:32]

    fixed = {name: look.files[name].encode() for name in (STYLE, ICON)}
    yield Group(name="look", key=key(), make=lambda: fixed)
    for told, before in told_of(shelf):
        name = told.version.header.name
        make = partial(render_version, shelf, look, site, told, before)
        yield Group(name=f"version {name}", folder=name, key=key(*facts_of(shelf, told, before)), make=make)
    for record in shelf.pruned:
        around = neighbours(record.header.sequence, shelf.versions)
        facts = [record.digest, record.condition, record.at, record.by, record.reason]
        kept = [it.header.name for it in around if it is not None]
        make = partial(pruned_page, look, site, record, around)
        yield Group(name=f"pruned {record.name}", folder=record.name, key=key(facts, kept), make=make)
    best = shelf.best.digest if shelf.best else ""
    yield Group(name="badge", key=key(best), make=lambda: {"badge.svg": badge(look, site["model"], shelf.best)})
    for file, it in lists_of(shelf, site["model"], space).items():
        make = partial(render_list, shelf, look, site, file, it)
        yield Group(name=file, key=key(*facts_of_list(shelf, it)), make=make)


def _space(driver: Driver) -> str:
    """Say how full the storage is, where that can be told."""
    try:
        found = driver.probe()
    except MlsnapError:
        return ""
    if not found.total_bytes:
        return ""
    return f"The storage is {round(100 * (1 - found.free_bytes / found.total_bytes))} % full."


def run_files(record: Record) -> dict[str, bytes]:
    """Give the files of one run, by name."""
    return {
        "record.json": record_json(record),
        "metrics.json": msgspec.json.encode(record.metrics.scalars, order="sorted") + b"\n",
        "summary.md": summary(record).encode(),
        "junit.xml": junit(record).encode(),
    }


def run_group(record: Record) -> Group:
    """Give the files of one run as a group of the report."""
    key = hashlib.sha256(record_json(record)).hexdigest()[:32]
    return Group(name=RUN, key=key, make=lambda: run_files(record))


def load(look: Look) -> None:
    """Load all that a report needs: whoever changes it where it is installed later then changes nothing here."""
    load_pages(look)
    run_files(Record(format="mlsnap/record/1", outcome="nothing", project="", model="m", commit="", tool=TOOL))
