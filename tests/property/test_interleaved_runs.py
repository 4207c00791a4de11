"""Two whole runs on one volume, each stopped before every effect, in every order that a seed comes to.

No snapshot is ever mixed, a commit that both train has one version, and whoever lost its lease says nothing more.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest

from ci_mlsnap.domain.event import Event
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows import restore as going_back
from ci_mlsnap.flows.begin import begin_planned
from ci_mlsnap.flows.conclude import conclude
from ci_mlsnap.flows.context import Announcer, Project, Request
from ci_mlsnap.flows.run import run
from ci_mlsnap.flows.train import train
from ci_mlsnap.state import lease
from ci_mlsnap.state.journal import open_runs
from ci_mlsnap.state.outbox import Outbox
from tests.promise.checking import content_of, faults_of
from tests.property.histories import IN_MEMORY
from tests.property.interleaving import Actor, Clock, Turns, Wall, start
from tests.property.world import Unstopped, World, model_of, new_world

SEEDS = range(100 if os.environ.get("MLSNAP_CAMPAIGN") == "full" else 12)
"""Those of each scenario, of which there are five: 60 interleavings in the usual suite, 500 in a campaign."""
PARTS = 2
"""The seeds of a scenario are spread over so many tests, which xdist spreads over processors."""

UNSTOPPED = cast("Any", Unstopped())
FAR = 3600.0
"""Seconds after which every lease has ended."""


class Stage:
    """A world whose processes are real, and take turns."""

    def __init__(self, seed: int, *, shared: bool) -> None:
        self.world: World = new_world(shared=shared, in_memory=False, place=IN_MEMORY)
        self.clock = Clock(self.world.clock)
        self.wall = Wall(file=self.world.folder / "wall")
        self.dice = random.Random(seed)
        self.turns = Turns(dice=self.dice)
        self.first = self.world.history.head()

    def project(self, who: str, sha: str) -> Project:
        """Open the project for the run of a push, or for a person where no commit is given."""
        self.world.history.checked_out = sha
        event = Event(kind="push", sha=sha, branch="main", default_branch="main")
        opened = self.world.project(event)
        wall = replace(self.wall, who=who)
        timing = msgspec.structs.replace(opened.hands.timing, lease_poll=1.0)
        announcer = Announcer(forge=wall, hasty=wall)
        hands = msgspec.structs.replace(opened.hands, announcer=announcer, clock=self.clock, timing=timing)
        # Runs wait for each other, for as long as it takes.
        settings = msgspec.structs.replace(opened.settings, lease_wait=1800.0)
        return msgspec.structs.replace(opened, hands=hands, settings=settings)

    def runs(self, who: str, sha: str, *, phases: bool = False) -> Actor:
        """Start a run of a commit."""

        def deed() -> dict[str, Any]:
            with self.world.played(processes=False):
                project = self.project(who, sha)
                return {"outcome": in_phases(project) if phases else in_one(project)}

        actor = start(who, deed)
        self.turns.actors.append(actor)
        return actor

    def alone(self, deed: Callable[[Project], object], sha: str) -> None:
        """Do something while nobody else is there."""
        with self.world.played(processes=False):
            deed(self.project("alone", sha))

    # -- what came of it -------------------------------------------------------------------------------

    def versions(self, sha: str) -> list[str]:
        """Give the names of a commit's versions, each of which is whole and of that commit alone."""
        found = [place for place in (self.world.store / "snapshots").glob(f"{sha}*") if "-" not in place.name]
        for place in found:
            assert faults_of(place) == []
            assert [commit for commit, _ in model_of(content_of(place))] == [sha]
        return sorted(place.name for place in found)

    def states(self, sha: str, *, who: str = "") -> list[str]:
        """Give the states that a commit was given, all or those by one run."""
        said = [line for line in self.wall.statuses() if line["sha"] == sha and who in ("", line["who"])]
        return [line["state"] for line in said]

    def live(self) -> str:
        """Give the commit that the live tree is of, whole."""
        ((commit, _),) = model_of(content_of(self.world.volume))
        return commit

    def require_truth(self) -> None:
        """Hold that each success has its version, and that nothing is left when all are at rest."""
        for line in self.wall.statuses():
            if line["state"] == "success":
                assert self.versions(line["sha"])

    def require_rest(self) -> None:
        """Hold that whoever ended left nothing, after at most one more run."""
        state = self.world.driver().state_folder()
        assert open_runs(state) == []
        assert not list((state / "leases" / "held").glob("*.json"))
        assert not list((self.world.store / "snapshots").glob(".partial-*"))


def in_one(project: Project) -> str:
    return run(project, Request(), stop=UNSTOPPED).outcome


def in_phases(project: Project) -> str:
    begun = begin_planned(project, Request(), stop=UNSTOPPED)
    assert begun.run is not None
    if begun.plan.action == "train":
        train(project.hands, begun.run, UNSTOPPED)
    return conclude(project.hands, project.driver, begun.run, plan_checked=True).outcome


@contextmanager
def staged(seed: int, *, shared: bool) -> Iterator[Stage]:
    stage = Stage(seed, shared=shared)
    try:
        yield stage
    finally:
        stage.turns.end()
        stage.world.remove()


def each(part: int) -> list[int]:
    return [seed for seed in SEEDS if seed % PARTS == part]


def said(*actors: Actor) -> list[str]:
    return [str(actor.ended) for actor in actors]


def both_of_one_commit(seed: int) -> None:
    with staged(seed, shared=True) as stage:
        one, other = (stage.runs(who, stage.first, phases=stage.dice.random() < 0.3) for who in ("one", "other"))
        stage.turns.play()
        outcomes = sorted(str((actor.ended or {}).get("outcome")) for actor in (one, other))
        assert outcomes == ["good", "reused"], said(one, other)
        assert stage.versions(stage.first) == [stage.first]
        assert stage.states(stage.first).count("success") == 2
        assert stage.live() == stage.first
        stage.require_truth()
        stage.require_rest()


def two_commits(seed: int, *, shared: bool) -> None:
    with staged(seed, shared=shared) as stage:
        newer = stage.world.history.make("main")
        one, begins_after = stage.runs("older", stage.first), stage.dice.randrange(250)
        stage.turns.play(until=lambda: one.turns >= begins_after)
        other = stage.runs("newer", newer)
        stage.turns.play()
        assert [(actor.ended or {}).get("outcome") for actor in (one, other)] == ["good"] * 2, said(one, other)
        assert stage.versions(stage.first) == [stage.first]
        assert stage.versions(newer) == [newer]
        assert stage.states(stage.first)[-1] == stage.states(newer)[-1] == "success"
        assert stage.live() == newer or not shared
        stage.require_truth()
        stage.require_rest()


def one_is_killed(seed: int) -> None:
    shared = seed % 2 == 0
    with staged(seed, shared=shared) as stage:
        newer = stage.world.history.make("main")
        dying, other = stage.runs("dying", stage.first), stage.runs("other", newer)
        last = stage.dice.randrange(1, 300)
        stage.turns.play(until=lambda: dying.turns >= last or not dying.lives)
        if dying.lives:
            dying.kill()
        stage.turns.play(until=lambda: other.sleeps or not other.lives)
        stage.clock.set(stage.clock() + FAR)
        stage.turns.play()
        ended = other.ended or {}
        # In place the other one finds a tree that is half trained, and says so.
        assert ended.get("outcome") == "good" or (not shared and ended.get("error") == "live-tree-changed"), said(
            other
        )
        stage.require_truth()
        if not shared:
            stage.alone(recovered, newer)
        stage.alone(in_one, newer)
        stage.alone(in_one, stage.first)
        assert len(stage.versions(stage.first)) == len(stage.versions(newer)) == 1
        assert stage.states(stage.first)[-1] == stage.states(newer)[-1] == "success"
        stage.require_truth()
        stage.require_rest()


def recovered(project: Project) -> None:
    """Bring the live tree back where there is a version; else what is half trained is moved away by a person."""
    try:
        going_back.recover(project)
    except MlsnapError:
        for path in project.volume_path.rglob("*"):
            if path.is_file() and ".mlsnap" not in path.parts:
                path.unlink()


def a_sleeper_is_fenced_out(seed: int) -> None:
    """One sleeps until its lease has ended and another has the commit; then it wakes up and goes on."""
    with staged(seed, shared=True) as stage:
        sleeper = stage.runs("sleeper", stage.first, phases=seed % 2 == 0)
        asleep_at = stage.dice.randrange(1, 300)
        stage.turns.play(until=lambda: sleeper.turns >= asleep_at)
        had_lease = has_commit(stage, sleeper)
        stage.clock.set(stage.clock() + FAR)
        other = stage.runs("other", stage.first)
        newer = stage.world.history.make("main")
        wakes_at = stage.dice.randrange(1, 500)
        stage.turns.play(until=lambda: other.turns >= wakes_at or not other.lives, without=sleeper)
        had_said = stage.states(stage.first, who="sleeper") + queued(stage, stage.first)
        was_taken = had_lease and sleeper.lives and (has_commit(stage, other) or not other.lives)
        stage.turns.play()
        if was_taken and "success" not in had_said:
            assert "success" not in stage.states(stage.first, who="sleeper"), said(sleeper)
            assert (sleeper.ended or {}).get("outcome") is None, said(sleeper)
        stage.require_truth()
        stage.alone(in_one, stage.first)
        stage.alone(in_one, newer)
        assert stage.states(stage.first)[-1] == "success"
        assert len(stage.versions(stage.first)) == 1
        assert stage.live() == newer
        stage.require_truth()
        stage.require_rest()


def queued(stage: Stage, sha: str) -> list[str]:
    waiting = Outbox(stage.world.driver().state_folder()).pending()
    return [entry.status.state for entry in waiting if entry.status.sha == sha]


def has_commit(stage: Stage, actor: Actor) -> bool:
    taken = lease.find(stage.world.driver().state_folder(), f"commit-{stage.first}")
    return taken is not None and taken.holder.pid == actor.pid


SCENARIOS: dict[str, Callable[[int], None]] = {
    "both of one commit": both_of_one_commit,
    "two commits in workspaces": lambda seed: two_commits(seed, shared=True),
    "two commits in one live tree": lambda seed: two_commits(seed, shared=False),
    "one is killed": one_is_killed,
    "a sleeper is fenced out": a_sleeper_is_fenced_out,
}


@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_two_runs_in_any_order_keep_the_promise(scenario: str, part: int) -> None:
    for seed in each(part):
        SCENARIOS[scenario](seed)
