"""Clones of single files within a volume, by the storage: no byte travels."""

from __future__ import annotations

from tests.ontap.emulator.cluster import Cluster
from tests.ontap.emulator.exchange import Accepted, Request
from tests.ontap.emulator.places import clone_file
from tests.ontap.emulator.refusals import FILE_CLONE_FAILED, Refused
from tests.ontap.emulator.restores import beneath

_GIVEN = frozenset({
    *("volume", "source_path", "destination_path", "overwrite_destination", "autodelete", "is_backup", "range"),
})  # fmt: skip


def clone(cluster: Cluster, request: Request) -> Accepted:
    """Clone a file, also out of a snapshot. The copy has the time of the clone, not the source's.

    That an existing destination needs `overwrite_destination`, and that a FlexGroup can't, is documented; the
    copy's times are not, so the emulator gives those that a client can rely on least.
    """
    request.require_known(_GIVEN)
    volume = cluster.named_volume(request.needed("volume"), request.svm)
    source_path, destination_path = (str(request.needed(name)) for name in ("source_path", "destination_path"))
    overwrite = bool(request.body.get("overwrite_destination", False))

    def work() -> str:
        if volume.style == "flexgroup":
            raise Refused(FILE_CLONE_FAILED, "File clones are not supported on a FlexGroup.")
        folder = cluster.places.volume(volume)
        source, destination = beneath(folder, source_path), beneath(folder, destination_path)
        if not source.is_file() or source.is_symlink():
            raise Refused(FILE_CLONE_FAILED, f'"{source_path}" does not exist or is no regular file.')
        if destination.exists() and not overwrite:
            raise Refused(FILE_CLONE_FAILED, f'"{destination_path}" exists.')
        if not destination.parent.is_dir():
            raise Refused(FILE_CLONE_FAILED, f'The folder of "{destination_path}" does not exist.')
        clone_file(source, destination)
        return ""

    return cluster.jobs.start(request, volume.svm, work)
