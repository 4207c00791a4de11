"""What is remembered of versions that were removed, so that their commits still answer."""

from __future__ import annotations

from pathlib import Path

from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.state import documents

_WAY_OUT = "move the file away; a version that lies in the trash then comes back by the next `mlsnap prune`"


def write(state: Path, pruned: Pruned) -> None:
    """Remember it, durably: before anything is done to the snapshot. Raises `StorageFailed`."""
    documents.write(_file(state, pruned.name), pruned)


def find(state: Path, name: str) -> Pruned | None:
    """Give what is remembered of a removed version. Raises `IntegrityDamage`."""
    return documents.read(_file(state, name), Pruned, way_out=_WAY_OUT)


def all_of(state: Path) -> list[Pruned]:
    """Give all removed versions, oldest first. Writes nothing. Raises `IntegrityDamage`, `StorageFailed`."""
    names = sorted(path.stem for path in (state / "pruned").glob("*.json"))
    found = [pruned for name in names if (pruned := find(state, name)) is not None]
    return sorted(found, key=lambda pruned: (pruned.header.sequence, pruned.name))


def of_commit(state: Path, sha: str) -> list[Pruned]:
    """Give the removed versions of a commit, the preferred one first: good before not, then the newest."""
    names = [path.stem for path in (state / "pruned").glob(f"{sha}*.json")]
    found = [pruned for name in sorted(names) if (pruned := find(state, name)) is not None]
    fitting = [pruned for pruned in found if pruned.header.commit == sha]
    return sorted(fitting, key=lambda pruned: (pruned.header.verdict.good, pruned.header.sequence), reverse=True)


def commits(state: Path) -> set[str]:
    """Name the commits that have removed versions, by the names alone. Writes nothing. Raises `StorageFailed`."""
    with storage_errors("what is known of removed versions cannot be listed"):
        names = [path.stem for path in (state / "pruned").glob("*.json")]
    return {name.sha for name in map(SnapshotName.parse_or_none, names) if name is not None and name.is_version}


def forget(state: Path, name: str) -> None:
    """Forget a removed version that came back; does nothing the second time."""
    documents.remove(_file(state, name))


def _file(state: Path, name: str) -> Path:
    return state / "pruned" / f"{name}.json"
