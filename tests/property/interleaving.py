"""Processes that take turns: each stops before every effect, and a seed decides who goes on, who dies, who sleeps.

They are real ones, forked from this process, with real locks, leases and process numbers. One of them runs at any
time; so a seed always gives the same turns, up to what the kernel numbers differently.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from ci_mlsnap.domain.notices import Notice
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.ports import Sent
from ci_mlsnap.state import lease
from tests.property.effects import told

MOST_TURNS = 20_000
"""Who has not ended by then never does."""


class Clock:
    """A clock that all processes read and a test sets; seconds since the epoch."""

    def __init__(self, seconds: float) -> None:
        self._shared = mmap.mmap(-1, 8)
        self.set(seconds)

    def set(self, seconds: float) -> None:
        self._shared[:8] = struct.pack("d", seconds)

    def __call__(self) -> float:
        return float(struct.unpack("d", self._shared[:8])[0])


@dataclass(frozen=True, kw_only=True)
class Wall:
    """A forge whose statuses all processes see: lines in a file, each with the name of who posted it."""

    file: Path
    who: str = ""

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        line = json.dumps({"who": self.who, "sha": status.sha, "state": status.state, "text": status.description})
        with self.file.open("a") as wall:
            wall.write(line + "\n")
        return Sent()

    def may_post(self, repository: str) -> str:
        return ""

    def statuses_of(self, repository: str, sha: str) -> list[CommitStatus]:
        return []

    def newest_statuses(self, repository: str, sha: str) -> list[CommitStatus]:
        return []

    def tell(self, repository: str, notice: Notice) -> Sent:
        return Sent()

    def statuses(self) -> list[dict[str, str]]:
        """Give all that was posted, in order."""
        lines = self.file.read_text().splitlines() if self.file.exists() else []
        return [json.loads(line) for line in lines]


@dataclass(kw_only=True)
class Actor:
    """A process that waits for its turn. `ended` is what it said last, or that it was killed."""

    name: str
    pid: int
    asks: int
    goes: int
    turns: int = 0
    sleeps: bool = False
    ended: dict[str, Any] | None = None

    @property
    def lives(self) -> bool:
        """Tell whether it still has something to do."""
        return self.ended is None

    def turn(self) -> None:
        """Let it do its next effect, and wait until it asks again or has ended."""
        os.write(self.goes, b"g")
        self.turns += 1
        self.hear()

    def hear(self) -> None:
        """Take what it says: that it is before an effect, that it sleeps, or how it ended."""
        said = os.read(self.asks, 1)
        if said in (b"e", b"s"):
            self.sleeps = said == b"s"
            return
        rest = b"".join(iter(lambda: os.read(self.asks, 65536), b""))
        self._reap(json.loads(rest) if rest else {"error": "it ended without a word"})

    def kill(self) -> None:
        """End it before the effect at which it waits."""
        os.kill(self.pid, signal.SIGKILL)
        self._reap({"killed": True})

    def _reap(self, ended: dict[str, Any]) -> None:
        self.ended = ended
        os.waitpid(self.pid, 0)
        os.close(self.asks)
        os.close(self.goes)


def start(name: str, deed: Callable[[], dict[str, Any]]) -> Actor:
    """Fork a process for the deed; it waits before its first effect."""
    (asks, said), (order, goes) = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        # Newer Pythons warn of a fork beside threads (those of xdist); the child touches none of them.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        os.close(asks)
        os.close(goes)
        _play(deed, said, order)
    os.close(said)
    os.close(order)
    actor = Actor(name=name, pid=pid, asks=asks, goes=goes)
    actor.hear()
    return actor


def _play(deed: Callable[[], dict[str, Any]], said: int, order: int) -> None:
    """Be the child: ask before each effect and instead of each sleep, then say how it ended."""

    def ask(kind: bytes) -> None:
        os.write(said, kind)
        if os.read(order, 1) != b"g":
            os._exit(1)  # the test is over

    try:
        sleepless = SimpleNamespace(sleep=lambda _: ask(b"s"), monotonic=time.monotonic)
        assert lease.acquire.__kwdefaults__ is not None
        lease.acquire.__kwdefaults__["sleep"] = lambda _: ask(b"s")
        with mock.patch("ci_mlsnap.durable.locks.time", sleepless), told(lambda *_: ask(b"e")):
            ended = deed()
    except MlsnapError as error:
        ended = {"error": error.slug, "what": error.what}
    except BaseException:  # noqa: BLE001 - the child must end here whatever happened in it
        ended = {"error": "unexpected", "what": traceback.format_exc()}
    os.write(said, b"d" + json.dumps(ended).encode()[:60000])
    os._exit(0)


@dataclass(kw_only=True)
class Turns:
    """Gives turns by a seed, in bursts of one to many effects."""

    dice: random.Random
    actors: list[Actor] = field(default_factory=list)
    given: int = 0

    def play(self, *, until: Callable[[], bool] = lambda: False, without: Actor | None = None) -> None:
        """Go on until all have ended, or `until` is true; one may be asleep `without` knowing it."""
        while not until() and (awake := [actor for actor in self.actors if actor.lives and actor is not without]):
            restless = [actor for actor in awake if not actor.sleeps]
            actor = self.dice.choice(restless if restless and self.dice.random() < 0.9 else awake)
            for _ in range(self.dice.choice((1, 1, 2, 5, 20, 100))):
                if actor.lives and not until():
                    self.give(actor)

    def give(self, actor: Actor) -> None:
        """Give one turn."""
        self.given += 1
        assert self.given < MOST_TURNS, f"{actor.name} waits for ever"
        actor.turn()

    def end(self) -> None:
        """Leave no process behind."""
        for actor in self.actors:
            if actor.lives:
                actor.kill()
