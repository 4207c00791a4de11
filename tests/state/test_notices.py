"""Notices wait durably, the latest of each identity, and what the forge forbids is given up and said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.domain.notices import Comment, Notice, marker_of
from ci_mlsnap.errors import ForgeForbidden, ForgeRejected, ForgeUnavailable, MlsnapError, StorageFailed
from ci_mlsnap.state.notices import NoticeBox

HOME = "ada/digits"
SHA = "a" * 40


def comment(text: str = "one", *, number: int = 7, model: str = "digits", sha: str = SHA) -> Comment:
    marker = marker_of(model)
    return Comment(sha=sha, number=number, marker=marker, body=f"{marker}\n{text}")


@pytest.fixture
def box(state: Path) -> NoticeBox:
    return NoticeBox(state)


def there(name: str) -> bool:
    return True


def raising(error: MlsnapError) -> Callable[[str, Notice], object]:
    def answer(repository: str, notice: Notice) -> None:
        raise error

    return answer


def bodies(forge: Any) -> list[str]:
    return [notice.body.split("\n")[1] for notice in forge.told.values()]


def test_a_box_never_used_is_empty_and_nothing_is_made(state: Path, box: NoticeBox, forge: Any) -> None:
    assert box.pending() == []
    assert box.deliver(forge, exists=there).sent == ()
    assert not state.exists()


def test_a_notice_waits_until_it_is_sent_and_then_no_more(state: Path, box: NoticeBox, forge: Any) -> None:
    box.put(HOME, comment())
    (sent,) = NoticeBox(state).deliver(forge, exists=there).sent
    assert sent == (comment(), "https://forge.example/1")
    assert box.pending() == []


def test_the_latest_takes_the_place_of_what_waits(box: NoticeBox, forge: Any) -> None:
    for text in ("one", "two", "three"):
        box.put(HOME, comment(text))
    box.put(HOME, comment("letters", model="letters"))
    box.put(HOME, comment("other", number=8))
    box.deliver(forge, exists=there)
    assert bodies(forge) == ["three", "letters", "other"]


def test_one_that_came_while_another_was_sent_is_not_lost(box: NoticeBox, forge: Any) -> None:
    box.put(HOME, comment("one"))
    forge.telling = lambda repository, notice: box.put(HOME, comment("two"))
    box.deliver(forge, exists=there)
    forge.telling = lambda repository, notice: None
    (waiting,) = box.pending()
    assert waiting.notice == comment("two")
    box.deliver(forge, exists=there)
    assert bodies(forge) == ["two"]
    assert box.pending() == []


def test_a_silent_forge_is_asked_once_and_the_rest_waits(box: NoticeBox, forge: Any) -> None:
    asked: list[str] = []

    def away(repository: str, notice: Notice) -> None:
        asked.append(repository)
        raise ForgeUnavailable("503")

    forge.telling = away
    for number in (1, 2, 3):
        box.put(HOME, comment(number=number))
    told = box.deliver(forge, exists=there)
    assert [why for _, why in told.kept] == ["503"] * 3
    assert len(asked) == 1
    assert [entry.attempts for entry in box.pending()] == [1, 0, 0]


@pytest.mark.parametrize("error", [ForgeForbidden("403", why="locked"), ForgeRejected("422", why="long")])
def test_what_the_forge_forbids_is_given_up_and_the_rest_is_sent(
    box: NoticeBox, forge: Any, error: MlsnapError
) -> None:
    box.put(HOME, comment(number=1))
    box.put(HOME, comment(number=2))
    refusing = raising(error)
    first = comment(number=1)
    forge.telling = lambda repository, notice: refusing(repository, notice) if notice == first else None
    told = box.deliver(forge, exists=there)
    assert [(notice, error.why in why) for notice, why in told.dropped] == [(first, True)]
    assert [notice for notice, _ in told.sent] == [comment(number=2)]
    assert box.pending() == []


def test_what_speaks_of_a_snapshot_that_is_gone_is_given_up(box: NoticeBox, forge: Any) -> None:
    box.put(HOME, comment(), snapshot=SHA)
    told = box.deliver(forge, exists=lambda name: False)
    assert "is gone" in told.dropped[0][1]
    assert (forge.told, box.pending()) == ({}, [])


def test_what_the_storage_does_not_tell_waits(box: NoticeBox, forge: Any) -> None:
    def unknown(name: str) -> bool:
        raise StorageFailed("away")

    box.put(HOME, comment(), snapshot=SHA)
    assert len(box.deliver(forge, exists=unknown).kept) == 1
    assert len(box.pending()) == 1


def test_the_time_for_sending_has_an_end(box: NoticeBox, forge: Any) -> None:
    for number in (1, 2, 3):
        box.put(HOME, comment(number=number))
    ticks = iter(range(0, 1000, 40))
    told = box.deliver(forge, exists=there, budget=60, monotonic=lambda: float(next(ticks)))
    assert (len(told.sent), len(told.kept)) == (1, 2)


def test_a_damaged_file_stops_no_other(state: Path, box: NoticeBox, forge: Any) -> None:
    box.put(HOME, comment(number=1))
    (file,) = (state / "notices").glob("*.json")
    file.write_text("{]")
    box.put(HOME, comment(number=2))
    assert len(box.deliver(forge, exists=there).sent) == 1


def test_whatever_step_it_is_killed_at_a_notice_is_whole_or_not_there(
    box: NoticeBox, forge: Any, killed_at_each_step: Any
) -> None:
    def after() -> None:
        assert [entry.notice for entry in box.pending()] in ([comment("one")], [comment("two")])

    steps = killed_at_each_step(
        lambda: box.put(HOME, comment("one")), lambda: box.put(HOME, comment("two")), after
    )
    assert steps >= 3
