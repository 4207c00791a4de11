"""Training that leaves no byte on the disk has failed as itself, and the run comes to rest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ci_mlsnap.errors import ExitCode
from tests.conftest import FileSystem, LoopMount
from tests.promise.checking import content_of
from tests.promise.conftest import FILE_SYSTEMS, Stage

FILLS = """\
for name in model.bin more most; do cat /dev/zero > "$MLSNAP_MODEL_DIR/$name"; done
while echo full > "$MLSNAP_MODEL_DIR/$((number += 1))" && [ -s "$MLSNAP_MODEL_DIR/$number" ]; do :; done
exit 3
"""


@pytest.mark.parametrize("fs", FILE_SYSTEMS)
def test_training_that_leaves_the_disk_full_has_failed_as_itself(
    loop_mount: LoopMount, make_stage: Callable[..., Stage], fs: FileSystem
) -> None:
    stage = make_stage(ground=loop_mount(fs, 16))
    assert stage.mlsnap("run", durable=True).code == 0
    sha = stage.train_with(FILLS)
    failed = stage.mlsnap("run", durable=True)
    assert failed.code == ExitCode.TRAINING_FAILED, failed.text
    assert stage.states(sha) == ["pending", "failure"]
    stage.require_truth()
    stage.require_rest()
    for file in stage.volume.iterdir():
        if file.is_file():
            Path(file).unlink()
    recovered = stage.mlsnap("recover", durable=True)
    assert recovered.code == 0, recovered.text
    assert content_of(stage.volume)["model.bin"] == b"one\n"
    stage.require_rest()
