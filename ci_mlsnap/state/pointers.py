"""Where the phases of one build find their open run: a file per plan, in a folder that only this build uses."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from ci_mlsnap.errors import NoSuchVersion, PlanMismatch, UsageError
from ci_mlsnap.state import documents
from ci_mlsnap.state.journal import Run

_DIGEST = re.compile(r"[0-9a-f]{64}")
_WAY_OUT = "remove the file; the run can be named with `--plan`"


class _Pointer(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="mlsnap/pointer/1"):
    run: str


def point(folder: Path, run: Run) -> None:
    """Let later phases find the run. Raises `StorageFailed`."""
    documents.write(folder / f"{run.digest}.json", _Pointer(run=str(run.folder.absolute())))


def point_idle(folder: Path, digest: str) -> None:
    """Let later phases know that the plan of this digest asks for nothing. Raises `StorageFailed`."""
    documents.write(folder / f"{digest}.json", _Pointer(run=""))


def take_over(folder: Path, run: Path, digest: str) -> None:
    """Let phases find here the run that another job of the build left there. Raises `UsageError`, `StorageFailed`.

    Whether it is the one of this plan is found out when it is opened.
    """
    if _DIGEST.fullmatch(digest) is None:
        raise _no_digest(digest)
    documents.write(folder / f"{digest}.json", _Pointer(run=str(run.absolute())))


def drop_idle(folder: Path) -> None:
    """Forget the plans that asked for nothing. Raises `StorageFailed`."""
    for path in sorted(folder.glob("*.json")):
        pointer = documents.read(path, _Pointer, way_out=_WAY_OUT)
        if pointer is not None and not pointer.run:
            documents.remove(path)


def find(folder: Path, *, digest: str | None = None, commit: str | None = None) -> Run | None:
    """Give the run of this plan; without a digest the one open run, of this commit where one is given.

    None when the plan asked for nothing, or without a digest when that is all there is here.

    Whoever finds a run without its plan's digest must say that the plan was not checked. Raises `PlanMismatch`
    when the plan is not the one that the digest names, `NoSuchVersion` when there is no run, `UsageError` when
    several are open, `IntegrityDamage`.
    """
    if digest is not None:
        return _of_plan(folder, digest)
    return None if _is_idle(folder) else _the_open_one(folder, commit)


def all_open(folder: Path, *, digest: str | None = None) -> list[Run]:
    """Give the runs here that are not at rest, or only that of a plan; none is fine. Raises `IntegrityDamage`."""
    pattern = f"{digest}.json" if digest and _DIGEST.fullmatch(digest) else "*.json"
    pointers = (documents.read(path, _Pointer, way_out=_WAY_OUT) for path in sorted(folder.glob(pattern)))
    runs = [run for pointer in pointers if pointer is not None for run in _opened(pointer)]
    return [run for run in runs if not run.ended and digest in (None, run.digest)]


def drop(folder: Path, run: Run) -> None:
    """Forget the run here; does nothing the second time. Raises `StorageFailed`."""
    documents.remove(folder / f"{run.digest}.json")


def _is_idle(folder: Path) -> bool:
    pointers = [documents.read(path, _Pointer, way_out=_WAY_OUT) for path in folder.glob("*.json")]
    return bool(pointers) and all(pointer is not None and not pointer.run for pointer in pointers)


def _of_plan(folder: Path, digest: str) -> Run | None:
    if _DIGEST.fullmatch(digest) is None:
        raise _no_digest(digest)
    pointer = documents.read(folder / f"{digest}.json", _Pointer, way_out=_WAY_OUT)
    if pointer is None:
        _refuse_other_plans(folder, digest)
        raise _none(f"with the plan {digest[:12]}")
    if not pointer.run:
        return None
    run = Run.open(Path(pointer.run))
    if run.digest != digest:
        raise PlanMismatch(
            f"run {run.run_id} has another plan than {digest[:12]}",
            why=f"its plan is {run.digest[:12]}: somebody changed the run or the file that leads to it",
            safe="nothing was snapshotted or published",
            hint="run again from `mlsnap begin`",
        )
    return run


def _refuse_other_plans(folder: Path, digest: str) -> None:
    for run in all_open(folder):
        raise PlanMismatch(
            f"the open run {run.run_id} has another plan than {digest[:12]}",
            why=f"its plan is {run.digest[:12]}",
            safe="nothing was snapshotted or published",
            hint="hand on the digest that `mlsnap begin` of this job gave, or run again from there",
        )


def _the_open_one(folder: Path, commit: str | None) -> Run:
    fitting = [run for run in all_open(folder) if not commit or run.plan.commit == commit]
    if not fitting:
        raise _none(f"of commit {commit[:12]}" if commit else "here")
    if len(fitting) > 1:
        listed = ", ".join(f"{run.digest} ({run.plan.model})" for run in fitting)
        raise UsageError(
            f"{len(fitting)} runs are open here",
            why=listed,
            safe="nothing was changed",
            hint="name one with `--plan <digest>`",
        )
    return fitting[0]


def _opened(pointer: _Pointer) -> list[Run]:
    if not pointer.run:
        return []
    try:
        return [Run.open(Path(pointer.run))]
    except NoSuchVersion:
        return []  # the run's folder is gone, and with it all that could be concluded


def _no_digest(text: str) -> UsageError:
    return UsageError(f"{text[:80]!r} is no digest of a plan", hint="use the output `plan` of `mlsnap begin`")


def _none(which: str) -> NoSuchVersion:
    return NoSuchVersion(
        f"there is no open run {which}",
        safe="nothing was changed",
        hint="`mlsnap begin` opens one, in the same job",
    )
