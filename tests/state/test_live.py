from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.errors import IntegrityDamage
from ci_mlsnap.state import live

KilledAtEachStep = Callable[..., int]


def test_a_tree_never_seen_is_none_and_nothing_is_made(state: Path, tmp_path: Path) -> None:
    assert live.read(state, tmp_path / "models") is None
    assert not state.exists()


def test_what_was_recorded_last_is_read(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "models"
    live.write(state, path, version="a" * 40, condition="equal", run="one", now=lambda: 1.0)
    live.write(state, path, version="a" * 40, condition="in-change", target="b" * 40, run="two", now=lambda: 2.5)
    assert live.read(state, path) == live.Live(
        path=str(path), version="a" * 40, condition="in-change", target="b" * 40, run="two", since=2.5
    )


def test_each_tree_has_its_own_record(state: Path, tmp_path: Path) -> None:
    live.write(state, tmp_path / "one", version="a" * 40, condition="equal")
    assert live.read(state, tmp_path / "two") is None


def test_a_tree_is_the_same_one_by_whatever_links_its_folder_is_reached(state: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    live.write(state, tmp_path / "link" / "models", version="a" * 40, condition="equal")
    found = live.read(state, tmp_path / "real" / "models")
    assert found is not None
    assert found.version == "a" * 40


def test_a_path_that_is_not_utf8_has_a_record_too(state: Path, tmp_path: Path) -> None:
    path = tmp_path / "m\udcff"
    live.write(state, path, version="", condition="changed-by-failed-run")
    found = live.read(state, path)
    assert found is not None
    assert found.path.endswith("m\\xff")


@pytest.mark.parametrize("content", [b"", b'{"format":"mlsnap/live/1","condition":"fine"}'])
def test_a_damaged_record_is_no_record_of_equality(state: Path, tmp_path: Path, content: bytes) -> None:
    live.write(state, tmp_path / "models", version="a" * 40, condition="equal")
    (file,) = (state / "live").iterdir()
    file.write_bytes(content)
    with pytest.raises(IntegrityDamage):
        live.read(state, tmp_path / "models")


def test_killed_at_any_step_the_record_is_the_old_or_the_new_one(
    state: Path, tmp_path: Path, killed_at_each_step: KilledAtEachStep
) -> None:
    path = tmp_path / "models"
    seen: list[str] = []

    def look() -> None:
        found = live.read(state, path)
        assert found is not None
        seen.append(found.condition)

    steps = killed_at_each_step(
        lambda: live.write(state, path, version="a" * 40, condition="equal"),
        lambda: live.write(state, path, version="a" * 40, condition="in-change"),
        look,
    )
    assert steps >= 4
    assert seen == sorted(seen)
    assert set(seen) == {"equal", "in-change"}
