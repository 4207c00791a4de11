"""The folder of a report: only what changed is written, only what is ours is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from ci_mlsnap.errors import Busy, Refused, StorageFailed
from ci_mlsnap.report import pages_folder
from ci_mlsnap.report.pages_folder import MARKER, Group, Written, write_groups


class Maker:
    """Makes groups, and counts how often each was asked for its files."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def group(self, name: str, key: str, files: Mapping[str, bytes], folder: str = "") -> Group:
        def make() -> Mapping[str, bytes]:
            self.made.append(name)
            return files

        return Group(name=name, folder=folder, key=key, make=make)


def written(folder: Path, *groups: Group, kept: tuple[str, ...] = (), model: str = "digits") -> Written:
    return write_groups(folder, groups, project="octo/digits", model=model, kept=kept)


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Give all files with their inode, which is another one when a file was written anew."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.stat().st_ino, path.read_bytes()) for path in files}


@pytest.fixture
def maker() -> Maker:
    return Maker()


def test_a_second_time_makes_and_writes_nothing(tmp_path: Path, maker: Maker) -> None:
    groups = [maker.group("a", "1", {"a.html": b"a"}), maker.group("v", "1", {"index.html": b"v"}, "v")]
    assert written(tmp_path / "out", *groups).written == 2
    before = everything(tmp_path / "out")
    maker.made.clear()
    assert written(tmp_path / "out", *groups) == Written(files=2, written=0, removed=0)
    assert maker.made == []
    assert everything(tmp_path / "out") == before


def test_only_what_has_another_key_is_made_and_only_other_bytes_are_written(tmp_path: Path, maker: Maker) -> None:
    out = tmp_path / "out"
    written(out, maker.group("a", "1", {"a.html": b"a", "b.html": b"b"}), maker.group("c", "1", {"c.html": b"c"}))
    before = everything(out)
    maker.made.clear()
    done = written(
        out, maker.group("a", "2", {"a.html": b"a", "b.html": b"new"}), maker.group("c", "1", {"c.html": b"x"})
    )
    after = everything(out)
    assert (maker.made, done.written) == (["a"], 1)
    assert [name for name in after if after[name] != before[name]] == ["b.html", MARKER]


def test_a_file_that_was_lost_or_cut_off_is_made_again(tmp_path: Path, maker: Maker) -> None:
    out, group = tmp_path / "out", maker.group("v", "1", {"index.html": b"whole", "more": b"m"}, "v")
    page = out / "v/index.html"
    for harm in (page.unlink, lambda: page.write_bytes(b"")):
        written(out, group)
        harm()
        assert written(out, group).written == 1
        assert (out / "v/index.html").read_bytes() == b"whole"


def test_what_is_no_part_of_the_report_any_more_goes_and_what_is_not_ours_stays(
    tmp_path: Path, maker: Maker
) -> None:
    out = tmp_path / "out"
    written(out, maker.group("a", "1", {"a.html": b"a"}), maker.group("v", "1", {"index.html": b"v"}, "v"))
    written(out, maker.group("w", "1", {"index.html": b"w"}, "w"))
    (out / "CNAME").write_text("models.example.org")
    (out / "w" / "note.txt").write_text("mine")
    assert written(out, maker.group("b", "1", {"b.html": b"b"})).removed == 1
    assert sorted(everything(out)) == ["CNAME", "b.html", MARKER, "w/note.txt"]
    assert not (out / "v").exists()


def test_a_group_that_is_kept_stays_although_nobody_makes_it(tmp_path: Path, maker: Maker) -> None:
    out = tmp_path / "out"
    written(out, maker.group("run", "1", {"record.json": b"{}"}))
    written(out, maker.group("a", "1", {"a.html": b"a"}), kept=("run",))
    assert (out / "record.json").read_bytes() == b"{}"


@pytest.mark.parametrize(
    "content", ["", "{", '{"format":"mlsnap/report/9"}', '{"format":"mlsnap/report/1"}', "[]"]
)
def test_a_folder_of_somebody_else_is_refused_and_left_alone(tmp_path: Path, maker: Maker, content: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / (MARKER if content else "index.html")).write_text(content or "mine")
    before = everything(out)
    with pytest.raises(Refused) as caught:
        written(out, maker.group("a", "1", {"index.html": b"ours"}))
    assert caught.value.safe
    assert caught.value.hint
    assert everything(out) == before


def test_the_report_of_another_model_is_refused(tmp_path: Path, maker: Maker) -> None:
    written(tmp_path / "out", maker.group("a", "1", {"a.html": b"a"}))
    with pytest.raises(Refused, match="no folder for this report"):
        written(tmp_path / "out", maker.group("a", "1", {"a.html": b"b"}), model="letters")
    assert (tmp_path / "out/a.html").read_bytes() == b"a"


def test_a_branch_for_pages_with_its_git_folder_is_as_good_as_an_empty_one(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "out/.git").mkdir(parents=True)
    assert written(tmp_path / "out", maker.group("a", "1", {"a.html": b"a"})).written == 1


def test_a_planted_link_is_replaced_and_never_followed(tmp_path: Path, maker: Maker) -> None:
    """Training may have been able to write into the folder."""
    out, victim = tmp_path / "out", tmp_path / "victim"
    victim.mkdir()
    (victim / "index.html").write_text("precious")
    group = maker.group("v", "1", {"index.html": b"v"}, "v")
    written(out, group)
    (out / "v/index.html").unlink()
    (out / "v/index.html").symlink_to(victim / "index.html")
    written(out, group)
    assert (out / "v/index.html").read_bytes() == b"v"
    assert not (out / "v/index.html").is_symlink()
    (out / "v/index.html").unlink()
    (out / "v").rmdir()
    (out / "v").symlink_to(victim)
    with pytest.raises(StorageFailed):
        written(out, maker.group("v", "2", {"index.html": b"other"}, "v"))
    with pytest.raises(StorageFailed):
        written(out, maker.group("v", "3", {"index.html": b"other"}, "v"))
    written(out)
    assert (victim / "index.html").read_text() == "precious"


@pytest.mark.parametrize("name", ["../victim", "/etc/passwd", "..", "a/../../victim", ".git"])
def test_a_marker_that_names_files_elsewhere_removes_nothing(tmp_path: Path, maker: Maker, name: str) -> None:
    out = tmp_path / "out"
    written(out, maker.group("a", "1", {"a.html": b"a"}))
    (tmp_path / "victim").write_text("precious")
    (out / ".git").write_text("precious")
    marker = json.loads((out / MARKER).read_bytes())
    for noted in (["", "1", {name: 8}], [name, "1", {"a.html": 1}]):
        (out / MARKER).write_text(json.dumps({**marker, "groups": {"a": noted}}))
        written(out, maker.group("b", "1", {"b.html": b"b"}))
        assert (tmp_path / "victim").read_text() == "precious"
        assert (out / ".git").read_text() == "precious"


def test_a_report_that_was_cut_off_is_finished_the_next_time(tmp_path: Path, maker: Maker) -> None:
    def breaks() -> Mapping[str, bytes]:
        raise StorageFailed("gone")

    out, first = tmp_path / "out", maker.group("a", "1", {"a.html": b"a"})
    with pytest.raises(StorageFailed):
        written(out, first, Group(name="b", key="1", make=breaks))
    assert written(out, first, maker.group("b", "1", {"b.html": b"b"})).written == 1
    assert sorted(everything(out)) == ["a.html", "b.html", MARKER]


def test_a_page_is_never_half_there(tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    written(out, maker.group("a", "1", {"a.html": b"old"}))

    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", no_room)
        with pytest.raises(StorageFailed):
            written(out, maker.group("a", "2", {"a.html": b"new"}))
    assert (out / "a.html").read_bytes() == b"old"
    assert [name for name in os.listdir(out) if name.endswith(".part")] == []


def test_two_reports_at_once_wait_for_each_other(
    tmp_path: Path, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_folder, "LOCK_WAIT", 0.05)

    def another() -> Mapping[str, bytes]:
        with pytest.raises(Busy):
            written(tmp_path / "out", maker.group("b", "1", {"b.html": b"b"}))
        return {"a.html": b"a"}

    written(tmp_path / "out", Group(name="a", key="1", make=another))
    assert sorted(everything(tmp_path / "out")) == ["a.html", MARKER]
