"""What `doctor` looks at on a cluster, beyond what each run does: nothing is changed by it.

A right is found out by asking for what can't be done: making a snapshot by an impossible name, renaming and
deleting one that does not exist. Who lacks the right is told so, and everybody else something else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from ci_mlsnap.domain.texts import counted
from ci_mlsnap.errors import (
    MlsnapError,
    StorageAuth,
    StorageForbidden,
    StorageUnreachable,
    StorageUntrusted,
)
from ci_mlsnap.ports import Finding
from ci_mlsnap.storage.ontap_api import NativeVolume, OntapApi
from ci_mlsnap.storage.ontap_certificate import Certificate, shown_certificate
from ci_mlsnap.storage.ontap_errors import ENOUGH, Absent
from ci_mlsnap.storage.ontap_requests import Json, number, table
from ci_mlsnap.storage.ontap_volume import MOST_SNAPSHOTS, find_volume, require_fit, require_shown
from ci_mlsnap.trees.mounts import mount_of

SOON = 30
"""Days before its end at which a certificate is told of."""
APART = 2.0
"""Seconds that clocks may be apart: a change that is younger is looked at again, by the times of its files."""
_MANY = 0.9
_NOBODY = "00000000-0000-0000-0000-000000000000"


def examine(api: OntapApi, path: Path, named: str, *, by_server: bool = False) -> Iterator[Finding]:
    """Look at a volume and its cluster; a fault is a finding, and stops only what can't be looked at for it.

    `named` is what the settings call the volume that is mounted at `path`; `by_server` is the operator's wish that
    it need not show its snapshots.
    """
    return _Examination(api=api, path=path, named=named, by_server=by_server).findings()


@dataclass(frozen=True, kw_only=True)
class _Examination:
    api: OntapApi
    path: Path
    named: str
    by_server: bool

    def findings(self) -> Iterator[Finding]:
        """See `examine`."""
        try:
            yield self._release()
        except (StorageAuth, StorageUnreachable, StorageUntrusted) as error:
            yield _bad("cluster", error)
            if isinstance(error, StorageUntrusted):
                yield from self._certificate()
            return
        yield from self._certificate()
        yield from self._clock()
        try:
            volume = find_volume(self.api, self.path, self.named)
        except MlsnapError as error:
            yield _bad("volume", error)
            return
        for look in (self._volume, self._mount, self._rights, self._limit, self._autodelete):
            yield from _guarded(look, volume)

    # -- the cluster -------------------------------------------------------------------------------

    def _release(self) -> Finding:
        host = self.api.endpoint.host
        try:
            answer = self.api.look("/api/cluster", {"fields": "version"}, "the release cannot be read")
        except (StorageForbidden, Absent):
            text = f"{host} answers; its release is not told to this user, and not needed"
            return Finding(topic="cluster", state="ok", text=text)
        version = table(answer, "version")
        release = ".".join(str(number(version.get(part))) for part in ("generation", "major", "minor"))
        if (number(version.get("generation")), number(version.get("major"))) < (9, 8):
            text, hint = f"{host} runs ONTAP {release}", "mlsnap needs 9.8 or newer"
            return Finding(topic="cluster", state="bad", text=text, hint=hint)
        return Finding(topic="cluster", state="ok", text=f"{host} runs ONTAP {release}")

    def _certificate(self) -> Iterator[Finding]:
        endpoint = self.api.endpoint
        try:
            found = shown_certificate(endpoint.host, endpoint.port, timeout=self.api.patience.timeouts[0])
        except OSError as error:
            yield Finding(topic="certificate", state="note", text=f"it cannot be looked at: {error.strerror}")
            return
        if endpoint.insecure:
            yield Finding(
                topic="certificate",
                state="note",
                text=f"it was not looked at (--insecure); its SHA-256 is {found.fingerprint}",
                hint="ask the cluster's administrator whether that is theirs, then set ontap.fingerprint to it",
            )
            return
        pinned = bool(endpoint.pin)
        if pinned and found.fingerprint != endpoint.pin:
            yield Finding(
                topic="certificate",
                state="bad",
                text=f"the one that is shown has the SHA-256 {found.fingerprint}",
                hint="ask the cluster's administrator whether that is theirs (`security certificate show`), "
                "and only then set ontap.fingerprint to it",
            )
            return
        yield _end_of(found, "by its fingerprint" if pinned else "by its authority")

    def _clock(self) -> Iterator[Finding]:
        try:
            there = parsedate_to_datetime(self.api.date).timestamp()
        except ValueError:  # it said no time
            return
        apart = abs(time.time() - there)
        if apart > APART + 1:  # the answer has whole seconds
            yield Finding(
                topic="clock",
                state="note",
                text=f"the cluster's clock and this machine's are {apart:.0f} seconds apart",
                hint="let both follow the same time servers: what changed lately is judged by the files' times",
            )
        else:
            yield Finding(topic="clock", state="ok", text="the cluster's and this machine's agree")

    # -- the volume --------------------------------------------------------------------------------

    def _volume(self, volume: NativeVolume) -> Iterator[Finding]:
        require_fit(volume, self.path)
        text = f"{volume.name}, a {volume.style} of type {volume.type}, is {volume.state}"
        if self.by_server:
            hint = 'leave ontap.readback at "mount" where the mount shows snapshots'
            yield Finding(topic="volume", state="note", text=f"{text}; versions are not read back", hint=hint)
            return
        require_shown(volume, self.path)
        yield Finding(topic="volume", state="ok", text=f"{text} and shows its snapshots")

    def _mount(self, volume: NativeVolume) -> Iterator[Finding]:
        mount, junction = mount_of(self.path), volume.junction
        if not junction:
            text, hint = (
                f"{volume.name} has no junction",
                f"`volume mount -volume {volume.name} -junction-path /…`",
            )
            yield Finding(topic="mount", state="bad", text=text, hint=hint)
        elif mount.kind not in ("nfs", "nfs4"):
            text = f"{self.path} is no NFS mount: nothing but its id says that it is {volume.name}"
            yield Finding(
                topic="mount", state="note", text=text, hint=f"mount {junction} of the SVM there, by NFS"
            )
        elif mount.source.endswith(f":{junction}") and mount.point == self.path.resolve():
            text = f"{mount.source} is mounted at {self.path}"
            yield Finding(topic="mount", state="ok", text=text)
        else:
            text = f"{mount.source} is mounted at {mount.point}, and {volume.name} is {junction} of its SVM"
            yield Finding(
                topic="mount", state="bad", text=text, hint="set `path` to the mount of the volume itself"
            )

    def _rights(self, volume: NativeVolume) -> Iterator[Finding]:
        below = f"/api/storage/volumes/{volume.uuid}/snapshots"
        user = self.api.endpoint.user or "this user"
        if not self.api.may_make_snapshots(volume.uuid):
            yield Finding(topic="rights", state="bad", text=f"{user} may not make snapshots", hint=ENOUGH)
            return
        nobody = f"{below}/{_NOBODY}"
        if self.api.may("PATCH", nobody, {"name": "mlsnap-nothing"}) and self.api.may("DELETE", nobody, None):
            text, hint = f"{user} may make, rename and delete snapshots", ""
        else:
            text = f"{user} may make snapshots, and not rename and delete any, as is best where models are trained"
            hint = "`mlsnap prune` needs more: `mlsnap doctor --role prune`"
        yield Finding(topic="rights", state="ok", text=text, hint=hint)

    def _limit(self, volume: NativeVolume) -> Iterator[Finding]:
        kept = self._kept_by_policy(volume)
        text = f"{volume.snapshots} of {MOST_SNAPSHOTS}"
        if kept is None:
            text += f"; how many its policy {volume.policy} makes is not told to this user"
        elif kept:
            text += f"; its policy {volume.policy} keeps up to {kept} of them"
        many = max(volume.snapshots, kept or 0) >= _MANY * MOST_SNAPSHOTS
        hint = (
            f"`mlsnap prune` removes some of ours; `volume modify -volume {volume.name} -snapshot-policy none` "
            "ends scheduled ones, if nobody needs them"
        )
        yield Finding(topic="limit", state="note" if many else "ok", text=text, hint=hint if many else "")

    def _kept_by_policy(self, volume: NativeVolume) -> int | None:
        """Say how many snapshots the volume's policy keeps; None where this user may not know."""
        if volume.policy in ("", "none"):
            return 0
        query = {"name": volume.policy, "fields": "copies"}
        try:
            policies = list(self.api.records("/api/storage/snapshot-policies", query, "policies"))
        except (StorageForbidden, Absent):
            return None
        return max((_copies(policy) for policy in policies), default=0)  # one of the SVM, or the cluster's

    def _autodelete(self, volume: NativeVolume) -> Iterator[Finding]:
        if not volume.deletes:
            yield Finding(topic="autodelete", state="ok", text="a full volume deletes no snapshots on its own")
            return
        fields = {"fields": "space.snapshot.autodelete"}
        answer = self.api.look(f"/api/storage/volumes/{volume.uuid}", fields, "autodelete cannot be read")
        rule = table(table(table(answer, "space"), "snapshot"), "autodelete")
        last = rule.get("defer_delete") == "user_created"
        order = "the newest first" if rule.get("delete_order") == "newest_first" else "the oldest first"
        yield Finding(
            topic="autodelete",
            state="note",
            text=f"when {volume.name} is full the cluster deletes snapshots, {order}, and versions "
            + ("after scheduled ones" if last else "are no exception"),
            hint=f"`volume snapshot autodelete modify -volume {volume.name} -enabled false`, and let it grow: "
            f"`volume autosize -volume {volume.name} -mode grow`",
        )


def _copies(policy: Json) -> int:
    copies = policy.get("copies")
    each = copies if isinstance(copies, list) else []
    return sum(number(copy.get("count")) for copy in each if isinstance(copy, dict))


def _guarded(look: Callable[[NativeVolume], Iterator[Finding]], volume: NativeVolume) -> list[Finding]:
    try:
        return list(look(volume))
    except MlsnapError as error:
        return [_bad(look.__name__.strip("_"), error)]


def _bad(topic: str, error: MlsnapError) -> Finding:
    return Finding(
        topic=topic,
        state="bad",
        text=f"{error.what}: {error.why}" if error.why else error.what,
        hint=error.hint,
    )


def _end_of(found: Certificate, known: str) -> Finding:
    renew = "have it renewed (`security certificate create`), and set ontap.fingerprint to the new one"
    if found.ends is None:
        text = f"known {known}; it has ended" if found.ended else f"known {known}; its end cannot be read"
        return Finding(topic="certificate", state="note", text=text, hint=renew if found.ended else "")
    days = (found.ends - datetime.now(UTC)).days
    text = f"known {known}; it ends on {found.ends:%Y-%m-%d}, in {counted(days, 'day')}"
    if days < SOON:
        return Finding(topic="certificate", state="note", text=text, hint=renew)
    return Finding(topic="certificate", state="ok", text=text)
