from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.errors import (
    LateWriter,
    LinkEscapes,
    MlsnapError,
    StorageFailed,
    StorageFull,
    TreeUnsupported,
    VolumeMissing,
)
from ci_mlsnap.trees.copy import Copied, Reuse, copy_tree
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.inventory import take_inventory
from ci_mlsnap.trees.remove import remove_tree
from tests.conftest import LoopMount
from tests.trees.conftest import dig, facts_of


def _reuse_of(folder: Path, copied: Copied) -> dict[bytes, Reuse]:
    return {path: Reuse(path=folder / os.fsdecode(path), known=known) for path, known in copied.known.items()}


# -- fidelity --------------------------------------------------------------------------------------------


def test_a_copy_equals_its_source_by_a_second_opinion(rich_tree: Path, tmp_path: Path) -> None:
    copied = copy_tree(rich_tree, tmp_path / "copy")
    assert facts_of(tmp_path / "copy") == facts_of(rich_tree)
    assert copied.inventory == take_inventory(rich_tree) == take_inventory(tmp_path / "copy")
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o751


def test_what_is_ours_or_the_storages_at_the_root_is_not_copied_and_deeper_ones_are(
    rich_tree: Path, tmp_path: Path
) -> None:
    copy_tree(rich_tree, tmp_path / "copy")
    assert not os.path.lexists(tmp_path / "copy" / ".mlsnap")
    assert not os.path.lexists(tmp_path / "copy" / ".snapshot")
    assert (tmp_path / "copy" / "weights" / ".snapshot").read_text().startswith("content")


def test_setuid_is_not_carried_over(rich_tree: Path, tmp_path: Path) -> None:
    copied = copy_tree(rich_tree, tmp_path / "copy")
    assert stat.S_IMODE((tmp_path / "copy" / "nothing").stat().st_mode) == 0o755
    assert {entry.mode for entry in copied.inventory.entries if entry.path == b"nothing"} == {0o755}


def test_hard_links_stay_links_of_each_other_and_not_of_the_source(rich_tree: Path, tmp_path: Path) -> None:
    copied = copy_tree(rich_tree, tmp_path / "copy")
    names = ("empty.linked", "linked", "weights/layer")
    inodes = {(tmp_path / "copy" / name).stat().st_ino for name in names}
    assert len(inodes) == 1
    assert (rich_tree / "linked").stat().st_ino not in inodes
    groups = {
        entry.path: entry.same_as for entry in copied.inventory.entries if entry.path.decode("latin1") in names
    }
    assert groups == {b"empty.linked": b"", b"linked": b"empty.linked", b"weights/layer": b"empty.linked"}


@pytest.mark.parametrize("data_at", [(), (0,), (32 << 20,), (0, 20 << 20, (48 << 20) - 4)])
def test_a_sparse_file_stays_sparse_and_its_digest_is_that_of_all_its_bytes(
    tmp_path: Path, data_at: tuple[int, ...]
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    with (source / "sparse").open("wb") as file:
        for position in data_at:
            file.seek(position)
            file.write(b"data")
        file.truncate(48 << 20)
    copied = copy_tree(source, tmp_path / "copy")
    facts = (tmp_path / "copy" / "sparse").stat()
    assert facts.st_size == 48 << 20
    assert facts.st_blocks * 512 < 1 << 20
    content = (source / "sparse").read_bytes()
    assert (tmp_path / "copy" / "sparse").read_bytes() == content
    assert copied.inventory.entries[0].sha256 == hashlib.sha256(content).hexdigest()
    assert copied.copied_bytes < 1 << 20


def test_a_tree_far_deeper_than_a_path_may_be_long(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    dig(source)
    try:
        copied = copy_tree(source, tmp_path / "copy")
        assert copied.inventory == take_inventory(tmp_path / "copy") == take_inventory(source)
        deepest = copied.inventory.entries[-1]
        assert deepest.path.count(b"/") == 220
        assert deepest.sha256 == hashlib.sha256(b"at the bottom").hexdigest()
    finally:
        remove_tree(source)
        remove_tree(tmp_path / "copy")


def test_an_empty_tree(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    copied = copy_tree(tmp_path / "source", tmp_path / "copy")
    assert copied.inventory.entries == ()
    assert copied.copied_bytes == 0
    assert os.listdir(tmp_path / "copy") == []


def test_without_digests_there_are_none(rich_tree: Path, tmp_path: Path) -> None:
    copied = copy_tree(rich_tree, tmp_path / "copy", digests=False)
    assert {entry.sha256 for entry in copied.inventory.entries} == {""}
    assert facts_of(tmp_path / "copy") == facts_of(rich_tree)


_NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..", b".mlsnap", b".snapshot")
)
_FILES = st.binary(max_size=300)
_TREES: st.SearchStrategy[Any] = st.recursive(
    st.dictionaries(_NAMES, _FILES, max_size=4),
    lambda below: st.dictionaries(_NAMES, st.one_of(_FILES, below), max_size=5),
    max_leaves=12,
)


def _plant(folder: bytes, tree: dict[bytes, Any]) -> None:
    os.mkdir(folder)
    for name, below in tree.items():
        path = folder + b"/" + name
        if isinstance(below, dict):
            _plant(path, below)
        else:
            with open(path, "wb") as file:
                file.write(below)
            os.utime(path, ns=(0, len(below) * 1_234_567))


@given(tree=_TREES)
def test_any_tree_comes_out_the_same(tmp_path_factory: pytest.TempPathFactory, tree: dict[bytes, Any]) -> None:
    place = tmp_path_factory.getbasetemp() / "any"
    place.mkdir()
    try:
        _plant(os.fsencode(place / "source"), tree)
        copied = copy_tree(place / "source", place / "copy")
        assert facts_of(place / "copy") == facts_of(place / "source")
        assert copied.inventory == take_inventory(place / "copy")
    finally:
        remove_tree(place)


# -- sharing ---------------------------------------------------------------------------------------------


def test_an_unchanged_file_is_linked_and_a_changed_one_copied(rich_tree: Path, tmp_path: Path) -> None:
    first = copy_tree(rich_tree, tmp_path / "first")
    (rich_tree / "weights" / "new").write_bytes(b"12345")
    second = copy_tree(rich_tree, tmp_path / "second", reuse=_reuse_of(tmp_path / "first", first))
    assert second.copied_bytes == 5
    assert second.inventory == take_inventory(rich_tree)
    assert facts_of(tmp_path / "second") == facts_of(rich_tree)
    assert (tmp_path / "second" / "large").samefile(tmp_path / "first" / "large")
    assert b"large" in second.linked
    assert b"weights/new" not in second.linked


def test_a_file_that_no_longer_has_the_known_facts_is_copied(rich_tree: Path, tmp_path: Path) -> None:
    first = copy_tree(rich_tree, tmp_path / "first")
    facts = (rich_tree / "nothing").stat()
    (rich_tree / "nothing").chmod(0o755)  # size and time as before: the change time alone tells
    os.utime(rich_tree / "nothing", ns=(facts.st_atime_ns, facts.st_mtime_ns))
    second = copy_tree(rich_tree, tmp_path / "second", reuse=_reuse_of(tmp_path / "first", first))
    assert b"nothing" not in second.linked
    assert second.inventory == take_inventory(rich_tree)


def test_what_cannot_be_linked_is_copied(rich_tree: Path, tmp_path: Path, loop_mount: LoopMount) -> None:
    first = copy_tree(rich_tree, tmp_path / "first")
    second = copy_tree(rich_tree, loop_mount("ext4") / "second", reuse=_reuse_of(tmp_path / "first", first))
    assert second.linked == frozenset()
    assert second.inventory == first.inventory


def test_a_shared_file_that_is_gone_is_copied(rich_tree: Path, tmp_path: Path) -> None:
    first = copy_tree(rich_tree, tmp_path / "first")
    remove_tree(tmp_path / "first")
    second = copy_tree(rich_tree, tmp_path / "second", reuse=_reuse_of(tmp_path / "first", first))
    assert second.linked == frozenset()
    assert facts_of(tmp_path / "second") == facts_of(rich_tree)


# -- faults ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 3 << 20])
def test_a_file_that_is_written_to_while_it_is_copied_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.pt").write_bytes(bytes(size))

    def write_meanwhile(*_: object) -> None:
        with (source / "model.pt").open("ab") as file:
            file.write(b"more")

    if size > 1 << 20:
        monkeypatch.setattr(Crew, "go_on", write_meanwhile)
    else:
        real = os.read

        def read(file: int, count: int) -> bytes:
            content = real(file, count)
            write_meanwhile()
            return content

        monkeypatch.setattr(os, "read", read)
    with pytest.raises(LateWriter, match=r"model\.pt"):
        copy_tree(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_a_file_that_another_snapshot_shares_meanwhile_is_copied_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model.pt").write_bytes(bytes(3 << 20))
    links = iter(range(100))
    monkeypatch.setattr(Crew, "go_on", lambda _: os.link(source / "model.pt", tmp_path / str(next(links))))
    copied = copy_tree(source, tmp_path / "copy")
    assert next(links) > 1
    assert copied.inventory == take_inventory(tmp_path / "copy")


def test_a_place_that_is_taken_is_left_alone(rich_tree: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "theirs").touch()
    with pytest.raises(StorageFailed, match="copy"):
        copy_tree(rich_tree, tmp_path / "copy")
    assert os.listdir(tmp_path / "copy") == ["theirs"]


def test_a_missing_source_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(VolumeMissing):
        copy_tree(tmp_path / "missing", tmp_path / "copy")
    assert os.listdir(tmp_path) == []


def test_a_copy_into_what_is_copied_is_refused(rich_tree: Path) -> None:
    before = facts_of(rich_tree)
    with pytest.raises(TreeUnsupported, match="inside"):
        copy_tree(rich_tree, rich_tree / "weights" / "copy")
    assert facts_of(rich_tree).keys() == before.keys()


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda root: os.mkfifo(root / "weights" / "zz"), TreeUnsupported),
        (lambda root: (root / "weights" / "zz").symlink_to("../../outside"), LinkEscapes),
    ],
)
def test_what_is_refused_in_the_end_leaves_nothing(
    rich_tree: Path, tmp_path: Path, spoil: Callable[[Path], None], kind: type[MlsnapError]
) -> None:
    spoil(rich_tree)
    with pytest.raises(kind, match="weights/zz"):
        copy_tree(rich_tree, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_no_descriptor_and_no_thread_is_left_after_a_failure(rich_tree: Path, tmp_path: Path) -> None:
    os.mkfifo(rich_tree / "weights" / "zz")
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    for _ in range(3):
        with pytest.raises(TreeUnsupported):
            copy_tree(rich_tree, tmp_path / "copy")
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


@pytest.mark.parametrize("what", ["space", "inodes"])
def test_a_full_disk_is_told_and_the_space_is_free_again(tmp_path: Path, loop_mount: LoopMount, what: str) -> None:
    root = loop_mount("ext4", 8)
    source = tmp_path / "source"
    source.mkdir()
    if what == "space":
        for number in range(4):
            (source / str(number)).write_bytes(os.urandom(4 << 20))
    else:
        for number in range(os.statvfs(root).f_ffree + 1):
            (source / str(number)).touch()
    before = os.statvfs(root)
    with pytest.raises(StorageFull):
        copy_tree(source, root / "copy")
    assert os.listdir(root) == ["lost+found"]
    assert os.statvfs(root).f_ffree == before.f_ffree


def test_a_file_that_becomes_a_link_under_the_copy_never_brings_in_what_it_leads_to(tmp_path: Path) -> None:
    """Whoever wins each race, the copy either fails or holds what was really in the tree."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    source = tmp_path / "source"
    (source / "folder").mkdir(parents=True)
    (source / "folder" / "victim").write_bytes(b"plain")
    (source / "victim").write_bytes(b"plain")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "victim").write_bytes(b"secret")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for name, target in (("victim", secret), ("folder", tmp_path / "outside")):
                os.rename(source / name, tmp_path / "aside")
                os.symlink(target, source / name)
                os.unlink(source / name)
                os.rename(tmp_path / "aside", source / name)

    swapping = threading.Thread(target=swap)
    swapping.start()
    failures = 0
    try:
        for _ in range(150):
            try:
                copy_tree(source, tmp_path / "copy")
            except (LateWriter, LinkEscapes):
                failures += 1
            else:
                copies = [path for path in (tmp_path / "copy").rglob("*") if path.is_file()]
                assert {path.read_bytes() for path in copies} <= {b"plain"}
                remove_tree(tmp_path / "copy")
            assert not (tmp_path / "copy").exists()
    finally:
        over.set()
        swapping.join()
    assert failures  # else nothing was raced against
