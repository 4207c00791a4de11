"""Write every action.yml, and the tables of docs/github.md, from the tables of inputs and outputs.

`python actions/generate.py` writes; with `--check` it only tells which files are not what they should be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from ci_mlsnap.ci.inputs import INPUTS, OUTPUTS, Input  # noqa: E402 - the checkout's, whatever is installed

DEFAULTS = {"token": "${{ github.token }}"}
"""What the Action fills in; all else is empty, which is as if not given."""

SETUP_INPUTS = {
    "install": "`own`: an environment made for this job; `skip`: the mlsnap that is installed on the runner.",
    "python-path": "The Python to use: with `install: skip` that of the environment that has mlsnap.",
    "environment": "The output `environment` of `actions/setup` or another step of this job; installs nothing.",
}
SETUP_OUTPUTS = {
    "python": "The Python that runs mlsnap, by `python -I -B -m ci_mlsnap`.",
    "environment": "What the input `environment` of later steps takes.",
}
BEGIN_OUTPUTS = {
    "plan": "The plan's digest, for `train` and `conclude`.",
    "run": "Where the run is, for `train` and `conclude` in jobs of their own.",
    "action": "`train`, `announce` or `nothing`: what the plan asks for; empty with `dry-run`.",
}
FALLBACKS = {"conclusion": "'failed'", "metrics": "'{}'", "result": "'{}'", "reused": "'false'"}
"""What an output is where a step ended before it could say; others are empty then."""

SEALED = """\
if [ "$MLSNAP_SEAL" != - ]; then
  seal=$(
    cd "${MLSNAP_PYTHON%/bin/python}"
    PATH=/usr/bin:/bin LC_ALL=C
    { find . -printf '%p %y %l %i %s %m %U %C@\\n'; find -L bin/python -printf '%i %s %C@\\n'; } |
      sort | sha256sum | cut -c -64
  )
  if [ "$seal" != "$MLSNAP_SEAL" ]; then
    echo '::error title=mlsnap::its environment was changed since set-up; it is not run beside secrets'
    exit 60
  fi
fi
"""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step that runs one command. After training it is `sealed`. `plan` says where the plan comes from."""

    command: str
    when: str = ""
    sealed: bool = False
    plan: str = ""


@dataclass(frozen=True, kw_only=True)
class Action:
    """One action: the `folder` below the root that it is in, its steps, and what it says of itself."""

    folder: str
    name: str
    text: str
    steps: Sequence[Step] = ()
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> list[Input]:
        """The inputs that a step of it takes, but for those that another step of it gives."""
        given = {"plan", "run"} if any(step.plan for step in self.steps) else set()
        taken = {step.command for step in self.steps}
        return [one for one in INPUTS if taken & set(one.commands) and one.name not in given]


_BEGUN = "steps.begin.outputs.plan"
_ALWAYS = "always() && steps.setup.outputs.python != ''"
_OPEN = "steps.begin.outputs.action == 'train' || steps.begin.outputs.action == 'announce'"

ACTIONS = (
    Action(
        folder=".",
        name="mlsnap",
        text="Train the model of a commit, snapshot it under the commit's SHA, and say so on the commit",
        steps=(
            Step(command="begin"),
            Step(command="train", when="steps.begin.outputs.action == 'train'", plan=_BEGUN),
            Step(command="conclude", when=_OPEN, sealed=True, plan=_BEGUN),
            Step(command="finish", when=_ALWAYS, sealed=True, plan=_BEGUN),
        ),
        outputs={**OUTPUTS, **BEGIN_OUTPUTS, **SETUP_OUTPUTS},
    ),
    Action(
        folder="actions/setup",
        name="mlsnap: set up",
        text="Make the environment that the other steps of this job run in",
        outputs=SETUP_OUTPUTS,
    ),
    Action(
        folder="actions/begin",
        name="mlsnap: begin",
        text="Plan, check, announce and prepare a run; needs the secrets, and runs no code of the repository",
        steps=(
            Step(command="begin"),
            Step(command="finish", when="(failure() || cancelled()) && steps.setup.outputs.python != ''"),
        ),
        outputs={**BEGIN_OUTPUTS, **OUTPUTS, **SETUP_OUTPUTS},
    ),
    Action(
        folder="actions/train",
        name="mlsnap: train",
        text="Run the training command of the plan; give it no secrets",
        steps=(Step(command="train"),),
        outputs=SETUP_OUTPUTS,
    ),
    Action(
        folder="actions/conclude",
        name="mlsnap: conclude",
        text="Snapshot what was trained, judge it, publish it, and bring the run to rest; needs the secrets",
        steps=(Step(command="conclude", sealed=True), Step(command="finish", when=_ALWAYS, sealed=True)),
        outputs={**OUTPUTS, **SETUP_OUTPUTS},
    ),
    Action(
        folder="actions/restore",
        name="mlsnap: restore",
        text="Bring back the model of a commit, or a copy of it in a folder of its own",
        steps=(Step(command="restore"),),
        outputs=SETUP_OUTPUTS,
    ),
    Action(
        folder="actions/compare",
        name="mlsnap: compare",
        text="Say what differs between two versions: metrics, parameters, files",
        steps=(Step(command="diff"),),
        outputs=SETUP_OUTPUTS,
    ),
    Action(
        folder="actions/promote",
        name="mlsnap: promote",
        text="Let a channel such as production lead to the version of a commit",
        steps=(Step(command="promote"),),
        outputs=SETUP_OUTPUTS,
    ),
    Action(
        folder="actions/report",
        name="mlsnap: report",
        text="Send statuses and comments that wait; with roll-up, post one status for all models of the commit",
        steps=(Step(command="publish"),),
        outputs=SETUP_OUTPUTS,
    ),
    Action(
        folder="actions/prune",
        name="mlsnap: prune",
        text="Remove the versions that no retention rule keeps",
        steps=(Step(command="prune"),),
        outputs=SETUP_OUTPUTS,
    ),
)


def action_text(action: Action) -> str:
    """Give an action's file."""
    lines = [
        "# Made by actions/generate.py; `make docs` writes it again.",
        f"name: {json.dumps(action.name)}",
        f"description: {json.dumps(action.text)}",
        "branding: {icon: camera, color: blue}",
        "inputs:",
        *_inputs(action),
        "outputs:",
        *(line for name, text in action.outputs.items() for line in _output(action, name, text)),
        "runs:",
        "  using: composite",
        "  steps:",
        *_setup_step(action),
    ]
    for step in action.steps:
        lines += _step(step)
    return "\n".join([*lines, ""])


def _inputs(action: Action) -> Iterator[str]:
    texts = {one.name: one.text for one in action.inputs} | SETUP_INPUTS
    for name, text in texts.items():
        yield f"  {name}:"
        yield f"    description: {json.dumps(text, ensure_ascii=False)}"
        yield "    required: false"
        yield f"    default: {json.dumps(DEFAULTS.get(name, ''))}"


def _output(action: Action, name: str, text: str) -> Iterator[str]:
    yield f"  {name}:"
    yield f"    description: {json.dumps(text, ensure_ascii=False)}"
    yield f"    value: ${{{{ {_value(action, name)} }}}}"


def _value(action: Action, name: str) -> str:
    if name in SETUP_OUTPUTS:
        return f"steps.setup.outputs.{name}"
    if name in BEGIN_OUTPUTS:
        return f"steps.begin.outputs.{name}"
    said = [f"steps.{step.command}.outputs.{name}" for step in action.steps if step.command != "train"]
    last = {"conclusion": _ended_early(action)}.get(name, FALLBACKS.get(name, ""))
    # The one that came last knows best; of those that did not run it is empty.
    return " || ".join([*sorted(said, key=_closeness), *([last] if last else [])])


def _closeness(said: str) -> int:
    return ["finish", "conclude", "begin"].index(said.split(".")[1])


def _ended_early(action: Action) -> str:
    """What happened where no step told: a dry run, a failure, or nothing yet after `begin`."""
    if action.folder == "actions/conclude":
        return "'failed'"
    dry = "steps.begin.outcome == 'success' && inputs.dry-run == 'true' && 'nothing'"
    return (
        f"{dry} || 'failed'"
        if action.folder == "."
        else f"{dry} || steps.begin.outcome != 'success' && 'failed' || ''"
    )


def _setup_step(action: Action) -> Iterator[str]:
    place = {".": "actions/setup/", "actions/setup": ""}.get(action.folder, "../setup/")
    yield from ("    - id: setup", "      shell: bash", "      env:")
    for name in SETUP_INPUTS:
        yield f"        MLSNAP_SETUP_{name.partition('-')[0].upper()}: ${{{{ inputs.{name} }}}}"
    yield f'      run: exec bash "$GITHUB_ACTION_PATH/{place}setup.sh"'


def _step(step: Step) -> Iterator[str]:
    yield f"    - id: {step.command}"
    if step.when:
        yield f"      if: {step.when}"
    yield from ("      shell: bash", "      env:")
    yield "        MLSNAP_PYTHON: ${{ steps.setup.outputs.python }}"
    if step.sealed:
        yield "        MLSNAP_SEAL: ${{ steps.setup.outputs.seal }}"
    for one in INPUTS:
        if step.command in one.commands and not (step.plan and one.name == "run"):
            source = step.plan if step.plan and one.name == "plan" else f"inputs.{one.name}"
            yield f"        {one.handed_over_as}: ${{{{ {source} }}}}"
    yield from ("      run: |", *(f"        {line}" for line in _script(step).splitlines()))


def _script(step: Step) -> str:
    """Give a step's text: no expression stands in it, and Python takes the shell's place and its signals."""
    if step.command == "diff":
        return '"$MLSNAP_PYTHON" -I -B -m ci_mlsnap diff --md | tee -a "$GITHUB_STEP_SUMMARY"'
    run = f'"$MLSNAP_PYTHON" -I -B -m ci_mlsnap {step.command}'
    # Runners other than GitHub's own give each step of a composite action the action's inputs.
    hidden = "".join(f" -u {name}" for name in _secret_inputs()) if step.command == "train" else ""
    run = f"exec env{hidden} {run}" if hidden else f"exec {run}"
    return SEALED + run if step.sealed else run


def _secret_inputs() -> Iterator[str]:
    for one in INPUTS:
        if one.variable and one.name != "sha":
            spelled = f"INPUT_{one.name.upper()}"
            yield from dict.fromkeys((spelled, spelled.replace("-", "_")))


# -- the tables of the page ----------------------------------------------------------------------------


def tables() -> dict[str, str]:
    """Give the tables of docs/github.md by the names of their places in it."""
    return {"inputs": _table_of_inputs(), "outputs": _table_of_outputs()}


def _table_of_inputs() -> str:
    rows = ["| input | of | is | same as |", "|---|---|---|---|"]
    for one in INPUTS:
        users = [_short(action) for action in ACTIONS if one in action.inputs]
        default = f" Default: `{DEFAULTS[one.name]}`." if one.name in DEFAULTS else ""
        rows.append(f"| `{one.name}` | {', '.join(users)} | {one.text}{default} | `{one.stands_for}` |")
    rows += [f"| `{name}` | all | {text} | |" for name, text in SETUP_INPUTS.items()]
    return "\n".join(rows)


def _table_of_outputs() -> str:
    rows = ["| output | of | is |", "|---|---|---|"]
    for name, text in {**OUTPUTS, **BEGIN_OUTPUTS}.items():
        users = [_short(action) for action in ACTIONS if name in action.outputs]
        rows.append(f"| `{name}` | {', '.join(users)} | {text} |")
    rows += [f"| `{name}` | all | {text} |" for name, text in SETUP_OUTPUTS.items()]
    return "\n".join(rows)


def _short(action: Action) -> str:
    return "root" if action.folder == "." else action.folder.removeprefix("actions/")


def with_tables(page: str) -> str:
    """Put the tables into a page, between `<!-- name -->` and `<!-- end -->`."""
    for name, table in tables().items():
        before, mark, rest = page.partition(f"<!-- {name} -->\n\n")
        page = before + mark + table + rest[rest.index("\n\n<!-- end -->") :]
    return page


def files() -> dict[Path, str]:
    """Give every file that is made here, with what it should be."""
    page = ROOT / "docs" / "github.md"
    made = {ROOT / action.folder / "action.yml": action_text(action) for action in ACTIONS}
    return {**made, page: with_tables(page.read_text(encoding="utf-8"))}


def main(arguments: Sequence[str]) -> int:
    """Write the files that differ, or only name them."""
    wrong = [
        path for path, text in files().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in wrong:
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files()[path], encoding="utf-8")
        print(path.relative_to(ROOT))
    return int(bool(wrong and "--check" in arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
