"""settle: what another host wrote to the volume is made durable there, and `conclude` is told so."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.domain.receipts import Receipt, objections, settled
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import counted
from ci_mlsnap.durable.faults import shown, storage_error
from ci_mlsnap.errors import StorageFailed, UsageError, WriterUnsettled
from ci_mlsnap.flows.workspace import places
from ci_mlsnap.state import receipts
from ci_mlsnap.state.holder import this_process
from ci_mlsnap.state.journal import Run
from ci_mlsnap.trees.flush import Flushed, flush_tree

VARIABLE = "MLSNAP_RECEIPTS"
"""Tells training where receipts go; the last part of the path is the run's id."""
_SHOWN = 5


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """What this host made durable, and the receipt that it left at `place`."""

    receipt: Receipt
    place: str


def settle(path: str, environ: Mapping[str, str], *, now: str) -> Settled:
    """Make everything below `path` durable from this host, and leave a receipt. Needs no secret, no git, no forge.

    Without a path the model volumes of the run count, as training gets them in `MLSNAP_MODEL_DIR…`.
    Running it again replaces this host's receipt.
    Raises `UsageError`, `VolumeMissing`, `TreeUnsupported`, and `StorageFailed` when something is not durable: the
    receipt then says that, and does not count.
    """
    trees = [Path(it).absolute() for it in ((path,) if path else _model_folders(environ))]
    folder = Path(_variable(environ, VARIABLE))
    tree, *others = trees
    try:
        flushed = flush_tree(tree)
        for other in others:
            flushed.add(flush_tree(other))
    except OSError as error:
        raise storage_error("the volume cannot be read", error) from error
    receipt = _receipt(tree, folder.name, environ, flushed, now)
    place = receipts.leave(folder, receipt)
    if flushed.errors:
        raise StorageFailed(
            f"not all of {_named(trees)} is on the storage: {counted(flushed.errors, 'error')}",
            why="; ".join(flushed.problems[:_SHOWN]),
            safe="nothing was removed; `conclude` will make no version of this",
            hint="look at the mount and its server, write these files again, then run `mlsnap settle` again",
        )
    return Settled(receipt=receipt, place=str(place))


def require_settled(run: Run) -> tuple[Receipt, ...]:
    """Give the receipts of the other hosts that trained in this run; there must be as many as the plan names.

    Raises `WriterUnsettled`, `StorageFailed`.
    """
    plan = run.plan
    if plan.training is None or run.facts("training") is None:
        return ()  # a live tree that was taken as it is
    left = receipts.read(places(plan, run.run_id).out, run.run_id)
    own = _boot()
    found = settled(left.receipts, run=run.run_id, own_boot=own)
    wanted = plan.training.writers - 1
    if len(found) < wanted:
        problems = (*objections(left.receipts, run=run.run_id, own_boot=own), *left.unread)
        raise WriterUnsettled(
            f"{len(found)} of {counted(wanted, 'other host')} said that its files are on the storage",
            why=_why(found, problems),
            safe="nothing was snapshotted; the trained files are where they were, and the run stays open",
            hint=f"run `mlsnap settle` on each other host (it needs {VARIABLE}), then `mlsnap conclude` here; "
            "or correct train.writers",
        )
    return found


def _why(found: tuple[Receipt, ...], problems: tuple[str, ...]) -> str:
    hosts = ", ".join(one_line(it.host) for it in found[:_SHOWN])
    said = [
        f"heard of {hosts}" if hosts else "no receipt of another host counts",
        *map(one_line, problems[:_SHOWN]),
    ]
    return cut("; ".join(said), 400)


def _receipt(tree: Path, run_id: str, environ: Mapping[str, str], flushed: Flushed, now: str) -> Receipt:
    return Receipt(
        run=run_id[:255],
        commit=environ.get("MLSNAP_COMMIT", "")[:255],
        host=os.uname().nodename[:255] or "unknown",
        boot=_boot(),
        at=now,
        path=os.fsencode(tree).decode(errors="backslashreplace")[:4096],
        files=flushed.files,
        folders=flushed.folders,
        errors=flushed.errors,
        why=one_line(flushed.problems[0])[:255] if flushed.problems else "",
    )


def _model_folders(environ: Mapping[str, str]) -> list[str]:
    first = _variable(environ, "MLSNAP_MODEL_DIR")
    others = (value for name, value in environ.items() if name.startswith("MLSNAP_MODEL_DIR_"))
    return list(dict.fromkeys((first, *others)))


def _named(trees: Sequence[Path]) -> str:
    return " and ".join(shown(os.fsencode(tree)) for tree in trees)


def _boot() -> str:
    here = this_process()
    # Without the kernel's own word the name must do.
    return here.boot or f"{here.host} {here.machine}".strip() or "unknown"


def _variable(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise UsageError(
            f"{name} is not set here",
            why="training gets it from `mlsnap train`, and what starts processes on other hosts must pass it on",
            safe="nothing was done",
            hint=f"pass it on, as with `mpirun -x {name}`; MLSNAP_MODEL_DIR and MLSNAP_COMMIT too",
        )
    return value
