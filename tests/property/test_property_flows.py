"""Any history of pushes, people and faults, played with the real flows, and what must be true after each step.

Begin, train and conclude are steps of their own, so that several runs are open at one time; any step may be the
last that its process does.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ci_mlsnap import errors
from ci_mlsnap.domain.event import Event, EventKind
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.flows import hold as holding
from ci_mlsnap.flows import promote as promotion
from ci_mlsnap.flows import prune as pruning
from ci_mlsnap.flows import restore as going_back
from ci_mlsnap.flows import rollback
from ci_mlsnap.flows.announce import send_waiting
from ci_mlsnap.flows.begin import begin_planned
from ci_mlsnap.flows.conclude import conclude
from ci_mlsnap.flows.context import Project, Request
from ci_mlsnap.flows.finish import finish
from ci_mlsnap.flows.proposing import propose, propose_undo
from ci_mlsnap.flows.run import run
from ci_mlsnap.flows.train import train
from ci_mlsnap.state import channels, live, pruned, rolled_back
from ci_mlsnap.state.journal import Run, open_runs
from ci_mlsnap.state.outbox import Outbox
from tests.promise.checking import content_of, everything_of, faults_of
from tests.property.effects import Crash, crashing
from tests.property.histories import IN_MEMORY, looked_for
from tests.property.world import SECRET, Reply, Training, Unstopped, model_of, new_world
from tests.storage.test_contract import damage, plant

Outcome = Literal["done", "crashed"] | type[MlsnapError]

YEAR = 365 * 86400.0
UNSTOPPED = cast("Any", Unstopped())
NOTES = "notes.txt"

numbers = st.integers(0, 3)
crashes = st.one_of(st.just(0), st.integers(1, 250))
"""Before which effect the process ends; it often does not."""
kinds = st.sampled_from(["push", "push", "pull_request", "local"])
trainings = st.sampled_from(["good", "good", "good", "worse", "fails", "changes nothing"])


@dataclass
class Job:
    """A run in phases: the steps of one job of a CI."""

    project: Project
    run: Run


@dataclass
class Seen:
    """A snapshot as it was when it was first there."""

    marker: str
    rotten: set[str] = field(default_factory=set)


class Work(RuleBasedStateMachine):
    """Commits, runs, restores and everything that can go wrong around them."""

    in_memory: bool
    place: Path | None

    @initialize(shared=st.booleans(), trained=st.booleans())
    def begins(self, shared: bool, trained: bool) -> None:
        self.world = new_world(shared=shared, in_memory=self.in_memory, place=self.place)
        self.playing = ExitStack()
        self.playing.enter_context(self.world.played())
        self.jobs: list[Job] = []
        self.seen: dict[str, Seen] = {}
        self.pruned: dict[str, Seen] = {}
        self.foreign: dict[str, dict[str, tuple[int, ...]]] = {}
        self.notes: set[str] = set()
        self.forced = False
        if trained:
            self.push("local", "good", retrain=False, crash=0, new=False)

    # -- acting ----------------------------------------------------------------------------------------

    def act(self, deed: Callable[[], object], crash: int = 0) -> Outcome:
        """Do something in a process that may end on the way, and ends in any case when it is done."""
        before = self._picture() if self._rests() else None
        try:
            with crashing(0 if self.in_memory else crash):
                deed()
            return "done"
        except Crash:
            return "crashed"
        except MlsnapError as error:
            self._require_refused(error, before)
            return type(error)
        finally:
            self.world.dead.add(self.world.now_running)  # the one that the deed opened, where it opened one
            self._see()

    def _require_refused(self, error: MlsnapError, before: object) -> None:
        """What is refused changes nothing; not asked where an earlier run had to be brought to rest first."""
        refused = isinstance(error, errors.Refused) and not isinstance(error, errors.LeaseLost)
        assert type(error) is not MlsnapError
        assert before is None or not refused or before == self._picture()

    def _see(self) -> None:
        """Take note of the snapshots of ours that are new; those that were there are as they were."""
        ours = {found.name: str(found.marker) for found in self.world.driver().list() if found.marker is not None}
        lying = {record.name for record in pruned.all_of(self.world.driver().state_folder())}
        for name in set(self.seen) - set(ours):
            assert name in lying, f"{name} is gone, and nothing says why"
            self.pruned[name] = self.seen.pop(name)
        for name, marker in ours.items():
            seen = self.pruned.pop(name, None) or Seen(marker=marker)
            assert self.seen.setdefault(name, seen).marker == marker

    def _rests(self) -> bool:
        """Tell whether nothing is left that the next command would bring to rest first."""
        driver = self.world.driver()
        return not (self._open() or driver.trash() or driver.unfinished())

    def _open(self) -> list[Run]:
        return open_runs(self.world.driver().state_folder())

    def _picture(self) -> tuple[object, ...]:
        names = [found.name for found in self.world.driver().list()]
        states = [(entry.status.sha, entry.status.state) for entry in self._outbox().pending()]
        return names, self._live(), len(self.world.board.heard), states

    def _live(self) -> dict[str, bytes]:
        return content_of(self.world.volume) if self.world.volume.is_dir() else {}

    def _outbox(self) -> Outbox:
        return Outbox(self.world.driver().state_folder())

    def _event(self, kind: EventKind) -> Event:
        branches = self.world.history.branches
        branch = "topic" if kind == "pull_request" and "topic" in branches else "main"
        sha, forced = branches[branch], self.forced
        self.forced = False
        self.world.history.checked_out = sha
        return Event(
            kind=kind, sha=sha, branch=branch, default_branch="main", base_sha=branches["main"], forced=forced
        )

    # -- git -------------------------------------------------------------------------------------------

    @rule(branch=st.sampled_from(["main", "main", "topic"]))
    def commit(self, branch: str) -> None:
        self.world.history.make(branch)

    @rule()
    def rebase(self) -> None:
        """Another commit of the same files."""
        self.world.history.make("main", tree_of=self.world.history.branches["main"])

    @rule(back=numbers)
    def force_push(self, back: int) -> None:
        ancestors = self.world.history.ancestors("main", limit=back + 1)
        self.world.history.branches["main"] = ancestors[-1]
        self.forced = True

    @precondition(lambda self: "topic" in self.world.history.branches)
    @rule()
    def delete_branch(self) -> None:
        del self.world.history.branches["topic"]
        project = self.world.project(Event(kind="push", nothing_to_do="a branch or tag was deleted"))
        before = everything_of(self.world.store, self.world.volume) if self.seen else {}
        assert self.act(lambda: run(project, Request(), stop=UNSTOPPED)) == "done"
        assert not self.seen or everything_of(self.world.store, self.world.volume) == before

    # -- runs ------------------------------------------------------------------------------------------

    @rule(kind=kinds, training=trainings, retrain=st.booleans(), crash=crashes, new=st.booleans())
    def push(self, kind: EventKind, training: Training, retrain: bool, crash: int, new: bool) -> None:
        """A whole run in one process."""
        if new:
            self.commit("topic" if kind == "pull_request" else "main")
        event, was = self._event(kind), self._live_commit()
        self.world.training = training
        project = self.world.project(event)
        self.act(lambda: run(project, Request(retrain=retrain), stop=UNSTOPPED), crash)
        self._require_not_moved_back(was, event)

    @precondition(lambda self: len(self.jobs) < 3)
    @rule(kind=kinds, retrain=st.booleans(), crash=crashes, new=st.booleans())
    def begin(self, kind: EventKind, retrain: bool, crash: int, new: bool) -> None:
        """Begin a job; the other steps of it come when they come, and others in between."""
        if new:
            self.commit("topic" if kind == "pull_request" else "main")
        project = self.world.project(self._event(kind))

        def deed() -> None:
            begun = begin_planned(project, Request(retrain=retrain), stop=UNSTOPPED)
            assert begun.run is not None
            self.jobs.append(Job(project=project, run=begun.run))

        self.act(deed, crash)

    @precondition(lambda self: self.jobs)
    @rule(number=numbers, training=trainings, crash=crashes)
    def go_on(self, number: int, training: Training, crash: int) -> None:
        """Do the next step of a job: train, then conclude."""
        job = self._job(number)
        if job.run.ended:
            self.jobs.remove(job)
        elif job.run.plan.action == "train" and job.run.facts("trained") is None:
            self.world.training = training
            self.act(lambda: train(job.project.hands, job.run, UNSTOPPED), crash)
        else:
            was, hands, driver = self._live_commit(), job.project.hands, self.world.driver()
            self.act(lambda: conclude(hands, driver, job.run, plan_checked=True), crash)
            self._require_not_moved_back(was, job.run.plan.event)

    @precondition(lambda self: self.jobs)
    @rule(number=numbers, crash=crashes)
    def finish(self, number: int, crash: int) -> None:
        """End a job as its last step does, also where it was not gone on with."""
        job = self._job(number)
        outcome = self.act(lambda: finish(job.project.hands, self.world.driver(), job.run), crash)
        if outcome != "crashed":
            self.jobs.remove(job)
            assert job.run.ended or outcome != "done"

    def _job(self, number: int) -> Job:
        self.world.new_process()
        return self.jobs[number % len(self.jobs)]

    def _live_commit(self) -> str:
        return next((commit for commit, _ in model_of(self._live())), "")

    def _require_not_moved_back(self, was: str, event: Event) -> None:
        if (
            self.world.shared
            and rolled_back.find(self.world.driver().state_folder(), self.world.volume) is not None
        ):
            assert self._live_commit() == was, "a run moved what a person rolled back"
        if was and self.world.shared and event.kind == "push" and not event.forced and not self._forced_runs():
            now = self._live_commit()
            assert now == was or now not in self.world.history.ancestors(was, limit=100)

    def _forced_runs(self) -> bool:
        """Tell whether another run might have put the tree back rightly: one that this one brought to rest."""
        return any(job.run.plan.event.forced or job.run.plan.event.kind == "local" for job in self.jobs) or any(
            open_run.plan.event.forced for open_run in self._open()
        )

    # -- people ----------------------------------------------------------------------------------------

    @rule(number=numbers, crash=crashes)
    def restore(self, number: int, crash: int) -> None:
        revision = self._version(number)
        project = self.world.project()
        self.act(lambda: going_back.restore(project, revision, shared=True), crash)

    @rule(crash=crashes)
    def recover(self, crash: int) -> None:
        project = self.world.project()
        if self.act(lambda: going_back.recover(project), crash) == "done":
            before = self._picture()
            project = self.world.project()
            assert self.act(lambda: going_back.recover(project)) == "done"
            assert self._picture() == before

    @rule(crash=crashes)
    def publish(self, crash: int) -> None:
        project = self.world.project()
        if project.driver.volume_id:
            self.act(lambda: send_waiting(project.driver, project.hands.announcer), crash)

    @rule(text=st.sampled_from(["one", "two"]))
    def write_notes(self, text: str) -> None:
        """Write to the live tree what no version has."""
        if self.world.volume.is_dir():
            place = self.world.volume / NOTES
            if place.exists():
                self.notes.discard(place.read_text())
            place.write_text(f"{text} {len(self.notes)}")
            self.notes.add(place.read_text())

    @rule(number=numbers, named=st.booleans(), crash=crashes)
    def roll_back(self, number: int, named: bool, crash: int) -> None:
        revision = self._version(number) if named else None

        def deed() -> None:
            project = self.world.project()
            rollback.roll_back(project, propose(project, revision, shared=True), reason="it fell")

        self.act(deed, crash)

    @rule(crash=crashes)
    def undo_the_rollback(self, crash: int) -> None:
        def deed() -> None:
            project = self.world.project()
            proposal = propose_undo(project, shared=True)
            if proposal is not None:
                rollback.undo(project, proposal)

        self.act(deed, crash)

    @rule(number=numbers, channel=st.sampled_from(["production", "staging"]), crash=crashes)
    def promote(self, number: int, channel: str, crash: int) -> None:
        revision = self._version(number)
        self.act(lambda: promotion.promote(self.world.project(), revision, channel), crash)

    @rule(number=numbers, crash=crashes, ours=st.booleans())
    def hold_or_release(self, number: int, crash: int, ours: bool) -> None:
        revision, act = self._version(number), holding.hold if ours else holding.release
        self.act(lambda: act(self.world.project(), revision), crash)

    @rule(crash=crashes)
    def prune(self, crash: int) -> None:
        """What nobody may lose is there afterwards: what is held, live, or the newest good version of main."""
        project = self.world.project()
        if not project.driver.volume_id:
            return
        needed = self._needed(project)
        if self.act(lambda: pruning.prune(self.world.project()), crash) == "done":
            before = set(self.seen)
            assert self.act(lambda: pruning.prune(self.world.project())) == "done"
            assert len(before - set(self.seen)) <= 3
        assert needed <= set(self.seen)

    def _needed(self, project: Project) -> set[str]:
        held = {found.name for found in project.driver.list() if found.marker is not None and found.holds}
        recorded = live.read(project.state, self.world.volume)
        at = {recorded.version} & set(self.seen) if recorded is not None else set()
        return held | at | ({*channels.live(project.state).values()} & set(self.seen))

    @precondition(lambda self: self.pruned)
    @rule(number=numbers, crash=crashes)
    def undelete(self, number: int, crash: int) -> None:
        name = sorted(self.pruned)[number % len(self.pruned)]
        self.act(lambda: pruning.undelete(self.world.project(), f"{name}.1" if "." not in name else name), crash)

    def _version(self, number: int) -> str:
        versions = sorted(name for name in self.seen if "-" not in name)
        return versions[number % len(versions)] if versions else "HEAD"

    # -- what goes wrong -------------------------------------------------------------------------------

    @rule(replies=st.lists(st.sampled_from(["ok", "lost", "twice", "away", "rejected"]), max_size=3))
    def the_forge_answers(self, replies: list[Reply]) -> None:
        self.world.board.replies = replies

    @rule(years=st.sampled_from([-10.0, -1e-4, 1e-5, 1e-4, 10.0]))
    def clocks_jump(self, years: float) -> None:
        self.world.clock += years * YEAR

    @rule(name=st.sampled_from(["hourly.0", "HEAD"]))
    def an_administrator_snapshots(self, name: str) -> None:
        name = self.world.history.head() if name == "HEAD" else name
        place = self.world.store / "snapshots" / name
        if (
            self.world.volume.is_dir()
            and place.parent.is_dir()
            and not place.exists()
            and name not in self._used()
        ):
            plant(self.world.volume, place)
            self.foreign[name] = everything_of(place)

    def _used(self) -> set[str]:
        return {str(name) for name in self.world.driver().used_names()}

    @precondition(lambda self: self.seen)
    @rule(number=numbers, file=st.sampled_from(["model.bin", ".mlsnap/manifest.jsonl"]))
    def a_bit_rots(self, number: int, file: str) -> None:
        """Or is mended, where it did before."""
        name = sorted(self.seen)[number % len(self.seen)]
        self._turn_a_bit(name, file)

    def _turn_a_bit(self, name: str, file: str) -> None:
        place = self.world.store / "snapshots" / name / file
        if place.is_file():
            rotting = place.stat()
            for other, seen in self.seen.items():
                shared = self.world.store / "snapshots" / other / file
                if shared.is_file() and os.path.samestat(shared.stat(), rotting):
                    seen.rotten ^= {file}
            damage(place)

    # -- what is always true ---------------------------------------------------------------------------

    @invariant()
    def snapshots_are_whole_stay_and_are_of_their_commit(self) -> None:
        self._see()
        for name, seen in self.seen.items():
            if not seen.rotten:
                place = self.world.store / "snapshots" / name
                assert faults_of(place) == []
                parsed = SnapshotName.parse(name)
                models = model_of(content_of(place))
                assert not parsed.is_version or [commit for commit, _ in models] == [parsed.sha]

    @invariant()
    def each_version_has_a_number_of_its_own(self) -> None:
        whole = [name for name, seen in self.seen.items() if not seen.rotten]
        numbers = [self.world.driver().manifest_header(SnapshotName.parse(name)).sequence for name in whole]
        assert len(set(numbers)) == len(numbers)

    @invariant()
    def what_is_foreign_is_as_it_was(self) -> None:
        for name, facts in self.foreign.items():
            assert everything_of(self.world.store / "snapshots" / name) == facts

    @invariant()
    def a_success_has_its_snapshot(self) -> None:
        for sha in self.world.history.commits:
            status = self.world.board.last(sha)
            if status is not None and status.state == "success":
                # Of what was pruned the record says so, and the status does as soon as the forge answers.
                known = [*self.seen.values(), *self.pruned.values()]
                digests = [seen.marker.rpartition("m=")[2] for seen in known]
                told = status.description
                named = any(digest[:12] in told for digest in digests)
                assert named or any(SnapshotName.parse(name).short in told for name in (*self.seen, *self.pruned))

    @invariant()
    def the_live_tree_is_one_version_or_says_that_it_is_not(self) -> None:
        recorded = live.read(self.world.driver().state_folder(), self.world.volume)
        changing = recorded is not None and recorded.condition != "equal"
        assert len(model_of(self._live())) <= 1 or changing

    @invariant()
    def channels_lead_to_versions_that_are_held(self) -> None:
        state = self.world.driver().state_folder()
        holds = {found.name: found.holds for found in self.world.driver().list()}
        for channel, name in channels.live(state).items():
            assert name in self.seen
            assert any(channel in owner for owner in holds[name])

    @invariant()
    def nothing_is_lost_that_only_the_live_tree_had(self) -> None:
        places = [self.world.volume, *(self.world.store / "snapshots").glob("*"), *self.world.driver().trash()]
        found = {(place / NOTES).read_text() for place in places if (place / NOTES).is_file()}
        assert self.notes <= found

    @invariant()
    def journals_tell_how_their_runs_stand(self) -> None:
        for folder in (self.world.driver().state_folder() / "runs").glob("[0-9a-f]*"):
            found = Run.open(folder)
            assert found.ended or not (folder / "ended").exists()
            found.record()

    # -- the end ---------------------------------------------------------------------------------------

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        try:
            self._require_a_way_out()
            self._require_no_secret()
        finally:
            self.playing.close()
            self.world.remove()

    def _require_a_way_out(self) -> None:
        """Once the forge answers and nothing is damaged, everything comes to rest, and the next run is good."""
        self.world.board.replies, self.world.training = [], "good"
        self.world.clock = max(self.world.clock, 1_800_000_000.0) + 30 * YEAR
        for name, seen in self.seen.items():
            for file in set(seen.rotten):
                self._turn_a_bit(name, file)
        if self.seen:
            outcome = self.act(lambda: going_back.recover(self.world.project()))
            assert outcome in ("done", errors.NoSuchVersion)
        rollback.release(self.world.project(), shared=True)
        sha = self.world.history.make("main")
        outcome = self.act(lambda: run(self.world.project(self._event("push")), Request(), stop=UNSTOPPED))
        assert outcome == "done", outcome
        assert self._open() == []
        assert self._outbox().pending() == []
        last = self.world.board.last(sha)
        assert last is not None and last.state == "success"
        assert self._live_commit() == sha
        self.snapshots_are_whole_stay_and_are_of_their_commit()
        last_words = [self.world.board.last(commit) for commit in self.world.history.commits]
        pending = {status.sha for status in last_words if status is not None and status.state == "pending"}
        assert pending <= {entry.status.sha for entry in self._outbox().undeliverable()}

    def _require_no_secret(self) -> None:
        for path in self.world.folder.rglob("*"):
            assert not path.is_file() or SECRET.encode() not in path.read_bytes()


def work_on(*, in_memory: bool, place: Path | None) -> type[Work]:
    """Give the machine whose volumes are kept in memory, or by the local driver at a place."""
    return type("Work", (Work,), {"in_memory": in_memory, "place": place})


@pytest.mark.parametrize("in_memory", [True, False], ids=["memory", "copy"])
def test_any_history_of_pushes_people_and_faults_keeps_the_promise(in_memory: bool) -> None:
    run_state_machine_as_test(work_on(in_memory=in_memory, place=IN_MEMORY), settings=looked_for(12))
