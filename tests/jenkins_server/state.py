"""What a Jenkins look-alike remembers: jobs, the queue, builds and their logs.

Each rule says where it is from: *seen* on Jenkins 2.421, *source* read in Jenkins' or python-jenkins' source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as ET

KINDS = {
    "flow-definition": "org.jenkinsci.plugins.workflow.job.WorkflowJob",
    "project": "hudson.model.FreeStyleProject",
    "com.cloudbees.hudson.plugins.folder.Folder": "com.cloudbees.hudson.plugins.folder.Folder",
    "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject": (
        "org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject"
    ),
}
FOLDERS = (KINDS["com.cloudbees.hudson.plugins.folder.Folder"], list(KINDS.values())[-1])


class Broken(Exception):
    """The server answers with this status and reason, on a page of HTML."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(kw_only=True)
class Script:
    """What a build does: it waits in the queue for so many looks; then each look at its log shows a part more."""

    waits: int = 1
    parts: tuple[bytes, ...] = (b"Started by user Ada\r\n", b"Finished: SUCCESS\r\n")
    result: str = "SUCCESS"
    endless: bool = False


@dataclass(kw_only=True)
class Build:
    number: int
    script: Script
    parameters: Mapping[str, str]
    shown: int = 0
    result: str = ""
    kept: bool = False
    description: str = ""

    @property
    def log(self) -> bytes:
        return b"".join(self.script.parts[: self.shown])

    def go_on(self) -> None:
        self.shown = min(self.shown + 1, len(self.script.parts))
        if self.shown == len(self.script.parts) and not self.script.endless:
            self.result = self.result or self.script.result


@dataclass(kw_only=True)
class Job:
    name: str
    xml: str
    kind: str
    script: Script = field(default_factory=Script)
    disabled: bool = False
    builds: dict[int, Build] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        found = _parsed(self.xml).iter("hudson.model.StringParameterDefinition")
        return [each.findtext("name") or "" for each in found]

    @property
    def is_folder(self) -> bool:
        return self.kind in FOLDERS


@dataclass(kw_only=True)
class Item:
    number: int
    job: Job
    parameters: Mapping[str, str]
    waits: int
    build: int | None = None
    cancelled: bool = False


class Jenkins:
    """The memory of one server."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.items: dict[int, Item] = {}
        self.scans: list[str] = []
        self.plugins = {
            "workflow-aggregator": "596.v8c21c963d92d",
            "workflow-multibranch": "756.v891d88f2cd46",
            "pipeline-model-definition": "2.2144.v077a_d1928a_40",
            "credentials-binding": "604.vb_64480b_c56ca_",
            "git": "5.2.0",
            "cloudbees-folder": "6.815.v0dd5a_cb_40e0e",
        }

    def job(self, name: str) -> Job:
        if name not in self.jobs:
            raise Broken(404, "Not Found")
        return self.jobs[name]

    def create(self, folder: str, name: str, xml: str) -> None:
        """Seen: bad XML is a 500 page, a name that is taken 400, a missing folder 404."""
        if folder and not self.job(folder).is_folder:
            raise Broken(404, "Not Found")
        if not name:
            raise Broken(400, "Query parameter 'name' is required")
        full = f"{folder}/{name}" if folder else name
        if full in self.jobs:
            raise Broken(400, f"A job already exists with the name '{name}'")
        self.jobs[full] = Job(name=full, xml=xml, kind=_kind(xml))

    def configure(self, name: str, xml: str) -> None:
        job = self.job(name)
        if _kind(xml) != job.kind:
            raise Broken(500, "Oops!")
        job.xml = xml

    def save_all(self) -> None:
        """Seen: when a job is saved by hand its XML is written anew, as 1.1, with the plug-ins' versions."""
        for job in self.jobs.values():
            root = _parsed(job.xml)
            root.set("plugin", "workflow-job@1326.ve643e00e9220")
            ET.indent(root, "   ")
            job.xml = "<?xml version='1.1' encoding='UTF-8'?>\n" + ET.tostring(root, encoding="unicode")

    def start(self, name: str, given: Mapping[str, str] | None) -> int | None:
        """Give the queue's item for a build; None for the scan of a folder of branches.

        Seen: with parameters but none submitted 400, parameters for a job that has none 500, unknown ones are
        dropped without a word, and an item that waits already and is the same is the answer again.
        """
        job = self.job(name)
        if job.kind == FOLDERS[1] and given is None:
            self.scans.append(name)
            return None
        if job.disabled:
            raise Broken(409, f"{name} is not buildable")
        if job.parameters and given is None:
            raise Broken(400, "Nothing is submitted")
        if given is not None and not job.parameters:
            raise Broken(500, "Oops!")
        values = {each: (given or {}).get(each, "") for each in job.parameters}
        for item in self.items.values():
            if item.job is job and item.build is None and not item.cancelled and item.parameters == values:
                return item.number
        number = len(self.items) + 1
        self.items[number] = Item(number=number, job=job, parameters=values, waits=job.script.waits)
        return number

    def look_at_item(self, number: int) -> Item:
        """Seen: `executable` comes later, never for an item that was cancelled; minutes later the item is gone."""
        if number not in self.items:
            raise Broken(404, "Not Found")
        item = self.items[number]
        if item.build is None and not item.cancelled:
            if item.waits:
                item.waits -= 1
            else:
                item.build = len(item.job.builds) + 1
                item.job.builds[item.build] = Build(
                    number=item.build, script=item.job.script, parameters=item.parameters
                )
        return item

    def build(self, name: str, number: int) -> Build:
        found = self.job(name).builds.get(number)
        if found is None:
            raise Broken(404, "Not Found")
        return found

    def stop(self, name: str, number: int) -> None:
        build = self.build(name, number)
        build.result = build.result or "ABORTED"

    # -- as JSON ---------------------------------------------------------------------------------------

    def job_json(self, name: str) -> dict[str, Any]:
        """Source: a pipeline has its parameters as a property, and its actions are full of empty objects."""
        job = self.job(name)
        found: dict[str, Any] = {
            "_class": job.kind,
            "actions": [{}, {"_class": "x"}],
            "buildable": not job.disabled,
        }
        if job.is_folder:
            below = [each for each in self.jobs if each.rpartition("/")[0] == name]
            return found | {"buildable": False, "jobs": [{"name": each.rpartition("/")[2]} for each in below]}
        kind = "hudson.model.StringParameterDefinition"
        definitions = [{"_class": kind, "name": each} for each in job.parameters]
        if definitions:
            found["property"] = [{}, {"parameterDefinitions": definitions}]
        return found | {"builds": [{"number": number} for number in sorted(job.builds, reverse=True)]}

    def build_json(self, name: str, number: int, url: str) -> dict[str, Any]:
        build = self.build(name, number)
        return {
            "actions": [_values(build.parameters), {}],
            "number": number,
            "url": url,
            "building": not build.result,
            "result": build.result or None,
            "keepLog": build.kept,
            "description": build.description or None,
        }

    def item_json(self, number: int) -> dict[str, Any]:
        item = self.look_at_item(number)
        found: dict[str, Any] = {"id": number, "actions": [_values(item.parameters)], "why": None}
        if item.cancelled:
            return found | {"cancelled": True, "executable": None}
        if item.build is None:
            return found | {"why": "In the quiet period. Expires in 4.9 sec"}
        return found | {"executable": {"number": item.build}}

    def queue_json(self) -> dict[str, Any]:
        waiting = [it for it in self.items.values() if it.build is None and not it.cancelled]
        return {"items": [{"id": item.number, "actions": [_values(item.parameters)]} for item in waiting]}


def _values(parameters: Mapping[str, str]) -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value} for name, value in parameters.items()]}


def _kind(xml: str) -> str:
    kind = KINDS.get(_parsed(xml).tag)
    if kind is None:
        raise Broken(500, "Oops!")
    return kind


def _parsed(xml: str) -> ET.Element:
    """Seen: XML 1.0 and 1.1 are both taken."""
    try:
        return ET.fromstring(re.sub(r"^<\?xml[^>]*\?>", "", xml))
    except ET.ParseError:
        raise Broken(500, "Oops!") from None
