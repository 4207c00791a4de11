"""`mlsnap` without its start: a process that has all loaded forks for each command.

Most of what a command costs is the interpreter and its imports, and a suite runs thousands. What it does and says
is the same here, up to the interpreter's end. What belongs to the start itself (which modules are loaded, how a
secret leaves the environment, how the console script is found) needs a process of its own, and its tests take one.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LONGEST_ORDER = 1 << 20
_STARTED_OTHERWISE = ("PYTHON", "LC_", "LANG")
"""What an interpreter reads once, at its start."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a command ended, and all that it wrote."""

    returncode: int
    stdout: bytes
    stderr: bytes


def mlsnap(
    *arguments: str | bytes, cwd: Path | str, env: Mapping[str, str], script: Path, timeout: float
) -> Ended:
    """Run a command to its end, forked where that makes no difference, else by the console `script`.

    Raises `subprocess.TimeoutExpired`.
    """
    if any(env.get(name) != os.environ.get(name) for name in {*env, *os.environ} if _at_start(name)):
        done = subprocess.run(
            (script, *arguments),
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        return Ended(returncode=done.returncode, stdout=done.stdout, stderr=done.stderr)
    return _started().run([os.fsdecode(word) for word in arguments], cwd, env, timeout)


def _at_start(name: str) -> bool:
    return name.startswith(_STARTED_OTHERWISE)


@functools.cache
def _started() -> _Warm:
    """Start the process, once for each worker; it ends with it."""
    warm = _Warm()
    atexit.register(warm.end)
    return warm


class _Warm:
    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            command = (sys.executable, "-m", "tests.warm", str(theirs.fileno()))
            self._process = subprocess.Popen(command, env=environment, cwd=ROOT, pass_fds=[theirs.fileno()])

    def run(self, arguments: Sequence[str], cwd: Path | str, env: Mapping[str, str], timeout: float) -> Ended:
        order = {"arguments": arguments, "cwd": os.fspath(cwd), "env": dict(env)}
        ours, theirs = zip(*(os.pipe() for _ in range(3)), strict=True)
        try:
            socket.send_fds(self._socket, [json.dumps(order).encode()], theirs)
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        said = _heard(ours, timeout)
        numbers = said.pop().split()
        assert numbers, "the process that forks for commands has ended"
        if len(numbers) == 1:
            os.kill(int(numbers[0]), signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(arguments), timeout)
        return Ended(returncode=int(numbers[1]), stdout=said[0], stderr=said[1])

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


def _heard(pipes: Sequence[int], timeout: float) -> list[bytes]:
    """Give all that comes out of the pipes until nobody has their other ends, or the time is over."""
    deadline = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        said = dict.fromkeys(pipes, b"")
        for pipe in pipes:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map() and (ready := selector.select(deadline - time.monotonic())):
            for key, _ in ready:
                more = os.read(key.fd, 1 << 16)
                said[key.fd] += more
                if not more:
                    selector.unregister(key.fd)
    for pipe in pipes:
        os.close(pipe)
    return list(said.values())


# -- the process that forks ----------------------------------------------------------------------------


def load_everything() -> None:
    """Import all that a command may need; what it has at hand is the same for all."""
    import ci_mlsnap

    for module in pkgutil.walk_packages(ci_mlsnap.__path__, "ci_mlsnap."):
        if not module.name.endswith("__main__") and ".demo.project" not in module.name:
            importlib.import_module(module.name)
    for library in ("github", "jinja2", "requests", "rich.console"):
        importlib.import_module(library)
    gc.collect()
    gc.freeze()


def _serve(orders: socket.socket) -> list[str]:
    """Fork for each order; give the arguments in the child that is to be the command."""
    while True:
        order, descriptors, _, _ = socket.recv_fds(orders, _LONGEST_ORDER, 3)
        if not order:
            os._exit(0)
        if os.fork() == 0:
            orders.close()
            return _become(json.loads(order), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _become(order: dict[str, object], descriptors: list[int]) -> list[str]:
    """Wait for a child and tell its number and exit code; be that child, with the order's streams and place."""
    out, err, answer = descriptors
    child = os.fork()
    if child != 0:
        with suppress(BrokenPipeError):  # nobody waited so long
            os.write(answer, b"%d " % child)
            _, status = os.waitpid(child, 0)
            os.write(answer, b"%d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.closerange(3, 256)
    environment, arguments, folder = order["env"], order["arguments"], order["cwd"]
    assert isinstance(environment, dict) and isinstance(arguments, list) and isinstance(folder, str)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(folder)
    return arguments


def _main() -> int:
    orders = socket.socket(fileno=int(sys.argv[1]))
    load_everything()
    sys.argv = ["mlsnap", *_serve(orders)]
    from ci_mlsnap.cli import main

    return main()


if __name__ == "__main__":
    ended_with = _main()
    # The interpreter's own end would take longer than most commands.
    os._exit(ended_with)
