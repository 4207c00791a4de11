"""A training script that looks for the token wherever it can, and plants what could lead later phases astray."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.promise.checking import content_of
from tests.promise.conftest import TOKEN, Done, Stage
from tests.promise.test_phases_on_actions import SECRET, Job, job, push

MakeStage = Callable[..., Stage]

SPY = """\
import glob, os, subprocess, sys
needle = "canary" + "0Xy7Kq2Wm5"
found = []
def look(place, content):
    if needle.encode() in content:
        found.append(place)
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read(1 << 20)
    except OSError:
        return b""
look("environment", repr(os.environ).encode())
print(os.environ)
parent = os.getppid()
while parent > 1:
    comm = read(f"/proc/{parent}/comm")
    if b"pytest" in read(f"/proc/{parent}/cmdline"):
        break
    for name in ("environ", "cmdline"):
        look(f"{name} of {comm!r}", read(f"/proc/{parent}/{name}"))
    for link in glob.glob(f"/proc/{parent}/fd/*"):
        if os.path.isfile(link):
            look(f"descriptor of {comm!r}", read(link))
    parent = int(read(f"/proc/{parent}/stat").rpartition(b") ")[2].split()[1])
top = subprocess.run(["git", "rev-parse", "--show-toplevel"], capture_output=True, text=True).stdout.strip()
common = subprocess.run(["git", "rev-parse", "--git-common-dir"], capture_output=True, text=True).stdout.strip()
look("git config", subprocess.run(["git", "config", "--list"], capture_output=True).stdout)
look("credentials", subprocess.run(
    ["git", "credential", "fill"], input=b"protocol=https\\nhost=github.com\\n\\n", capture_output=True,
    env={**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true"}).stdout)
places = (top, common, os.environ["MLSNAP_MODEL_DIR"], os.path.dirname(os.environ["MLSNAP_METRICS"]))
places += tuple(place for place in sys.argv[1:] if place)
for place in places:
    for folder, _, files in os.walk(place):
        for name in files:
            path = os.path.join(folder, name)
            look(path, read(path) if name != "spy.py" else b"")
for descriptor in range(3, 64):
    try:
        look(f"descriptor {descriptor}", os.pread(descriptor, 1 << 20, 0))
    except OSError:
        pass
for path in (os.path.expanduser("~/.netrc"), os.path.expanduser("~/.git-credentials")):
    look(path, read(path))
open(os.path.join(os.environ["MLSNAP_MODEL_DIR"], "model.bin"), "w").write("trained")
open(os.path.join(os.environ["MLSNAP_MODEL_DIR"], "found.txt"), "w").write("\\n".join(found))
"""


@pytest.fixture
def work(make_stage: MakeStage) -> Job:
    """Give a job with a shared volume and its store outside of the workspace."""
    stage = make_stage(shared=True, settings='[live]\nfollow = ["main"]\n')
    return job(stage, "push", push(stage))


def test_a_spy_finds_no_secret_in_the_phases(make_stage: MakeStage) -> None:
    stage = make_stage(shared=True)
    places = f"{stage.store} {stage.folder / 'runner'}"
    sha = stage.repository.commit("a spy", {"spy.py": SPY, "train.sh": f"exec python3 spy.py {places}\n"})
    work = job(stage, "push", push(stage))
    said = steps(work)
    assert said[-1].code == 0, said[-1].text
    snapshot = stage.volume / ".snapshot" / sha
    assert (snapshot / "model.bin").read_text() == "trained"
    assert (snapshot / "found.txt").read_text() == ""
    require_nowhere(stage, said)


def test_the_token_is_in_no_output_file_or_request_of_one_command(make_stage: MakeStage) -> None:
    stage = make_stage()
    said = [stage.mlsnap("run"), stage.mlsnap("doctor"), stage.mlsnap("show", "HEAD", "--json")]
    stage.train_with("exit 1\n")
    said += [stage.mlsnap("--verbose", "run"), stage.mlsnap("status"), stage.mlsnap("log")]
    assert [done.code for done in said] == [0, 0, 0, 10, 0, 0]
    require_nowhere(stage, said)


def test_a_refused_token_is_in_no_error_either(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.server.tokens.clear()
    said = [stage.mlsnap("--verbose", "run"), stage.mlsnap("--verbose", "publish"), stage.mlsnap("doctor")]
    assert [done.code for done in said[:2]] == [30, 30]
    require_nowhere(stage, said)


HOSTILE = {
    "a link out of the tree": ('ln -s {outside}/secret "$MLSNAP_MODEL_DIR/model.bin"', 11),
    "a link to a folder outside": ('ln -s {outside} "$MLSNAP_MODEL_DIR/folder"', 11),
    "a FIFO in the tree": ('mkfifo "$MLSNAP_MODEL_DIR/fifo"', 11),
    "metrics that are a link out": ('ln -s {outside}/secret "$MLSNAP_METRICS"', 11),
    "metrics that are a FIFO": ('mkfifo "$MLSNAP_METRICS"', 11),
    "metrics behind a linked folder": (
        'out=$(dirname "$MLSNAP_METRICS"); rmdir "$out"; ln -s {outside} "$out"',
        11,
    ),
    "a planted manifest": (
        'mkdir -p "$MLSNAP_MODEL_DIR/.mlsnap"; ln -sf {outside}/secret "$MLSNAP_MODEL_DIR/.mlsnap/manifest.jsonl"',
        0,
    ),
    "a volume made anew": (
        'cd /; rm -r "$MLSNAP_MODEL_DIR"; mkdir "$MLSNAP_MODEL_DIR"; echo x > "$MLSNAP_MODEL_DIR/weights"',
        0,
    ),
    "a planted .snapshot": ('ln -sfn {outside} "$MLSNAP_MODEL_DIR/.snapshot"', 0),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_what_training_plants_leads_nothing_outside(make_stage: MakeStage, kind: str, shared: bool) -> None:
    stage = make_stage(shared=shared)
    outside = stage.folder / "outside"
    outside.mkdir()
    (outside / "secret").write_text('{"accuracy": 0.123456}')
    before = content_of(outside)
    line, code = HOSTILE[kind]
    script = f'echo x > "$MLSNAP_MODEL_DIR/weights"\n{line.replace("{outside}", str(outside))}\n'
    sha = stage.train_with(script)
    done = stage.mlsnap("run")
    assert done.code == code, done.text
    assert "0.123456" not in done.text
    assert content_of(outside) == before
    assert sorted(os.listdir(outside)) == ["secret"]
    if code:
        assert stage.states(sha) == ["pending", "failure"]
        assert stage.versions(sha) == []
    else:
        stage.require_truth()
        assert b"0.123456" not in b"".join(content_of(stage.volume / ".snapshot" / sha).values())


EVIL = "\x1b[31m::set-output name=x::y\n## <script>alert(1)</script> `rm` \u202e %0A::error::pwned"


def test_hostile_metrics_and_output_stay_text_everywhere(work: Job) -> None:
    stage = work.stage
    metrics = json.dumps({EVIL: 0.5, "accuracy": 0.9})
    (stage.repository.path / "evil.json").write_text(metrics)
    files: dict[str, str | bytes] = {
        "evil.json": metrics,
        "train.sh": 'echo "::set-env name=PATH::/evil"\ncp evil.json "$MLSNAP_METRICS"\n'
        'echo trained > "$MLSNAP_MODEL_DIR/model.bin"\n',
    }
    sha = stage.repository.commit("hostile metrics", files)
    work.event(push(stage))
    begun, trained, concluded = steps(work)
    assert begun.code == 0
    before, _, after = trained.stdout.partition("::stop-commands::")
    assert "set-env" not in before
    token = after.splitlines()[0]
    assert after.index("set-env") < after.index(f"\n::{token}::")
    assert concluded.code in (0, 11), concluded.text
    assert "\x1b" not in concluded.text
    assert not [line for line in concluded.stdout.splitlines() if line.startswith(("::set", "##"))]
    assert "<script>" not in work.summary()
    assert "\x1b" not in work.summary()
    assert stage.states(sha)[0] == "pending"
    assert len(str(stage.last_status(sha)["description"])) <= 140
    assert "\x1b" not in str(stage.last_status(sha)["description"])


def test_a_changed_pointer_folder_makes_conclude_write_nowhere_else(work: Job, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    stage = work.stage
    pointers = work.folder / "temp" / "mlsnap"
    script = f'echo x > "$MLSNAP_MODEL_DIR/model.bin"\nmv {pointers} {pointers}.old; ln -s {outside} {pointers}\n'
    stage.train_with(script)
    work.event(push(stage))
    said = steps(work)
    assert said[-1].code != 0
    assert list(outside.iterdir()) == []


def steps(work: Job) -> list[Done]:
    begun = work.step("begin", secrets=True)
    plan = work.outputs()["plan"]
    trained = work.step("train", "--plan", plan, secrets=False)
    return [begun, trained, work.step("conclude", "--plan", plan, secrets=True)]


def require_nowhere(stage: Stage, said: list[Done]) -> None:
    """Look for the token in all that was said, written or asked for."""
    canary = SECRET["MLSNAP_GITHUB_TOKEN"]
    assert canary == TOKEN
    assert [done.text for done in said if canary in done.text] == []
    files = [path for path in stage.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if canary.encode() in path.read_bytes()] == []
    assert stage.server.received or not stage.server.connections
    for request in stage.server.received:
        assert canary not in repr(request)
