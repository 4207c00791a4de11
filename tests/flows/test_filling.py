"""How full a storage is, said from 90 % on."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from ci_mlsnap.flows.filling import filling
from ci_mlsnap.ports import Probe

EMPTY = Probe(
    volume_id="v1",
    way="copy",
    why="",
    file_system="ext4",
    free_bytes=1000,
    total_bytes=1000,
    free_inodes=1000,
    snapshots=10,
    foreign=0,
)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"free_bytes": 101}, ""),
        ({"free_bytes": 100}, "storage 90 % full"),
        ({"free_bytes": 0}, "storage 100 % full"),
        ({"free_bytes": 0, "total_bytes": 0}, ""),
        ({"most_snapshots": 1023, "snapshots": 900, "foreign": 20}, ""),
        ({"most_snapshots": 1023, "snapshots": 900, "foreign": 21}, "921 of 1023 snapshots used"),
        ({"snapshots": 5000}, ""),
    ],
)
def test_ninety_percent_of_space_or_count_is_said(changes: dict[str, Any], said: str) -> None:
    assert filling(msgspec.structs.replace(EMPTY, **changes)) == said
