"""What the git hook adds to a checkout between commits of the same version."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Bar, in_turns, process_seconds, ratio_bar
from benchmarks.places import Checkout

_SETTINGS = """\
volume = "models"

[train]
command = "true"
inputs = ["mlsnap.toml"]
"""
_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


def hook_bars(root: Path, *, rounds: int) -> Iterator[Bar]:
    """Measure checkouts to and fro; before, each commit was visited twice, as its first visit asks mlsnap."""
    checkout = Checkout(root=root)
    checkout.make()
    checkout.tree.mkdir()
    (checkout.tree / "weights").write_bytes(bytes(1000))
    (root / "mlsnap.toml").write_text(_SETTINGS)
    checkout.commit()
    checkout.mlsnap("snapshot")
    checkout.commit()
    checkout.mlsnap("hooks", "install")
    for _ in range(2):
        _there_and_back(root)
    pair = in_turns(lambda: _there_and_back(root), lambda: _there_and_back(root, *_NO_HOOKS), rounds=rounds)
    yield ratio_bar("git checkout with the hook, same version : bare", pair, limit=5.0)


def _there_and_back(root: Path, *options: str) -> float:
    return sum(process_seconds("git", *options, "checkout", "--quiet", to, cwd=root) for to in ("HEAD~1", "-"))
