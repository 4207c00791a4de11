"""What the hook runs when no hint answers: a child looks and acts, and is left when storage does not answer.

The child is another process because a file system that hangs hangs whoever asks it. Until it is told to go on it
has only looked, so it can be left, and ended, at any moment. Nothing of mlsnap is imported here.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

TYPE_CHECKING = False  # `typing` itself takes a part of the time
if TYPE_CHECKING:
    from collections.abc import Mapping

LOOKING_SECONDS = 2.0
PATIENCE = "MLSNAP_HOOK_SECONDS"
"""The variable that gives storage more time, or less, where somebody knows that it needs it."""

STARTING_SECONDS = 30.0
"""How long a child may take to start, from a slow disk."""

# The package comes from where the hook found it; then its folder comes last, as others' modules may be there.
_CHILD = """\
import sys
sys.path.insert(0, sys.argv[1])
import ci_mlsnap
sys.path.append(sys.path.pop(0))
from ci_mlsnap.cli.following_git import main
main(*sys.argv[1:])
"""
# Where git itself is in the middle of something, it is what moves the work tree, and moves it again at the end.
_BUSY = ("rebase-apply", "rebase-merge", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG", "MERGE_HEAD")
_AT_THE_END = {"post-merge": ("MERGE_HEAD",), "post-rewrite": ("rebase-apply", "rebase-merge")}
"""What is still there when git calls a hook at the end of just that."""

_LEFT = ("TOKEN", "PASSWORD", "SECRET")


def main(
    root: str,
    name: str,
    *arguments: str,
    starting: float = STARTING_SECONDS,
) -> None:
    """Let the models follow what git did, and say so on stderr, a line a model. Never raises; times in seconds."""
    try:
        folder = git_folder()
        if _concerns_us(name, arguments) and not is_busy(folder, name) and _is_used(folder):
            _follow(root, looking=_patience(os.environ), starting=starting)
    except OSError as error:
        _say(f"mlsnap: models stay as they are ({error.strerror}); `mlsnap status` says more")


def _patience(environ: Mapping[str, str]) -> float:
    try:
        return max(0.0, float(environ.get(PATIENCE, LOOKING_SECONDS)))
    except ValueError:
        return LOOKING_SECONDS


def git_folder() -> str:
    """Give the git folder of the work tree that git runs hooks in the top of."""
    if not os.path.isfile(".git"):
        return ".git"
    with open(".git", encoding="utf-8", errors="surrogateescape") as file:
        return file.readline().rstrip("\n").removeprefix("gitdir: ")


def is_busy(folder: str, name: str) -> bool:
    """Tell whether git is in the middle of something that ends with a hook, or another checkout, of its own."""
    ending = _AT_THE_END.get(name, ())
    if name == "post-checkout" and _picks_nothing(folder):
        ending = ("rebase-merge",)
    return any(os.path.exists(os.path.join(folder, mark)) for mark in _BUSY if mark not in ending)


def _picks_nothing(folder: str) -> bool:
    """Tell whether a rebase begins that has no commit to move: it ends with this checkout, and calls no more."""
    steps: list[bytes] = []
    for name in ("done", "git-rebase-todo"):
        path = os.path.join(folder, "rebase-merge", name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                steps += [line.strip() for line in file if line.strip() and line[:1] != b"#"]
    return steps == [b"noop"]


def _concerns_us(name: str, arguments: tuple[str, ...]) -> bool:
    if name == "post-merge":
        return arguments[:1] != ("1",)  # a squash moves files, and not HEAD
    if name == "post-rewrite":
        return arguments[:1] == ("rebase",)  # an amended commit moves no model, as a new one does not
    return arguments[2:3] == ("1",) and arguments[0] != arguments[1]


def _is_used(folder: str) -> bool:
    """Tell whether mlsnap is used here: hooks that serve all clones of a user also run where it is not."""
    common = folder
    if os.path.isfile(os.path.join(folder, "commondir")):
        with open(os.path.join(folder, "commondir"), encoding="utf-8", errors="surrogateescape") as file:
            common = os.path.join(folder, file.readline().rstrip("\n"))
    return os.path.lexists("mlsnap.toml") or os.path.isdir(os.path.join(common, "mlsnap")) or _has_table()


def _has_table() -> bool:
    if not os.path.isfile("pyproject.toml"):
        return False
    with open("pyproject.toml", "rb") as file:
        return b"mlsnap" in file.read(1 << 20)


def _follow(root: str, *, looking: float, starting: float) -> None:
    child = subprocess.Popen(
        [sys.executable, "-I", "-c", _CHILD, root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # whoever reads git's output to its end must not wait for a child that was left
        env=_environment(os.environ),
        start_new_session=True,  # Ctrl-C is for git; models that are on their way arrive whole
    )
    assert child.stdin is not None and child.stdout is not None
    answer = child.stdout.fileno()
    heard = _heard(answer, starting) and _heard(answer, looking)
    if not heard:
        os.kill(child.pid, signal.SIGKILL)
        child.returncode = 0  # nobody waits for it: it may be stuck in the kernel
        child.stdin.close()
        child.stdout.close()
        why = "mlsnap could not start" if heard is False else f"the storage did not answer within {looking:g} s"
        _say(f"mlsnap: {why}; models stay as they are (`mlsnap restore HEAD` when you want them)")
        return
    child.stdin.write(b"go\n")
    child.stdin.close()
    with child.stdout as lines:
        for line in lines:
            _say(line.decode("utf-8", "backslashreplace").rstrip("\n"))
    child.wait()


def _heard(descriptor: int, seconds: float) -> bool | None:
    """Wait for the child's next word: a byte when it has started, and one when it has looked. False when it has
    ended, None when it did not answer."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left)[0]:
            return os.read(descriptor, 1) == b"."
    return None


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the child gets: no credential, since it sends nothing, and not what git tells the hook alone."""
    return {
        name: value
        for name, value in environ.items()
        if not any(word in name for word in _LEFT) and name not in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE")
    }


def _say(line: str) -> None:
    try:
        sys.stderr.write(line + "\n")
    except (OSError, ValueError):
        return
