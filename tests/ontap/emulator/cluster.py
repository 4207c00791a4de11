"""The state of an emulated cluster, and what its administrators do to it without asking the REST interface."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.ontap.emulator.access import ADMIN, Account, Accounts
from tests.ontap.emulator.faults import FaultScript
from tests.ontap.emulator.jobs import Jobs
from tests.ontap.emulator.places import Places
from tests.ontap.emulator.refusals import BAD_VALUE, NOT_FOUND, Refused
from tests.ontap.emulator.values import Group, GroupSnapshot, Policy, Snapshot, Volume, new_uuid

TEBIBYTE = 2**40


class Cluster:
    """One cluster. All of its state is behind `lock`.

    `skew` is how far its clock is ahead. `snapshots_at_once` answers 201 instead of 202 and a job;
    `refuses_at_once` tells at once, as some releases do, what else a failed job would tell. `shown_after` is how
    many seconds later than to the REST interface a snapshot is there for readers, as behind an NFS client's cache.
    """

    def __init__(self, root: Path, *, name: str = "cluster1", svm: str = "svm1") -> None:
        self.name = name
        self.uuid = new_uuid()
        self.version = (9, 15, 1)
        self.skew = timedelta()
        self.snapshots_at_once = False
        self.refuses_at_once = False
        self.shown_after = 0.0
        self.lock = threading.RLock()
        self.faults = FaultScript()
        self.jobs = Jobs(self.lock, self.faults, self.now)
        self.accounts = Accounts()
        self.accounts.add(Account(name="admin", role=ADMIN, password="cluster-password"))
        self.places = Places(root)
        self.svms = {svm: new_uuid()}
        self.volumes: dict[str, Volume] = {}
        self.groups: dict[str, Group] = {}
        self.policies = {
            "default": Policy(copies={"hourly": 6, "daily": 2, "weekly": 2}),
            "none": Policy(),
        }
        self._serial = 0

    # -- what is there -----------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Tell the time by the cluster's clock."""
        return datetime.now(UTC) + self.skew

    def volume(self, identifier: str, svm: str = "") -> Volume:
        """Look a volume up that an account of this SVM may see. Raises `Refused`."""
        found = self.volumes.get(identifier)
        if found is None or (svm and found.svm != svm):
            raise Refused(NOT_FOUND, "entry doesn't exist", "uuid")
        return found

    def named_volume(self, named: Mapping[str, Any], svm: str = "") -> Volume:
        """Look a volume up by what a body says of it: `uuid` or `name`. Raises `Refused`."""
        for volume in self.volumes.values():
            if svm in {"", volume.svm} and (volume.uuid == named.get("uuid") or volume.name == named.get("name")):
                return volume
        raise Refused(NOT_FOUND, "entry doesn't exist", "volume")

    def clones_of(self, volume: Volume, snapshot: Snapshot | None = None) -> list[Volume]:
        """Give the FlexClones of a volume, or those of one of its snapshots."""
        return [
            clone
            for clone in self.volumes.values()
            if clone.parent == volume.uuid and (snapshot is None or clone.parent_snapshot == snapshot.uuid)
        ]

    def owners(self, volume: Volume, snapshot: Snapshot) -> tuple[str, ...]:
        """Say what keeps a snapshot from being deleted."""
        return (*snapshot.owners, *(("volume_clone",) if self.clones_of(volume, snapshot) else ()))

    def used(self, volume: Volume) -> int:
        """Measure a volume's used bytes; takes a look at each file, unless there are too many."""
        return volume.ballast + (0 if volume.only else self.places.used(volume))

    def full(self, volume: Volume) -> bool:
        """Tell whether a volume has no room; of a large one the files are not looked at: no test can fill it."""
        return (self.used(volume) if volume.size < TEBIBYTE else volume.ballast) >= volume.size

    # -- what administrators do ----------------------------------------------------------------------------

    def add_svm(self, name: str) -> None:
        """Make an SVM."""
        with self.lock:
            self.svms[name] = new_uuid()

    def add_volume(self, name: str, *, junction: str = "", svm: str = "svm1", **facts: Any) -> Volume:
        """Make a volume; its files are at `path`. `facts` are fields of `Volume`."""
        with self.lock:
            given = {"size": TEBIBYTE, "created": self.now(), **facts}
            volume = Volume(name=name, svm=svm, junction=junction, **given)
            self.places.make(volume)
            self.volumes[volume.uuid] = volume
            return volume

    def path(self, volume: Volume) -> Path:
        """Give the folder where a volume is mounted."""
        return self.places.volume(volume)

    def snapshot(self, volume: Volume, name: str, *, source: Path | None = None, **facts: Any) -> Snapshot:
        """Take a snapshot of the live tree, or of `source`, whatever the rules say.

        `facts` are fields of `Snapshot`.
        """
        with self.lock:
            self._serial += 1
            made = Snapshot(name=name, **{"created": self.now(), **facts, "serial": self._serial})
            self.places.take(volume, made, source)
            volume.snapshots[name] = made
        if self.shown_after:
            threading.Thread(target=self._show_later, args=(volume, made), daemon=True).start()
        else:
            self._show(volume, made)
        return made

    def _show_later(self, volume: Volume, snapshot: Snapshot) -> None:
        if not self.faults.over.wait(self.shown_after):
            self._show(volume, snapshot)

    def _show(self, volume: Volume, snapshot: Snapshot) -> None:
        with self.lock:
            self.places.appear(volume, snapshot)

    def drop(self, volume: Volume, name: str) -> None:
        """Delete a snapshot, whatever the rules say; its readers are left with stale handles."""
        with self.lock:
            self.places.drop(volume, volume.snapshots.pop(name))

    def add_group(self, name: str, *volumes: Volume, svm: str = "svm1") -> Group:
        """Make a consistency group of volumes."""
        with self.lock:
            group = Group(name=name, svm=svm, volumes=tuple(volume.uuid for volume in volumes))
            self.groups[group.uuid] = group
            return group

    def group_snapshot(self, group: Group, made: GroupSnapshot) -> None:
        """Take a snapshot of all members at one instant.

        No document says that the members' snapshots get the comment, so they do not: nobody can rely on it.
        """
        with self.lock:
            for identifier in group.volumes:
                self.snapshot(self.volumes[identifier], made.name, created=made.created)
            group.snapshots[made.uuid] = made


def locked(snapshot: Snapshot, now: datetime) -> bool:
    """Tell whether a snapshot may not be deleted before a moment that is still to come."""
    return any(until is not None and until > now for until in (snapshot.expiry, snapshot.lock))


def read_moment(text: object, target: str) -> datetime:
    """Read a moment as clients write it. Raises `Refused`."""
    try:
        read = datetime.fromisoformat(str(text))
    except ValueError:
        raise Refused(BAD_VALUE, f'The value "{text}" is invalid for field "{target}".', target) from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
