"""The training command as a process of its own, without any way to more rights."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from ci_mlsnap.durable.faults import shown
from ci_mlsnap.errors import CommandMissing, TrainingFailed
from ci_mlsnap.training import namespace
from ci_mlsnap.training.harden import forbid_new_privileges
from ci_mlsnap.training.isolation import starter

_SAFE = "nothing was run, and no snapshot was made"
_KILL_WAIT = 1.0
_NOT_EXECUTABLE = (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.EISDIR, errno.ELOOP)


class Child:
    """The command in a session of its own, from entering the block on; `fileno` is readable once it has ended.

    In a `namespace` it sees no process but those that it starts. A thread starts it and waits for it: "no new
    privileges" is a thread's, so the rest of us keeps ours, and no Python runs between fork and exec, which would
    not be safe beside other threads.
    """

    def __init__(
        self,
        command: Sequence[str] | str,
        folder: Path,
        environment: Mapping[str, str],
        *,
        output: int,
        namespace: bool = False,
    ) -> None:
        self._argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._output = output
        self._namespace = namespace
        self._running = False
        self._code: int | None = None
        self._error: Exception | None = None
        self._started, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="training command", daemon=True)
        self.pid = 0
        """The process that is ours to reap: the command, or the first of `starters`."""
        self.starters: frozenset[int] = frozenset()
        """The processes that start the command in a namespace, and are no part of it."""

    def __enter__(self) -> Self:
        """Start it. Raises `CommandMissing`, `TrainingFailed`."""
        self._readable, self._writable = os.pipe()
        self._thread.start()
        self._started.wait()
        if not self._running:
            self._thread.join()
            os.close(self._readable)
            raise _not_started(self._argv, self._folder, self._error) from self._error
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(_KILL_WAIT)
        os.close(self._readable)

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._readable

    @property
    def signal(self) -> int:
        """The signal that it died of, or 0; one that even SIGKILL does not end counts as killed."""
        self._ended.wait(_KILL_WAIT)
        return signal.SIGKILL if self._code is None else max(0, -self._code)

    @property
    def exit_code(self) -> int:
        """The code as a shell would say it."""
        number = self.signal
        return 128 + number if number else self._code or 0

    def _run(self) -> None:
        try:
            forbid_new_privileges()
            if self._namespace:
                self._run_in_namespace()
            else:
                self._run_directly()
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
        finally:
            self._has_ended()
            self._started.set()

    def _run_directly(self) -> None:
        process = self._popen(self._argv)
        self._is_running()
        self._has_ended(process.wait())

    def _run_in_namespace(self) -> None:
        """Have it started by others, and learn from their reports how it goes."""
        program = self._argv[0]
        readable, writable = os.pipe()
        with os.fdopen(readable, "rb", buffering=0) as reports:
            try:
                process = self._popen([*starter(), str(writable), *self._argv], pass_fds=(writable,))
            finally:
                os.close(writable)
            self.starters = frozenset((process.pid,))
            while report := reports.read(namespace.REPORT.size):
                self._take(program, *namespace.REPORT.unpack(report))
        process.wait()
        if not self._running and self._error is None:
            self._error = ChildProcessError(errno.ECHILD, "what starts it was ended")
        self._has_ended(-signal.SIGKILL)

    def _take(self, program: str, what: bytes, number: int) -> None:
        if what == namespace.INIT and not self._running:
            self.starters |= {number}
        elif what == namespace.RUNNING:
            self._is_running()
        elif what == namespace.ENDED:
            self._has_ended(os.waitstatus_to_exitcode(number))
        elif what == namespace.NO_COMMAND:
            self._error = OSError(number, os.strerror(number), program)
        else:
            self._error = OSError(number, f"no process namespace: {os.strerror(number)}")

    def _popen(self, argv: Sequence[str], *, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            argv,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.pid = process.pid
        return process

    def _is_running(self) -> None:
        self._running = True
        self._started.set()

    def _has_ended(self, code: int | None = None) -> None:
        """Note the first of what is said about its end, and let whoever waits know."""
        if not self._ended.is_set():
            self._code = code
            self._ended.set()
            os.close(self._writable)


def _not_started(argv: Sequence[str], folder: Path, error: Exception | None) -> TrainingFailed:
    program = shown(os.fsencode(argv[0])) if argv else "nothing"
    why = getattr(error, "strerror", None) or str(error)
    if isinstance(error, OSError) and str(error.filename) == str(folder):
        what = f"training cannot be started in {shown(os.fsencode(folder))}"
        return TrainingFailed(what, why=why, safe=_SAFE, hint="check that this folder is there")
    if isinstance(error, IndexError | ValueError) or getattr(error, "errno", None) in _NOT_EXECUTABLE:
        return CommandMissing(
            f"the training command cannot be executed: {program}",
            why=why,
            safe=_SAFE,
            hint="check train.command, that the file is executable with a `#!` line, and PATH in the CI",
        )
    what = f"training cannot be started: {program}"
    return TrainingFailed(what, why=why, safe=_SAFE, hint="see `ulimit -a` and the free memory")
