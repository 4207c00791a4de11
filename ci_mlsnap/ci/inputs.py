"""The inputs of a CI step, in one table: what each stands for, and which commands take it.

GitHub Actions and Jenkins hand an input over as an environment variable, `MLSNAP_INPUT_` with the name in upper
case and `_` for `-`. One that is empty is as if it had not been given. Inputs are of the operator's level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ci_mlsnap.errors import UsageError

PREFIX = "MLSNAP_INPUT_"
PROJECT = "--project"
"""The one option that stands before the command."""

STARTING = ("run", "begin")
"""The commands that plan a run."""
PHASES = (*STARTING, "conclude", "finish")
"""The commands of a run that speak to forge and storage. `train` is none of them: it gets nothing but the plan."""
LOOKING = ("restore", "diff", "promote", "prune", "publish")
"""The commands on versions that are there."""
PLANNING = (*STARTING, *LOOKING)
"""The commands that read the settings of a project; `conclude` and `finish` act on the plan."""
CONNECTED = (*PHASES, *LOOKING)

_BOOLEANS = {"true": True, "false": False}


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """One input. It stands for a configuration `key`, for a command-line `option` (a flag where `flag` says so, an
    argument where it has no dashes), or for an environment `variable`, under which it is then handed over. The
    `parameter` is the option's name in the program, where that is another one.

    `commands` take it, of which each is a step of the CI.
    """

    name: str
    text: str
    commands: tuple[str, ...]
    key: str = ""
    option: str = ""
    parameter: str = ""
    flag: bool = False
    variable: str = ""

    @property
    def handed_over_as(self) -> str:
        """The environment variable by which a command gets it."""
        return self.variable or PREFIX + self.name.upper().replace("-", "_")

    @property
    def stands_for(self) -> str:
        """What else says the same: the key, the option or the variable."""
        return self.key or self.option or self.variable


INPUTS: tuple[Input, ...] = (
    Input(
        name="train",
        key="train.command",
        commands=STARTING,
        text='The training command, for `/bin/sh -c`; or an array such as `["python", "train.py"]`.',
    ),
    Input(
        name="volume",
        key="volume",
        commands=PLANNING,
        text="The folder that training writes its model to.",
    ),
    Input(
        name="driver",
        key="volumes.*.driver",
        commands=PLANNING,
        text="The storage that the volume is on: `local` or `ontap`.",
    ),
    Input(
        name="view",
        key="volumes.*.view",
        commands=PLANNING,
        text="A link in the checkout that leads to the model, for a volume outside of it.",
    ),
    Input(
        name="store",
        key="volumes.*.store",
        commands=PLANNING,
        text="Where snapshots of the volume are kept, with the driver `local`.",
    ),
    Input(
        name="state",
        key="volumes.*.state",
        commands=PLANNING,
        text="Where leases, journals and the ledger are kept, with the driver `ontap`.",
    ),
    Input(
        name="ontap-volume",
        key="volumes.*.volume",
        commands=PLANNING,
        text="The volume's name on its SVM, or its UUID; what is mounted at `volume` when not given.",
    ),
    Input(
        name="model",
        key="model",
        commands=PLANNING,
        text="The model's name; its commit status is `mlsnap/<model>`.",
    ),
    Input(
        name="project",
        option=PROJECT,
        commands=PLANNING,
        text="The folder of the `mlsnap.toml` that is meant, in a repository with several.",
    ),
    Input(name="metrics", key="metrics.file", commands=STARTING, text="The file with the metrics of training."),
    Input(name="timeout", key="train.timeout", commands=STARTING, text="How long training may run, such as `6h`."),
    Input(
        name="train-env",
        key="train.env",
        commands=STARTING,
        text='Names of more environment variables for training, as an array such as `["HF_TOKEN"]`.',
    ),
    Input(
        name="lease-wait",
        key="lease.wait",
        commands=STARTING,
        text="How long to wait for another run that uses the same volume.",
    ),
    Input(
        name="on-fork",
        key="on_fork",
        commands=STARTING,
        text="What to do for a fork or Dependabot, which get no secrets: `skip` or `fail`.",
    ),
    Input(
        name="comment",
        key="forge.comment",
        commands=PLANNING,
        text="Whether a pull request gets a comment for each model: `true`, `false` or `on-change`.",
    ),
    Input(
        name="gate-statuses",
        key="forge.gate_statuses",
        commands=PLANNING,
        text="`true` gives each gate a commit status of its own, `mlsnap/<model>/<metric>`.",
    ),
    Input(
        name="check-runs",
        key="forge.check_runs",
        commands=PLANNING,
        text="`true` also leaves the report as a check run; the job needs `checks: write`.",
    ),
    Input(
        name="deployments",
        key="forge.deployments",
        commands=("promote",),
        text="`true` makes a deployment to the channel's environment; the job needs `deployments: write`.",
    ),
    Input(
        name="report",
        key="report.output",
        commands=PHASES,
        text="A folder for the report of each run: pages, JSON, Markdown, JUnit.",
    ),
    Input(
        name="report-url",
        key="report.base_url",
        commands=STARTING,
        text="Where that folder is published; statuses then link there.",
    ),
    Input(
        name="sha",
        variable="MLSNAP_SHA",
        commands=STARTING,
        text="The full SHA of the commit to train, whatever the event says.",
    ),
    Input(
        name="retrain",
        option="--retrain",
        flag=True,
        commands=STARTING,
        text="`true` trains again a commit that has a version: the next attempt.",
    ),
    Input(
        name="dry-run",
        option="--dry-run",
        flag=True,
        commands=(*STARTING, "prune"),
        text="`true` prints what would be done, and does nothing.",
    ),
    Input(
        name="ephemeral",
        option="--ephemeral",
        flag=True,
        commands=STARTING,
        text="`true` accepts a store that ends with this machine or job, as on a hosted runner.",
    ),
    Input(
        name="break-lease",
        option="--break-lease",
        flag=True,
        commands=STARTING,
        text="`true` takes the volume from a run that is known to be dead.",
    ),
    Input(
        name="hand-on",
        option="--hand-on",
        flag=True,
        commands=("begin",),
        text="`true` puts the code beside the model, for jobs of their own that go on with the run.",
    ),
    Input(
        name="plan",
        option="--plan",
        commands=("train", "conclude", "finish"),
        text="The output `plan` of `begin`: the run that is meant, and nothing else, is gone on with.",
    ),
    Input(
        name="run",
        option="--run",
        commands=("train", "conclude", "finish"),
        text="The output `run` of `begin`, where that was a step of another job.",
    ),
    Input(
        name="revision",
        option="REVISION",
        commands=("restore", "promote"),
        text="The commit, tag or branch whose version is meant.",
    ),
    Input(
        name="to",
        option="--to",
        commands=("restore",),
        text="A new folder for a copy to write to; without it the live tree or the view is brought back.",
    ),
    Input(
        name="nearest",
        option="--nearest",
        flag=True,
        commands=("restore",),
        text="`true` takes the nearest ancestor's version when there is no other.",
    ),
    Input(
        name="before",
        option="A",
        parameter="before",
        commands=("diff",),
        text="The version to compare with; its baseline when not given.",
    ),
    Input(name="after", option="B", parameter="after", commands=("diff",), text="The version that is compared."),
    Input(name="channel", option="CHANNEL", commands=("promote",), text="The channel, such as `production`."),
    Input(name="reason", option="--reason", commands=("promote",), text="Why; it is written to the ledger."),
    Input(
        name="fork",
        option="--fork",
        flag=True,
        commands=("publish",),
        text="`true` tells a change of a fork or of Dependabot what becomes of it, on `workflow_run`.",
    ),
    Input(
        name="roll-up",
        option="--roll-up",
        flag=True,
        commands=("publish",),
        text="`true` posts `mlsnap`, one status for all models of the commit.",
    ),
    Input(
        name="token",
        variable="MLSNAP_GITHUB_TOKEN",
        commands=(*PHASES, "publish", "promote", "prune"),
        text="The token that posts on commits and pull requests.",
    ),
    Input(
        name="github-url",
        key="forge.url",
        commands=CONNECTED,
        text="The URL of GitHub's API where the CI does not say it. The token goes there and nowhere else.",
    ),
    Input(
        name="github-repository",
        key="forge.repository",
        commands=CONNECTED,
        text="`owner/name` of the repository to post to, where it is not the one that is checked out.",
    ),
    Input(
        name="github-ca",
        key="forge.ca",
        commands=CONNECTED,
        text="A file with the certificates of the authority that signs GitHub's.",
    ),
    Input(
        name="ontap-host",
        key="ontap.host",
        commands=CONNECTED,
        text="The management address of the ONTAP cluster or SVM. The login goes there and nowhere else.",
    ),
    Input(name="ontap-port", key="ontap.port", commands=CONNECTED, text="The port of that address, if not 443."),
    Input(name="ontap-svm", key="ontap.svm", commands=CONNECTED, text="The SVM that the volumes are on."),
    Input(name="ontap-user", key="ontap.user", commands=CONNECTED, text="The user whose password is given."),
    Input(
        name="ontap-ca",
        key="ontap.ca",
        commands=CONNECTED,
        text="A file with the certificates of the authority that signs the cluster's.",
    ),
    Input(
        name="ontap-fingerprint",
        key="ontap.fingerprint",
        commands=CONNECTED,
        text="The SHA-256 of the cluster's own certificate.",
    ),
    Input(
        name="ontap-password",
        variable="MLSNAP_ONTAP_PASSWORD",
        commands=CONNECTED,
        text="The password of `ontap-user`; from the CI's secrets.",
    ),
    Input(
        name="ontap-token",
        variable="MLSNAP_ONTAP_TOKEN",
        commands=CONNECTED,
        text="A bearer token for the cluster, instead of user and password.",
    ),
)


OUTPUTS: dict[str, str] = {
    "conclusion": "`good`, `gate-missed`, `failed`, `cancelled`, `reused` or `nothing`.",
    "sha": "The commit that was trained, or that a version answered for.",
    "snapshot-name": "The snapshot's name; empty where there is none.",
    "snapshot-path": "Where its files can be read.",
    "manifest-digest": "The SHA-256 of its manifest.",
    "gate": "`good` or `missed`; empty where nothing was judged.",
    "metrics": "The metrics as a JSON object.",
    "reused": "`true` where nothing was trained because a version answers for the commit.",
    "queued": "The commit statuses that could not be sent yet, with commas.",
    "comment-url": "The page of the pull request's comment; empty where none was left.",
    "description": "The text of the commit status.",
    "result": "The whole record as JSON.",
}
"""What a run hands on to later steps, and what that is. Each is set in every case."""


def given_settings(environ: Mapping[str, str], command: str = "") -> Iterator[tuple[str, str, str]]:
    """Give the inputs that are settings, or those that a command takes: key, text, and how messages name it."""
    for one in INPUTS:
        if one.key and (not command or command in one.commands):
            yield one.key, environ.get(one.handed_over_as, ""), f"input {one.name}"


def given_options(environ: Mapping[str, str]) -> dict[str, Any]:
    """Give the inputs that are options: for each command, values by the names of its parameters; those of all
    commands beside them.

    Raises `UsageError` for a flag that is neither `true` nor `false`, and for an input that there is not.
    """
    _require_known(environ)
    given: dict[str, Any] = {}
    for one in INPUTS:
        text = environ.get(one.handed_over_as, "").strip()
        if one.option and text:
            parameter = one.parameter or one.option.strip("-").replace("-", "_").lower()
            value = _value(one, text)
            for command in one.commands:
                given.setdefault(command, {})[parameter] = value
            if one.option == PROJECT:
                given[parameter] = value
    return given


def _value(one: Input, text: str) -> str | bool:
    if not one.flag:
        return text
    if text.lower() not in _BOOLEANS:
        raise UsageError(
            f"input {one.name}: {ascii(text)[:60]} is neither true nor false",
            safe="nothing was done",
            hint=f"write `{one.name}: true`, or leave it out",
        )
    return _BOOLEANS[text.lower()]


def _require_known(environ: Mapping[str, str]) -> None:
    known = {one.handed_over_as for one in INPUTS}
    for name, text in environ.items():
        if text and name.startswith(PREFIX) and name not in known:
            asked = name.removeprefix(PREFIX).lower().replace("_", "-")
            raise UsageError(
                f"there is no input {ascii(asked)[1:-1][:60]}",
                safe="nothing was done",
                hint=f"inputs are {', '.join(sorted(one.name for one in INPUTS))}",
            )
