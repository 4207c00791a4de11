"""One version made through the driver as the flow does it, in a process of its own; says what it cost, as JSON.

Called as `python -m benchmarks.driver_version VOLUME STORE SHA [PARENT_SHA]`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Literal

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.ports import Frozen
from ci_mlsnap.storage.local import LocalDriver

PROJECT, MODEL = "octo/bench", "bench"


def main(volume: Path, store: Path, sha: str, parent: str = "") -> None:
    """Freeze and seal; initialising is not measured, since it is once in a volume's life."""
    driver = LocalDriver(volume, store, MODEL, environ={})
    driver.initialise(project=PROJECT, model=MODEL)
    name = SnapshotName.parse(sha)
    before = time.perf_counter()
    frozen = driver.freeze(
        volume, parent=SnapshotName.parse(parent) if parent else None, full=False, inventory=True
    )
    manifest = manifest_of(driver, frozen, name)
    digest = digest_of(encode(manifest))
    driver.seal(frozen, manifest, Marker(project=PROJECT, model=MODEL, name=name, digest=digest))
    seconds = time.perf_counter() - before
    driver.read_back(name)
    print(json.dumps({"seconds": seconds, "copied": frozen.copied_bytes, "files": manifest.header.files}))


def manifest_of(
    driver: LocalDriver, frozen: Frozen, name: SnapshotName, files_mode: Literal["changed", "none"] = "changed"
) -> Manifest:
    """The manifest of a version without metrics and gates."""
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=str(name),
        volume=MODEL,
        volume_id=driver.volume_id,
        members=(MODEL,),
        project=PROJECT,
        model=MODEL,
        commit=name.sha,
        tree="",
        sequence=1,
        created="2026-01-01T00:00:00+00:00",
        verdict=Verdict(good=True),
        files_mode=files_mode,
        files=frozen.inventory.files,
        bytes=frozen.inventory.bytes,
        content_digest=frozen.inventory.content_digest,
        tool="mlsnap benchmark",
    )
    return Manifest(header=header, entries=frozen.inventory.entries)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
