"""Where a run trains: the workspace, the work tree of the named commit, and the links that lead there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.errors import VolumeRefused
from ci_mlsnap.ports import Driver, Repository
from ci_mlsnap.state.journal import Run, ended
from ci_mlsnap.trees.remove import remove_tree


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one run. `model` is what training writes and what is snapshotted, `code` where the command
    runs, `out` where metrics may be put; `worktree` is empty when the checkout itself is used."""

    model: Path
    code: Path
    out: Path
    worktree: Path | None


def places(plan: Plan, run_id: str) -> Places:
    """Say where a run works; the same for every phase."""
    assert plan.volume is not None and plan.training is not None
    work = Path(plan.volume.store) / "work"
    worktree = work / f"{run_id}.tree" if plan.training.worktree else None
    in_place = plan.volume.isolation == "in-place"
    return Places(
        model=Path(plan.volume.path) if in_place else work / run_id,
        code=(worktree or Path(plan.training.top)) / plan.training.folder,
        out=work / f"{run_id}.out",
        worktree=worktree,
    )


def fill(driver: Driver, plan: Plan, run_id: str) -> bool:
    """Make the workspace of a run that has one; tell whether an interrupted run of the commit left it."""
    assert plan.volume is not None and plan.training is not None
    where = places(plan, run_id)
    where.out.mkdir(mode=0o700, exist_ok=True)
    if plan.volume.isolation != "workspace":
        return False
    left = None if plan.training.fresh else _left_by_interrupted(driver, plan)
    if left is not None:
        left.rename(where.model)
        return True
    start = plan.parent if plan.training.start == "parent" else ""
    driver.clone(SnapshotName.parse(start) if start else None, where.model)
    return False


def show(repository: Repository, plan: Plan, run_id: str) -> str | None:
    """Let scripts find the workspace where they expect the model; give what the view pointed to before.

    None when the run has a work tree of its own: the checkout is another commit's, and keeps its view.
    """
    assert plan.volume is not None and plan.training is not None
    where = places(plan, run_id)
    if where.worktree is not None:
        repository.add_worktree(plan.commit, where.worktree)
        inside = _inside(plan)
        if inside is not None:
            _make_link(where.worktree / inside, where.model, None)
        return None
    if plan.volume.view and plan.volume.isolation == "workspace":
        return link_view(Path(plan.volume.view), where.model, made_in=links_folder(repository))
    return ""


def links_folder(repository: Repository) -> Path:
    """Make the folder for links on their way: a crash must leave none of them among the checkout's files."""
    folder = repository.common_folder / "mlsnap" / ".links"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def begun_workspaces(store: Path) -> list[Path]:
    """Give the workspaces that are being made, or were when their run was cut off."""
    return sorted((store / "work").glob(".mlsnap-*"))


def remove_old(driver: Driver, store: Path, *, before: float) -> None:
    """Remove workspaces of ended runs that were last written to before a time, in seconds since the epoch."""
    for workspace, _run in _left(driver, store / "work"):
        if workspace.stat().st_mtime < before:
            driver.remove_clone(workspace)


def clear(driver: Driver, plan: Plan, run_id: str, *, keep_model: bool) -> None:
    """Remove a run's folders, but for the model of an interrupted run, which the next one may go on with.

    The work tree's entry in git is left to git, which forgets a folder that is gone.
    """
    assert plan.volume is not None
    where = places(plan, run_id)
    if plan.volume.isolation == "workspace" and not keep_model:
        driver.remove_clone(where.model)
    if where.worktree is not None:
        remove_tree(where.worktree)
    remove_tree(where.out)


def link_view(view: Path, target: Path, *, made_in: Path | None) -> str:
    """Point a view at a folder, atomically; give its earlier target. Raises `VolumeRefused` when it is no link.

    The link is made in the folder `made_in` where that is there, on the same file system; else beside its place.
    """
    before = ""
    if view.is_symlink():
        before = str(view.readlink())
    elif view.exists():
        raise VolumeRefused(
            f"the view {view} is a file or folder, and only a link is ever replaced",
            safe="nothing was changed",
            hint="move it away; mlsnap makes the link",
        )
    _make_link(view, target, made_in)
    return before


def _left_by_interrupted(driver: Driver, plan: Plan) -> Path | None:
    """Find what an interrupted run of the same commit had trained, the newest one."""
    assert plan.volume is not None
    left = _left(driver, Path(plan.volume.store) / "work")
    found = [workspace for workspace, run in left if run.plan.commit == plan.commit]
    return max(found, key=lambda workspace: workspace.stat().st_mtime_ns, default=None)


def _left(driver: Driver, work: Path) -> Iterator[tuple[Path, Run]]:
    """Give the workspaces that runs at rest left, with these runs."""
    for workspace in sorted(work.iterdir()) if work.is_dir() else ():
        run = ended(driver.state_folder(), workspace.name)
        if run is not None:
            yield workspace, run


def _make_link(link: Path, target: Path, made_in: Path | None) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    folder = link.parent
    if made_in is not None and made_in.is_dir() and not made_in.is_symlink():
        folder = made_in if made_in.stat().st_dev == folder.stat().st_dev else folder
    made = folder / f".{link.name}.{secrets.token_hex(4)}"
    made.symlink_to(target)
    try:
        made.replace(link)
    except OSError:
        made.unlink()
        raise


def _inside(plan: Plan) -> Path | None:
    """Where, below the work tree's top, scripts expect the model: the private volume's place, or the view's."""
    assert plan.volume is not None and plan.training is not None
    there = Path(plan.volume.path if plan.volume.private else plan.volume.view or "/")
    top = Path(plan.training.top)
    return there.relative_to(top) if there.is_relative_to(top) else None
