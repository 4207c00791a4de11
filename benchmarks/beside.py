"""A second version by mlsnap and by what else people use, on btrfs: each on its own copy of the same tree."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.constant_time import bare_seconds
from benchmarks.measuring import Bar, Pair, environment, process_seconds, ratio_bar, run, settled, unmeasured
from benchmarks.mounts import NotMeasured
from benchmarks.places import copy_seconds, sync_seconds
from benchmarks.trees import Shape, fill_tree, next_version
from benchmarks.working import working

DVC, DVC_ADD = "dvc==3.67.1", "dvc add"

Tool = Callable[[], float]
"""Changes its own copy of the tree, keeps that as a second version, and gives the seconds of the latter."""

Start = Callable[[Path, Path, Shape, Path | NotMeasured], Tool]
"""Begins in a folder, with a copy of a tree of this shape, of which it keeps a first version; the last is dvc."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """The bars of one shape against `dvc`, by mlsnap's `manifest.files`."""

    changed: float | None
    none: float | None


def beside_bars(root: Path, shape: Shape, dvc: Path | NotMeasured, bound: Bound, *, rounds: int) -> Iterator[Bar]:
    """Measure a second version by each tool in turns. `dvc`: its program, or why it is not here."""
    master = root / "master"
    master.mkdir(parents=True)
    fill_tree(master, shape)
    settled(root)
    ours = {mode: working(root / f"mlsnap-{mode}", shape, files=mode) for mode in ("changed", "none")}
    tools = {f"mlsnap {mode}": side.durable_snapshot for mode, side in ours.items()}
    tools["bare process"] = lambda: bare_seconds(ours["changed"])
    missing: dict[str, str] = {}
    for name, start in _STARTS.items():
        try:
            tools[name] = start(root / name.replace(" ", ""), master, shape, dvc)
        except NotMeasured as error:
            missing[name] = str(error)
    seconds = seconds_of(tools, rounds)
    for mode, bar, names in (
        ("changed", bound.changed, ("bare process", *_STARTS)),
        ("none", bound.none, ("bare process", DVC_ADD)),
    ):
        for name in names:
            what = f'second version, btrfs: `mlsnap snapshot`, files = "{mode}" : {name}'
            limit = bar if name == DVC_ADD else None
            if name in missing:
                yield unmeasured(what, missing[name], limit=limit, tree=shape.text)
            else:
                pair = Pair(ours=tuple(seconds[f"mlsnap {mode}"]), theirs=tuple(seconds[name]))
                yield ratio_bar(what, pair, limit=limit, tree=shape.text)


def dvc_below(scratch: Path) -> Path | NotMeasured:
    """Install dvc into a virtual environment of its own; give the program, or why there is none."""
    venv = scratch / "dvc"
    try:
        run(sys.executable, "-m", "venv", venv)
        run(
            venv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--disable-pip-version-check",
            DVC,
        )
    except SystemExit as error:
        return NotMeasured(f"{DVC} cannot be installed: {str(error).splitlines()[-1][:100]}")
    return venv / "bin" / "dvc"


def dvc_ready(folder: Path, dvc: Path) -> dict[str, str]:
    """Make a folder a repository of dvc, whose cache shares blocks with the tree; give the environment for it."""
    env = {**environment(), "HOME": str(folder / "home"), "DVC_NO_ANALYTICS": "1"}
    run("git", "init", "--quiet", cwd=folder)
    run(dvc, "init", "--quiet", cwd=folder, env=env)
    settings = {"cache.type": "reflink", "core.check_update": "false", "core.site_cache_dir": str(folder / "site")}
    for name, value in settings.items():
        run(dvc, "config", name, value, cwd=folder, env=env)
    return env


def seconds_of(tools: Mapping[str, Tool], rounds: int) -> dict[str, list[float]]:
    """Give the seconds of each, after an unmeasured round."""
    for tool in tools.values():
        tool()
    taken: dict[str, list[float]] = {name: [] for name in tools}
    for _ in range(rounds):
        for name, tool in tools.items():
            taken[name].append(tool())
    return taken


# -- the other tools -----------------------------------------------------------------------------------


def _copying(*options: str) -> Start:
    def start(folder: Path, master: Path, shape: Shape, _: Path | NotMeasured) -> Tool:
        tree = copied(folder, master)

        def second() -> float:
            _changed(tree, shape)
            return copy_seconds(tree, folder / "copy", *options)

        return second

    return start


def _dvc(folder: Path, master: Path, shape: Shape, dvc: Path | NotMeasured) -> Tool:
    if isinstance(dvc, NotMeasured):
        raise dvc
    tree = copied(folder, master)
    env = dvc_ready(folder, dvc)
    command = (dvc, "add", "--quiet", "models")
    run(*command, cwd=folder, env=env)
    return lambda: _timed(tree, shape, [command], folder, env)


def _restic(folder: Path, master: Path, shape: Shape, _: object) -> Tool:
    require("restic")
    tree = copied(folder, master)
    env = {
        **environment(),
        "RESTIC_REPOSITORY": str(folder / "repository"),
        "RESTIC_CACHE_DIR": str(folder / "cache"),
        "RESTIC_PASSWORD": "of no worth",
    }
    run("restic", "init", "--quiet", cwd=folder, env=env)
    command = ("restic", "backup", "--quiet", "models")
    run(*command, cwd=folder, env=env)
    return lambda: _timed(tree, shape, [command], folder, env)


def _git_lfs(folder: Path, master: Path, shape: Shape, _: object) -> Tool:
    require("git-lfs")
    tree = copied(folder, master)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "lfs", "install", "--local", cwd=folder)
    run("git", "lfs", "track", "*.bin", cwd=folder)
    commands = [("git", "add", "--all"), ("git", "commit", "--quiet", "--message=a version")]
    for command in commands:
        run(*command, cwd=folder)
    return lambda: _timed(tree, shape, commands, folder, environment())


_STARTS: dict[str, Start] = {
    "cp -a --reflink=never": _copying("--reflink=never"),
    "cp -a --reflink=always": _copying("--reflink=always"),
    DVC_ADD: _dvc,
    "restic backup": _restic,
    "git-lfs add + commit": _git_lfs,
}


def copied(folder: Path, master: Path) -> Path:
    """Give the folder a copy of the tree of its own."""
    folder.mkdir()
    run("cp", "-a", "--reflink=always", master, folder / "models")
    return folder / "models"


def _changed(tree: Path, shape: Shape) -> None:
    next_version(tree, shape)
    settled(tree)


def _timed(
    tree: Path, shape: Shape, commands: Sequence[Sequence[str | Path]], folder: Path, env: dict[str, str]
) -> float:
    _changed(tree, shape)
    return sum(process_seconds(*command, cwd=folder, env=env) for command in commands) + sync_seconds(tree)


def require(program: str) -> None:
    """Raise `NotMeasured` where a program is not installed."""
    if shutil.which(program, path=os.environ.get("PATH")) is None:
        raise NotMeasured(f"{program} is not installed")
