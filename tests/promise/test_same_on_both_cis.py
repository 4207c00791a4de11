"""One repository on GitHub Actions and on Jenkins: all is the same but times, addresses and a CI's own names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.promise.conftest import REPOSITORY, TOKEN, Stage
from tests.promise.test_phases_on_actions import pull_request, push

MakeStage = Callable[..., Stage]
SECRET = {"MLSNAP_GITHUB_TOKEN": TOKEN}
VOLATILE = {
    *("run", "run_url", "run_attempt", "actor", "created", "steps", "plan_digest", "plan"),
    *("storage_seconds", "volume_id", "manifest_digest", "native_id", "packages_digest", "passed_variables"),
}
"""What differs with each run, wherever it is, or names the CI. Jenkins does not say who pushed."""


class Scene(NamedTuple):
    """What was pushed: the commits by the names that they have in what is compared."""

    kind: str
    head: str
    base: str = ""
    merge: str = ""
    killed: bool = False

    @property
    def names(self) -> dict[str, str]:
        return {self.head: "HEAD", **({self.base: "BASE", self.merge: "MERGE"} if self.base else {})}


def good_push(stage: Stage) -> Scene:
    return Scene("push", stage.repository.head())


def missed_gate(stage: Stage) -> Scene:
    return Scene("push", stage.train_with(train_to("0.3")))


def failed_training(stage: Stage) -> Scene:
    return Scene("push", stage.train_with("echo so far; exit 3\n"))


def killed_in_training(stage: Stage) -> Scene:
    return Scene("push", stage.repository.head(), killed=True)


def no_metrics(stage: Stage) -> Scene:
    return Scene("push", stage.train_with('echo x > "$MLSNAP_MODEL_DIR/model.bin"\n'))


def trained_before(stage: Stage) -> Scene:
    sha = stage.repository.head()
    assert stage.mlsnap("run", environment=SECRET | {"MLSNAP__FORGE__URL": stage.server.url}).code == 0
    return Scene("push", sha)


def tag(stage: Stage) -> Scene:
    stage.repository.git("tag", "v1.0")
    return Scene("tag", stage.repository.head())


def merged_change(stage: Stage) -> Scene:
    """Check out the merge that both CIs make of a change request; neither is to be trained or told."""
    git = stage.repository.git
    base = stage.another_commit("base")
    git("checkout", "--quiet", "-b", "topic", "HEAD~1")
    head = stage.repository.commit("topic", {"weights.txt": "topic\n"})
    git("update-ref", "refs/remotes/origin/main", base)
    git("update-ref", "refs/remotes/origin/PR-7", head)
    git("checkout", "--quiet", "--detach", head)
    git("merge", "--quiet", "--strategy=ours", "--no-edit", base)
    return Scene("change", head, base, stage.repository.head())


def fork(stage: Stage) -> Scene:
    return Scene("fork", *merged_change(stage)[1:])


def train_to(accuracy: str) -> str:
    return f"""cp weights.txt "$MLSNAP_MODEL_DIR/m"; echo '{{"accuracy": {accuracy}}}' > "$MLSNAP_METRICS"\n"""


# -- the two CIs ---------------------------------------------------------------------------------------


def on_actions(stage: Stage, scene: Scene, folder: Path) -> dict[str, str]:
    """Give the environment of a job."""
    is_change = scene.kind in ("change", "fork")
    theirs = "mallory/digits" if scene.kind == "fork" else REPOSITORY
    payload = pull_request(stage, scene.head, scene.base, head_repository=theirs) if is_change else push(stage)
    if scene.kind == "tag":
        payload |= {"ref": "refs/tags/v1.0", "head_commit": {"id": scene.head}}
    (folder / "event.json").write_text(json.dumps(payload))
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request" if is_change else "push",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REF": {"push": "refs/heads/main", "tag": "refs/tags/v1.0"}.get(scene.kind, "refs/pull/7/merge"),
        "GITHUB_SHA": scene.merge or scene.head,
        "GITHUB_RUN_ID": "4711",
        "GITHUB_ACTOR": "ada",
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "output"),
    }


def on_jenkins(stage: Stage, scene: Scene, folder: Path) -> dict[str, str]:
    """Give the environment of a build."""
    branch = {"push": {"BRANCH_NAME": "main", "BRANCH_IS_PRIMARY": "true"}, "tag": {"TAG_NAME": "v1.0"}}
    change = {
        "BRANCH_NAME": "PR-7",
        "CHANGE_ID": "7",
        "CHANGE_TARGET": "main",
        "CHANGE_BRANCH": "topic",
        "CHANGE_AUTHOR": "ada",
        **({"CHANGE_FORK": "mallory"} if scene.kind == "fork" else {}),
    }
    return {
        "JOB_NAME": "digits/main",
        "BUILD_NUMBER": "7",
        "BUILD_TAG": "jenkins-digits-main-7",
        "BUILD_URL": "https://ci.example/job/digits/job/main/7/",
        "JENKINS_HOME": "/var/lib/jenkins",
        "WORKSPACE_TMP": str(folder),
        "GIT_COMMIT": scene.merge or scene.head,
        "MLSNAP_OUTPUT": str(folder / "output"),
        **branch.get(scene.kind, change),
    }


def outputs_of_actions(file: Path) -> dict[str, str]:
    found = re.findall(r"^([a-z-]+)<<(\S+)\n(.*?)\n\2$", file.read_text(), re.MULTILINE | re.DOTALL)
    return {name: value for name, _, value in found}


def outputs_of_jenkins(file: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in file.read_text().split("\n")[:-1])
    return {name: value.replace("%0A", "\n").replace("%0D", "\r").replace("%25", "%") for name, _, value in lines}


class Ci(NamedTuple):
    environment: Callable[[Stage, Scene, Path], dict[str, str]]
    outputs: Callable[[Path], dict[str, str]]


CIS = {"actions": Ci(on_actions, outputs_of_actions), "jenkins": Ci(on_jenkins, outputs_of_jenkins)}


# -- the comparison ------------------------------------------------------------------------------------


@pytest.fixture
def run_on(make_stage: MakeStage, tmp_path: Path) -> Callable[[str, Callable[[Stage], Scene]], Any]:
    """Give `run_on(ci, scene)`: all that four steps leave for others to see, in a repository of their own."""

    def run(ci: str, prepare: Callable[[Stage], Scene]) -> Any:
        ground, folder = tmp_path / ci, tmp_path / ci / "job"
        folder.mkdir(parents=True)
        stage = make_stage(shared=True, settings="[gates.accuracy]\nmin = 0.5\n", ground=ground)
        url = stage.server.url
        for name in ("MLSNAP_GITHUB_TOKEN", "MLSNAP__FORGE__URL", "MLSNAP__FORGE__REPOSITORY"):
            del stage.environment[name]
        scene = prepare(stage)
        before = {sha: len(told(stage, sha)) for sha in scene.names}
        stage.environment |= {"CI": "true", "GITHUB_API_URL": url, **CIS[ci].environment(stage, scene, folder)}
        codes = phases(stage, killed=scene.killed)
        output = folder / "output"
        found = CIS[ci].outputs(output) if output.exists() else {}
        seen = {
            "codes": codes,
            "statuses": {name: told(stage, sha)[before[sha] :] for sha, name in scene.names.items()},
            "snapshots": stage.snapshots(),
            "live": sorted(path.name for path in stage.volume.iterdir()) if stage.volume.exists() else [],
            "outputs": {name: value for name, value in found.items() if name not in ("result", "manifest-digest")},
            "record": json.loads(found.get("result", "{}")),
        }
        stage.require_rest()
        return plain(seen, {**scene.names, str(ground): "GROUND"})

    return run


def phases(stage: Stage, *, killed: bool) -> list[int]:
    begun = stage.mlsnap("begin", environment=SECRET)
    assert begun.code == 0, begun.text
    plan = begun.stdout.split()[-1]
    trained = stage.mlsnap("train", "--plan", plan, kill_at=4 if killed else 0)
    concluded = None if killed else stage.mlsnap("conclude", "--plan", plan, environment=SECRET)
    finished = stage.mlsnap("finish", environment=SECRET)
    return [trained.code, concluded.code if concluded else -1, finished.code]


def told(stage: Stage, sha: str) -> list[tuple[object, ...]]:
    found = stage.server.board.statuses(REPOSITORY, sha)[::-1]
    return [(status["context"], status["state"], status["description"]) for status in found]


def plain(value: Any, names: Mapping[str, str]) -> Any:
    """Give a value without what differs with each run, and with names in place of commits and folders."""
    if isinstance(value, dict):
        return {plain(key, names): plain(each, names) for key, each in value.items() if key not in VOLATILE}
    if isinstance(value, list | tuple):
        return [plain(each, names) for each in value]
    if not isinstance(value, str):
        return value
    for text, name in names.items():
        value = value.replace(text, name).replace(text[:12], name).replace(text[:7], name)
    value = re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{40}\b", "DIGEST", value)
    value = re.sub(r"^\.trash-.*", "TRASH", value)
    return re.sub(r"\b[0-9a-f]{12}\b", "PREFIX", re.sub(r"\d+\.\d+ s\b", "TIME", value))


def differences(one: Any, other: Any, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Give what is not the same, by where it stands."""
    if not (isinstance(one, dict) and isinstance(other, dict)):
        return {} if one == other else {place: (one, other)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in one.keys() | other.keys():
        found |= differences(one.get(key), other.get(key), f"{place}/{key}")
    return found


SCENES = (
    *(good_push, missed_gate, failed_training, killed_in_training, no_metrics, trained_before),
    *(tag, merged_change, fork),
)


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: str(scene.__name__))
def test_both_cis_leave_the_same(
    run_on: Callable[[str, Callable[[Stage], Scene]], Any], scene: Callable[[Stage], Scene]
) -> None:
    actions, jenkins = run_on("actions", scene), run_on("jenkins", scene)
    assert differences(actions, jenkins) == {}
    assert actions["codes"][2] == 0
    told_of_head = actions["statuses"]["HEAD"]
    assert (told_of_head == []) == (scene is fork)
    assert actions["statuses"].get("MERGE", []) == actions["statuses"].get("BASE", []) == []
