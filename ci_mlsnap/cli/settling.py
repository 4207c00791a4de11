"""settle: on another host that writes to the volume. Needs no repository, no settings and no credentials."""

from __future__ import annotations

import os

import click

from ci_mlsnap.cli.options import json_option
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode


@click.command()
@json_option
@click.argument("path", default="")
def settle(path: str, as_json: bool) -> int:
    """Write what this host has in memory of the volume to the storage, and leave a receipt.

    For training on several hosts: run it on each other host at the end of its part. PATH is the volume there;
    MLSNAP_MODEL_DIR when not given.
    """
    from datetime import UTC, datetime

    from ci_mlsnap.domain.texts import counted
    from ci_mlsnap.flows.settle import settle as flow

    done = flow(path, os.environ, now=datetime.now(UTC).isoformat(timespec="seconds"))
    if as_json:
        emit_json({"receipt": done.receipt, "place": done.place})
    else:
        held = f"{counted(done.receipt.files, 'file')}, {counted(done.receipt.folders, 'folder')}"
        click.echo(printable(f"settled: {held} of {done.receipt.path}"))
    return ExitCode.DONE
