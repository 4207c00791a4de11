"""Watching a build from outside: who is told what, with patience for a server that restarts."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from ci_mlsnap.domain.texts import duration
from ci_mlsnap.errors import JenkinsUnreachable
from ci_mlsnap.training.signals import StopSignal

_T = TypeVar("_T")
_LONGEST_LINE = 64 * 1024


class Rhythm(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds between two looks at the server; how long it is quiet before a word is said; how long it may be
    away, as for a restart; and how long a build may take to stop."""

    look: float = 2.0
    quiet: float = 60.0
    away: float = 900.0
    stopping: float = 30.0


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """Who is told what: `say` a word on how things are, `show` a line of the log; `stop` ends the build."""

    say: Callable[[str], None]
    show: Callable[[str], None]
    stop: StopSignal
    rhythm: Rhythm = Rhythm()


def patiently(watch: Watch, look: Callable[[], _T]) -> _T:
    """Look, also over a restart of the server: a build goes on while nobody answers."""
    end = time.monotonic() + watch.rhythm.away
    said = False
    while True:
        try:
            return look()
        except JenkinsUnreachable as error:
            if time.monotonic() > end or watch.stop.received is not None:
                raise
            if not said:
                watch.say(f"{error.what}; waiting for it, the build goes on")
            said = True
            watch.stop.wait(watch.rhythm.look)


class Quiet:
    """Says a word when nothing was heard for some time: what is silent looks as if it hung."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._since = self._told = time.monotonic()

    def over(self) -> None:
        self._since = self._told = time.monotonic()

    def tell(self, text: str) -> None:
        now = time.monotonic()
        if now - self._told >= self._watch.rhythm.quiet:
            self._told = now
            self._watch.say(f"{text}; no news for {duration(now - self._since)}")


class Lines:
    """Makes lines of a log's bytes; one that is very long is shown in pieces."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def add(self, content: bytes) -> None:
        *whole, self._rest = (self._rest + self._decoder.decode(content)).split("\n")
        for line in whole:
            self._show(line.removesuffix("\r"))
        while len(self._rest) > _LONGEST_LINE:
            self._show(self._rest[:_LONGEST_LINE])
            self._rest = self._rest[_LONGEST_LINE:]

    def end(self) -> None:
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        if rest:
            self._show(rest)
