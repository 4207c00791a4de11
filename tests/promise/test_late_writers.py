"""Whatever still writes when the training command has ended makes no snapshot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from ci_mlsnap.training.descendants import Descendants, processes
from tests.promise.conftest import Stage, eventually, runs

MakeStage = Callable[..., Stage]

LOOP = 'while :; do date > "$0"; done'
WRITERS = {
    "a background process": f"sh -c '{LOOP}' $MLSNAP_MODEL_DIR/late &",
    "a session of its own": f"setsid sh -c '{LOOP}' $MLSNAP_MODEL_DIR/late < /dev/null > /dev/null 2>&1 &",
    "a double fork": f"(setsid sh -c '{LOOP}' $MLSNAP_MODEL_DIR/late > /dev/null 2>&1 &)",
    "a clean environment": f"(env -i setsid sh -c '{LOOP}' $MLSNAP_MODEL_DIR/late > /dev/null 2>&1 &)",
    "a mapping": f"{sys.executable} map.py $MLSNAP_MODEL_DIR/late &",
}
MAP = """\
import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.truncate(file, 4096)
view = mmap.mmap(file, 4096)
os.close(file)
os.fork() and os._exit(0)
os.setsid()
number = 0
while True:
    number += 1
    view[:8] = number.to_bytes(8, "big")
"""


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("shared", [False, True], ids=["in place", "in a workspace"])
def test_a_late_writer_makes_no_version(make_stage: MakeStage, kind: str, shared: bool) -> None:
    stage = make_stage(shared=shared)
    script = f"echo trained > $MLSNAP_MODEL_DIR/model.bin\n{WRITERS[kind]}\n"
    sha = stage.repository.commit("a writer", {"train.sh": script, "map.py": MAP})
    done = stage.mlsnap("run")
    assert done.code == 11, done.text
    assert "error[late-writer]" in done.stderr
    assert stage.states(sha) == ["pending", "failure"]
    assert stage.versions(sha) == []
    stage.require_rest()


def test_children_that_end_by_themselves_are_waited_for(make_stage: MakeStage) -> None:
    stage = make_stage()
    sha = stage.train_with('(sleep 0.1; echo late > "$MLSNAP_MODEL_DIR/model.bin") &\n')
    done = stage.mlsnap("run")
    assert done.code == 0, done.text
    assert (stage.volume / ".snapshot" / sha / "model.bin").read_text() == "late\n"


def test_a_child_that_was_forked_behind_the_list_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first list has the parent, which has ended, but not yet the child that it left behind."""
    with Descendants() as descendants:
        parent = subprocess.Popen(
            ("sh", "-c", "sleep 1000 > /dev/null & echo $!"), stdout=subprocess.PIPE, text=True
        )
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.stdout.close()
        eventually(lambda: not runs(parent.pid), "the parent has ended")
        lists = [[process for process in processes() if process.pid != child]]
        monkeypatch.setattr(
            "ci_mlsnap.training.descendants.processes", lambda: lists.pop() if lists else processes()
        )
        assert descendants.alive() == {child}
        assert descendants.kill() == 0
        assert parent.wait() == 0
