"""What training plants does not run later, nor does it change what the run does: in one process and in phases."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.promise.conftest import PATIENCE, Stage
from tests.promise.test_phases_on_actions import push

MakeStage = Callable[..., Stage]

HOOKS = "post-checkout post-commit post-merge pre-push reference-transaction post-index-change fsmonitor-watchman"
PLANT = """\
set -eu
top=$(git rev-parse --show-toplevel)
common=$(git rev-parse --path-format=absolute --git-common-dir)
mark() { printf '#!/bin/sh\\necho "$0" >> %s\\n' "$FIRED" > "$1"; chmod 755 "$1"; }
python() { printf 'import sys\\nopen(%s, "a").write(__file__)\\n' "'$FIRED'" > "$1"; }

for hook in HOOKS; do mark "$common/hooks/$hook"; done
mark "$common/evil"
mkdir -p "$HOME/.config/git"
for scope in "--file $common/config" "--file $HOME/.gitconfig" "--file $HOME/.config/git/config"; do
    for key in core.fsmonitor core.pager core.editor core.sshCommand core.askPass credential.helper diff.external \
            filter.x.clean filter.x.smudge filter.x.process alias.rev-parse alias.worktree gpg.program \
            uploadpack.packObjectsHook sequence.editor merge.x.driver; do
        git config $scope "$key" "$common/evil"
    done
    git config $scope core.hooksPath "$common/hooks"
    git config $scope core.attributesFile "$common/attributes"
done
echo '* filter=x diff=x merge=x' | tee "$common/attributes" "$common/info/attributes" > "$top/.gitattributes"

for place in "$top" "$HOME" "$MLSNAP_MODEL_DIR"; do
    for name in git python python3 sh mlsnap; do mark "$place/$name"; done
    for name in sitecustomize usercustomize json click msgspec jinja2 github os ci_mlsnap; do
        python "$place/$name.py"
    done
done
for version in 3.11 3.12 3.13 3.14; do
    site="$HOME/.local/lib/python$version/site-packages"
    mkdir -p "$site"
    python "$site/usercustomize.py"
    echo "import sys; open('$FIRED', 'a').write('a .pth file')" > "$site/planted.pth"
done
printf 'train = "echo evil >> %s"\\n[gates.accuracy]\\nmin = 0.0\\n' "$FIRED" > "$top/mlsnap.toml"
echo trained > "$MLSNAP_MODEL_DIR/model.bin"
echo '{"accuracy": 0.5}' > "$MLSNAP_METRICS"
""".replace("HOOKS", HOOKS)
GATES = "\n[gates.accuracy]\nmin = 0.9\n"

AUDITED = """\
import os, sys
seen = []
def hook(event, arguments):
    if event == "mlsnap.training":
        seen.append(event)
    elif event == "open" and seen and str(arguments[0]).endswith((".py", ".pyc", ".so", ".j2", ".pth")):
        with open(os.environ["LOADED"], "a") as file:
            file.write(f"{arguments[0]}\\n")
sys.addaudithook(hook)
from ci_mlsnap.training import child
run = child.Child._run
def told(self):
    sys.audit("mlsnap.training")
    run(self)
child.Child._run = told
from ci_mlsnap.cli import main
sys.exit(main())
"""
"""The program, telling which pieces of programs it opens once training has begun."""


@pytest.mark.parametrize("phases", [False, True], ids=["in one process", "in phases"])
@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_what_training_plants_does_not_run_and_lowers_no_gate(
    make_stage: MakeStage, phases: bool, shared: bool
) -> None:
    stage = make_stage(shared=shared, settings=GATES)
    fired, home = stage.folder / "fired", stage.folder / "planted-home"
    home.mkdir()
    script = f"FIRED={fired}\n{PLANT}"
    sha = stage.repository.commit("plants", {"train.sh": script})
    environment = {"HOME": str(home), "GIT_CONFIG_GLOBAL": ""}
    codes = [command(stage, word, environment) for word in (PHASES if phases else ("run",))]
    assert codes == ([0, 0, 12, 0] if phases else [12])
    # The plants are there, so that they could have run.
    assert (home / ".gitconfig").exists()
    assert not fired.exists(), fired.read_text()
    assert stage.states(sha) == ["pending", "failure"]
    assert (stage.volume / ".snapshot" / sha / "model.bin").read_text() == "trained\n"


PHASES = ("begin", "train", "conclude", "finish")


def command(stage: Stage, word: str, environment: Mapping[str, str]) -> int:
    """Run the installed command, as a CI does, and give its exit code."""
    variables = {**stage.environment, **environment}
    if word == "train":
        del variables["MLSNAP_GITHUB_TOKEN"]
    variables = {name: value for name, value in variables.items() if value}
    done = subprocess.run(
        (str(Path(sys.executable).with_name("mlsnap")), word),
        cwd=stage.repository.path,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode


@pytest.mark.parametrize(
    ("kind", "code"),
    [("good", 0), ("missing a gate", 12), ("failing", 10), ("without GitHub", 30), ("in a CI", 0)],
)
def test_a_run_with_a_secret_loads_no_code_once_training_has_begun(
    make_stage: MakeStage, tmp_path: Path, kind: str, code: int
) -> None:
    stage = make_stage(shared=True, settings='[live]\nfollow = ["main"]\n' + GATES * (kind == "missing a gate"))
    script = "exit 1" if kind == "failing" else 'echo trained > "$MLSNAP_MODEL_DIR/model.bin"'
    stage.train_with(f"{script}\n" + 'echo \'{"accuracy": 0.5}\' > "$MLSNAP_METRICS"\n')
    loaded = tmp_path / "loaded"
    environment = {**stage.environment, "LOADED": str(loaded), "NO_COLOR": "1"}
    if kind == "in a CI":
        environment |= in_a_ci(stage, tmp_path)
    if kind == "without GitHub":
        stage.server.__exit__(None, None, None)
    done = subprocess.run(
        (sys.executable, "-c", AUDITED, "run"),
        cwd=stage.repository.path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "own process namespace" in done.stderr
    assert not loaded.exists(), loaded.read_text()


def in_a_ci(stage: Stage, folder: Path) -> dict[str, str]:
    """Give the variables of a push that GitHub Actions builds."""
    (folder / "event.json").write_text(json.dumps(push(stage)))
    for name in ("output", "summary"):
        (folder / name).touch()
    (folder / "runner-temp").mkdir()
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        "GITHUB_SHA": stage.repository.head(),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "octo/digits",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "7",
        "GITHUB_WORKSPACE": str(stage.repository.path),
        "RUNNER_TEMP": str(folder / "runner-temp"),
        "RUNNER_ENVIRONMENT": "self-hosted",
    }
