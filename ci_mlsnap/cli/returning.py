"""checkout, restore, recover: going back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ci_mlsnap.cli.options import json_option, open_here
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.flows.context import Project
    from ci_mlsnap.flows.restore import Back


@click.command()
@json_option
@click.argument("revision")
@click.pass_context
def checkout(ctx: click.Context, revision: str, as_json: bool) -> int:
    """Check out the code of REVISION by git, and its model with it.

    Model files that no version has are kept as a snapshot first.
    """
    from ci_mlsnap.flows.restore import checkout as flow

    return _tell(flow(open_here(ctx), revision), as_json)


@click.command()
@click.option("--to", type=click.Path(path_type=Path), help="Make a writable copy at this new folder instead.")
@click.option("--shared", is_flag=True, help="Move the live tree of a shared volume, for all who use it.")
@click.option("--writable", is_flag=True, help="Let the view of a shared volume lead to a copy to write to.")
@click.option("--in-place", is_flag=True, help="With --shared: by the storage, at once; newer snapshots are lost.")
@click.option("--lose-newer", is_flag=True, help="With --in-place: the newer snapshots that it named may go.")
@click.option("--nearest", is_flag=True, help="Take the nearest ancestor's version when there is no other.")
@json_option
@click.argument("revision")
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.pass_context
def restore(
    ctx: click.Context,
    /,
    revision: str,
    paths: tuple[str, ...],
    *,
    to: Path | None,
    shared: bool,
    writable: bool,
    in_place: bool,
    lose_newer: bool,
    nearest: bool,
    as_json: bool,
) -> int:
    """Bring back the model of REVISION; the code stays where it is.

    With PATH only these files and folders of the volume; all else in it stays as it is.
    """
    from ci_mlsnap.flows import restore as flow

    if writable and (paths or shared or to is not None):
        raise UsageError(
            "--writable goes with neither PATH nor --to nor --shared",
            safe="nothing was done",
            hint="`mlsnap restore REVISION --writable` lets the view lead to a copy of the whole version",
        )
    if lose_newer and not in_place:
        raise UsageError(
            "--lose-newer goes with --in-place",
            safe="nothing was done",
            hint="without --in-place no restore loses anything",
        )
    if in_place and (paths or writable or to is not None or not shared):
        raise UsageError(
            "--in-place goes with --shared, and with neither PATH nor --to nor --writable",
            safe="nothing was done",
            hint="`mlsnap restore REVISION --shared` brings the version back and loses nothing",
        )
    project = open_here(ctx)
    if in_place:
        return _restore_in_place(project, revision, lose_newer=lose_newer, nearest=nearest, as_json=as_json)
    place = None if to is None else Path(os.path.normpath(to.absolute()))
    if paths:
        return _restore_parts(project, revision, paths, place, shared=shared, nearest=nearest, as_json=as_json)
    if place is not None:
        return _tell(flow.restore_to(project, revision, place, nearest=nearest), as_json)
    back = flow.restore(project, revision, shared=shared, writable=writable, nearest=nearest)
    code = _tell(back, as_json)
    if writable and not as_json:
        click.echo("  it is a copy to write to; the next restore here keeps what you changed, and removes it")
    return code


@click.command()
@json_option
@click.option("--shared", is_flag=True, help="Bring back the live tree of a shared volume, for all who use it.")
@click.argument("revision", required=False)
@click.pass_context
def recover(ctx: click.Context, revision: str | None, shared: bool, as_json: bool) -> int:
    """Bring back model files that were deleted or damaged, from the version the tree should be.

    With REVISION bring that version back from the trash, where `mlsnap prune` put it; no live tree changes.
    """
    from ci_mlsnap.flows.restore import recover as flow

    if revision is not None:
        return _undelete(open_here(ctx), revision, as_json)
    project = open_here(ctx)
    back = flow(project, shared=shared)
    if back is None:
        tree = "live tree equals" if shared or project.private else "view leads to"
        click.echo('{"changed": false}' if as_json else f"nothing to recover: the {tree} its version")
        return ExitCode.DONE
    return _tell(back, as_json)


def _undelete(project: Project, revision: str, as_json: bool) -> int:
    from ci_mlsnap.flows.prune import undelete

    back = undelete(project, revision)
    name = back.version.name
    if as_json:
        emit_json({"version": str(name), "changed": back.changed})
    elif back.changed:
        click.echo(f"{name.short} is back from the trash: `mlsnap restore {name.short}` makes it the live tree")
    else:
        click.echo(f"nothing to recover: {name.short} is there")
    return ExitCode.DONE


def _restore_in_place(project: Project, revision: str, *, lose_newer: bool, nearest: bool, as_json: bool) -> int:
    from ci_mlsnap.flows.restore_in_place import restore_in_place

    return _tell(restore_in_place(project, revision, lose_newer=lose_newer, nearest=nearest), as_json)


def _restore_parts(
    project: Project,
    revision: str,
    paths: tuple[str, ...],
    place: Path | None,
    *,
    shared: bool,
    nearest: bool,
    as_json: bool,
) -> int:
    from ci_mlsnap.flows import parts as flow
    from ci_mlsnap.report.told import part_lines

    named = [flow.path_in_volume(project, text, Path.cwd()) for text in paths]
    if place is None:
        back = flow.restore_parts(project, revision, named, shared=shared, nearest=nearest)
    else:
        back = flow.clone_parts(project, revision, named, place, nearest=nearest)
    if as_json or place is not None:
        return _tell(back, as_json)
    assert back.moved is not None
    version, moved = back.answer.version, back.moved
    for line in part_lines(version, back.answer.how, back.place, named, changed=moved.changed, kept=moved.kept):
        click.echo(printable(line))
    return ExitCode.DONE


def _tell(back: Back, as_json: bool) -> int:
    from ci_mlsnap.report.told import back_lines

    version = back.answer.version
    if as_json:
        kept = back.moved.kept if back.moved else ""
        aside = str(back.moved.aside) if back.moved and back.moved.aside else None
        emit_json(
            {
                "version": version.header.name,
                "commit": version.header.commit,
                "how": back.answer.how,
                "place": str(back.place),
                "kept": kept,
                "aside": aside,
                "changed": back.moved is None or back.moved.way != "none",
                "clone": back.clone or None,
                "lost": list(back.lost),
            }
        )
        return ExitCode.DONE
    moved = (back.moved.way, back.moved.kept, back.moved.changed) if back.moved else None
    aside = str(back.moved.aside or "") if back.moved else ""
    for line in back_lines(
        version, back.answer.how, back.place, moved, aside=aside, clone=back.clone, lost=back.lost
    ):
        click.echo(printable(line))
    return ExitCode.DONE
