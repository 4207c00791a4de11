"""What a training that errs or means harm leaves as its metrics."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ci_mlsnap.errors import MetricsInvalid
from ci_mlsnap.training.metrics import find_metrics, parsing
from ci_mlsnap.training.metrics.opening import Beneath
from tests.conftest import AsUser, FailedAsUser

SECRET = "never-to-be-quoted"
PATIENCE = 300.0
"""Seconds that a parser gets where it has much to read and the machine may be busy."""


def refusal(tmp_path: Path, configured: str | None = None, **wishes: Any) -> MetricsInvalid:
    with pytest.raises(MetricsInvalid) as caught:
        find_metrics((tmp_path,), configured, **wishes)
    error = caught.value
    assert SECRET not in f"{error.what} {error.why} {error.safe} {error.hint}"
    assert error.hint
    return error


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no complete JSON"),
        ("{", "no complete JSON"),
        (f'{{"{SECRET}": 0.9', "no complete JSON"),
        (f"{SECRET}", "no complete JSON"),
        ('{"a": 1} {"b": 2}', "no complete JSON"),
        ('{"a": ' + "9" * 5000 + "}", "no complete JSON"),
        ("[1, 2]", "no object"),
        ("0.97", "no object"),
        (f'"{SECRET}"', "no object"),
        (f'{{"{SECRET}": 1, "{SECRET}": 2}}', "twice"),
        (f'{{"{SECRET}.a": 1, "{SECRET}": {{"a": 2}}}}', "same"),
        ("[" * 100_000, "nested"),
        ('{"a":' * 100_000, "nested"),
        ('{"": 1}', "name of a metric"),
        ('{"\\ud800": 1}', "name of a metric"),
        (json.dumps({SECRET * 20: 1}), "name of a metric"),
        (json.dumps({f"{number}": number for number in range(1001)}), "more than 1000"),
    ],
)
def test_broken_metrics_are_refused_without_being_quoted(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "metrics.json").write_text(content)
    assert why in refusal(tmp_path).why


def test_a_million_metrics_are_refused_without_being_quoted(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text("{" + ",".join(f'"{number}":1' for number in range(10**6)) + "}")
    assert "more than 1000" in refusal(tmp_path, seconds=PATIENCE).why


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_bytes(b'{"a\xff": 1}')
    assert "UTF-8" in refusal(tmp_path).why


def test_a_document_that_blows_up_in_memory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"a": [' + '{"":0},' * 2_300_000 + "1]}")
    assert "memory" in refusal(tmp_path, seconds=PATIENCE).why


def test_a_parser_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(1000)\n")
    monkeypatch.setattr(parsing, "_CHILD", slow)
    (tmp_path / "metrics.json").write_text("{}")
    assert "too long" in refusal(tmp_path, seconds=0.2).why


@pytest.mark.parametrize(
    "said",
    ["", "no json", '{"scalars": {"a": true}}', '{"refused": 99, "why": "\\u001b[2J", "hint": "h"}', "x" * 1000],
)
def test_the_parsers_answer_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    forged = tmp_path / "forged.py"
    forged.write_text(f"print({said!r})\n")
    monkeypatch.setattr(parsing, "_CHILD", forged)
    (tmp_path / "metrics.json").write_text("{}")
    assert refusal(tmp_path).why.isprintable()


def test_the_parser_has_no_secret_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spy = tmp_path / "spy.py"
    spy.write_text(
        "import json, os, pathlib, sys\n"
        "files = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if int(n) > 2"
        " and os.path.exists(f'/proc/self/fd/{n}')]\n"
        "files = [f for f in files if not f.startswith('/proc')]\n"
        "why = json.dumps([dict(os.environ), files, sys.argv[1:], sys.path])\n"
        "print(json.dumps({'refused': 0, 'why': why, 'hint': 'h'}))\n"
    )
    monkeypatch.setattr(parsing, "_CHILD", spy)
    monkeypatch.setattr(parsing, "_TEXT_AT_MOST", 10_000)
    monkeypatch.setenv("MLSNAP_GITHUB_TOKEN", SECRET)
    (tmp_path / "metrics.json").write_text("{}")
    environment, files, arguments, path = json.loads(refusal(tmp_path).why)
    # The interpreter may set its own locale.
    assert set(environment) <= {"LC_CTYPE"}
    assert files == []
    assert arguments == []
    assert not any("site-packages" in folder or folder in ("", str(tmp_path)) for folder in path)


def test_the_parser_needs_no_installed_package(tmp_path: Path) -> None:
    head = json.dumps([{"kind": "any", "size": 8}]).encode() + b"\n"
    command = (sys.executable, "-I", "-S", str(parsing._CHILD))
    done = subprocess.run(command, input=head + b'{"a": 1}', capture_output=True, cwd=tmp_path, env={}, check=True)
    assert json.loads(done.stdout) == {"scalars": {"a": 1.0}, "curves": [], "group": ""}


# -- what is no file -------------------------------------------------------------------------------------------


def test_a_fifo_neither_hangs_us_nor_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metrics.json")
    assert "no regular file" in refusal(tmp_path).why


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("metrics.json")
        assert "no regular file" in refusal(tmp_path).why


def test_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").mkdir()
    assert "no regular file" in refusal(tmp_path).why


def test_a_device_is_not_even_opened(tmp_path: Path, needs_root: None) -> None:
    os.mknod(tmp_path / "metrics.json", 0o20666, os.makedev(1, 5))
    assert "no regular file" in refusal(tmp_path).why


def test_a_huge_sparse_file_is_refused_at_once(tmp_path: Path) -> None:
    with (tmp_path / "metrics.json").open("wb") as file:
        file.truncate(10 << 30)
    assert "larger than 16 MiB" in refusal(tmp_path).why


def test_a_file_that_lies_about_its_size_is_bounded(tmp_path: Path) -> None:
    # Files of /proc say they are empty and are not, as a file that grows does.
    size = len(Path("/proc/self/maps").read_bytes())
    root = Path(f"/proc/{os.getpid()}")
    with pytest.raises(MetricsInvalid):
        Beneath(roots=(), max_bytes=size // 2).read(root, PurePosixPath("maps"))


@pytest.mark.parametrize("target", ["secret.json", "absent", "metrics.json", "/etc/passwd", "/proc/self/environ"])
def test_a_link_is_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "secret.json").write_text(f'{{"{SECRET}": 1}}')
    (tmp_path / "metrics.json").symlink_to(target)
    assert "link" in refusal(tmp_path).why


@pytest.mark.parametrize("configured", [None, "dvclive/metrics.json"])
def test_a_link_to_a_folder_is_not_followed(tmp_path: Path, configured: str | None) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/metrics.json").write_text(f'{{"{SECRET}": 1}}')
    (tmp_path / "dvclive").symlink_to("elsewhere")
    assert "link" in refusal(tmp_path, configured).why


def test_a_root_that_was_replaced_by_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/metrics.json").write_text("{}")
    (tmp_path / "root").symlink_to("elsewhere")
    with pytest.raises(MetricsInvalid):
        find_metrics((tmp_path / "root",), None)


def test_a_link_into_a_root_is_not_the_root(tmp_path: Path) -> None:
    (tmp_path / "model/inner").mkdir(parents=True)
    (tmp_path / "model/inner/metrics.json").write_text("{}")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/dvclive").symlink_to(tmp_path / "model/inner")
    with pytest.raises(MetricsInvalid):
        find_metrics((tmp_path / "model", tmp_path / "code"), None)


def test_a_file_in_the_place_of_a_folder_is_just_not_there(tmp_path: Path) -> None:
    (tmp_path / "dvclive").write_text("no folder")
    assert find_metrics((tmp_path,), None).scalars == {}


def test_a_strange_name_is_told_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "dvclive/plots/metrics"
    folder.mkdir(parents=True)
    (folder / "\x1b[2J\n\u202e.tsv").symlink_to("/etc/passwd")
    assert refusal(tmp_path).what.isprintable()


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "dvclive/plots/metrics"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(b"\xff.tsv")).write_text("step\tx\n0\t1\n")
    assert "name of a metric" in refusal(tmp_path).why


def test_a_well_of_folders_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dvclive/plots/metrics" / "/".join("a" * 50)).mkdir(parents=True)
    assert "too deep" in refusal(tmp_path).why


def test_a_file_that_we_may_not_read_is_refused(as_user: AsUser, open_folder: Path) -> None:
    (open_folder / "metrics.json").write_text("{}")
    (open_folder / "metrics.json").chmod(0)
    with pytest.raises(FailedAsUser) as caught:
        as_user(12001, lambda: find_metrics((open_folder,), None).source)
    assert caught.value.kind == "MetricsInvalid"
