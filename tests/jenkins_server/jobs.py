"""Jobs for the look-alike, and names as people choose them."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.jenkins_server.lookalike import JenkinsLookAlike
from tests.jenkins_server.state import Job, Script

FOLDER = "<com.cloudbees.hudson.plugins.folder.Folder/>"
BRANCHES = "<org.jenkinsci.plugins.workflow.multibranch.WorkflowMultiBranchProject/>"

NAMES = [
    "digits",
    "ml/digits",
    "mb/feat%2Fx-y",
    "ml team/büro ü/a b",
    "mb/100%25",
    "x/a%252Fb",
    "mb/$(touch pwned);`id`",
    "mb/<script>&'\"",
    "mb/a?b#c&d=e+f",
    "mb/日本",
]


def pipeline(*parameters: str) -> str:
    defined = "".join(
        f"<hudson.model.StringParameterDefinition><name>{escape(each)}</name></hudson.model.StringParameterDefinition>"
        for each in parameters
    )
    held = f"<parameterDefinitions>{defined}</parameterDefinitions>" if parameters else ""
    return f"<?xml version='1.1' encoding='UTF-8'?>\n<flow-definition>{held}</flow-definition>"


def add(
    lookalike: JenkinsLookAlike, name: str = "digits", parameters: Sequence[str] = (), script: Script | None = None
) -> Job:
    """Put a pipeline on the server, with the folders before it."""
    parts = name.split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        if folder not in lookalike.state.jobs:
            lookalike.state.create("/".join(parts[: depth - 1]), parts[depth - 1], FOLDER)
    lookalike.state.create("/".join(parts[:-1]), parts[-1], pipeline(*parameters))
    job = lookalike.state.jobs[name]
    job.script = script or Script()
    return job
