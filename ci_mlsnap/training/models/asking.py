"""The parent of the process that reads model files: hands it open files, and does not trust its answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import msgspec

from ci_mlsnap.domain.models import Model
from ci_mlsnap.domain.status import cut, one_line

FILE_SECONDS = 20.0
_CHILD = Path(__file__).with_name("child.py")
_ANSWER_AT_MOST = 1 << 20
_SLACK = 10.0
"""What the child gets beyond its own alarm, on a busy machine, before it is ended from here."""


class Reader:
    """Reads model files one after the other in a child without secrets, as long as `seconds` last in all.

    Raises nothing for any file: what cannot be read is said in its facts.
    """

    def __init__(self, *, seconds: float = 120.0, file_seconds: float = FILE_SECONDS) -> None:
        self._deadline = time.monotonic() + seconds
        self._file_seconds = file_seconds
        self._child: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, descriptor: int) -> Model:
        """Give what an open file says of itself; the descriptor stays the caller's."""
        if time.monotonic() > self._deadline:
            return _unread("no time was left for it")
        try:
            return _checked(self._asked(descriptor))
        except TimeoutError:
            self._end()
            return _unread("it takes too long to read")
        except (EOFError, ConnectionError):
            self._end()
            return _unread("it takes too long or too much memory to read")
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            self._end()
            return _unread("the process that reads model files failed")

    def _asked(self, descriptor: int) -> bytes:
        asking = self._socket or self._start()
        asking.settimeout(self._file_seconds + _SLACK)
        socket.send_fds(asking, [b"?"], [descriptor])
        size = int.from_bytes(_exactly(asking, 4), "big")
        if size > _ANSWER_AT_MOST:
            raise EOFError
        return _exactly(asking, size)

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._socket = ours
            self._child = subprocess.Popen(
                (sys.executable, "-I", "-S", str(_CHILD), str(self._file_seconds)),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={},
                cwd="/",
            )
        return ours

    def _end(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._child is not None:
            self._child.kill()
            self._child.wait()
        self._socket = self._child = None


def open_beneath(root: Path, path: bytes) -> int:
    """Open a regular file below a folder, without following any link on the way. Raises `OSError`."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    *folders, name = path.split(b"/")
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)


def _exactly(asking: socket.socket, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = asking.recv(count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return bytes(parts)


def _checked(answer: bytes) -> Model:
    """Read an answer as strictly as a stranger's, and make its texts harmless."""
    model = msgspec.json.decode(answer, type=Model)
    texts = ("framework", "version", "architecture", "why", "problem")
    return msgspec.structs.replace(
        model,
        **{name: cut(one_line(getattr(model, name)), 200) for name in texts},
        imports=tuple(cut(one_line(it), 200) for it in model.imports[:200]),
        tensors=tuple(msgspec.structs.replace(it, name=cut(one_line(it.name), 200)) for it in model.tensors[:500]),
    )


def _unread(why: str) -> Model:
    return Model(format="other", runs_code="unknown", why="not read", problem=why)
