"""The demo on an emulated ONTAP cluster: `python -m tests.ontap.demo`, or `make demo-ontap`.

The commands are the real ones, and so is the client that speaks to the cluster over TLS; only the cluster is not.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from ci_mlsnap.cli.program import show_error
from ci_mlsnap.demo.commits import commit_page
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.demo.scenes import (
    REPOSITORY,
    TOKEN,
    Stage,
    environment_in,
    folder_for,
    require_parts,
    set_up,
    train_three,
)
from ci_mlsnap.errors import MlsnapError
from tests.ontap.emulator.access import VSADMIN, Account
from tests.ontap.emulator.others import take_scheduled
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume

_USER, _PASSWORD = "vsadmin", "of-the-emulated-cluster"

_SETTINGS = """\
train = "python train.py"

[volumes.models]
path = "{live}"
driver = "ontap"
volume = "ml_digits"
state = "{state}"
view = "models"

[gates.accuracy]
min = 0.85
max_drop = 0.02
"""


def play(*, keep: Path | None = None) -> None:
    """Play all scenes; `keep` leaves the folder there. Raises `DemoFailed` when a command ends otherwise."""
    require_parts()
    with (
        folder_for(keep) as folder,
        Emulator(folder / "cluster") as emulator,
        GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server,
    ):
        cluster = emulator.cluster
        cluster.accounts.add(Account(name=_USER, role=VSADMIN, password=_PASSWORD, svm="svm1"))
        cluster.jobs.delay = 0.1
        volume = cluster.add_volume("ml_digits", junction="/ml_digits")
        environment = environment_in(folder, server.url) | emulator.login(_USER, _PASSWORD)
        stage = Stage(folder / "digits", environment)
        settings = _SETTINGS.format(live=cluster.path(volume), state=folder / "state")
        set_up(stage, folder / "digits.git", settings=settings)
        train_three(stage)
        _look_at_the_cluster(stage, emulator, volume)
        _lose_and_restore(stage, cluster.path(volume))
        _go_back(stage)
        _promote(stage)
        _prune_and_recover(stage, volume)
        _lose_the_state(stage, folder / "state")
        click.echo()
        for line in commit_page(server.board, REPOSITORY, stage.commits):
            click.echo(line)
        where = f"All of it is in {folder}" if keep else "The throw-away cluster and repository are removed."
        click.echo(f"\n{where}\nNext:  docs/ontap.md says how to set up a volume of yours")


def _look_at_the_cluster(stage: Stage, emulator: Emulator, volume: Volume) -> None:
    stage.say("The cluster has a snapshot under each commit SHA; its own hourly ones are none of our business")
    take_scheduled(emulator.cluster, volume)
    _show(volume)
    asked = [call for call in emulator.calls() if "/jobs" not in call]
    click.echo(f"  ({len(asked)} requests so far, besides those that waited for a job)")
    stage.run("mlsnap", "doctor")


def _show(volume: Volume) -> None:
    """Show what the cluster's administrator would see."""
    click.secho(f"cluster1::> volume snapshot show -volume {volume.name} -fields comment", fg="cyan")
    for snapshot in volume.snapshots.values():
        click.echo(f"  {snapshot.name:<54}  {snapshot.comment[:60] or '-'}")


def _lose_and_restore(stage: Stage, live: Path) -> None:
    stage.say("The accident that everybody fears, in a live tree that all share")
    stage.run("sh", "-c", f"rm -r {shlex.quote(str(live))}/*")
    stage.run("mlsnap", "status")
    stage.run("mlsnap", "recover", "--shared")


def _go_back(stage: Stage) -> None:
    good = stage.commits[1][0][:7]
    stage.say("Back to the good version: code and model together by plain git; the view costs no byte")
    stage.run("mlsnap", "hooks", "install")
    stage.run("git", "checkout", good)
    stage.run("mlsnap", "path", good)
    stage.run("python", "score.py")
    stage.run("git", "checkout", "main")


def _promote(stage: Stage) -> None:
    stage.say("Serving machines follow a channel, which moves at once")
    stage.run("mlsnap", "promote", stage.commits[1][0][:7], "production")
    stage.run("mlsnap", "log")


def _prune_and_recover(stage: Stage, volume: Volume) -> None:
    bad = stage.commits[2][0]
    stage.say("The bad model goes, and comes back while its grace lasts")
    stage.run("mlsnap", "prune", "--version", bad[:7], "--reason", "nobody needs it")
    _show(volume)
    stage.run("mlsnap", "recover", bad[:7])


def _lose_the_state(stage: Stage, state: Path) -> None:
    stage.say("All state is lost: the snapshots and git know everything that matters")
    stage.run("rm", "-r", str(state))
    stage.run("mlsnap", "rebuild")
    stage.run("mlsnap", "verify", stage.commits[1][0][:7])


def main(arguments: Sequence[str] | None = None) -> int:
    """Play, and give the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.ontap.demo", description=__doc__)
    parser.add_argument("--keep", type=Path, help="leave everything in this new folder")
    try:
        play(keep=parser.parse_args(arguments).keep)
    except MlsnapError as error:
        show_error(error)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
