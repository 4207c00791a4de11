"""A Jenkins server's answers, read into values. What is not there, or of another type, is empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import requests

from ci_mlsnap.ci.jenkins_facts import Built, Job, LogPart, Parameter, Queued
from ci_mlsnap.domain.status import one_line

JOB_TREE = "buildable,builds[number]{0,20},jobs[name]," + ",".join(
    f"{each}[parameterDefinitions[name]]" for each in ("property", "actions")
)
BUILD_TREE = "number,url,building,result,keepLog,description,actions[parameters[name,value]]"
QUEUE_TREE = "items[id,actions[parameters[name,value]]]"
PLUGINS_TREE = "plugins[shortName,version,active]"


class Garbage(Exception):
    """The answer is none of Jenkins; `where` is what it points to, if anything."""

    def __init__(self, where: str = "") -> None:
        super().__init__(where)
        self.where = where


def as_json(answer: requests.Response) -> dict[str, Any]:
    """Give the JSON object of an answer. Raises `Garbage`."""
    _require_here(answer)
    try:
        found = answer.json()
    except ValueError:
        raise Garbage from None
    if not isinstance(found, dict):
        raise Garbage
    return found


def as_xml(answer: requests.Response) -> str:
    """Give the XML of an answer, which is in UTF-8 whatever its header says. Raises `Garbage`."""
    _require_here(answer)
    if "xml" not in answer.headers.get("Content-Type", ""):
        raise Garbage
    return answer.content.decode("utf-8", "replace")


def as_log(answer: requests.Response) -> LogPart:
    """Read a part of a log. Raises `Garbage`."""
    end = answer.headers.get("X-Text-Size", "")
    if not end.isdigit():
        raise Garbage
    return LogPart(content=answer.content, end=int(end), more=answer.headers.get("X-More-Data") == "true")


def queue_number(answer: requests.Response) -> int:
    """Give the number of the queue's item that a build became. Raises `Garbage`."""
    found = re.search(r"/queue/item/([0-9]{1,15})/?$", answer.headers.get("Location", ""))
    if found is None:
        raise Garbage
    return int(found[1])


def job(name: str, found: Mapping[str, Any]) -> Job:
    """Read what describes a job or folder."""
    jobs = found.get("jobs")
    return Job(
        name=name,
        kind=_kind(found),
        parameters=_definitions(found),
        buildable=bool(found.get("buildable")),
        builds=tuple(int(it["number"]) for it in _dicts(found.get("builds")) if "number" in it),
        jobs=tuple(str(it.get("name")) for it in _dicts(jobs)) if jobs is not None else None,
    )


def built(number: int, found: Mapping[str, Any]) -> Built:
    """Read what describes a build."""
    return Built(
        number=number,
        url=str(found.get("url") or ""),
        building=bool(found.get("building")),
        result=str(found.get("result") or ""),
        kept=bool(found.get("keepLog")),
        description=str(found.get("description") or ""),
        parameters=_parameters(found),
    )


def queued(found: Mapping[str, Any]) -> Queued:
    """Read what describes an item of the queue."""
    number = (found.get("executable") or {}).get("number")
    return Queued(
        why=one_line(str(found.get("why") or "")),
        build=int(number) if number else None,
        cancelled=bool(found.get("cancelled")),
    )


def waiting(found: Mapping[str, Any]) -> list[tuple[int, Mapping[str, str]]]:
    """Read the queue: the numbers of its items, with their parameters."""
    return [(int(item["id"]), _parameters(item)) for item in _dicts(found.get("items")) if "id" in item]


def plugins(found: Mapping[str, Any]) -> dict[str, str]:
    """Read the versions of the plug-ins that are active."""
    return {
        str(it.get("shortName")): str(it.get("version")) for it in _dicts(found.get("plugins")) if it.get("active")
    }


def lint_texts(found: object) -> list[str]:
    """Read what the linter said, whose texts stand alone or in lists."""
    errors = [it.get("error") if isinstance(it, dict) else it for it in (found if isinstance(found, list) else [])]
    texts = [text for each in errors for text in (each if isinstance(each, list) else [each])]
    return [one_line(str(text)) for text in texts]


def _require_here(answer: requests.Response) -> None:
    if answer.is_redirect:
        raise Garbage(one_line(answer.headers.get("Location", ""))[:100])


def _definitions(found: Mapping[str, Any]) -> tuple[Parameter, ...] | None:
    """Read the parameters that a job takes: pipelines have them in one place, older kinds of jobs in both."""
    given = [
        it for key in ("property", "actions") for it in _dicts(found.get(key)) if "parameterDefinitions" in it
    ]
    if not given:
        return None
    each = (it for one in given for it in _dicts(one["parameterDefinitions"]))
    return tuple(dict.fromkeys(Parameter(name=str(it.get("name")), kind=_kind(it)) for it in each))


def _parameters(found: Mapping[str, Any]) -> dict[str, str]:
    lists = (_dicts(action.get("parameters")) for action in _dicts(found.get("actions")))
    return {str(it.get("name")): str(it.get("value")) for each in lists for it in each}


def _kind(found: Mapping[str, Any]) -> str:
    return str(found.get("_class") or "").rpartition(".")[2]


def _dicts(found: object) -> list[dict[str, Any]]:
    return [it for it in found if isinstance(it, dict)] if isinstance(found, list) else []
