"""The trees that are measured: made of random bytes, so that no storage can shrink them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

KB, MIB = 1000, 1 << 20
FILES_A_FOLDER = 500
CHANGED = 0.05
"""How much of a tree its next version changes."""
_AT_ONCE = 8 * MIB


@dataclass(frozen=True, kw_only=True)
class Shape:
    """How many files of how many bytes make a tree: `parts` are pairs of both."""

    name: str
    parts: tuple[tuple[int, int], ...]

    @property
    def text(self) -> str:
        """The shape as the table says it."""
        return f"{self.name}: " + " + ".join(f"{count:,} x {_readable(size)}" for count, size in self.parts)


SMALL = Shape(name="S", parts=((200, 50 * KB),))
MEDIUM = Shape(name="M", parts=((1, 1024 * MIB), (50, 10 * MIB)))
LARGE = Shape(name="L", parts=((20_000, 20 * KB),))
MANY = Shape(name="100k", parts=((100_000, 100),))
FEW = Shape(name="1k", parts=((1_000, 100),))

SHORT_MEDIUM = Shape(name="M/8", parts=((1, 128 * MIB), (6, 10 * MIB)))
SHORT_LARGE = Shape(name="L/10", parts=((2_000, 20 * KB),))
SHORT_MANY = Shape(name="10k", parts=((10_000, 100),))

SHAPES = {shape.name: shape for shape in (SMALL, MEDIUM, LARGE, MANY, FEW, SHORT_MEDIUM, SHORT_LARGE, SHORT_MANY)}


def make_tree(root: Path, shape: Shape) -> None:
    """Make a tree of this shape at `root`, which must not exist."""
    root.mkdir(parents=True)
    fill_tree(root, shape)


def fill_tree(root: Path, shape: Shape) -> None:
    """Write a tree of this shape into the folder `root`."""
    for name, size in _files(shape):
        (root / name).parent.mkdir(exist_ok=True)
        _fill(root / name, size)


def change_tree(root: Path, shape: Shape, share: float) -> int:
    """Write `share` of the bytes anew, the last files of each size first; give how many bytes that is.

    The large file of M alone is more than the share, so it stays; more of the others make up for it.
    """
    wanted = share * sum(count * size for count, size in shape.parts)
    done = 0
    for name, size in reversed(list(_files(shape))):
        if done >= wanted:
            break
        _fill(root / name, size)
        done += size
    return done


def next_version(root: Path, shape: Shape) -> None:
    """Change a tree as the next version does: 5 % of the bytes are written anew, and a file is added."""
    change_tree(root, shape, CHANGED)
    added = sum(1 for entry in root.iterdir() if entry.name.startswith("added"))
    _fill(root / f"added{added:03}.bin", shape.parts[-1][1])


def write_largest(root: Path, shape: Shape) -> None:
    """Write the first file anew, which is the largest of M, as a training does that saves its weights."""
    _fill(root / next(_files(shape))[0], shape.parts[0][1])


def space_of(roots: Iterable[Path]) -> int:
    """Bytes that trees take on the disk together, each hard-linked file counted once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for place in _everything(roots):
        facts = place.lstat()
        if (facts.st_dev, facts.st_ino) not in seen:
            seen.add((facts.st_dev, facts.st_ino))
            total += facts.st_blocks * 512
    return total


def _everything(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        for folder, _, names in os.walk(root):
            yield Path(folder)
            yield from (Path(folder, name) for name in names)


def _files(shape: Shape) -> Iterator[tuple[str, int]]:
    number = 0
    for count, size in shape.parts:
        for _ in range(count):
            yield f"part{number // FILES_A_FOLDER:03}/file{number:06}.bin", size
            number += 1


def _fill(file: Path, size: int) -> None:
    with file.open("wb") as stream:
        while size > 0:
            size -= stream.write(os.urandom(min(size, _AT_ONCE)))


def _readable(size: int) -> str:
    if size >= MIB and size % MIB == 0:
        return f"{size // MIB:,} MiB"
    return f"{size // KB} KB" if size >= KB else f"{size} B"
