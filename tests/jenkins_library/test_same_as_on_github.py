"""One repository through GitHub Actions and through Jenkins: statuses, versions, records, exit codes are one."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from tests.conftest import GitRepository
from tests.jenkins_library.conftest import Build
from tests.promise.conftest import REPOSITORY, TOKEN, Stage

MakeStage = Callable[..., Stage]
MakeBuild = Callable[..., Build]

GATE = "[gates.accuracy]\nmin = 0.95"
TIMES = re.compile(r"created|steps|run_url|run_attempt|actor|ref|volume_id|native_id|storage_seconds")
"""Keys of a record that say when, by whom, and on which storage: that of each is another one."""
WITH_TIMES = re.compile(r"\b[0-9a-f]{64}\b|(?<=manifest )[0-9a-f]{12}|(?<=after )[0-9.]+(?= s)")
"""In texts: digests of what has times in it, and how long something took."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is done: `pushes` are scripts, one commit each, trained in turn; None is the same commit once more."""

    settings: str = ""
    pushes: tuple[str | None, ...] = ("",)
    refused: bool = False
    change: str = ""


CASES = {
    "a good version, and the same commit again": Case(pushes=("", None)),
    "a missed gate": Case(settings=GATE),
    "training that fails": Case(pushes=("exit 3\n",)),
    "a status that is refused": Case(refused=True),
    "a change request": Case(change="own"),
    "a change request from a fork": Case(change="fork"),
}


@pytest.fixture
def fixed_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let both repositories have the same commits."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_DATE", "2026-11-25T12:00:00Z")


@pytest.mark.parametrize("case", CASES)
def test_both_say_and_make_the_same(fixed_time: None, make_build: MakeBuild, tmp_path: Path, case: str) -> None:
    ground, found = tmp_path / "ground", []
    for by in (on_actions, on_jenkins):
        ground.mkdir()
        build = make_build(ground=ground, settings=CASES[case].settings)
        with GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server:
            build.stage.server = server
            found.append(played(build, CASES[case], by))
        ground.rename(tmp_path / by.__name__)
    assert differences(found[0], found[1]) == []
    assert found[0]["statuses"] or CASES[case].refused or CASES[case].change == "fork"


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Say where two values differ."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = sorted({*one, *other})
        return [text for key in keys for text in differences(one.get(key), other.get(key), f"{where}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [text for number, (a, b) in pairs for text in differences(a, b, f"{where}[{number}]")]
    return [] if one == other else [f"{where}: {one!r} and {other!r}"]


Run = Callable[[Build, str], tuple[list[int], dict[str, str]]]


def played(build: Build, case: Case, run: Run) -> dict[str, Any]:
    """Play a case, and give all that the two may not differ in."""
    repository, ends = build.stage.repository, []
    for script in case.pushes:
        if script:
            build.stage.train_with(script)
        if case.change:
            repository.git("update-ref", "refs/remotes/origin/main", "HEAD")
            repository.git("checkout", "--quiet", "-b", "topic")
            repository.commit("topic", {"weights.txt": "topic\n"})
        if case.refused:
            build.stage.server.tokens[TOKEN] = "read"
        codes, outputs = run(build, case.change)
        ends.append((codes, {name: without_times(name, value) for name, value in sorted(outputs.items())}))
    statuses = [
        {key: plain(status[key]) for key in ("context", "state", "description", "url")}
        for status in build.stage.server.board._statuses
    ]
    sha = repository.head()
    return {
        "ends": ends,
        "statuses": [{**one, "url": str(one["url"]).partition("/repos/")[2]} for one in statuses],
        "versions": build.stage.versions(sha),
        "head": sha,
    }


def without_times(name: str, value: str) -> Any:
    """Take out of an output what may differ, and of texts the seconds."""
    if name in {"plan", "run"}:
        return bool(value)
    return plain(json.loads(value)) if name == "result" else plain(value)


def plain(value: Any) -> Any:
    """Take times, places and persons out of a record."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items() if not TIMES.fullmatch(key)}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return WITH_TIMES.sub("…", value) if isinstance(value, str) else value


def on_jenkins(build: Build, change: str) -> tuple[list[int], dict[str, str]]:
    """Run the steps of the shared library."""
    if change:
        build.environment |= {
            "BRANCH_NAME": "PR-7",
            "CHANGE_ID": "7",
            "CHANGE_TARGET": "main",
            "CHANGE_BRANCH": "topic",
            **({"CHANGE_FORK": "mallory"} if change == "fork" else {}),
        }
        build.environment.pop("BRANCH_IS_PRIMARY", None)
    build.environment["BUILD_TAG"] = f"jenkins-{uuid.uuid4()}"
    return build.chain(), build.answers


def on_actions(build: Build, change: str) -> tuple[list[int], dict[str, str]]:
    """Run the same commands in the environment of a job on GitHub Actions."""
    temporary = Path(build.environment["WORKSPACE_TMP"])
    event = temporary / "event.json"
    event.write_text(json.dumps(payload(build.stage.repository, change)))
    outer = build.environment
    foreign = ("JENKINS_", "JOB_", "BUILD_", "BRANCH_", "WORKSPACE", "CHANGE_")
    build.environment = {
        **{name: value for name, value in outer.items() if not name.startswith(foreign)},
        "WORKSPACE": outer["WORKSPACE"],
        "WORKSPACE_TMP": outer["WORKSPACE_TMP"],
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request" if change else "push",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REF": "refs/pull/7/merge" if change else "refs/heads/main",
        "GITHUB_SHA": build.stage.repository.head(),
        "GITHUB_RUN_ID": str(uuid.uuid4().int % 10**6),
        "GITHUB_RUN_ATTEMPT": "1",
        "GITHUB_ACTOR": "ada",
        "GITHUB_WORKSPACE": outer["WORKSPACE"],
        "RUNNER_TEMP": str(temporary),
    }
    codes = build.chain()
    answers, build.environment = build.answers, outer
    return codes, answers


def payload(repository: GitRepository, change: str) -> dict[str, Any]:
    """Give the event that GitHub tells."""
    head = repository.head()
    here = {"full_name": REPOSITORY, "default_branch": "main"}
    if not change:
        return {"ref": "refs/heads/main", "after": head, "before": "0" * 40, "repository": here}
    where = here if change == "own" else {"full_name": "mallory/digits", "fork": True}
    base = repository.git("rev-parse", "refs/remotes/origin/main")
    return {
        "action": "synchronize",
        "number": 7,
        "repository": here,
        "pull_request": {
            "number": 7,
            "head": {"sha": head, "ref": "topic", "repo": where},
            "base": {"sha": base, "ref": "main", "repo": here},
        },
    }
