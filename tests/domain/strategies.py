"""Values of the domain, as hypothesis makes them."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import strategies as st

from ci_mlsnap.domain.gates import Verdict
from ci_mlsnap.domain.manifest import Entry, Inventory, Manifest, ManifestHeader, inventory_of
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.versions import Version

HEX = "0123456789abcdef"

shas = st.one_of(st.text(HEX, min_size=40, max_size=40), st.text(HEX, min_size=64, max_size=64))
digests = st.text(HEX, min_size=64, max_size=64)
labels = st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)
_slashed = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}/[A-Za-z0-9._-]{1,100}", fullmatch=True)
projects = st.one_of(shas, _slashed.filter(lambda name: name.rpartition("/")[2] not in (".", "..")))

snapshot_names = st.one_of(
    st.builds(SnapshotName, sha=shas, attempt=st.integers(1, 999_999)),
    st.builds(SnapshotName, sha=shas, dirty=st.text(HEX, min_size=8, max_size=8)),
    st.builds(SnapshotName, sha=shas, keep=st.integers(1, 999_999)),
)

_parts = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from([b"-rf", b"a\nb", b"\xff\xfe", "modèle".encode(), b" ", b"...", b'"', b"\\", b"path64"]),
).filter(lambda part: b"/" not in part and b"\0" not in part and part not in (b".", b".."))
paths = st.lists(_parts, min_size=1, max_size=4).map(b"/".join)
_modes = st.integers(0, 0o777)
_times = st.integers(-(2**62), 2**62)
_xattrs = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8), st.binary(max_size=8)
).map(lambda found: tuple(sorted(found.items())))

_files = st.builds(
    Entry,
    path=paths,
    kind=st.just("file"),
    mode=_modes,
    mtime_ns=_times,
    size=st.integers(0, 2**62),
    sha256=digests,
    same_as=st.one_of(st.just(b""), paths),
    xattrs=_xattrs,
)
_folders = st.builds(Entry, path=paths, kind=st.just("dir"), mode=_modes, mtime_ns=_times, xattrs=_xattrs)
_links = st.builds(
    Entry,
    path=paths,
    kind=st.just("link"),
    mode=_modes,
    mtime_ns=_times,
    target=st.binary(min_size=1, max_size=12).filter(lambda target: b"\0" not in target),
)
entries = st.lists(st.one_of(_files, _folders, _links), max_size=8, unique_by=lambda entry: entry.path)


def header_of(inventory: Inventory | None = None, /, **changes: Any) -> ManifestHeader:
    """Give a header that fits the inventory, with these fields changed."""
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name="a" * 40,
        volume="models",
        volume_id="v1",
        members=("models",),
        project="org/digits",
        model="digits",
        commit="a" * 40,
        tree="b" * 40,
        sequence=1,
        created="2024-05-01T12:00:00Z",
        verdict=Verdict(good=True),
        files_mode="changed",
        files=inventory.files if inventory else 0,
        bytes=inventory.bytes if inventory else 0,
        content_digest=inventory.content_digest if inventory else "",
        tool="0.1.0",
    )
    return msgspec.structs.replace(header, **changes)


def version(name: str, *, sequence: int = 1, good: bool = True, **changes: Any) -> Version:
    """Give a version of this name, whose commit is the name's."""
    parsed = SnapshotName.parse(name)
    facts: dict[str, Any] = {"commit": parsed.sha, "attempt": parsed.attempt, **changes}
    header = header_of(name=name, sequence=sequence, verdict=Verdict(good=good), **facts)
    return Version(header=header, digest="d" * 64)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Give a manifest whose header fits its entries."""
    inventory = inventory_of(draw(entries))
    metrics = draw(
        st.dictionaries(st.text(max_size=6), st.one_of(st.floats(-1e9, 1e9), st.just("nan")), max_size=3)
    )
    return Manifest(header=header_of(inventory, metrics=metrics), entries=inventory.entries)
