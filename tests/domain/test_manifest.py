from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ci_mlsnap.domain.manifest import (
    Entry,
    Manifest,
    decode,
    decode_header,
    digest_of,
    encode,
    entry_line,
    header_line,
    inventory_of,
)
from ci_mlsnap.errors import IntegrityDamage
from tests.domain.strategies import entries, header_of, manifests


def _lines(manifest: Manifest) -> list[bytes]:
    return list(encode(manifest))


def _file(path: bytes, **changes: object) -> Entry:
    entry = Entry(path=path, kind="file", mode=0o644, mtime_ns=1, size=3, sha256="e" * 64)
    return msgspec.structs.replace(entry, **changes)


def _manifest(*found: Entry) -> Manifest:
    inventory = inventory_of(found)
    return Manifest(header=header_of(inventory), entries=inventory.entries)


@given(manifests())
def test_every_manifest_is_read_back_as_itself(manifest: Manifest) -> None:
    assert decode(encode(manifest)) == manifest


@given(manifests())
def test_each_line_is_one_line_of_utf8(manifest: Manifest) -> None:
    for line in _lines(manifest):
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        line.decode()


@given(entries, st.randoms())
def test_the_order_in_which_files_are_found_makes_no_difference(found: list[Entry], order: random.Random) -> None:
    mixed = found[:]
    order.shuffle(mixed)
    assert inventory_of(mixed) == inventory_of(found)


@given(entries, st.data())
def test_any_changed_fact_changes_the_content_digest(found: list[Entry], data: st.DataObject) -> None:
    assume(found)
    place = data.draw(st.integers(0, len(found) - 1))
    entry = found[place]
    changes: list[dict[str, object]] = [{"mode": entry.mode ^ 1}, {"mtime_ns": entry.mtime_ns + 1}]
    changes += [{"path": entry.path + b"x"}, {"xattrs": (*entry.xattrs, ("zz" * 9, b"1"))}]
    if entry.kind == "file":
        changes += [{"size": entry.size + 1}, {"sha256": "f" * 63 + ("0" if entry.sha256[-1] != "0" else "1")}]
        changes += [{"same_as": entry.same_as + b"x"}]
    if entry.kind == "link":
        changes += [{"target": entry.target + b"x"}]
    changed = msgspec.structs.replace(entry, **data.draw(st.sampled_from(changes)))
    other = [*found[:place], changed, *found[place + 1 :]]
    assert inventory_of(other).content_digest != inventory_of(found).content_digest


@given(manifests(), st.data())
def test_one_changed_byte_of_the_file_changes_its_digest_and_one_of_the_entries_is_found(
    manifest: Manifest, data: st.DataObject
) -> None:
    lines = _lines(manifest)
    content = b"".join(lines)
    place = data.draw(st.integers(0, len(content) - 1))
    damaged = content[:place] + bytes([content[place] ^ data.draw(st.integers(1, 255))]) + content[place + 1 :]
    assert digest_of(damaged.splitlines(keepends=True)) != digest_of(lines)
    if place >= len(lines[0]):
        with pytest.raises(IntegrityDamage):
            decode(damaged.splitlines(keepends=True))


def test_every_single_byte_of_the_entries_counts() -> None:
    manifest = _manifest(_file(b"a"), _file(b"b\xff", xattrs=(("user.x", b"1"),)), _file(b"c", same_as=b"a"))
    head, *rest = _lines(manifest)
    body = b"".join(rest)
    for place in range(len(body)):
        damaged = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
        with pytest.raises(IntegrityDamage):
            decode([head, *damaged.splitlines(keepends=True)])


def test_a_missing_a_doubled_and_a_swapped_line_are_found() -> None:
    head, first, second = _lines(_manifest(_file(b"a"), _file(b"b")))
    for lines in ([head, first], [head, first, second, second], [head, second, first], [head], []):
        with pytest.raises(IntegrityDamage):
            decode(lines)


@pytest.mark.parametrize("files_mode", ["changed", "none"])
@pytest.mark.parametrize("path", [b"/etc/passwd", b"../x", b"a/../../x", b".", b"a//b", b"a/", b"a\0b", b""])
def test_a_path_out_of_the_tree_is_damage_even_with_a_fitting_digest(path: bytes, files_mode: str) -> None:
    inventory = inventory_of([_file(path)])
    forged = Manifest(header=header_of(inventory, files_mode=files_mode), entries=inventory.entries)
    with pytest.raises(IntegrityDamage):
        decode(encode(forged))


@pytest.mark.parametrize(
    "changes", [{"mode": 0o4755}, {"mode": -1}, {"size": -1}, {"sha256": "../x"}, {"sha256": "E" * 64}]
)
def test_facts_that_no_file_of_ours_can_have_are_damage(changes: dict[str, object]) -> None:
    """A forged manifest must not make a restore set setuid, or a digest lead somewhere else."""
    with pytest.raises(IntegrityDamage):
        decode(encode(_manifest(_file(b"a", **changes))))


def test_entries_out_of_order_are_damage_even_with_a_fitting_digest() -> None:
    later, earlier = _file(b"b"), _file(b"a")
    digest = digest_of(map(entry_line, (later, earlier)))
    forged = Manifest(header=header_of(content_digest=digest), entries=(later, earlier))
    with pytest.raises(IntegrityDamage):
        decode(encode(forged))


def test_an_unknown_key_or_format_in_the_header_is_damage() -> None:
    line = header_line(header_of())
    for damaged in (
        line.replace(b"manifest/1", b"manifest/2"),
        line.replace(b'"model"', b'"modle"'),
        b"",
        b"[]",
        b"x",
    ):
        with pytest.raises(IntegrityDamage):
            decode_header(damaged)


def test_the_file_format_is_this_one() -> None:
    """Formats on disk are kept: a change here needs `mlsnap/manifest/2` and a reader of both."""
    entry = _file(b"w\xff.bin", xattrs=(("user.k", b"v"),), same_as=b"a")
    assert entry_line(entry) == (
        b'{"path64":"d/8uYmlu","kind":"file","mode":420,"mtime_ns":1,"size":3,"sha256":"' + b"e" * 64 + b'",'
        b'"same_as":"a","xattrs":{"user.k":"dg=="}}\n'
    )
    assert entry_line(Entry(path=b"l", kind="link", mode=0o777, mtime_ns=2, target=b"a")) == (
        b'{"path":"l","kind":"link","mode":511,"mtime_ns":2,"target":"a"}\n'
    )


def test_a_hard_link_group_is_counted_once() -> None:
    inventory = inventory_of([_file(b"a"), _file(b"b", same_as=b"a")])
    assert (inventory.files, inventory.bytes) == (2, 3)
