from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from ci_mlsnap.errors import Busy, Cancelled, IntegrityDamage, LeaseLost, UsageError
from ci_mlsnap.state import lease
from ci_mlsnap.state.holder import Holder, this_process
from ci_mlsnap.state.lease import Lease


class Clock:
    """A clock that only moves when told to, or when somebody sleeps by it."""

    def __init__(self) -> None:
        self.time = 1_000_000.0
        self.slept: list[Callable[[], None]] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds
        if self.slept:
            self.slept.pop(0)()


KilledAtEachStep = Callable[..., int]
Together = Callable[[Sequence[Callable[[], object]]], list[int]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def take(state: Path, clock: Clock) -> Callable[..., Lease]:
    def taken(owner: str, key: str = "volume", **how: object) -> Lease:
        settings: dict[str, object] = {"ttl": 100.0, "run": owner, "now": clock.now, "sleep": clock.sleep, **how}
        return lease.acquire(state, key, owner=owner, **settings)  # type: ignore[arg-type]

    return taken


Take = Callable[..., Lease]


def _dead(holder: Holder) -> Holder:
    """The same process as it would be had it started at another time: its number is another's now."""
    return msgspec.structs.replace(holder, started=holder.started + 1)


# -- one at a time -------------------------------------------------------------------------------------


def test_a_free_lease_is_taken_and_can_be_found(state: Path, take: Take) -> None:
    taken = take("https://ci.example.org/run/1")
    assert lease.find(state, "volume") == taken
    assert lease.of_run(state, "https://ci.example.org/run/1") == [taken]
    assert lease.of_run(state, "another") == []


def test_a_second_owner_hears_who_has_it_since_when_and_the_way_out(state: Path, take: Take) -> None:
    first = take("https://ci.example.org/run/1")
    with pytest.raises(Busy) as caught:
        take("second")
    assert "https://ci.example.org/run/1" in caught.value.what
    assert "1970-01-12 13:46:40" in caught.value.why
    assert "--break-lease" in caught.value.hint
    assert lease.find(state, "volume") == first


def test_an_owners_name_cannot_speak_to_the_terminal(take: Take) -> None:
    take("evil\x1b[2J\n::error::\u202e" + "x" * 5000)
    with pytest.raises(Busy) as caught:
        take("second")
    assert caught.value.what.isprintable()
    assert len(caught.value.what) < 300


def test_leases_of_other_keys_are_free(take: Take) -> None:
    assert take("one", "volume").token != take("two", "commit-abc").token


@pytest.mark.parametrize("key", ["", "../up", "a/b", ".hidden", "A", "a" * 129, "a\n"])
def test_a_key_that_could_be_a_path_is_refused(state: Path, take: Take, key: str) -> None:
    with pytest.raises(UsageError):
        take("one", key)
    assert not (state / "leases" / "held").exists()


def test_the_same_run_gets_its_lease_again_with_the_same_token(clock: Clock, take: Take) -> None:
    first = take("one")
    clock.time += 50
    again = take("one")
    assert again.token == first.token
    assert again.expires == first.expires + 50


def test_an_owner_without_a_run_is_never_taken_for_the_same(take: Take) -> None:
    take("one", run="")
    with pytest.raises(Busy):
        take("one", run="")


# -- giving back ---------------------------------------------------------------------------------------


def test_a_lease_that_was_given_back_is_free_and_its_token_is_not_used_again(state: Path, take: Take) -> None:
    first = take("one")
    lease.release(state, first)
    lease.release(state, first)
    assert lease.find(state, "volume") is None
    assert take("two").token > first.token


def test_a_lease_that_the_same_run_took_anew_is_another_one(state: Path, take: Take) -> None:
    """A process of the run that slept meanwhile has the old token, and somebody may have been there between."""
    first = take("one")
    lease.break_lease(state, "volume")
    second = take("one")
    with pytest.raises(LeaseLost):
        lease.check(state, first)
    lease.release(state, first)
    assert lease.find(state, "volume") == second


def test_giving_back_does_nothing_to_a_later_owner(state: Path, clock: Clock, take: Take) -> None:
    first = take("one")
    clock.time += 101
    second = take("two")
    lease.release(state, first)
    lease.release_all(state, "one")
    assert lease.find(state, "volume") == second


def test_all_that_a_run_holds_is_given_back_at_once(state: Path, take: Take) -> None:
    take("one", "volume")
    take("one", "commit-abc")
    other = take("two", "commit-def")
    lease.release_all(state, "one")
    lease.release_all(state, "one")
    assert lease.of_run(state, "one") == []
    assert lease.find(state, "commit-def") == other


def test_given_back_leases_leave_no_files_behind(state: Path, take: Take) -> None:
    for number in range(20):
        lease.release(state, take("one", f"commit-{number}"))
    assert sorted(path.name for path in (state / "leases").iterdir()) == ["counter.json", "held", "lock"]
    assert list((state / "leases" / "held").iterdir()) == []


# -- expiry and proof ----------------------------------------------------------------------------------


def test_an_expired_lease_is_taken_over_and_its_owner_fenced_out(state: Path, clock: Clock, take: Take) -> None:
    first = take("one")
    clock.time += 101
    second = take("two")
    assert second.token > first.token
    with pytest.raises(LeaseLost) as caught:
        lease.check(state, first)
    assert "two" in caught.value.why
    with pytest.raises(LeaseLost):
        lease.renew(state, first, ttl=100.0, now=clock.now)
    assert lease.find(state, "volume") == second


def test_a_lease_is_not_taken_over_a_moment_before_it_expires(clock: Clock, take: Take) -> None:
    take("one")
    clock.time += 99.9
    with pytest.raises(Busy):
        take("two")


def test_an_expired_lease_that_nobody_took_can_still_be_renewed(state: Path, clock: Clock, take: Take) -> None:
    first = take("one")
    clock.time += 1000
    lease.check(state, first)
    assert lease.renew(state, first, ttl=100.0, now=clock.now).expires == clock.time + 100


def test_a_live_process_keeps_its_expired_lease_where_proof_of_death_is_asked_for(
    clock: Clock, take: Take
) -> None:
    take("one", needs_proof=True)
    clock.time += 1000
    with pytest.raises(Busy) as caught:
        take("two", needs_proof=True)
    assert "nothing proves that it is dead" in caught.value.why
    assert "--break-lease" in caught.value.hint


def test_the_proof_that_an_owner_asked_for_binds_also_those_who_ask_for_none(clock: Clock, take: Take) -> None:
    take("one", needs_proof=True)
    clock.time += 1000
    with pytest.raises(Busy):
        take("two", needs_proof=False)


def test_a_dead_process_loses_its_lease_only_once_it_is_expired(clock: Clock, take: Take) -> None:
    first = take("one", needs_proof=True, holder=_dead(this_process()))
    with pytest.raises(Busy):
        take("two", needs_proof=True)
    clock.time += 101
    assert take("two", needs_proof=True).token > first.token


def test_it_can_be_told_whether_a_lease_is_over(clock: Clock, take: Take) -> None:
    strict = take("one", needs_proof=True)
    plain = take("one", "commit-abc")
    assert not lease.is_over(plain, now=clock.time)
    assert lease.is_over(plain, now=clock.time + 101)
    assert not lease.is_over(strict, now=clock.time + 101)
    assert lease.is_over(msgspec.structs.replace(strict, holder=_dead(strict.holder)), now=clock.time + 101)


def test_a_phase_in_another_process_goes_on_in_its_own_name(state: Path, clock: Clock, take: Take) -> None:
    take("one", holder=_dead(this_process()))
    (found,) = lease.of_run(state, "one")
    assert lease.renew(state, found, ttl=100.0, now=clock.now).holder == this_process()


# -- waiting -------------------------------------------------------------------------------------------


def test_waiting_ends_when_the_lease_is_given_back(state: Path, clock: Clock, take: Take) -> None:
    first = take("one", ttl=10_000.0)
    clock.slept = [lambda: None, lambda: lease.release(state, first)]
    heard: list[str] = []
    second = take("two", wait=60.0, on_wait=lambda other: heard.append(other.owner))
    assert second.token > first.token
    assert heard == ["one"]


def test_waiting_ends_with_busy_when_its_time_is_over(clock: Clock, take: Take) -> None:
    take("one", ttl=10_000.0)
    began = clock.time
    with pytest.raises(Busy):
        take("two", wait=30.0)
    assert clock.time == began + 30


def test_waiting_says_again_and_again_for_whom_and_when_that_changes(
    state: Path, clock: Clock, take: Take
) -> None:
    first = take("one", ttl=10_000.0)

    def change() -> None:
        lease.release(state, first)
        take("three", ttl=10_000.0)

    heard: list[tuple[float, str]] = []
    began = clock.time
    clock.slept = [*([lambda: None] * 69), change]
    with pytest.raises(Busy):
        take("two", wait=150.0, on_wait=lambda other: heard.append((clock.time - began, other.owner)))
    assert heard == [(0.0, "one"), (60.0, "one"), (70.0, "three"), (130.0, "three")]


def test_waiting_stops_when_told_to(clock: Clock, take: Take) -> None:
    take("one", ttl=10_000.0)
    stopped: list[bool] = []
    clock.slept = [lambda: stopped.append(True)]
    with pytest.raises(Cancelled, match="waiting for one"):
        take("two", wait=1000.0, stop=lambda: bool(stopped))


# -- breaking, damage ----------------------------------------------------------------------------------


def test_a_broken_lease_fences_its_owner_out(state: Path, take: Take) -> None:
    first = take("one", needs_proof=True)
    assert lease.break_lease(state, "volume") == first
    assert lease.break_lease(state, "volume") is None
    with pytest.raises(LeaseLost, match="does not hold"):
        lease.check(state, first)
    second = take("two")
    assert second.token > first.token
    with pytest.raises(LeaseLost):
        lease.renew(state, first, ttl=1.0)


@pytest.mark.parametrize("content", [b"", b"{", b'{"format":"mlsnap/lease/1"}', b"[" * 100_000, b"\xff"])
def test_a_damaged_lease_is_neither_free_nor_held_until_it_is_broken(
    state: Path, take: Take, content: bytes
) -> None:
    first = take("one")
    other = take("one", "commit-abc")
    (state / "leases" / "held" / "volume.json").write_bytes(content)
    with pytest.raises(IntegrityDamage) as caught:
        take("two")
    assert "--break-lease" in caught.value.hint
    lease.release_all(state, "one")
    assert lease.find(state, other.key) is None
    assert lease.break_lease(state, "volume") is None
    assert take("two").token > first.token


def test_a_lease_file_under_another_key_is_damage(state: Path, take: Take) -> None:
    take("one", "commit-abc")
    held = state / "leases" / "held"
    (held / "commit-abc.json").rename(held / "volume.json")
    with pytest.raises(IntegrityDamage):
        lease.find(state, "volume")


@pytest.mark.parametrize("content", [None, b"garbage"])
def test_a_lost_or_damaged_counter_gives_no_token_that_is_in_use(
    state: Path, take: Take, content: bytes | None
) -> None:
    for number in range(5):
        last = take("one", f"commit-{number}")
    counter = state / "leases" / "counter.json"
    counter.unlink() if content is None else counter.write_bytes(content)
    assert take("two").token > last.token


# -- renewal -------------------------------------------------------------------------------------------


def test_a_renewed_lease_outlives_its_first_time(state: Path, clock: Clock, take: Take) -> None:
    first = take("one")
    clock.time += 90
    with lease.renewing(state, first, ttl=100.0, interval=3600.0, now=clock.now) as renewal:
        clock.time += 90
        with pytest.raises(Busy):
            take("two")
        assert not renewal.lost


def test_renewal_does_not_begin_for_a_lease_that_is_lost(state: Path, take: Take) -> None:
    first = take("one")
    lease.break_lease(state, "volume")
    with pytest.raises(LeaseLost), lease.renewing(state, first, ttl=1.0, interval=1.0):
        pytest.fail("the block must not run")


def test_renewal_notices_the_loss_and_stops_for_good(state: Path, take: Take) -> None:
    first = take("one")
    with lease.renewing(state, first, ttl=100.0, interval=0.001) as renewal:
        lease.break_lease(state, "volume")
        second = take("two")
        _until(lambda: renewal.lost)
    assert lease.find(state, "volume") == second


def test_a_lease_is_held_for_a_block_and_free_after_it(state: Path, take: Take) -> None:
    with lease.held(state, "volume", owner="one", ttl=60.0), pytest.raises(Busy):
        take("two", now=time.time)
    assert lease.find(state, "volume") is None


def test_a_lease_is_free_also_after_a_block_that_failed(state: Path) -> None:
    with pytest.raises(RuntimeError, match="from the block"), lease.held(state, "volume", owner="one", ttl=60.0):
        raise RuntimeError("from the block")
    assert lease.find(state, "volume") is None


def test_a_block_that_lost_its_lease_ends_with_that_error(state: Path) -> None:
    with pytest.raises(LeaseLost), lease.held(state, "volume", owner="one", ttl=60.0):
        lease.break_lease(state, "volume")


def _until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.001)


# -- processes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_processes_that_race_are_never_inside_together(state: Path, together: Together, seed: int) -> None:
    """Each adds to a number in a file, reading and writing it apart; a lost addition shows two inside at once."""
    total, tokens = state / "total", state / "tokens"
    state.mkdir()
    total.write_text("0")

    def racer(number: int) -> Callable[[], None]:
        def race() -> None:
            dice = random.Random(f"{seed}-{number}")
            for turn in range(5):
                mine = lease.acquire(
                    state, "volume", owner=f"{number}", run=f"{number}-{turn}", ttl=60.0, wait=60.0, poll=0.001
                )
                before = int(total.read_text())
                time.sleep(dice.random() / 1000)
                total.write_text(str(before + 1))
                with tokens.open("a") as file:
                    file.write(f"{mine.token}\n")
                lease.release(state, mine)

        return race

    assert together([racer(number) for number in range(4)]) == [0, 0, 0, 0]
    assert int(total.read_text()) == 20
    given = [int(line) for line in tokens.read_text().split()]
    assert given == sorted(set(given))


def test_of_processes_that_take_over_an_expired_lease_exactly_one_wins(
    state: Path, together: Together, tmp_path: Path
) -> None:
    for turn in range(10):
        key = f"commit-{turn}"
        lease.acquire(state, key, owner="dead", ttl=-1.0)

        def taker(number: int, key: str = key) -> Callable[[], None]:
            def take_over() -> None:
                lease.acquire(state, key, owner=str(number), run=str(number), ttl=60.0)
                (tmp_path / f"{key}-{number}").touch()

            return take_over

        together([_quietly(taker(number)) for number in range(3)])
        (winner,) = tmp_path.glob(f"{key}-*")
        found = lease.find(state, key)
        assert found is not None
        assert winner.name == f"{key}-{found.owner}"


def test_killed_at_any_step_of_its_life_a_lease_is_whole_and_tokens_only_grow(
    state: Path, killed_at_each_step: KilledAtEachStep
) -> None:
    highest = [0]

    def live() -> None:
        mine = lease.acquire(state, "volume", owner="one", ttl=-1.0)
        lease.release(state, lease.renew(state, mine, ttl=-1.0))

    def look() -> None:
        found = lease.acquire(state, "volume", owner="after", ttl=-1.0)
        assert found.token > highest[0]
        highest[0] = found.token
        lease.release(state, found)

    assert killed_at_each_step(lambda: None, live, look) > 10


def test_what_is_on_the_disk_says_its_format(state: Path, take: Take) -> None:
    take("one")
    found = json.loads((state / "leases" / "held" / "volume.json").read_bytes())
    assert found["format"] == "mlsnap/lease/1"
    assert found["holder"]["pid"] > 0


def _quietly(act: Callable[[], object]) -> Callable[[], None]:
    def quiet() -> None:
        try:
            act()
        except Busy:
            return

    return quiet
