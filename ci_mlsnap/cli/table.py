"""Every command: the group it is shown in, the module that has it, and its line of help."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One command of the table; `module` has a click command of the command's name."""

    group: str
    module: str
    help: str


COMMANDS: dict[str, Row] = {
    "run": Row("Every day", "running", "Train the commit, snapshot its model, post the status."),
    "status": Row("Every day", "looking", "Say which version the live tree is, and what is unfinished."),
    "log": Row("Every day", "history", "List commits with their versions and metrics."),
    "diff": Row("Every day", "comparing", "Say what differs between two versions."),
    "show": Row("Every day", "looking", "Show all that is known of one version."),
    "path": Row("Every day", "looking", "Print the read-only path of a version."),
    "checkout": Row("Go back", "returning", "Check out a commit's code and its model together."),
    "restore": Row("Go back", "returning", "Bring back the model of a commit, without its code."),
    "recover": Row("Go back", "returning", "Bring back model files that were deleted or damaged."),
    "rollback": Row("Go back", "rolling", "Put the models back to an earlier version; they stay there."),
    "bisect": Row("Go back", "bisecting", "Find the first bad version between two commits; train nothing."),
    "hold": Row("Keep", "keeping", "Keep a version from being removed, until somebody releases it."),
    "prune": Row("Keep", "keeping", "Remove the versions that no retention rule keeps."),
    "promote": Row("Keep", "promoting", "Let a channel such as production lead to a version."),
    "channels": Row("Keep", "promoting", "List where channels lead, and how they came to."),
    "verify": Row("Keep", "verifying", "Hold versions against manifests, ledger and commit status."),
    "report": Row("Keep", "reporting", "Write static pages of all versions, to look at and to link."),
    "init": Row("Set up", "setting_up", "Write mlsnap.toml and prepare the repository."),
    "doctor": Row("Set up", "setting_up", "Say what would go wrong, and what to do about it."),
    "demo": Row("Set up", "setting_up", "Try everything in a throw-away repository."),
    "hooks": Row("Set up", "hooks", "Let the models follow `git checkout` and `git pull`."),
    "jenkins": Row("Set up", "jenkins", "Make jobs on a Jenkins server, run them, look after builds."),
    "begin": Row("CI and repair", "running", "Plan, check, announce and prepare a run (needs secrets)."),
    "train": Row("CI and repair", "running", "Run the training command (needs no secrets)."),
    "conclude": Row("CI and repair", "running", "Snapshot, judge, publish and announce (needs secrets)."),
    "finish": Row("CI and repair", "running", "End what a stopped run left over."),
    "snapshot": Row("CI and repair", "running", "Make a version of the live tree as it is, without training."),
    "settle": Row("CI and repair", "settling", "Make durable what this host wrote for a run of another host."),
    "rebuild": Row(
        "CI and repair", "verifying", "Know versions again from their snapshots, after a loss of state."
    ),
    "publish": Row("CI and repair", "publishing", "Send the statuses and comments that wait; sum up models."),
}

HINTS: dict[str, str] = {
    "list": "log",
    "ls": "log",
    "history": "log",
    "pull": "restore",
    "get": "restore",
    "undelete": "recover",
    "undo": "recover",
    "repair": "rebuild",
    "adopt": "rebuild",
    "switch": "checkout",
    "train-model": "run",
    "start": "begin",
    "end": "conclude",
    "check": "verify",
    "fsck": "verify",
    "info": "show",
    "compare": "diff",
    "push": "publish",
    "import": "snapshot",
    "save": "snapshot",
    "deploy": "promote",
    "pages": "report",
    "html": "report",
    "site": "report",
    "badge": "report",
    "gc": "prune",
    "keep": "hold",
    "delete": "prune",
    "remove": "prune",
    "rm": "prune",
    "revert": "rollback",
}
"""What people type who know other tools, and what they mean here."""
