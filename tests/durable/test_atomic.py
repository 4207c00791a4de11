from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_mlsnap.durable.atomic import (
    fsync_folder,
    make_folder,
    open_shared,
    refuse_unsafe,
    storage_errors,
    write_atomically,
)
from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import StorageFailed, StorageFull, StorageReadOnly, StoreRefused
from tests.conftest import AsUser, LoopMount


def test_a_file_is_written_whole_and_nothing_stands_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_atomically(file, b"one")
    write_atomically(file, iter((b"t", b"", b"wo")))
    assert file.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["state"]


def test_a_reader_that_opened_the_old_file_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_atomically(file, b"old")
    with file.open("rb") as opened:
        write_atomically(file, b"new")
        assert opened.read() == b"old"


def test_data_that_fails_half_way_leaves_the_old_file_and_no_leftover(tmp_path: Path) -> None:
    file = tmp_path / "state"
    write_atomically(file, b"old")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ValueError

    with pytest.raises(ValueError):
        write_atomically(file, broken())
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["state"]


def test_the_link_at_the_path_is_replaced_and_what_it_led_to_is_untouched(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"theirs")
    file = tmp_path / "state"
    file.symlink_to(elsewhere)
    write_atomically(file, b"ours")
    assert elsewhere.read_bytes() == b"theirs"
    assert not file.is_symlink()


def test_a_mode_that_is_given_holds_whatever_the_umask_says(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_atomically(file, b"x", mode=0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_in_a_folder_that_a_group_shares_files_and_folders_are_shared_too(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2775)
    before = os.umask(0o077)
    try:
        write_atomically(shared / "file", b"x")
        make_folder(shared / "one" / "two")
        os.close(open_shared(shared / "log", os.O_WRONLY))
    finally:
        os.umask(before)
    assert stat.S_IMODE((shared / "file").stat().st_mode) == 0o664
    assert stat.S_IMODE((shared / "log").stat().st_mode) == 0o664
    assert stat.S_IMODE((shared / "one" / "two").stat().st_mode) == 0o2775


def test_what_is_made_has_the_group_of_the_folder_above(needs_root: None, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    os.chown(shared, -1, 4321)
    shared.chmod(0o775)
    write_atomically(shared / "file", b"x")
    make_folder(shared / "below")
    assert (shared / "file").stat().st_gid == 4321
    assert (shared / "below").stat().st_gid == 4321


def test_elsewhere_nobody_else_may_write_what_is_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_atomically(tmp_path / "file", b"x")
    make_folder(tmp_path / "below")
    assert (tmp_path / "file").stat().st_mode & 0o022 == 0
    assert (tmp_path / "below").stat().st_mode & 0o022 == 0


def test_making_a_folder_again_is_fine_and_a_file_in_its_place_is_told(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    fsync_folder(tmp_path / "a" / "b")
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="file"):
        make_folder(tmp_path / "file")


def test_an_opened_log_is_never_reached_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").touch()
    (tmp_path / "log").symlink_to("theirs")
    with pytest.raises(OSError) as caught:
        open_shared(tmp_path / "log", os.O_WRONLY)
    assert caught.value.errno == errno.ELOOP


def test_a_folder_that_anybody_can_write_to_is_refused(tmp_path: Path) -> None:
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    refuse_unsafe(open_to_all)
    for mode in (0o777, 0o1777, 0o707):
        open_to_all.chmod(mode)
        with pytest.raises(StoreRefused, match="every user") as caught:
            refuse_unsafe(open_to_all)
        assert "chmod o-w" in caught.value.hint


def test_a_link_is_refused_as_a_store(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StoreRefused, match="symbolic link"):
        refuse_unsafe(tmp_path / "link")
    with pytest.raises(StorageFailed):
        refuse_unsafe(tmp_path / "missing")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageReadOnly),
        (errno.EACCES, StorageReadOnly),
        (errno.EPERM, StorageReadOnly),
        (errno.EIO, StorageFailed),
        (errno.ESTALE, StorageFailed),
    ],
)
def test_what_the_system_refuses_becomes_an_error_with_a_way_out(number: int, kind: type[StorageFailed]) -> None:
    with pytest.raises(StorageFailed) as caught, storage_errors("the ledger cannot be written"):
        raise OSError(number, os.strerror(number), "/store/led\nger")
    assert type(caught.value) is kind
    assert caught.value.what == r"the ledger cannot be written: '/store/led\nger'"
    assert caught.value.why == os.strerror(number)
    assert caught.value.hint


def test_a_path_is_shown_without_anything_that_a_terminal_obeys() -> None:
    assert shown("modèle".encode()) == "'modèle'"
    assert shown(b"a\x1b[31m\n\xff") == r"'a\x1b[31m\n\xff'"
    assert shown("evil\u202egpj".encode()) == r"'evil\u202egpj'"


def test_on_a_full_disk_the_old_file_stays_and_no_leftover(loop_mount: LoopMount) -> None:
    root = loop_mount("ext4", 8)
    file = root / "state"
    write_atomically(file, b"old")
    with pytest.raises(StorageFull):
        write_atomically(file, (bytes(1 << 20) for _ in range(64)))
    assert file.read_bytes() == b"old"
    assert sorted(os.listdir(root)) == ["lost+found", "state"]
    write_atomically(file, bytes(1 << 20))  # the space is free again


def test_on_a_read_only_mount_the_error_says_so(loop_mount: LoopMount) -> None:
    root = loop_mount("ext4", 8, "ro")
    with pytest.raises(StorageReadOnly):
        write_atomically(root / "state", b"x")
    with pytest.raises(StorageReadOnly):
        make_folder(root / "state")


def test_a_user_without_rights_is_told(
    as_user: AsUser, ordinary_users: tuple[int, int], open_folder: Path
) -> None:
    def act() -> str:
        with pytest.raises(StorageReadOnly) as caught:
            write_atomically(open_folder / "state", b"x")
        return caught.value.slug

    assert as_user(ordinary_users[0], act) == "storage-read-only"
