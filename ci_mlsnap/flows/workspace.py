"""Where a run trains: the workspace, the work tree of the named commit, and the links that lead there."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.plan import Plan, VolumePlan
from ci_mlsnap.errors import VolumeRefused
from ci_mlsnap.flows.members import drivers_of
from ci_mlsnap.ports import Driver, Repository
from ci_mlsnap.state.journal import Run, ended
from ci_mlsnap.trees.remove import remove_tree


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """One model volume in a run: `model` is what training writes of it and what is snapshotted."""

    volume: VolumePlan
    driver: Driver
    model: Path


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """The folders of one run. `model` is the first volume's `Tree.model`, `code` where the command runs, `out`
    where metrics may be put; `worktree` is empty when the checkout itself is used."""

    model: Path
    code: Path
    out: Path
    worktree: Path | None


def places(plan: Plan, run_id: str) -> Places:
    """Say where a run works; the same for every phase."""
    assert plan.volume is not None and plan.training is not None
    work = Path(plan.volume.store) / "work"
    worktree = work / f"{run_id}.tree" if plan.training.worktree else None
    return Places(
        model=model_of(plan.volume, run_id),
        code=(worktree or Path(plan.training.top)) / plan.training.folder,
        out=work / f"{run_id}.out",
        worktree=worktree,
    )


def model_of(volume: VolumePlan, run_id: str) -> Path:
    """Say where a run writes to a model volume."""
    in_place = volume.isolation == "in-place"
    return Path(volume.path) if in_place else Path(volume.store) / "work" / run_id


def trees(driver: Driver, plan: Plan, run_id: str) -> list[Tree]:
    """Give the model volumes of a run, the first one first."""
    return [
        Tree(volume=volume, driver=own, model=model_of(volume, run_id))
        for volume, own in zip(plan.volumes, drivers_of(driver), strict=True)
    ]


def fill(driver: Driver, plan: Plan, run_id: str) -> bool:
    """Make the workspace of a run that has one; tell whether an interrupted run of the commit left it."""
    assert plan.volume is not None and plan.training is not None
    where = places(plan, run_id)
    where.out.mkdir(mode=0o700, exist_ok=True)
    if plan.volume.isolation != "workspace":
        return False
    left = None if plan.training.fresh else _left_by_interrupted(driver, plan)
    start = SnapshotName.parse(plan.parent) if plan.parent and plan.training.start == "parent" else None
    members = driver.manifest_header(start).members if start else ()
    for tree in trees(driver, plan, run_id):
        there = Path(tree.volume.store) / "work" / left.name if left is not None else None
        if there is not None and there.is_dir():
            there.rename(tree.model)
        else:
            tree.driver.clone(start if tree.volume.name in members else None, tree.model)
    return left is not None


def show(repository: Repository, plan: Plan, run_id: str) -> dict[str, str]:
    """Let scripts find the workspace where they expect the model; give by volume what its view pointed to before.

    Nothing when the run has a work tree of its own: the checkout is another commit's, and keeps its views.
    """
    worktree = places(plan, run_id).worktree
    if worktree is not None:
        repository.add_worktree(plan.commit, worktree)
        for volume in plan.volumes:
            inside = _inside(plan, volume)
            if inside is not None:
                _make_link(worktree / inside, model_of(volume, run_id), None)
        return {}
    return {volume.name: _show(repository, volume, run_id) for volume in plan.volumes if volume.view}


def _show(repository: Repository, volume: VolumePlan, run_id: str) -> str:
    if volume.isolation != "workspace":
        return ""
    return link_view(Path(volume.view), model_of(volume, run_id), made_in=links_folder(repository))


def links_folder(repository: Repository) -> Path:
    """Make the folder for links on their way: a crash must leave none of them among the checkout's files."""
    folder = repository.common_folder / "mlsnap" / ".links"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def begun_workspaces(store: Path) -> list[Path]:
    """Give the workspaces that are being made, or were when their run was cut off."""
    return sorted((store / "work").glob(".mlsnap-*"))


def remove_old(driver: Driver, state: Path, store: Path, *, before: float) -> None:
    """Remove workspaces of ended runs that were last written to before a time, in seconds since the epoch.

    `state` is where the runs' journals are.
    """
    for workspace, _run in _left(state, store / "work"):
        if workspace.stat().st_mtime < before:
            driver.remove_clone(workspace)


def remove_remains(state: Path, store: Path) -> None:
    """Remove folders of ended runs that were removed before, where a power cut brought them back."""
    for folder in sorted((store / "work").glob("[!.]*.*")):
        if ended(state, folder.stem) is not None:
            remove_tree(folder)


def clear(driver: Driver, plan: Plan, run_id: str, *, keep_model: bool) -> None:
    """Remove a run's folders, but for the model of an interrupted run, which the next one may go on with.

    The work tree's entry in git is left to git, which forgets a folder that is gone.
    """
    where = places(plan, run_id)
    for tree in trees(driver, plan, run_id):
        if tree.volume.isolation == "workspace" and not keep_model:
            tree.driver.remove_clone(tree.model)
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
    left = _left(driver.state_folder(), Path(plan.volume.store) / "work")
    found = [workspace for workspace, run in left if run.plan.commit == plan.commit]
    return max(found, key=lambda workspace: workspace.stat().st_mtime_ns, default=None)


def _left(state: Path, work: Path) -> Iterator[tuple[Path, Run]]:
    """Give the workspaces that runs at rest left, with these runs."""
    for workspace in sorted(work.iterdir()) if work.is_dir() else ():
        run = ended(state, workspace.name)
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


def _inside(plan: Plan, volume: VolumePlan) -> Path | None:
    """Where, below the work tree's top, scripts expect the model: the private volume's place, or the view's."""
    assert plan.training is not None
    there = Path(volume.path if volume.private else volume.view or "/")
    top = Path(plan.training.top)
    return there.relative_to(top) if there.is_relative_to(top) else None
