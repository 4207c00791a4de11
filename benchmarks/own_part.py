"""mlsnap's own part of a run: from the end of training to the status on the commit, at a GitHub look-alike."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import BIN, Bar, environment, in_turns, plain_bar, ratio_bar, run, settled, unmeasured
from benchmarks.trees import CHANGED, FEW, Shape, change_tree
from benchmarks.working import Working, working
from ci_mlsnap.demo.github import GitHubLookAlike

TOKEN, REPOSITORY = "loopback-only", "octo/bench"
_READ = re.compile(r"^(?:read|pread64|readv|preadv)\(\d+<[^>]*\.bin[^>]*>.*\) = (\d+)$")
_LISTED = re.compile(r"^openat\(.*\) = \d+<[^>]*/part\d{3}>$")


class LookAlike(GitHubLookAlike):
    """The look-alike, which notes when a success came in."""

    def __init__(self) -> None:
        super().__init__(tokens={TOKEN: "write"}, repositories=(REPOSITORY,))
        self.success_ns = 0

    def answer(self, method: str, target: str, authorization: str, body: str) -> tuple[int, object]:
        """Answer as GitHub would."""
        answered = super().answer(method, target, authorization, body)
        if method == "POST" and json.loads(body)["state"] == "success":
            self.success_ns = time.time_ns()
        return answered


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A checkout that is trained again and again; the statuses go to `lookalike`."""

    side: Working
    lookalike: LookAlike

    def own_seconds(self) -> float:
        """Run `mlsnap run`; give the seconds from the end of training to the status."""
        ended = self.side.checkout.root / ".git" / "training-ended"
        self.side.checkout.commit()
        settled(ended.parent)
        words = f'echo trained >> "$MLSNAP_MODEL_DIR/trained.txt"; date +%s%N > {shlex.quote(str(ended))}'
        self._mlsnap("run", "--", "sh", "-c", words)
        return (self.lookalike.success_ns - int(ended.read_text())) / 1e9

    def counted(self, log: Path) -> Counted:
        """Do the three phases of a run that changes 5 %, and count what `conclude` does."""
        self.side.checkout.commit()
        self._mlsnap("begin", "--", "true")
        changed = change_tree(self.side.checkout.tree, self.side.shape, CHANGED)
        self._mlsnap("train")
        log.mkdir()
        calls = "trace=openat,read,pread64,readv,preadv"
        strace = ("strace", "-ff", "-y", "-s", "0", "-e", calls, "-o", log / "calls")
        run(*strace, BIN / "mlsnap", "conclude", cwd=self.side.checkout.root, env=self._environ)
        lines = [line for file in log.iterdir() for line in file.read_text(errors="replace").splitlines()]
        shutil.rmtree(log)
        folders = sum(1 for entry in self.side.checkout.tree.iterdir() if entry.name.startswith("part"))
        return Counted(
            changed=changed,
            read=sum(int(found[1]) for line in lines if (found := _READ.match(line))),
            walks=sum(1 for line in lines if _LISTED.match(line)) / folders,
        )

    def _mlsnap(self, *arguments: str) -> None:
        run(BIN / "mlsnap", *arguments, cwd=self.side.checkout.root, env=self._environ)

    @property
    def _environ(self) -> dict[str, str]:
        return {
            **environment(),
            "MLSNAP_GITHUB_TOKEN": TOKEN,
            "MLSNAP__FORGE__URL": self.lookalike.url,
            "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
        }


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What `conclude` did to the files of a tree: bytes changed before, bytes read, how often it was walked."""

    changed: int
    read: int
    walks: float


def own_part_bars(root: Path, many: Shape, *, rounds: int) -> Iterator[Bar]:
    """Measure both modes, and count what the one does more than the other."""
    with LookAlike() as lookalike:
        sides = {
            (shape.name, files): Trained(
                side=working(root / f"{shape.name}-{files}", shape, files=files), lookalike=lookalike
            )
            for shape in (FEW, many)
            for files in ("none", "changed")
        }
        for files, limit in (("none", 2.0), ("changed", None)):
            most, few = sides[many.name, files], sides[FEW.name, files]
            pair = in_turns(most.own_seconds, few.own_seconds, rounds=rounds)
            text = f'own part of a run, files = "{files}" : the same of {FEW.text}'
            yield ratio_bar(text, pair, limit=limit, tree=many.text)
        yield from _counted_bars(sides[FEW.name, "none"], sides[FEW.name, "changed"], root / "strace")


def _counted_bars(none: Trained, changed: Trained, log: Path) -> Iterator[Bar]:
    """Counts do not move from round to round, so they are taken once; small trees do, since strace is slow."""
    texts = ('own part, "changed": walks more than "none"', 'own part, "changed": bytes read : bytes changed')
    if shutil.which("strace") is None:
        for text in texts:
            yield unmeasured(text, "strace is not installed", limit=1.0, tree=FEW.text)
        return
    less, more = none.counted(log), changed.counted(log)
    note = f"{more.walks:.2f} and {less.walks:.2f} times each folder, counted by strace"
    yield plain_bar(texts[0], [more.walks - less.walks], limit=1.0, tree=FEW.text, unit="", note=note)
    note = f'{more.read:,} and {more.changed:,}, counted by strace; {less.read:,} with "none"'
    yield plain_bar(texts[1], [more.read / more.changed], limit=1.0, tree=FEW.text, unit="x", note=note)
