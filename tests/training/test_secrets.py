"""A training script that spies: what it can see of the process that started it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.training.conftest import answer

CANARY = "canary-5f3b"

STARTS_A_SPY = """
import base64, io, json, os, pathlib, sys
from ci_mlsnap.training import descendants, output, process
from ci_mlsnap.training.environment import training_environment
from ci_mlsnap.training.harden import forbid_reading_this_process, _prctl
from ci_mlsnap.training.signals import StopSignal

def seen(command):
    environment, _ = training_environment(os.environ, passed=("MLSNAP_GITHUB_TOKEN", "WANTED"), own={})
    shown = io.BytesIO()
    with StopSignal() as stop:
        process.run_training(
            command, folder=pathlib.Path("/"), environment=environment, timeout=60, sink=shown, stop=stop
        )
    return shown.getvalue().decode(errors="replace")

def spied():
    return {
        "environment": seen("env"),
        "parents environment": seen("cat /proc/$PPID/environ"),
        "parents memory": seen(
            "range=$(grep -m1 heap /proc/$PPID/maps | cut -d' ' -f1)\\n"
            "[ \\"$range\\" ] || exit 0\\n"
            "dd if=/proc/$PPID/mem bs=4096 skip=$((0x${range%-*} / 4096)) count=2000 2>/dev/null | wc -c"
        ),
        "parents files": seen("ls /proc/$PPID/fd/ | wc -l"),
        "arguments": seen("cat /proc/*/cmdline 2>/dev/null | tr '\\\\0' ' '"),
    }

if os.geteuid() == 0:
    # Root may read everything, so it becomes somebody else; the switch that this throws is put back.
    os.setgroups([])
    os.setresuid(12001, 12001, 12001)
    _prctl(4, 1)
before = spied()
forbid_reading_this_process()
print(json.dumps({"before": before, "after": spied()}))
"""


def test_a_spy_finds_nothing_once_we_are_closed(program: Callable[..., subprocess.Popen[bytes]]) -> None:
    secrets = {"MLSNAP_GITHUB_TOKEN": CANARY, "GITHUB_TOKEN": CANARY, "WANTED": "given"}
    said = answer(program(STARTS_A_SPY, env=secrets))
    before, after = said["before"], said["after"]
    # That the spy sees something while we are open shows that it looks in the right places.
    assert CANARY in before["parents environment"]
    assert int(before["parents memory"] or 0) > 0
    assert int(before["parents files"]) > 0
    assert CANARY not in str(after)
    assert after["parents environment"].count("denied") == 1
    assert "denied" in after["parents memory"]
    for place in ("environment", "arguments"):
        assert CANARY not in before[place]
    assert "WANTED=given" in after["environment"]
