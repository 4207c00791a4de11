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
from ci_mlsnap.training.harden import forbid_new_privileges

_SAFE = "nothing was run, and no snapshot was made"
_KILL_WAIT = 1.0
_NOT_EXECUTABLE = (errno.ENOENT, errno.EACCES, errno.ENOTDIR, errno.ENOEXEC, errno.EISDIR, errno.ELOOP)


class Child:
    """The command in a session of its own, from entering the block on; `fileno` is readable once it has ended.

    A thread starts it and waits for it: "no new privileges" is a thread's, so the rest of us keeps ours, and no
    Python runs between fork and exec, which would not be safe beside other threads.
    """

    def __init__(
        self, command: Sequence[str] | str, folder: Path, environment: Mapping[str, str], *, output: int
    ) -> None:
        self._argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._output = output
        self._process: subprocess.Popen[bytes] | None = None
        self._error: Exception | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="training command", daemon=True)

    def __enter__(self) -> Self:
        """Start it. Raises `CommandMissing`, `TrainingFailed`."""
        self._readable, self._writable = os.pipe()
        self._thread.start()
        self._started.wait()
        if self._process is None:
            self._thread.join()
            os.close(self._readable)
            raise _not_started(self._argv, self._folder, self._error) from self._error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._readable)

    def fileno(self) -> int:
        """Give the descriptor to wait on."""
        return self._readable

    @property
    def pid(self) -> int:
        """The number of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def signal(self) -> int:
        """The signal that it died of, or 0; one that even SIGKILL does not end counts as killed."""
        self._thread.join(_KILL_WAIT)
        assert self._process is not None
        code = self._process.returncode
        return signal.SIGKILL if code is None else max(0, -code)

    @property
    def exit_code(self) -> int:
        """The code as a shell would say it."""
        number = self.signal
        assert self._process is not None
        return 128 + number if number else self._process.returncode or 0

    def _run(self) -> None:
        try:
            forbid_new_privileges()
            self._process = subprocess.Popen(
                self._argv,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except Exception as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error
        finally:
            self._started.set()
        if self._process is not None:
            self._process.wait()
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
