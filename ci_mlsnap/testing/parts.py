"""Going back with some paths of a volume alone."""

from __future__ import annotations

import os
import shutil

import pytest

from ci_mlsnap.domain.parts import folders_above
from ci_mlsnap.errors import IntegrityDamage, LiveTreeChanged, NoSuchVersion
from ci_mlsnap.testing.acts import folder_of, hostile, published, remove, upset
from ci_mlsnap.testing.ground import FIRST, DriverUnderTest, Facts, every_stat, look


class RestoringParts:
    """Some files and folders of a version, with all else left alone."""

    @pytest.mark.parametrize("part", [b"weights.bin", b"epoch/1", b"epoch", b"latest", b"empty", b"-rf"])
    def test_only_what_is_named_is_brought_back(self, driver: DriverUnderTest, part: bytes) -> None:
        published(driver)
        wanted = _without_groups(look(driver.live))
        upset(driver.live)
        before = _without_groups(look(driver.live))
        driver.driver.restore(FIRST, driver.live, paths=[part])
        after = _without_groups(look(driver.live))
        name = os.fsdecode(part)
        assert _below(after, name) == _below(wanted, name)
        above = {os.fsdecode(folder) for folder in folders_above(part)}
        assert _others(after, name, above) == _others(before, name, above)

    @pytest.mark.parametrize("part", ["epoch/1/log.txt", "epoch/1", "epoch", "script.sh", "empty"])
    def test_what_was_deleted_alone_makes_the_tree_the_version_again(
        self, driver: DriverUnderTest, part: str
    ) -> None:
        published(driver)
        before = look(driver.live)
        remove(driver.live / part)
        driver.driver.restore(FIRST, driver.live, paths=[os.fsencode(part)])
        after = look(driver.live)
        if part != "epoch":  # of a hard-link group only the name in there was named
            assert after == before
        assert _without_groups(after) == _without_groups(before)

    def test_folders_on_the_way_are_made_as_the_version_has_them(self, driver: DriverUnderTest) -> None:
        published(driver)
        before = look(driver.live)
        shutil.rmtree(driver.live / "epoch")
        driver.driver.restore(FIRST, driver.live, paths=[b"epoch/1/log.txt"])
        after = look(driver.live)
        assert sorted(set(before) - set(after)) == ["epoch/back", "epoch/weights-again.bin"]
        assert [after[name] for name in ("epoch", "epoch/1", "epoch/1/log.txt")] == [
            before[name] for name in ("epoch", "epoch/1", "epoch/1/log.txt")
        ]

    def test_parts_brought_back_twice_change_nothing_the_second_time(self, driver: DriverUnderTest) -> None:
        published(driver)
        upset(driver.live)
        paths = [b"epoch", b"epoch/1", b"weights.bin", b"empty", b"latest"]
        driver.driver.restore(FIRST, driver.live, paths=paths)
        before = every_stat(driver.live)
        again = driver.reopen().restore(FIRST, driver.live, paths=paths)
        assert every_stat(driver.live) == before
        assert again.changed == 0

    @pytest.mark.parametrize("way", ["a link", "a file"])
    def test_nothing_is_brought_back_through_what_is_no_folder(self, driver: DriverUnderTest, way: str) -> None:
        published(driver)
        outside = folder_of(driver, {"1/log.txt": b"somebody's"})
        shutil.rmtree(driver.live / "epoch")
        if way == "a link":
            (driver.live / "epoch").symlink_to(outside)
        else:
            (driver.live / "epoch").write_bytes(b"a file now")
        before = every_stat(driver.ground)
        with pytest.raises(LiveTreeChanged):
            driver.driver.restore(FIRST, driver.live, paths=[b"script.sh", b"epoch/1/log.txt"])
        assert every_stat(driver.ground) == before

    @pytest.mark.parametrize("thing", ["fifo", "socket"])
    def test_a_thing_in_the_way_that_no_version_can_have_goes(self, driver: DriverUnderTest, thing: str) -> None:
        published(driver)
        before = look(driver.live)
        (driver.live / "script.sh").unlink()
        with hostile(driver.live, thing):
            os.link(driver.live / "bad", driver.live / "script.sh")
        driver.driver.restore(FIRST, driver.live, paths=[b"script.sh"])
        assert look(driver.live) == before

    @pytest.mark.parametrize(
        "path", [b"nothing", b"epoch/none", b"weights.bin/x", b"..", b"epoch/../weights.bin", b"/etc", b"epoch/"]
    )
    def test_a_path_that_the_version_has_not_changes_nothing(self, driver: DriverUnderTest, path: bytes) -> None:
        published(driver)
        upset(driver.live)
        before = every_stat(driver.live)
        with pytest.raises(NoSuchVersion):
            driver.driver.restore(FIRST, driver.live, paths=[b"weights.bin", path])
        with pytest.raises(NoSuchVersion):
            driver.driver.clone(FIRST, driver.scratch / "clone", paths=[path])
        assert every_stat(driver.live) == before
        assert not (driver.scratch / "clone").exists()

    @pytest.mark.parametrize("path", [b".mlsnap/volume.json", b".mlsnap", b".snapshot"])
    def test_what_is_no_content_is_no_part(self, driver: DriverUnderTest, path: bytes) -> None:
        published(driver)
        with pytest.raises(NoSuchVersion):
            driver.driver.restore(FIRST, driver.live, paths=[path])

    def test_no_part_of_a_damaged_version_is_brought_back(self, driver: DriverUnderTest) -> None:
        published(driver)
        driver.damage(FIRST, "weights.bin")
        upset(driver.live)
        before = every_stat(driver.live)
        with pytest.raises(IntegrityDamage, match=r"weights\.bin|weights-again\.bin"):
            driver.reopen().restore(FIRST, driver.live, paths=[b"weights.bin"])
        assert every_stat(driver.live) == before

    def test_a_clone_of_parts_has_these_alone_and_shares_nothing(self, driver: DriverUnderTest) -> None:
        published(driver)
        before = _without_groups(look(driver.live))
        clone = driver.driver.clone(FIRST, driver.scratch / "clone", paths=[b"epoch", b"script.sh"])
        found = _without_groups(look(clone))
        assert found == {name: before[name] for name in before if name.startswith("epoch") or name == "script.sh"}
        (clone / "epoch/weights-again.bin").write_bytes(b"changed")
        driver.driver.read_back(FIRST)
        driver.driver.remove_clone(clone)
        assert not clone.exists()


def _without_groups(tree: dict[str, Facts]) -> dict[str, Facts]:
    """Leave out of which hard-link group a file is."""
    return {name: facts[:5] + facts[6:] if facts[0] == "file" else facts for name, facts in tree.items()}


def _below(tree: dict[str, Facts], part: str) -> dict[str, Facts]:
    return {name: facts for name, facts in tree.items() if name == part or name.startswith(f"{part}/")}


def _others(tree: dict[str, Facts], part: str, above: set[str]) -> dict[str, Facts]:
    """Give what is not in the part; of the folders above only that they are there."""
    below = _below(tree, part)
    return {name: facts[:2] if name in above else facts for name, facts in tree.items() if name not in below}
