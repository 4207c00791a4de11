"""Struck at any call, prune and recover lose no version: each is whole in its place, or whole in the trash."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import pytest

from ci_mlsnap.errors import ExitCode
from tests.conftest import IN_CI
from tests.promise.checking import faults_of, manifest_of
from tests.promise.conftest import ALL_POINTS, REPOSITORY, SEED, Done, Stage, ended, eventually
from tests.promise.faults import FAILING, Fault

MakeStage = Callable[..., Stage]
Count = Callable[[str, int], None]

KILLED = -9
OPENED = 2
"""The harness's own calls, which come first: it opens the files that the command's output goes to."""
NAMED = {ExitCode.DONE, ExitCode.STORAGE_FAILED, ExitCode.STORAGE_UNKNOWN, ExitCode.INTEGRITY, ExitCode.USAGE}
"""The codes with which a storage that fails may end prune; 2 is git's, which the same disk fails."""


class Shelf:
    """A stage with four versions, of which the policy keeps two."""

    def __init__(self, make_stage: MakeStage) -> None:
        self.stage: Stage = make_stage(settings="[retention]\nkeep_last = 2\n")
        # Nobody is asked over a network.
        self.stage.repository.git("config", "url./nowhere/.insteadOf", "https://github.com/")
        self.shas = [self._version(text) for text in ("one", "two", "three", "four")]

    def _version(self, text: str) -> str:
        sha = self.stage.another_commit(text)
        self.do("run")
        return sha

    def do(self, *arguments: str) -> Done:
        done = self.stage.mlsnap(*arguments)
        assert done.code == 0, done.text
        return done

    @property
    def listed(self) -> list[str]:
        return [sha for sha in self.shas if sha in self.stage.snapshots()]

    @property
    def in_trash(self) -> list[str]:
        return [sha for sha in self.shas if f".pruned-{sha}" in self.stage.snapshots()]

    def all_back(self) -> None:
        """Bring back what lies in the trash."""
        for sha in self.in_trash:
            self.do("recover", sha)
        assert self.listed == self.shas

    def require_truth(self) -> None:
        """Each version is whole in one place, the newest two where they were; no commit promises what is gone."""
        place = self.stage.volume / ".snapshot"
        assert sorted([*self.listed, *self.in_trash]) == sorted(self.shas)
        assert self.listed[-2:] == self.shas[2:]
        for sha in self.listed:
            assert faults_of(place / sha) == []
        for sha in self.in_trash:
            hidden = place / f".pruned-{sha}"
            assert [fault for fault in faults_of(hidden) if not fault.startswith("its manifest")] == []
            assert manifest_of(hidden)[0]["name"] == sha
            assert self.says_pruned(sha)

    def says_pruned(self, sha: str) -> bool:
        """Tell whether the commit says so, or is about to."""
        posted = str(self.stage.last_status(sha)["description"]).startswith("Pruned on ")
        waiting = (self.stage.store / "state/outbox/waiting").glob("*.json")
        return posted or any(
            sha.encode() in file.read_bytes() and b"Pruned on" in file.read_bytes() for file in waiting
        )


@pytest.fixture
def shelf(make_stage: MakeStage) -> Shelf:
    return Shelf(make_stage)


def chosen(effects: Sequence[str], number: int, of: str) -> list[int]:
    """Choose effects by the campaign's seed; all of them where all are to be tried."""
    numbers = list(range(1, len(effects) + 1))
    if ALL_POINTS or len(numbers) <= number:
        return numbers
    return sorted(random.Random(f"{SEED} {of}").sample(numbers, number))


def require_said(done: Done) -> None:
    assert "Traceback" not in done.stderr and "unexpected" not in done.stderr, done.text


def test_killed_at_any_call_of_prune(shelf: Shelf, count: Count) -> None:
    effects = shelf.do("prune").effects
    points = chosen(effects, len(effects) if IN_CI else 12, "prune")
    for point in points:
        shelf.all_back()
        struck = shelf.stage.mlsnap("prune", kill_at=point)
        require_said(struck)
        assert struck.code in (KILLED, 0), struck.text
        shelf.require_truth()
        before = shelf.stage.everything()
        shelf.do("log")
        shelf.do("prune", "--dry-run")
        assert shelf.stage.everything() == before
        shelf.do("prune")
        assert (shelf.listed, shelf.in_trash) == (shelf.shas[2:], shelf.shas[:2])
        shelf.require_truth()
        shelf.stage.require_rest()
    count("prune: killed at a call", len(points))


def test_killed_at_any_call_of_bringing_back(shelf: Shelf, count: Count) -> None:
    shelf.do("prune")
    first = shelf.shas[0]
    effects = shelf.do("recover", first).effects
    points = chosen(effects, len(effects) if IN_CI else 10, "recover")
    for point in points:
        shelf.do("prune")
        struck = shelf.stage.mlsnap("recover", first, kill_at=point)
        require_said(struck)
        assert sorted([*shelf.listed, *shelf.in_trash]) == sorted(shelf.shas)
        shelf.do("recover", first)
        assert first in shelf.listed
        assert "is back from the trash" in str(shelf.stage.last_status(first)["description"])
        shelf.stage.require_rest()
    count("prune: killed while a version came back", len(points))


def test_killed_at_any_call_of_removing_at_once(shelf: Shelf, count: Count) -> None:
    tried = 0
    for number, sha in enumerate(list(shelf.shas)):
        asked = ("prune", "--version", sha, "--now", "--reason", "it had to go")
        points = random.Random(f"{SEED} now {number}").sample(range(4, 40), 3)
        for point in sorted(points):
            struck = shelf.stage.mlsnap(*asked, kill_at=point)
            require_said(struck)
            tried += 1
        shelf.do(*asked)
        assert sha not in shelf.listed and sha not in shelf.in_trash
        shown = shelf.do("show", sha).stdout
        assert "gone for good" in shown and "it had to go" in shown
        assert [name for name in shelf.stage.snapshots() if name.startswith(".partial-")] == []
        for other in shelf.listed:
            assert faults_of(shelf.stage.volume / ".snapshot" / other) == []
        assert str(shelf.stage.last_status(sha)["description"]).startswith("Pruned on ")
    count("prune: killed while one version was removed", tried)


@pytest.mark.parametrize("sticky", [False, True], ids=["once", "from there on"])
def test_refused_a_call_of_prune(shelf: Shelf, count: Count, sticky: bool) -> None:
    outcome = shelf.do("prune").outcome
    tried = 0
    for error in FAILING:
        can_fail = [point for point in outcome.points(error) if point > OPENED]
        for point in random.Random(f"{SEED} {error}").sample(can_fail, min(len(can_fail), 8 if IN_CI else 2)):
            shelf.all_back()
            fault = Fault(at=point, kind="error", error=error, sticky=sticky)
            struck = shelf.stage.mlsnap("prune", fault=fault)
            require_said(struck)
            assert struck.code in NAMED, struck.text
            shelf.require_truth()
            shelf.do("prune")
            assert (shelf.listed, shelf.in_trash) == (shelf.shas[2:], shelf.shas[:2])
            tried += 1
    count("prune: refused a call", tried)


def test_two_prunes_at_once_are_one(shelf: Shelf) -> None:
    both = [shelf.stage.start("prune") for _ in range(2)]
    for process in both:
        done = ended(process)
        assert done.code == 0, done.text
    assert (shelf.listed, shelf.in_trash) == (shelf.shas[2:], shelf.shas[:2])
    told = [
        s
        for s in shelf.stage.server.board.statuses(REPOSITORY, shelf.shas[0])
        if "Pruned" in str(s["description"])
    ]
    assert len(told) == 1
    shelf.require_truth()


def test_what_a_run_begins_from_is_not_taken_from_under_it(shelf: Shelf) -> None:
    stage, first = shelf.stage, shelf.shas[0]
    stage.repository.git("checkout", "--quiet", "--detach", first)
    gate = stage.folder / "gate"
    text = f'touch "$0.began"; while [ ! -e {gate} ]; do sleep 0.02; done; sh train.sh\n'
    (stage.repository.path / "slow.sh").write_text(text)
    stage.repository.git("add", "slow.sh")
    stage.repository.git("commit", "--quiet", "-m", "slow")
    run = stage.start("run", "--", "sh", "slow.sh", environment={"MLSNAP_GITHUB_TOKEN": ""})
    eventually((stage.repository.path / "slow.sh.began").exists, "training began")
    said = shelf.do("prune")
    assert "held by run" in said.stdout
    assert first in shelf.listed
    gate.touch()
    done = ended(run)
    assert done.code == 0, done.text
    assert stage.snapshots() != []
