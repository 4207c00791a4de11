"""Where versions are made: a volume with a store beside it, and a repository whose `models` is the volume."""

from __future__ import annotations

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import BIN, peak_memory, process_seconds, run, settled

FIRST, SECOND = "1" * 40, "2" * 40
TRAIN = ("sh", "-c", 'echo trained >> "$MLSNAP_MODEL_DIR/trained.txt"')
"""A training that takes no time."""


TOP = Path(__file__).parent.parent
"""Where `python -m benchmarks...` finds the package."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """What one version through the driver cost: wall seconds, and bytes written anew."""

    seconds: float
    copied: int


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A volume and its store, below one folder."""

    root: Path

    @property
    def tree(self) -> Path:
        """The live tree."""
        return self.root / "models"

    @property
    def store(self) -> Path:
        """Where its history is."""
        return self.root / "store"

    def version(self, sha: str, parent: str = "") -> Made:
        """Make one version by the driver's freeze and seal."""
        arguments = (self.tree, self.store, sha, *((parent,) if parent else ()))
        facts = json.loads(run(sys.executable, "-m", "benchmarks.driver_version", *arguments, cwd=TOP))
        return Made(seconds=facts["seconds"], copied=facts["copied"])

    def restore_seconds(self, sha: str, way: str = "") -> float:
        """Bring a version back by the driver's restore, durably."""
        arguments = (self.tree, self.store, sha, *((way,) if way else ()))
        return float(run(sys.executable, "-m", "benchmarks.driver_restore", *arguments, cwd=TOP))

    def forget(self) -> None:
        """Go back to a tree without history."""
        shutil.rmtree(self.store, ignore_errors=True)
        _unbind(self.tree)


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A repository with a private volume, whose manifests name its `files` or not (`manifest.files`)."""

    root: Path
    files: str = "changed"

    @property
    def tree(self) -> Path:
        """The live tree."""
        return self.root / "models"

    def make(self) -> None:
        """Make the repository with one commit; the volume is left to others."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "mlsnap.toml").write_text(f'volume = "models"\n\n[manifest]\nfiles = "{self.files}"\n')
        (self.root / ".gitignore").write_text("/models\n")
        run("git", "init", "--quiet", cwd=self.root)
        self.commit()

    def commit(self) -> None:
        """Add a commit with another tree than all before: one with the same tree has its version already."""
        with (self.root / "changes.txt").open("a") as log:
            log.write("a change\n")
        run("git", "add", "--all", cwd=self.root)
        run("git", "commit", "--quiet", "--message=a change", cwd=self.root)

    @property
    def head(self) -> str:
        """The commit that is checked out."""
        return run("git", "rev-parse", "HEAD", cwd=self.root).strip()

    def mlsnap(self, *arguments: str) -> float:
        """Run a command of mlsnap, and give its wall time."""
        return process_seconds(BIN / "mlsnap", *arguments, cwd=self.root)

    def run_seconds(self) -> float:
        """Run the whole of `mlsnap run`, and give its wall time."""
        return self.mlsnap("run", "--", *TRAIN)

    def run_memory(self) -> int:
        """Run the whole of `mlsnap run`, and give its peak memory in bytes."""
        return peak_memory(BIN / "mlsnap", "run", "--", *TRAIN, cwd=self.root)

    def forget(self) -> None:
        """Go back to a tree without history."""
        shutil.rmtree(self.root / ".git" / "mlsnap", ignore_errors=True)
        (self.tree / "trained.txt").unlink(missing_ok=True)
        _unbind(self.tree)


def copy_seconds(source: Path, destination: Path, *options: str) -> float:
    """Copy as `cp -a` does, and make it durable as a snapshot is; remove the copy."""
    settled(destination.parent)
    seconds = process_seconds("cp", "-a", *options, source, destination) + sync_seconds(destination)
    shutil.rmtree(destination)
    return seconds


def sync_seconds(place: Path) -> float:
    """Give how long `syncfs` takes."""
    before = time.perf_counter()
    settled(place)
    return time.perf_counter() - before


def _unbind(tree: Path) -> None:
    shutil.rmtree(tree / ".mlsnap", ignore_errors=True)
    (tree / ".snapshot").unlink(missing_ok=True)
