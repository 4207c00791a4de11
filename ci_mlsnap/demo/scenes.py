"""`mlsnap demo`: the main job on real handwritten digits, in a throw-away repository, by the real commands."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import click

from ci_mlsnap.demo.commits import commit_page
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.errors import MlsnapError, UsageError
from ci_mlsnap.training.isolation import why_no_namespace
from ci_mlsnap.trees.remove import remove_tree

REPOSITORY = "demo/digits"
TOKEN = "demo-token"  # noqa: S105 - for the look-alike that this process starts, and for nothing else

_PARAMS = "hidden = {hidden}\nlearning_rate = {rate}\nepochs = {epochs}\n"


class DemoFailed(MlsnapError):
    """A command of the demo ended otherwise than it must."""

    slug = "demo-failed"


def play(*, keep: Path | None = None) -> None:
    """Play all scenes; `keep` leaves the folder there. Raises `DemoFailed` when a command ends otherwise."""
    require_parts()
    with folder_for(keep) as folder, GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server:
        stage = Stage(folder / "digits", environment_in(folder, server.url))
        set_up(stage, folder / "digits.git")
        train_three(stage)
        _lose_and_recover(stage)
        _go_back(stage)
        _roll_back(stage)
        _write_pages(stage)
        click.echo()
        for line in commit_page(server.board, REPOSITORY, stage.commits):
            click.echo(line)
        where = f"The repository is in {stage.folder}" if keep else "The throw-away repository is removed."
        click.echo(
            f"\n{where}\nNext:  mlsnap init    in your own repository\n       mlsnap doctor  says what it lacks"
        )


class Stage:
    """A repository in which commands are shown and run."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.commits: list[tuple[str, str]] = []
        self._environment = dict(environment)

    def say(self, text: str) -> None:
        """Begin a scene."""
        click.secho(f"\n# {text}", bold=True)

    def run(self, *command: str, expected: int = 0) -> None:
        """Show a command, run it with its output streamed, and hold its exit code against what must come."""
        click.secho(f"$ {shlex.join(command)}", fg="cyan")
        sys.stdout.flush()
        done = subprocess.run(command, cwd=self.folder, env=self._environment, check=False)
        if expected:
            click.echo(f"  (exit code {done.returncode})")
        if done.returncode != expected:
            raise DemoFailed(
                f"`{shlex.join(command)}` ended with {done.returncode} instead of {expected}",
                hint="run `mlsnap demo --keep DIR` and look there",
            )

    def quietly(self, *command: str) -> str:
        """Run a command of the set-up without showing it, and give what it prints."""
        done = subprocess.run(
            command, cwd=self.folder, env=self._environment, check=False, capture_output=True, text=True
        )
        if done.returncode:
            raise DemoFailed(f"`{shlex.join(command)}` failed: {done.stderr.strip()[:300]}")
        return done.stdout.strip()

    def write_params(self, hidden: list[int], rate: float, epochs: int) -> None:
        """Change what is trained."""
        (self.folder / "params.toml").write_text(_PARAMS.format(hidden=hidden, rate=rate, epochs=epochs))

    def push(self, message: str) -> None:
        """Commit everything and push it, as a person does."""
        self.run("git", "commit", "--quiet", "--all", "--message", message)
        self.run("git", "push", "--quiet", "origin", "main")
        self.commits.append((self.quietly("git", "rev-parse", "HEAD"), message))


def set_up(stage: Stage, remote: Path, *, settings: str = "") -> None:
    """Make the repository and its remote; other `settings` than the project's own take their place."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
    stage.folder.mkdir()
    with as_file(files("ci_mlsnap.demo") / "project") as project:
        for source in sorted(project.iterdir()):
            if source.is_file():
                shutil.copyfile(source, stage.folder / source.name)
    if settings:
        (stage.folder / "mlsnap.toml").write_text(settings)
    stage.write_params([32], 0.003, 12)
    stage.say("A repository with a training script, a bare remote, and a folder for models")
    stage.quietly("git", "init", "--quiet", "--initial-branch", "main")
    stage.quietly("git", "remote", "add", "origin", str(remote))
    stage.run("mlsnap", "init")
    stage.quietly("git", "add", "--all")


def train_three(stage: Stage) -> None:
    """Push three times: two good models, and one that misses its gate."""
    run = _run_command()
    stage.say(
        "First push: thirty-two hidden units. mlsnap trains, snapshots under the commit SHA, posts the status"
    )
    stage.push("Thirty-two hidden units")
    stage.run(*run)
    stage.say("Second push: sixty-four hidden units")
    stage.write_params([64], 0.003, 25)
    stage.push("Sixty-four hidden units")
    stage.run(*run)
    stage.say("Third push: a learning rate that is far too high. Its gate stops it")
    stage.write_params([64], 0.5, 10)
    stage.push("Learning rate far too high")
    stage.run(*run, expected=12)
    stage.run("mlsnap", "log")


def _run_command() -> tuple[str, ...]:
    """Give the command that trains. Root in a container without namespaces must say that it trusts training; it
    may, since the token opens nothing but the demo's own look-alike."""
    if os.geteuid() == 0 and why_no_namespace():
        return ("mlsnap", "run", "--trust-training")
    return ("mlsnap", "run")


def _lose_and_recover(stage: Stage) -> None:
    stage.say("The accident that everybody fears")
    stage.run("sh", "-c", "rm -r models/*")
    stage.run("mlsnap", "status")
    stage.run("mlsnap", "recover")


def _go_back(stage: Stage) -> None:
    stage.say("Back to the good version: code and model together by plain git, then scored again")
    good = stage.commits[1][0][:7]
    stage.run("mlsnap", "hooks", "install")
    stage.run("git", "checkout", good)
    stage.run("mlsnap", "show", good)
    stage.run("python", "score.py")


def _roll_back(stage: Stage) -> None:
    stage.say("The bad model is live again: put it away without touching the code, and it stays away")
    stage.run("git", "checkout", "main")
    stage.run("mlsnap", "rollback", "--yes", "--reason", "accuracy fell")
    stage.run("git", "checkout", stage.commits[0][0][:7])
    stage.say("Any version, code and model by one command: a person's word ends the rollback")
    stage.run("mlsnap", "checkout", stage.commits[0][0][:7])


def _write_pages(stage: Stage) -> None:
    stage.say("For those who would rather look than read: pages of all versions, for a browser")
    stage.run("mlsnap", "report", "--output", str(stage.folder.parent / "pages"))


def environment_in(folder: Path, api_url: str) -> dict[str, str]:
    """The person's environment without what a CI or a git configuration of theirs would change."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GIT_", "GITHUB_", "MLSNAP_", "JENKINS_", "RUNNER_", "ACTIONS_"))
        and name not in ("CI", "BUILD_URL", "WORKSPACE", "WORKSPACE_TMP")
    }
    configuration = folder / "gitconfig"
    configuration.write_text(
        "[user]\n\tname = Demo\n\temail = demo@example.org\n[advice]\n\tdetachedHead = false\n"
    )
    return inherited | {
        # The commands of this installation come first, whatever else the PATH has.
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
        "GIT_CONFIG_GLOBAL": str(configuration),
        "GIT_CONFIG_NOSYSTEM": "1",
        "MLSNAP__FORGE__URL": api_url,
        "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
        "MLSNAP_GITHUB_TOKEN": TOKEN,
    }


@contextmanager
def folder_for(keep: Path | None) -> Iterator[Path]:
    """Give the folder to `keep`, else one that goes away. Raises `UsageError` for one that is not empty."""
    if keep is None:
        made = Path(tempfile.mkdtemp(prefix="mlsnap-demo-"))
        try:
            yield made
        finally:
            remove_tree(made)  # on btrfs, snapshots of the demo are subvolumes
        return
    if keep.exists() and any(keep.iterdir()):
        raise UsageError(f"{keep} is not empty", hint="name a folder that does not exist yet")
    keep.mkdir(parents=True, exist_ok=True)
    yield keep.absolute()


def require_parts() -> None:
    """Make sure that all is there that the scenes need. Raises `UsageError`."""
    try:
        import sklearn  # noqa: F401 - only asked for
    except ImportError:
        raise UsageError(
            "the demo needs scikit-learn", hint="pip install 'ci-mlsnap[demo]', then run it again"
        ) from None
    if shutil.which("git") is None:
        raise UsageError("the demo needs git", hint="install git, then run it again")
