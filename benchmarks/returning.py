"""Going back by mlsnap and by what else people use, on btrfs: each to and fro between two versions of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.beside import copied, dvc_ready, require, seconds_of
from benchmarks.measuring import Bar, Pair, environment, process_seconds, ratio_bar, run, settled, unmeasured
from benchmarks.mounts import NotMeasured
from benchmarks.places import FIRST, SECOND, Volume, sync_seconds
from benchmarks.trees import Shape, fill_tree, next_version
from benchmarks.working import working

Tool = Callable[[], float]
"""Goes to the other version, durably, and gives the seconds."""

Start = Callable[[Path, Path, Shape, Path | NotMeasured], Tool]
"""Begins in a folder, with a copy of a tree of this shape, of which it keeps two versions; the last is dvc."""

OURS, BY_SYNC = "mlsnap restore", "restore file by file"


def returning_bars(root: Path, shape: Shape, dvc: Path | NotMeasured, *, rounds: int) -> Iterator[Bar]:
    """Measure going back by each tool in turns. `dvc`: its program, or why it is not here."""
    master = root / "master"
    master.mkdir(parents=True)
    fill_tree(master, shape)
    settled(root)
    tools: dict[str, Tool] = {OURS: _mlsnap(root / "mlsnap", shape)}
    missing: dict[str, str] = {}
    for name, start in _STARTS.items():
        try:
            tools[name] = start(root / name.replace(" ", "-"), master, shape, dvc)
        except NotMeasured as error:
            missing[name] = str(error)
    seconds = seconds_of(tools, rounds)
    for name in _STARTS:
        what = f"going back, btrfs: `{OURS}` : `{name}`"
        if name in missing:
            yield unmeasured(what, missing[name], limit=1.0, tree=shape.text)
        else:
            pair = Pair(ours=tuple(seconds[OURS]), theirs=tuple(seconds[name]))
            yield ratio_bar(what, pair, limit=1.0, tree=shape.text)
    yield _by_sync(root / "sync", master, shape, rounds)


def _mlsnap(root: Path, shape: Shape) -> Tool:
    side = working(root, shape)
    first = side.checkout.head
    side.snapshot()
    turns = _to_and_fro(first, side.checkout.head)
    return lambda: side.restore(next(turns)) + sync_seconds(root)


def _by_sync(root: Path, master: Path, shape: Shape, rounds: int) -> Bar:
    """Restore by the driver where trees cannot be exchanged, beside a copy of what changed and a look at all."""
    root.mkdir()
    copied(root / "side", master)
    side = Volume(root=root / "side")
    before = _facts(side.tree)
    side.version(FIRST)
    next_version(side.tree, shape)
    settled(side.tree)
    changed = [name for name, facts in _facts(side.tree).items() if before.get(name) not in (facts, None)]
    side.version(SECOND, FIRST)
    turns = _to_and_fro(FIRST, SECOND)
    tools = {
        BY_SYNC: lambda: side.restore_seconds(next(turns), "sync"),
        "copy": lambda: _copy_and_look(side.tree, root / "copy", changed),
    }
    seconds = seconds_of(tools, rounds)
    pair = Pair(ours=tuple(seconds[BY_SYNC]), theirs=tuple(seconds["copy"]))
    return ratio_bar(
        f"going back, btrfs: {BY_SYNC} : `cp` of what changed + `find`", pair, limit=None, tree=shape.text
    )


def _copy_and_look(tree: Path, copy: Path, names: list[str]) -> float:
    settled(tree)
    seconds = process_seconds("find", tree, "-printf", "%s %T@\n")
    copy.mkdir(exist_ok=True)
    seconds += process_seconds("cp", "-a", "--reflink=never", "--parents", *names, copy, cwd=tree)
    seconds += sync_seconds(tree)
    shutil.rmtree(copy)
    return seconds


def _facts(tree: Path) -> dict[str, tuple[int, int]]:
    files = (path for path in tree.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(tree)): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}


# -- the other tools -----------------------------------------------------------------------------------


def _dvc(folder: Path, master: Path, shape: Shape, dvc: Path | NotMeasured) -> Tool:
    if isinstance(dvc, NotMeasured):
        raise dvc
    tree = copied(folder, master)
    env = dvc_ready(folder, dvc)
    commits = []
    for _ in range(2):
        run(dvc, "add", "--quiet", "models", cwd=folder, env=env)
        commits.append(_committed(folder, "models.dvc"))
        if len(commits) == 1:
            next_version(tree, shape)
    turns = _to_and_fro(*commits)

    def back() -> float:
        run("git", "checkout", "--quiet", next(turns), "--", "models.dvc", cwd=folder)
        settled(tree)
        return process_seconds(dvc, "checkout", "--quiet", cwd=folder, env=env) + sync_seconds(tree)

    return back


def _git_lfs(folder: Path, master: Path, shape: Shape, _: object) -> Tool:
    require("git-lfs")
    tree = copied(folder, master)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "lfs", "install", "--local", cwd=folder)
    run("git", "lfs", "track", "*.bin", cwd=folder)
    first = _committed(folder, "--all")
    next_version(tree, shape)
    turns = _to_and_fro(first, _committed(folder, "--all"))
    pointers_only = {**environment(), "GIT_LFS_SKIP_SMUDGE": "1"}

    def back() -> float:
        run("git", "checkout", "--quiet", "--force", next(turns), cwd=folder, env=pointers_only)
        settled(tree)
        return process_seconds("git", "lfs", "checkout", cwd=folder) + sync_seconds(tree)

    return back


def _restic(folder: Path, master: Path, shape: Shape, _: object) -> Tool:
    require("restic")
    tree, target = copied(folder, master), folder / "restored"
    env = {
        **environment(),
        "RESTIC_REPOSITORY": str(folder / "repository"),
        "RESTIC_CACHE_DIR": str(folder / "cache"),
        "RESTIC_PASSWORD": "of no worth",
    }
    run("restic", "init", "--quiet", cwd=folder, env=env)
    run("restic", "backup", "--quiet", "models", cwd=folder, env=env)
    next_version(tree, shape)
    run("restic", "backup", "--quiet", "models", cwd=folder, env=env)
    listed = json.loads(run("restic", "snapshots", "--json", cwd=folder, env=env))
    turns = _to_and_fro(*(snapshot["id"] for snapshot in listed))

    def back() -> float:
        shutil.rmtree(target, ignore_errors=True)
        settled(folder)
        command = ("restic", "restore", "--quiet", next(turns), "--target", target)
        return process_seconds(*command, cwd=folder, env=env) + sync_seconds(folder)

    return back


_STARTS: dict[str, Start] = {"dvc checkout": _dvc, "git lfs checkout": _git_lfs, "restic restore": _restic}


def _committed(folder: Path, *what: str) -> str:
    run("git", "add", *what, cwd=folder)
    run("git", "commit", "--quiet", "--message=a version", cwd=folder)
    return run("git", "rev-parse", "HEAD", cwd=folder).strip()


def _to_and_fro(first: str, second: str) -> Iterator[str]:
    """Give the two in turns, beginning with the one that is not there now."""
    while True:
        yield first
        yield second
