"""A checkout in which versions are made and brought back by the whole commands, one after another."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import settled
from benchmarks.places import Checkout, sync_seconds
from benchmarks.trees import Shape, fill_tree, next_version
from ci_mlsnap.trees import subvolume

FIND_FORMAT = "%P|%y|%m|%U:%G|%s|%T@|%l\\n"


@dataclass(frozen=True, kw_only=True)
class Working:
    """A checkout with a tree of this shape, which has its first version."""

    checkout: Checkout
    shape: Shape

    def snapshot(self, *, change: Callable[[], None] | None = None, durable: bool = True) -> float:
        """Make the next version by `mlsnap snapshot` and give the seconds; `durable`: the change is, before."""
        self.checkout.commit()
        if change is None:
            next_version(self.checkout.tree, self.shape)
        else:
            change()
        if durable:
            settled(self.checkout.tree)
        return self.checkout.mlsnap("snapshot")

    def durable_snapshot(self) -> float:
        """Make the next version, and end as a copy does in `syncfs`; give the seconds."""
        return self.snapshot() + sync_seconds(self.checkout.root)

    def restore(self, revision: str) -> float:
        """Bring a version back by `mlsnap restore` and give the seconds."""
        settled(self.checkout.tree)
        return self.checkout.mlsnap("restore", revision)


def working(root: Path, shape: Shape, *, files: str = "changed", as_subvolume: bool = True) -> Working:
    """Make a checkout with a tree of this shape, and its first version."""
    made = Working(checkout=Checkout(root=root, files=files), shape=shape)
    made.checkout.make()
    if as_subvolume:
        subvolume.create(made.checkout.tree)
    else:
        made.checkout.tree.mkdir()
    fill_tree(made.checkout.tree, shape)
    settled(root)
    made.checkout.mlsnap("snapshot")
    return made


def differences(one: Path, other: Path) -> int:
    """Count how two trees differ, by programs that know nothing of us: contents, and each entry's facts."""
    compared = subprocess.run(
        ("diff", "-rq", "--no-dereference", "--exclude=.mlsnap", "--exclude=.snapshot", one, other),
        capture_output=True,
        text=True,
        check=False,
    )
    return len(compared.stdout.splitlines()) + len(_facts(one) ^ _facts(other))


def _facts(tree: Path) -> set[bytes]:
    own = ("(", "-name", ".mlsnap", "-o", "-name", ".snapshot", ")", "-prune")
    command = ("find", tree, "-mindepth", "1", *own, "-o", "-printf", FIND_FORMAT)
    listed = subprocess.run(command, capture_output=True, check=True)
    return set(listed.stdout.splitlines())
