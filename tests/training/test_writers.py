from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ci_mlsnap.training.writers import open_writers
from tests.conftest import AsUser

Holds = Callable[..., subprocess.Popen[bytes]]

MAPS = """
import mmap, os, sys
descriptor = os.open(sys.argv[1], os.O_RDWR)
mapping = mmap.mmap(descriptor, 10, getattr(mmap, sys.argv[2]))
os.closerange(3, 100)  # also the copy that the mapping made for itself
print("ready", flush=True)
sys.stdin.read()
"""
OPENS = """
import os, sys
descriptor = os.open(sys.argv[1], eval(sys.argv[2]))
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holds() -> Iterator[Holds]:
    """Give `holds(program, *arguments)`: a process that has done its part and waits."""
    with ExitStack() as stack:

        def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(
                (sys.executable, "-c", *arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
            stack.callback(process.communicate)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            return process

        yield start


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of ten bytes, deep in a folder that is asked about."""
    file = tmp_path / "volume/deep/model.bin"
    file.parent.mkdir(parents=True)
    file.write_bytes(bytes(10))
    return file


def found(tmp_path: Path) -> list[tuple[int, Path]]:
    return [(writer.pid, writer.path) for writer in open_writers(tmp_path / "volume")]


@pytest.mark.parametrize("flags", ["os.O_WRONLY", "os.O_RDWR", "os.O_WRONLY | os.O_APPEND"])
def test_a_file_open_for_writing_is_found(holds: Holds, model: Path, tmp_path: Path, flags: str) -> None:
    process = holds(OPENS, model, flags)
    assert found(tmp_path) == [(process.pid, model)]


@pytest.mark.parametrize("flags", ["os.O_RDONLY", "os.O_PATH"])
def test_a_reader_is_no_writer(holds: Holds, model: Path, tmp_path: Path, flags: str) -> None:
    holds(OPENS, model, flags)
    assert found(tmp_path) == []


def test_a_shared_mapping_outlives_its_descriptor_and_is_found(holds: Holds, model: Path, tmp_path: Path) -> None:
    process = holds(MAPS, model, "MAP_SHARED")
    assert found(tmp_path) == [(process.pid, model)]


def test_a_private_mapping_never_reaches_the_file(holds: Holds, model: Path, tmp_path: Path) -> None:
    holds(MAPS, model, "MAP_PRIVATE")
    assert found(tmp_path) == []


def test_a_file_beside_the_volume_is_no_concern(holds: Holds, model: Path, tmp_path: Path) -> None:
    beside = tmp_path / "volume2"
    beside.write_bytes(bytes(10))
    holds(OPENS, beside, "os.O_WRONLY")
    assert found(tmp_path) == []


def test_a_writer_to_a_removed_file_is_found(holds: Holds, model: Path, tmp_path: Path) -> None:
    process = holds(OPENS, model, "os.O_WRONLY")
    model.unlink()
    assert found(tmp_path) == [(process.pid, model)]


def test_the_folder_may_be_named_through_a_link(holds: Holds, model: Path, tmp_path: Path) -> None:
    process = holds(OPENS, model, "os.O_WRONLY")
    (tmp_path / "link").symlink_to("volume")
    assert [writer.pid for writer in open_writers(tmp_path / "link")] == [process.pid]


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe", b"back\\134slash", b" (deleted)x"])
def test_any_name_is_found(holds: Holds, model: Path, tmp_path: Path, name: bytes) -> None:
    file = model.parent / os.fsdecode(name)
    file.write_bytes(bytes(10))
    holds(OPENS, file, "os.O_WRONLY")
    assert [path for _, path in found(tmp_path)] == [file]


@pytest.mark.parametrize("name", [b"new\nline", b"\xff\xfe", b" sp ace"])
def test_any_name_is_found_in_a_mapping(holds: Holds, model: Path, tmp_path: Path, name: bytes) -> None:
    file = model.parent / os.fsdecode(name)
    file.write_bytes(bytes(10))
    holds(MAPS, file, "MAP_SHARED")
    assert [path for _, path in found(tmp_path)] == [file]


def test_the_command_is_told_as_one_harmless_line(holds: Holds, model: Path, tmp_path: Path) -> None:
    holds(OPENS, model, "os.O_WRONLY", "\x1b[2J\r\n\u202e" + "x" * 1000)
    (writer,) = open_writers(tmp_path / "volume")
    assert writer.command.isprintable()
    assert 0 < len(writer.command) <= 200


def test_we_are_no_late_writer_ourselves(model: Path, tmp_path: Path) -> None:
    with model.open("ab"):
        assert found(tmp_path) == []


def test_other_peoples_processes_are_passed_over(as_user: AsUser, open_folder: Path, holds: Holds) -> None:
    file = open_folder / "model.bin"
    file.write_bytes(bytes(10))
    process = holds(OPENS, file, "os.O_WRONLY")
    assert [writer.pid for writer in open_writers(open_folder)] == [process.pid]
    assert as_user(12001, lambda: len(open_writers(open_folder))) == 0
