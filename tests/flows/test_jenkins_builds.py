"""Builds on Jenkins that made versions: what they say, and how long they are kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from tests.flows.conftest import QUIET, MakePlace, Place, Said
from tests.jenkins_server.jobs import add
from tests.jenkins_server.lookalike import API_TOKEN, USER, JenkinsLookAlike
from tests.jenkins_server.state import Build, Job, Script

JOB = "mb/feat%2Fx ü"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A place whose versions were made by builds of a server."""

    place: Place
    server: JenkinsLookAlike
    job: Job

    def made(self, weights: str) -> str:
        """Have a build make a version, and give its commit."""
        number = len(self.job.builds) + 1
        self.job.builds[number] = Build(number=number, script=Script(), parameters={}, result="SUCCESS")
        sha = self.place.commit(weights)
        environment = {
            "JENKINS_URL": self.server.url,
            "JOB_NAME": JOB,
            "BUILD_NUMBER": str(number),
            "BUILD_TAG": f"jenkins-{number}",
            "BUILD_URL": self.server.builds_url(JOB, number),
            "BRANCH_NAME": "main",
        }
        self.place.mlsnap("run", "--ephemeral", env={**QUIET, **environment})
        return sha

    def jenkins(self, *arguments: str, expect: int = 0, env: Mapping[str, str] | None = None) -> Said:
        login = {
            "MLSNAP__JENKINS__URL": self.server.url,
            "MLSNAP_JENKINS_USER": USER,
            "MLSNAP_JENKINS_TOKEN": API_TOKEN,
        }
        return self.place.mlsnap("jenkins", *arguments, expect=expect, env={**QUIET, **login, **(env or {})})

    def kept(self) -> list[int]:
        return [number for number, build in self.job.builds.items() if build.kept]

    def did(self, *arguments: str) -> list[tuple[str, str, bool]]:
        facts: Any = self.jenkins("keep", "--json", *arguments).facts
        return [(one["version"], one["did"], one.get("changed", False)) for one in facts]


@pytest.fixture
def ground(make_place: MakePlace) -> Iterator[Ground]:
    with JenkinsLookAlike() as server:
        yield Ground(place=make_place(), server=server, job=add(server, JOB))


def test_a_build_says_what_it_made_beside_what_stands_there(ground: Ground) -> None:
    sha = ground.made("one")
    build = ground.job.builds[1]
    build.description = "Ada's build\n<b>bold</b>"
    said = ground.jenkins("describe")
    line = f"mlsnap {sha[:7]} → snapshot, accuracy 0.9000"
    assert said.stdout == f"{ground.server.builds_url(JOB, 1)} says: {line}\n"
    assert build.description == f"Ada's build\n<b>bold</b>\n{line}"
    posts = len([line for line in ground.server.received if line.startswith("POST")])
    assert "says already" in ground.jenkins("describe", sha).stdout
    assert build.description.count("mlsnap") == 1
    assert len([line for line in ground.server.received if line.startswith("POST")]) == posts


def test_a_version_of_another_place_has_no_build_to_describe(ground: Ground) -> None:
    ground.place.mlsnap("run", env=QUIET)
    said = ground.jenkins("describe", expect=2)
    assert said.error[0].startswith("mlsnap: error[jenkins-not-found]")
    assert ground.server.received == []


def test_builds_are_kept_as_long_as_their_version_is_held_or_led_to(ground: Ground) -> None:
    first, second, third = (ground.made(weights) for weights in ("one", "two", "three"))
    assert ground.did() == []
    ground.place.mlsnap("hold", first, "--reason", "the fair", env=QUIET)
    ground.place.mlsnap("promote", second, "production", env=QUIET)
    assert sorted(ground.did("--dry-run")) == sorted([(first, "kept", True), (second, "kept", True)])
    assert ground.kept() == []
    assert len(ground.did()) == 2
    assert ground.kept() == [1, 2]
    assert {did for _, did, _ in ground.did()} == {"kept already"}
    ground.place.mlsnap("promote", third, "production", env=QUIET)
    assert sorted(ground.did()) == sorted(
        [(first, "kept already", False), (third, "kept", True), (second, "released", True)]
    )
    assert ground.kept() == [1, 3]
    ground.place.mlsnap("hold", first, "--release", env=QUIET)
    assert (first, "released", True) in ground.did()
    assert ground.kept() == [3]


def test_what_a_person_keeps_is_never_released(ground: Ground) -> None:
    sha = ground.made("one")
    ground.job.builds[1].kept = True
    ground.place.mlsnap("hold", sha, env=QUIET)
    assert ground.did() == [(sha, "kept by somebody", False)]
    ground.place.mlsnap("hold", sha, "--release", env=QUIET)
    assert ground.did() == []
    assert ground.kept() == [1]


def test_a_build_that_is_gone_is_said_and_forgotten(ground: Ground) -> None:
    sha = ground.made("one")
    ground.place.mlsnap("hold", sha, env=QUIET)
    ground.did()
    del ground.job.builds[1]
    assert ground.did() == [(sha, "gone", False)]
    ground.place.mlsnap("hold", sha, "--release", env=QUIET)
    assert ground.did() == [(sha, "gone", False)]
    assert ground.did() == []


@pytest.mark.parametrize("worked", [True, False])
def test_a_switch_whose_answer_is_lost_is_not_pressed_twice(ground: Ground, worked: bool) -> None:
    sha = ground.made("one")
    ground.place.mlsnap("hold", sha, env=QUIET)
    ground.server.lose_next("toggleLogKeep", worked=worked)
    assert ground.jenkins("keep", expect=21).error[0].startswith("mlsnap: error[jenkins-unknown]")
    assert ground.kept() == ([1] if worked else [])
    assert ground.did() == [(sha, "kept already", False) if worked else (sha, "kept", True)]
    assert ground.kept() == [1]
    ground.place.mlsnap("hold", sha, "--release", env=QUIET)
    ground.server.lose_next("toggleLogKeep", worked=worked)
    ground.jenkins("keep", expect=21)
    ground.did()
    assert ground.kept() == []
    assert ground.did() == []


def test_a_right_that_lacks_is_told_and_the_rest_done_later(ground: Ground) -> None:
    sha = ground.made("one")
    ground.place.mlsnap("hold", sha, env=QUIET)
    ground.server.lacks = {"Run/Update"}
    said = ground.jenkins("keep", expect=20)
    assert "Run/Update" in said.stderr
    ground.server.lacks = set()
    assert ground.did() == [(sha, "kept", True)]


def test_a_version_made_elsewhere_is_listed_and_nothing_is_sent_there(ground: Ground) -> None:
    ground.place.mlsnap("run", env=QUIET)
    ground.place.mlsnap("hold", "HEAD", env=QUIET)
    assert [did for _, did, _ in ground.did()] == ["made elsewhere"]
    assert ground.server.received == []
