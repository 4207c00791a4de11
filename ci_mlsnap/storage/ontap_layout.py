"""What is where on an ONTAP volume.

- `<volume>/.snapshot/<name>`: a snapshot, shown by the storage; opened by name, since NFSv4 does not list it
- `<volume>/.mlsnap/volume.json`: the volume's id
- `<volume>/.mlsnap/manifest.jsonl`: the manifest of the newest snapshot, as each snapshot holds its own
- `<state>/volume.json`: the id again, with project and model; `<state>` is `store`, else `<volume>/.mlsnap/state`
- `<state>/state/`: leases, journals, ledger, caches, and in `ontap-volume` the UUID of the volume on the cluster
- `<state>/state/manifests/<name>/`: a copy of a manifest, where nobody here can look into snapshots
- `<state>/state/frozen/<token>`: what was frozen and is not sealed yet
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ci_mlsnap.domain.manifest import MANIFEST_PATH
from ci_mlsnap.durable.atomic import make_folder, write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.durable.locks import lock
from ci_mlsnap.errors import StorageFailed
from ci_mlsnap.storage.layout import LINK, Store

LOCK_WAIT = 300.0
"""Seconds to wait for the store lock: longer than a job of the cluster is waited for."""

PRUNED = "mlsnap-pruned-"
"""How a pruned snapshot's name begins on the cluster; what follows is the name that it had."""


class FrozenRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A tree at the moment of its freezing: what `facts.line_of` gives of each of its files."""

    lines: dict[bytes, bytes]


class OntapStore(Store, frozen=True, kw_only=True):
    """The places of one volume: state below `root`, snapshots where the storage shows them."""

    volume: Path

    @property
    def snapshots(self) -> Path:
        """Where the storage shows snapshots."""
        return self.volume / LINK

    def pruned(self, name: object) -> Path:
        """Where a pruned snapshot is shown."""
        return self.snapshots / f"{PRUNED}{name}"

    def make(self) -> None:
        """Make what is missing of the folders for state."""
        for folder in (self.work, self.state, self._frozen):
            make_folder(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the store lock, for as long as one act of the cluster takes. Raises `Busy`, `StorageFailed`."""
        with lock(self.state / "lock", wait=LOCK_WAIT):
            yield

    # -- the volume on the cluster -----------------------------------------------------------------

    def uuid(self) -> str:
        """Give the UUID that the volume had at first use; empty before."""
        with storage_errors("the volume's record cannot be read"):
            try:
                return self.uuid_file.read_text().strip()
            except FileNotFoundError:
                return ""

    def remember_uuid(self, uuid: str) -> None:
        """Record the UUID, durably."""
        write_atomically(self.uuid_file, f"{uuid}\n".encode())

    @property
    def uuid_file(self) -> Path:
        """Where the UUID is."""
        return self.state / "ontap-volume"

    # -- manifests, where the mount shows none -----------------------------------------------------

    def stand_in(self, name: object) -> Path:
        """Where a folder stands for a snapshot that cannot be looked into; nothing but the manifest is in it."""
        return self.state / "manifests" / str(name)

    def put_stand_in(self, name: object, manifest: Iterable[bytes]) -> None:
        """Put a copy of a manifest there, durably."""
        place = self.stand_in(name) / MANIFEST_PATH
        make_folder(place.parent)
        write_atomically(place, manifest)

    # -- what is frozen ----------------------------------------------------------------------------

    @property
    def _frozen(self) -> Path:
        return self.state / "frozen"

    def put_frozen(self, token: str, record: FrozenRecord) -> None:
        """Remember what was frozen."""
        write_atomically(self.frozen_file(token), msgspec.msgpack.encode(record), fsync=False)

    def frozen(self, token: str) -> FrozenRecord:
        """Give what was frozen. Raises `StorageFailed` when it was discarded, or lost with a crash."""
        try:
            return msgspec.msgpack.decode(self.frozen_file(token).read_bytes(), type=FrozenRecord)
        except (OSError, msgspec.MsgspecError, UnicodeError):
            raise StorageFailed(
                "what was frozen is gone", safe="nothing was published", hint="run again"
            ) from None

    def forget_frozen(self, token: str) -> None:
        """Forget what was frozen; gone is fine."""
        with storage_errors("what was frozen cannot be discarded"), suppress(FileNotFoundError):
            self.frozen_file(token).unlink()

    def frozen_tokens(self) -> list[str]:
        """Give the tokens of what is frozen, in order."""
        with storage_errors("what was frozen cannot be listed"):
            try:
                return sorted(name for name in os.listdir(self._frozen) if not name.startswith("."))
            except FileNotFoundError:
                return []

    def frozen_file(self, token: str) -> Path:
        """Give the place of what is remembered. Raises `StorageFailed` for what is no token of ours."""
        return self._frozen / self.partial(token).name.removeprefix(".partial-")
