from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ci_mlsnap.domain.status import CommitStatus, State, status
from ci_mlsnap.errors import (
    ForgeForbidden,
    ForgeRejected,
    ForgeUnavailable,
    IntegrityDamage,
    MlsnapError,
    StorageFailed,
)
from ci_mlsnap.state.outbox import Outbox

SHA, SHA2 = "a" * 40, "b" * 40
HOME = "ada/digits"


def said(
    text: str = "one", *, state: State = "pending", sha: str = SHA, context: str = "mlsnap/digits"
) -> CommitStatus:
    return status(sha, context, state, text, "https://ci.example.org/run/1")


@pytest.fixture
def outbox(state: Path) -> Outbox:
    return Outbox(state)


def there(name: str) -> bool:
    return True


def gone(name: str) -> bool:
    return False


def raising(error: MlsnapError, *, times: int = 1000) -> Callable[[str, CommitStatus], object]:
    """Give a forge's answer that fails this many times."""
    left = [times]

    def answer(repository: str, sent: CommitStatus) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return answer


def texts(entries: Sequence[Any]) -> list[str]:
    return [entry.status.description for entry in entries]


# -- waiting -------------------------------------------------------------------------------------------


def test_a_status_waits_whole_until_it_is_sent(state: Path, outbox: Outbox, forge: Any) -> None:
    sent = said("the Grüße text")
    outbox.put(HOME, sent, snapshot=SHA)
    (waiting,) = Outbox(state).pending()
    assert (waiting.repository, waiting.status, waiting.snapshot) == (HOME, sent, SHA)
    assert outbox.deliver(forge, exists=there).sent == (waiting,)
    assert forge.posted == [(HOME, sent)]
    assert outbox.pending() == []


def test_an_outbox_never_used_is_empty_and_nothing_is_made(state: Path, outbox: Outbox, forge: Any) -> None:
    assert not (outbox.pending() or outbox.undeliverable() or outbox.damaged())
    assert outbox.deliver(forge, exists=there).sent == ()
    assert not state.exists()


def test_nothing_is_sent_twice(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said())
    outbox.deliver(forge, exists=there)
    outbox.deliver(forge, exists=there)
    assert len(forge.posted) == 1


def test_only_the_latest_for_a_commit_and_context_is_sent(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("one"))
    outbox.put(HOME, said("two", state="success"))
    assert texts(outbox.pending()) == ["two"]
    outbox.deliver(forge, exists=there)
    assert [sent.description for _, sent in forge.posted] == ["two"]


@pytest.mark.parametrize(
    ("repository", "other"),
    [("ada/other", said()), (HOME, said(sha=SHA2)), (HOME, said(context="mlsnap/digits/accuracy"))],
    ids=["repository", "commit", "context"],
)
def test_what_speaks_of_something_else_waits_beside_it(
    outbox: Outbox, repository: str, other: CommitStatus
) -> None:
    outbox.put(HOME, said())
    outbox.put(repository, other)
    assert len(outbox.pending()) == 2


def test_a_late_pending_never_covers_a_final_state(outbox: Outbox, forge: Any) -> None:
    """Its number is from before; whether the final state waits or was already sent makes no difference."""
    first = outbox.put(HOME, said("one"))
    assert first is not None
    outbox.put(HOME, said("two", state="success"))
    assert outbox.put(HOME, said("late"), sequence=first.sequence) is None
    assert texts(outbox.pending()) == ["two"]
    outbox.deliver(forge, exists=there)
    assert outbox.put(HOME, said("late"), sequence=first.sequence) is None
    assert outbox.pending() == []


def test_a_number_above_all_seen_is_taken(outbox: Outbox) -> None:
    outbox.put(HOME, said("one"))
    later = outbox.put(HOME, said("two"), sequence=9)
    assert later is not None
    after = outbox.put(HOME, said("three"))
    assert after is not None
    assert (later.sequence, after.sequence) == (9, 10)


def test_a_new_run_of_the_same_commit_may_say_pending_again(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("one", state="success"))
    outbox.deliver(forge, exists=there)
    outbox.put(HOME, said("again"))
    outbox.deliver(forge, exists=there)
    assert [sent.description for _, sent in forge.posted] == ["one", "again"]


def test_a_later_status_that_comes_while_an_earlier_one_is_sent_is_not_lost(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("one"))
    forge.after = lambda repository, sent: (
        outbox.put(HOME, said("two", state="success")) if sent.description == "one" else None
    )
    outbox.deliver(forge, exists=there)
    assert texts(outbox.pending()) == ["two"]
    outbox.deliver(forge, exists=there)
    assert [sent.description for _, sent in forge.posted] == ["one", "two"]


def test_of_what_waits_the_version_of_that_moment_is_sent(outbox: Outbox, forge: Any) -> None:
    """The second one is replaced while the first is sent: the replaced text never leaves."""
    outbox.put(HOME, said("one", context="mlsnap/a"))
    outbox.put(HOME, said("two", context="mlsnap/b"))
    later = {"mlsnap/a": "mlsnap/b", "mlsnap/b": "mlsnap/a"}
    replaced: list[str] = []

    def replace(repository: str, sent: CommitStatus) -> None:
        if not replaced:
            replaced.append(later[sent.context])
            outbox.put(HOME, said("newer", context=later[sent.context]))

    forge.after = replace
    outbox.deliver(forge, exists=there)
    assert [sent.description for _, sent in forge.posted][1:] == ["newer"]
    assert outbox.pending() == []


# -- success needs its snapshot ------------------------------------------------------------------------


def test_a_success_whose_snapshot_is_gone_is_sent_as_an_error(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("ready", state="success"), snapshot=SHA)
    asked: list[str] = []

    def gone_when_asked(name: str) -> bool:
        asked.append(name)
        return False

    delivery = outbox.deliver(forge, exists=gone_when_asked)
    ((_, sent),) = forge.posted
    assert asked == [SHA]
    assert (sent.sha, sent.context, sent.state) == (SHA, "mlsnap/digits", "error")
    assert "gone" in sent.description
    assert sent.target_url == "https://ci.example.org/run/1"
    assert [entry.status.state for entry in delivery.sent] == ["error"]
    assert outbox.pending() == []


@pytest.mark.parametrize("how", ["pending", "failure", "error"])
def test_what_promises_no_snapshot_is_sent_also_without_it(outbox: Outbox, forge: Any, how: State) -> None:
    outbox.put(HOME, said("one", state=how), snapshot=SHA)
    outbox.deliver(forge, exists=gone)
    assert [sent.state for _, sent in forge.posted] == [how]


def test_a_success_that_speaks_of_no_snapshot_is_sent(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("Nothing to train", state="success"))
    outbox.deliver(forge, exists=gone)
    assert [sent.state for _, sent in forge.posted] == ["success"]


@pytest.mark.parametrize("error", [StorageFailed("the disk is away"), IntegrityDamage("the marker is damaged")])
def test_while_the_storage_cannot_tell_a_success_waits_and_the_rest_goes(
    outbox: Outbox, forge: Any, error: MlsnapError
) -> None:
    def unknown(name: str) -> bool:
        raise error

    outbox.put(HOME, said("ready", state="success"), snapshot=SHA)
    outbox.put(HOME, said("failed", state="failure", sha=SHA2))
    delivery = outbox.deliver(forge, exists=unknown)
    assert texts(delivery.sent) == ["failed"]
    assert texts(delivery.kept) == texts(outbox.pending()) == ["ready"]
    assert error.what in delivery.why


# -- a forge that refuses, is away, loses answers ------------------------------------------------------


@pytest.mark.parametrize("error", [ForgeUnavailable("502 from the forge"), ForgeForbidden("the token is refused")])
def test_what_could_not_be_sent_waits_and_goes_with_the_next_run(
    state: Path, outbox: Outbox, forge: Any, error: MlsnapError
) -> None:
    outbox.put(HOME, said())
    forge.before = raising(error, times=1)
    delivery = outbox.deliver(forge, exists=there)
    assert (texts(delivery.kept), delivery.why) == (["one"], error.what)
    (kept,) = outbox.pending()
    assert (kept.attempts, kept.why) == (1, error.what)
    assert texts(Outbox(state).deliver(forge, exists=there).sent) == ["one"]


def test_after_one_refusal_the_rest_of_that_repository_is_not_tried_and_others_are(
    outbox: Outbox, forge: Any
) -> None:
    asked: list[str] = []

    def answer(repository: str, sent: CommitStatus) -> None:
        asked.append(repository)
        if repository == HOME:
            raise ForgeForbidden("the token is refused")

    forge.before = answer
    outbox.put(HOME, said())
    outbox.put(HOME, said(sha=SHA2))
    outbox.put("zoe/other", said())
    delivery = outbox.deliver(forge, exists=there)
    assert asked == [HOME, "zoe/other"]
    assert len(delivery.kept) == len(outbox.pending()) == 2
    assert len(delivery.sent) == 1


def test_one_that_fails_again_and_again_does_not_keep_the_others_back(outbox: Outbox, forge: Any) -> None:
    def answer(repository: str, sent: CommitStatus) -> None:
        if sent.description == "stuck":
            raise ForgeUnavailable("500 for this one")

    forge.before = answer
    outbox.put(HOME, said("stuck"))
    for number in range(3):
        outbox.put(HOME, said(f"{number}", sha=f"{number}" * 40))
    for _ in range(2):
        outbox.deliver(forge, exists=there)
    assert texts(outbox.pending()) == ["stuck"]


def test_what_the_forge_will_never_take_is_kept_for_the_record_and_not_sent_again(
    outbox: Outbox, forge: Any
) -> None:
    outbox.put(HOME, said())
    outbox.put(HOME, said("two", sha=SHA2))
    forge.before = raising(ForgeRejected("422: no commit of that SHA"), times=1)
    delivery = outbox.deliver(forge, exists=there)
    assert (len(delivery.undeliverable), len(delivery.sent), delivery.kept) == (1, 1, ())
    (refused,) = outbox.undeliverable()
    assert "422" in refused.why
    outbox.deliver(forge, exists=there)
    assert len(forge.posted) == 1


def test_a_new_status_after_a_refused_one_is_tried_and_clears_the_record(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("one"))
    forge.before = raising(ForgeRejected("422"), times=1)
    outbox.deliver(forge, exists=there)
    outbox.put(HOME, said("two"))
    assert texts(outbox.deliver(forge, exists=there).sent) == ["two"]
    assert outbox.undeliverable() == []


def test_a_lost_answer_makes_it_go_twice_and_never_be_lost(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said())
    forge.after = raising(ForgeUnavailable("no answer"), times=1)
    assert texts(outbox.deliver(forge, exists=there).kept) == ["one"]
    assert texts(outbox.deliver(forge, exists=there).sent) == ["one"]
    assert len(forge.posted) == 2


def test_one_that_failed_while_a_later_one_came_does_not_take_its_place(outbox: Outbox, forge: Any) -> None:
    def replace_and_fail(repository: str, sent: CommitStatus) -> None:
        outbox.put(HOME, said("two", state="success"))
        raise ForgeUnavailable("503")

    outbox.put(HOME, said("one"))
    forge.before = replace_and_fail
    outbox.deliver(forge, exists=there)
    assert texts(outbox.pending()) == ["two"]


def test_one_that_was_sent_but_not_taken_out_is_not_sent_again(state: Path, outbox: Outbox, forge: Any) -> None:
    """As a crash between the mark and the removal leaves it."""
    outbox.put(HOME, said())
    (file,) = (state / "outbox" / "waiting").glob("*.json")
    content = file.read_bytes()
    outbox.deliver(forge, exists=there)
    file.write_bytes(content)
    assert outbox.pending() == []
    outbox.deliver(forge, exists=there)
    assert len(forge.posted) == 1


def test_when_the_time_is_used_up_the_rest_waits(outbox: Outbox, forge: Any) -> None:
    clock = [0.0]

    def slowly(repository: str, sent: CommitStatus) -> None:
        clock[0] += 25.0

    forge.after = slowly
    for number in range(5):
        outbox.put(HOME, said(f"{number}", sha=f"{number}" * 40))
    delivery = outbox.deliver(forge, exists=there, budget=60.0, monotonic=lambda: clock[0])
    assert (len(delivery.sent), len(delivery.kept)) == (3, 2)
    assert len(outbox.pending()) == 2


def test_while_another_process_sends_ours_waits_and_is_not_sent_beside_it(outbox: Outbox, forge: Any) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def hold(repository: str, sent: CommitStatus) -> None:
        inside.set()
        assert go_on.wait(30)

    outbox.put(HOME, said())
    forge.before = hold
    sender = threading.Thread(target=outbox.deliver, args=(forge,), kwargs={"exists": there})
    sender.start()
    try:
        assert inside.wait(30)
        delivery = outbox.deliver(forge, exists=there, budget=0.05)
        assert (texts(delivery.kept), delivery.why) == (["one"], "another process is sending")
        assert outbox.put(HOME, said("two")) is not None
    finally:
        go_on.set()
        sender.join()
    assert [sent.description for _, sent in forge.posted] == ["one"]
    assert texts(outbox.pending()) == ["two"]


# -- damage --------------------------------------------------------------------------------------------


def test_a_damaged_entry_is_told_and_keeps_no_other_back(state: Path, outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("one"))
    (file,) = (state / "outbox" / "waiting").glob("*.json")
    file.write_bytes(b"{")
    outbox.put(HOME, said("two", sha=SHA2))
    delivery = outbox.deliver(forge, exists=there)
    assert texts(delivery.sent) == ["two"]
    assert delivery.damaged == (str(file),)
    assert outbox.damaged() == [str(file)]
    outbox.put(HOME, said("one again"))
    assert outbox.damaged() == []
    assert texts(outbox.deliver(forge, exists=there).sent) == ["one again"]


def test_files_say_their_format_and_hold_no_more_than_the_status(state: Path, outbox: Outbox) -> None:
    outbox.put(HOME, said("one"))
    (file,) = (state / "outbox" / "waiting").glob("*.json")
    found = json.loads(file.read_bytes())
    assert found["format"] == "mlsnap/status/1"
    assert found["status"] == msgspec.to_builtins(said("one"))


# -- killed --------------------------------------------------------------------------------------------


def test_killed_at_any_step_of_sending_nothing_is_lost(
    state: Path, outbox: Outbox, tmp_path: Path, forge: Any, killed_at_each_step: Callable[..., int]
) -> None:
    """The forge's memory is a file: what it took before the kill it has. It never has less, nor another order."""
    heard = tmp_path / "heard"

    def remember(repository: str, sent: CommitStatus) -> None:
        with heard.open("a") as file:
            file.write(f"{sent.sha[0]} {sent.description}\n")

    def fill() -> None:
        shutil.rmtree(state, ignore_errors=True)
        heard.unlink(missing_ok=True)
        outbox.put(HOME, said("early"))
        outbox.put(HOME, said("final", state="success"))
        outbox.put(HOME, said("other", sha=SHA2))

    def look() -> None:
        outbox.deliver(forge, exists=there)
        assert not (outbox.pending() or outbox.undeliverable() or outbox.damaged())
        assert set(heard.read_text().splitlines()) == {"a final", "b other"}

    forge.before = remember
    assert killed_at_each_step(fill, lambda: outbox.deliver(forge, exists=there), look) >= 10


def test_killed_at_any_step_of_putting_the_old_or_the_new_one_waits(
    state: Path, outbox: Outbox, killed_at_each_step: Callable[..., int]
) -> None:
    seen: list[str] = []

    def fill() -> None:
        shutil.rmtree(state, ignore_errors=True)
        outbox.put(HOME, said("1 old"))

    steps = killed_at_each_step(
        fill, lambda: outbox.put(HOME, said("2 new")), lambda: seen.extend(texts(outbox.pending()))
    )
    assert steps > 3
    assert len(seen) == steps + 1
    assert seen == sorted(seen)
    assert set(seen) == {"1 old", "2 new"}


def test_killed_at_any_step_of_setting_aside_it_is_refused_once_more_at_most(
    state: Path, outbox: Outbox, forge: Any, killed_at_each_step: Callable[..., int]
) -> None:
    def fill() -> None:
        shutil.rmtree(state, ignore_errors=True)
        outbox.put(HOME, said())

    def look() -> None:
        outbox.deliver(forge, exists=there)
        assert outbox.pending() == []
        assert texts(outbox.undeliverable()) == ["one"]

    forge.before = raising(ForgeRejected("422"))
    assert killed_at_each_step(fill, lambda: outbox.deliver(forge, exists=there), look) > 5


def test_an_error_that_is_no_answer_of_a_forge_leaves_all_waiting(outbox: Outbox, forge: Any) -> None:
    def interrupt(repository: str, sent: CommitStatus) -> None:
        raise KeyboardInterrupt

    outbox.put(HOME, said())
    forge.after = interrupt
    with pytest.raises(KeyboardInterrupt):
        outbox.deliver(forge, exists=there)
    assert texts(outbox.pending()) == ["one"]


# -- what was said of a snapshot -----------------------------------------------------------------------


def test_what_commits_were_last_told_of_a_snapshot_is_known(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("ready", state="success"), snapshot="one")
    outbox.put(HOME, said("the same files", state="success", sha=SHA2), snapshot="one")
    outbox.put(HOME, said("another", context="mlsnap/other"), snapshot="two")
    outbox.deliver(forge, exists=there)
    outbox.put(HOME, said("missed", state="failure", context="mlsnap/third"), snapshot="one")
    told = outbox.told_of("one")
    assert {(it.sha, it.context, it.state) for it in told} == {
        (SHA, "mlsnap/digits", "success"),
        (SHA2, "mlsnap/digits", "success"),
        (SHA, "mlsnap/third", "failure"),
    }
    assert {it.target_url for it in told} == {"https://ci.example.org/run/1"}


def test_a_commit_that_is_told_of_another_snapshot_since_is_not_among_them(outbox: Outbox, forge: Any) -> None:
    outbox.put(HOME, said("first attempt", state="success"), snapshot="one")
    outbox.deliver(forge, exists=there)
    outbox.put(HOME, said("second attempt", state="success"), snapshot="one.2")
    assert outbox.told_of("one") == []
    assert len(outbox.told_of("one.2")) == 1
    outbox.deliver(forge, exists=there)
    assert outbox.told_of("one") == []
