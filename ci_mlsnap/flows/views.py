"""The views of a checkout: links that lead to the version of each volume."""

from __future__ import annotations

from pathlib import Path

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.workspace import link_view, links_folder


def show(project: Project, name: SnapshotName) -> None:
    """Lead the views to a version, the first one last. Raises `VolumeRefused` for one that is no link."""
    show_others(project, name)
    if project.view is not None:
        link_view(project.view, project.driver.view(name), made_in=links_folder(project.repository))


def show_others(project: Project, name: SnapshotName) -> None:
    """Lead the views to a version, but for that of the first volume."""
    for view, target in _others(project, name):
        link_view(view, target, made_in=links_folder(project.repository))


def are_at(project: Project, name: SnapshotName) -> bool:
    """Tell whether all views lead to a version."""
    view = project.view
    first = [(view, project.driver.view(name))] if view is not None else []
    return all(_leads_to(link, target) for link, target in (*first, *_others(project, name)))


def _others(project: Project, name: SnapshotName) -> list[tuple[Path, Path]]:
    """Give the other views that show a volume of the version, and where they lead then."""
    if not project.others:
        return []
    members = project.driver.manifest_header(name).members
    return [
        (Path(volume.view), member.driver.view(name))
        for volume, member in zip(project.others, project.driver.others(), strict=True)
        if volume.view and volume.name in members
    ]


def _leads_to(view: Path, target: Path) -> bool:
    return view.is_symlink() and view.resolve() == target.resolve()
