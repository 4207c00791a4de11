"""Notes of two clones that write at once, over a folder and over HTTP; forged, giant and malformed ones."""

from __future__ import annotations

import http.server
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.errors import GitFailed
from ci_mlsnap.git.notes import FETCHED, REF, Notes
from tests.conftest import GitRepository, need

LIMIT = 1 << 16
BACKEND = ("/usr/lib/git-core/git-http-backend", "/usr/libexec/git-core/git-http-backend")


class _Backend(http.server.BaseHTTPRequestHandler):
    """Git's own server for HTTP, called as CGI is."""

    root: Path
    program: str

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        environ = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": "ada",
            "REMOTE_ADDR": "127.0.0.1",
        }
        if "Content-Encoding" in self.headers:
            environ["HTTP_CONTENT_ENCODING"] = self.headers["Content-Encoding"]
        done = subprocess.run((self.program,), env=environ, input=body, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        lines = [line.partition(b": ") for line in head.split(b"\r\n")]
        status = next((value.decode() for name, _, value in lines if name == b"Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, _, value in lines:
            if name != b"Status":
                self.send_header(name.decode(), value.decode())
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def origin(tmp_path: Path, repository: GitRepository) -> Path:
    """Give a bare repository with one commit."""
    bare = tmp_path / "origins" / "origin.git"
    bare.parent.mkdir()
    repository.git("clone", "--quiet", "--bare", ".", str(bare))
    GitRepository(path=bare).git("config", "http.receivepack", "true")
    return bare


@pytest.fixture
def served(origin: Path) -> Iterator[str]:
    """Serve it over HTTP on loopback, and give its URL."""
    program = next((path for path in BACKEND if Path(path).exists()), "")
    need(program, "needs git-http-backend")
    handler: Any = type("Backend", (_Backend,), {"root": origin.parent, "program": program})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/origin.git"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=["folder", "http"])
def url(request: pytest.FixtureRequest, origin: Path) -> str:
    """Give the address of the origin, in either manner."""
    return str(origin) if request.param == "folder" else str(request.getfixturevalue("served"))


@pytest.fixture
def clone(tmp_path: Path, repository: GitRepository) -> Callable[..., GitRepository]:
    """Give a maker of clones."""

    def make(url: str, name: str) -> GitRepository:
        repository.git("clone", "--quiet", url, str(tmp_path / name))
        return GitRepository(path=tmp_path / name)

    return make


Clone = Callable[[str, str], GitRepository]


def _told(repository: GitRepository) -> list[str]:
    return repository.git("notes", f"--ref={REF}", "show", repository.head()).split("\n")


def test_two_clones_that_write_at_once_keep_both_their_lines(url: str, clone: Clone) -> None:
    one, other = clone(url, "one"), clone(url, "other")
    for writer, text in ((one, b"a\nc\n"), (other, b"b\nc\n")):
        Notes(writer.path).write({writer.head(): text})
    assert Notes(one.path).exchange().pushed
    assert Notes(other.path).exchange().pushed
    assert _told(other) == ["a", "b", "c"]
    assert Notes(one.path).exchange().pushed
    assert _told(one) == _told(other)
    assert one.git("rev-parse", REF) == other.git("rev-parse", REF)


def test_exchanging_twice_pushes_nothing_more(url: str, clone: Clone) -> None:
    one = clone(url, "one")
    Notes(one.path).write({one.head(): b"a\n"})
    Notes(one.path).exchange()
    before = one.git("rev-parse", REF)
    assert Notes(one.path).exchange().pushed
    assert one.git("rev-parse", REF) == one.git("rev-parse", FETCHED) == before


def test_clones_that_push_all_the_time_lose_no_line(origin: Path, clone: Clone) -> None:
    """Whoever is slower merges again; who never gets through is told, and is there the next time."""
    clones = [clone(str(origin), f"clone{number}") for number in range(3)]

    def work(writer: GitRepository) -> None:
        for turn in range(3):
            notes = Notes(writer.path)
            before = notes.own(writer.head(), limit=LIMIT) or b""
            notes.write({writer.head(): before + f"{writer.path.name}-{turn}\n".encode()})
            notes.exchange()

    threads = [threading.Thread(target=work, args=(writer,)) for writer in clones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for _ in range(2):
        assert all(Notes(writer.path).exchange().pushed for writer in clones)
    wanted = sorted(f"clone{number}-{turn}" for number in range(3) for turn in range(3))
    told = [_told(writer) for writer in clones]
    assert sorted(told[0]) == wanted
    assert told == [told[0]] * 3  # in one order: whose own lines came last without a merge stand last


def test_a_note_of_a_commit_that_is_not_here_is_carried_along(origin: Path, clone: Clone) -> None:
    one, other = clone(str(origin), "one"), clone(str(origin), "other")
    alone = one.commit("only here")
    Notes(one.path).write({alone: b"x\n"})
    Notes(one.path).exchange()
    Notes(other.path).write({other.head(): b"y\n"})
    assert Notes(other.path).exchange().pushed
    assert Notes(other.path).known([alone, other.head()]) == {other.head()}
    Notes(one.path).exchange()
    assert Notes(one.path).own(alone, limit=LIMIT) == b"x\n"
    with pytest.raises(GitFailed):
        Notes(other.path).write({alone: b"z\n"})


def test_a_note_stays_with_a_commit_that_is_rewritten_only_where_git_is_told_to(
    origin: Path, clone: Clone
) -> None:
    one = clone(str(origin), "one")
    one.commit("second", {"x": "1"})
    Notes(one.path).write({one.head(): b"a\n"})
    one.git("commit", "--amend", "--quiet", "-m", "amended")
    assert Notes(one.path).of(one.head(), limit=LIMIT).strip() == b""
    Notes(one.path).write({one.head(): b"b\n"})
    one.git("config", "notes.rewriteRef", REF)
    one.git("commit", "--amend", "--quiet", "-m", "amended again")
    assert Notes(one.path).of(one.head(), limit=LIMIT).strip() == b"b"


def test_a_giant_is_neither_read_nor_written_to(origin: Path, clone: Clone) -> None:
    one = clone(str(origin), "one")
    Notes(one.path).write({one.head(): b"x" * (LIMIT + 1)})
    assert Notes(one.path).of(one.head(), limit=LIMIT).strip() == b""
    assert Notes(one.path).own(one.head(), limit=LIMIT) is None


def test_a_remote_that_refuses_or_is_away_is_told_and_nothing_here_is_lost(origin: Path, clone: Clone) -> None:
    one = clone(str(origin), "one")
    Notes(one.path).write({one.head(): b"a\n"})
    hook = origin / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    refused = Notes(one.path).exchange()
    assert not refused.pushed and refused.why
    origin.rename(origin.with_name("away"))
    away = Notes(one.path).exchange()
    assert not away.pushed and away.why
    assert _told(one) == ["a"]
