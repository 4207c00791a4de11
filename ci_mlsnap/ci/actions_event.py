"""Which commit an event of GitHub Actions is about, and whether it may be trained with secrets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ci_mlsnap.ci.naming import count, is_deleted, named, short_name
from ci_mlsnap.ci.payload import Payload
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.status import is_web_url
from ci_mlsnap.errors import Refused, UsageError

NAME = "GitHub Actions"

_DEPENDABOT = "dependabot[bot]"
_FORK = "the change comes from a fork, which gets no secrets"
_BOT = "the event comes from Dependabot, which gets no secrets"
_REPOSITORY = re.compile(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")

Facts = dict[str, Any]
"""Fields of an `Event`. Its `sha` is not yet checked."""


def read_event(
    environ: Mapping[str, str], payload: Payload, *, explicit: str, peel: Callable[[str], str]
) -> Event:
    """Say what triggered the build. `explicit` is the commit that the operator named, and wins; `peel` gives the
    commit of an annotated tag by the tag's SHA.

    Raises `UsageError` where nobody names a commit, and `Refused` for `pull_request_target`.
    """
    name = environ.get("GITHUB_EVENT_NAME", "")
    if name == "pull_request_target":
        raise _privileged()
    reader = _READERS.get(name, _other)
    facts = _common(environ, payload) | reader(environ, payload)
    if explicit:
        return Event(**facts | {"sha": explicit, "nothing_to_do": ""})
    if facts.get("nothing_to_do"):
        return Event(**facts | {"sha": ""})
    if not facts["sha"]:
        raise UsageError(
            f"{NAME}: the event {ascii(name)[:60]} does not say which commit to train",
            safe="nothing was started",
            hint="set MLSNAP_SHA to the commit, or run on push or pull_request",
        )
    sha = named(facts["sha"], f"{NAME}: the event {name}")
    return Event(**facts | {"sha": peel(sha) if facts["kind"] == "tag" else sha})


def run_url(environ: Mapping[str, str]) -> str:
    """The page of this run and attempt; empty where the environment does not say."""
    server, repository, run = (
        environ.get(f"GITHUB_{part}", "") for part in ("SERVER_URL", "REPOSITORY", "RUN_ID")
    )
    attempt = count(environ.get("GITHUB_RUN_ATTEMPT", ""))
    if not count(run) or _REPOSITORY.fullmatch(repository) is None:
        return ""
    url = f"{server.rstrip('/')}/{repository}/actions/runs/{run}" + (f"/attempts/{attempt}" if attempt > 1 else "")
    return url if is_web_url(url) else ""


def _common(environ: Mapping[str, str], payload: Payload) -> Facts:
    actor = environ.get("GITHUB_ACTOR", "")
    ref = environ.get("GITHUB_REF", "")
    return {
        "ref": ref,
        "branch": short_name(ref) if ref.startswith("refs/heads/") else "",
        "repository": environ.get("GITHUB_REPOSITORY", ""),
        "actor": actor,
        "untrusted": _BOT if actor == _DEPENDABOT else "",
        "default_branch": payload.text("repository", "default_branch"),
        "ci": NAME,
        "run_url": run_url(environ),
        "run_id": environ.get("GITHUB_RUN_ID", ""),
        "run_attempt": count(environ.get("GITHUB_RUN_ATTEMPT", "")) or 1,
    }


# -- one reader for each event -----------------------------------------------------------------------


def _push(environ: Mapping[str, str], payload: Payload) -> Facts:
    """GITHUB_SHA is not used: when a ref is deleted it is the default branch's head."""
    ref = payload.text("ref") or environ.get("GITHUB_REF", "")
    is_tag = ref.startswith("refs/tags/")
    after = payload.text("after")
    gone = payload.true("deleted") or is_deleted(after)
    return {
        "kind": "tag" if is_tag else "push",
        # An annotated tag is an object of its own; its commit is the head commit.
        "sha": (payload.text("head_commit", "id") if is_tag else "") or after,
        "ref": ref,
        "branch": "" if is_tag else short_name(ref),
        "tag": short_name(ref) if is_tag else "",
        "forced": payload.true("forced"),
        "nothing_to_do": f"the {'tag' if is_tag else 'branch'} was deleted" if gone else "",
    }


def _pull_request(environ: Mapping[str, str], payload: Payload) -> Facts:
    """GITHUB_SHA is not used: it is a test merge that nobody finds again."""
    facts: Facts = {
        "kind": "pull_request",
        "sha": payload.text("pull_request", "head", "sha"),
        "branch": payload.text("pull_request", "head", "ref"),
        "base_ref": payload.text("pull_request", "base", "ref"),
        "base_sha": payload.text("pull_request", "base", "sha"),
        "pull_request": payload.number("pull_request", "number") or payload.number("number"),
    }
    head, base = payload.at("pull_request", "head", "repo"), payload.at("pull_request", "base", "repo")
    return facts | ({} if _is_same(head, base) else {"untrusted": _FORK})


def _merge_group(environ: Mapping[str, str], payload: Payload) -> Facts:
    return {
        "kind": "merge_group",
        "sha": payload.text("merge_group", "head_sha"),
        "branch": short_name(payload.text("merge_group", "head_ref")),
        "base_ref": short_name(payload.text("merge_group", "base_ref")),
        "base_sha": payload.text("merge_group", "base_sha"),
    }


def _workflow_run(environ: Mapping[str, str], payload: Payload) -> Facts:
    """A run that a pull request started is about that pull request, so its base decides the settings."""
    run = payload.at("workflow_run")
    facts: Facts = {
        "kind": "workflow_run",
        "sha": run.text("head_sha"),
        "branch": run.text("head_branch"),
        "workflow": run.text("path").partition("@")[0],
    }
    if run.text("event").startswith("pull_request"):
        request = run.at("pull_requests").first()
        facts |= {
            "kind": "pull_request",
            "pull_request": request.number("number"),
            "base_ref": request.text("base", "ref") or payload.text("repository", "default_branch"),
            "base_sha": request.text("base", "sha"),
        }
    if not _is_same(run.at("head_repository"), payload.at("repository")):
        return facts | {"untrusted": _FORK}
    return facts | ({"untrusted": _BOT} if run.text("actor", "login") == _DEPENDABOT else {})


def _dispatch(environ: Mapping[str, str], payload: Payload) -> Facts:
    return {"kind": "manual", "sha": payload.text("inputs", "sha").strip() or environ.get("GITHUB_SHA", "")}


def _schedule(environ: Mapping[str, str], payload: Payload) -> Facts:
    return {"kind": "schedule", "sha": environ.get("GITHUB_SHA", "")}


def _delete(environ: Mapping[str, str], payload: Payload) -> Facts:
    return {"kind": "push", "sha": "", "nothing_to_do": "a branch or tag was deleted"}


def _other(environ: Mapping[str, str], payload: Payload) -> Facts:
    """GITHUB_SHA of such an event is the default branch's head, whatever the event is about."""
    return {"kind": "manual", "sha": ""}


_READERS: Mapping[str, Callable[[Mapping[str, str], Payload], Facts]] = {
    "push": _push,
    "pull_request": _pull_request,
    "pull_request_review": _pull_request,
    "pull_request_review_comment": _pull_request,
    "merge_group": _merge_group,
    "workflow_run": _workflow_run,
    "workflow_dispatch": _dispatch,
    "schedule": _schedule,
    "delete": _delete,
}


def _is_same(head: Payload, base: Payload) -> bool:
    """Tell whether both are one repository. One that is gone is a fork's; `fork` itself says nothing, since a
    repository that was forked once takes changes of its own."""
    name = head.text("full_name")
    return bool(name) and name == base.text("full_name")


def _privileged() -> Refused:
    return Refused(
        f"{NAME}: nothing is trained on pull_request_target",
        why="it would run the code of anybody's pull request beside the secrets of this repository",
        safe="nothing was started",
        hint="use `on: pull_request`; forks are then skipped, and everything else works the same",
    )
