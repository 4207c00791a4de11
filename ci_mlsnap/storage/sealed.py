"""What is remembered of a sealed tree, so that it need not be read to know that it is still what was sealed.

One small file a tree below `<state>/sealed/`, under what stays the tree's own when it gets its name: the inode
of its root, or a subvolume's UUID. Caches: losing one costs a reading of that tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.trees.subvolume import Subvolume


class SealedTrees(msgspec.Struct, frozen=True, kw_only=True):
    """The trees of one store. Writing that fails is no failure."""

    state: Path

    def remember_files(self, tree: int | str, lines: Mapping[bytes, bytes]) -> None:
        """Remember a tree's files, each as `facts.line_of` gives it."""
        self._write(f"{tree}.files", lines)

    def files(self, tree: int | str) -> Mapping[bytes, bytes]:
        """Give what is remembered of a tree's files; empty when nothing, or nothing readable, is."""
        try:
            return msgspec.msgpack.decode(self._file(f"{tree}.files").read_bytes(), type=dict[bytes, bytes])
        except (OSError, msgspec.MsgspecError, UnicodeError):
            return {}

    def remember_change(self, tree: Subvolume) -> None:
        """Remember when a subvolume was last changed."""
        self._write(tree.uuid, tree.changed)

    def is_unchanged(self, tree: Subvolume) -> bool:
        """Tell whether nothing in a sealed subvolume was changed since, nor could be now."""
        try:
            changed = msgspec.msgpack.decode(self._file(tree.uuid).read_bytes(), type=int)
        except (OSError, msgspec.MsgspecError, UnicodeError):
            return False
        return tree.read_only and changed == tree.changed

    def forget(self, tree: int | str) -> None:
        """Forget a tree that goes."""
        for name in (f"{tree}", f"{tree}.files"):
            with suppress(OSError):
                self._file(name).unlink()

    def _write(self, key: str, facts: object) -> None:
        with suppress(StorageFailed):
            make_folder(self._file(key).parent)
            write_atomically(self._file(key), msgspec.msgpack.encode(facts), fsync=False)

    def _file(self, key: str) -> Path:
        return self.state / "sealed" / key
