"""What a run does on ONTAP is independent of the volume's size, where files are not to be inventoried."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.staging import TRAIN, staged
from tests.promise.conftest import Stage
from tests.promise.launching import Launcher

NO_WALK = '[manifest]\nfiles = "none"\n'
TEN_TEBIBYTES = 10 * 2**40

COUNTING = """\
import sys
counts = {"os.listdir": 0, "os.scandir": 0, "open": 0}
below = sys.argv.pop(1)
def hear(event, arguments):
    if event in counts and arguments and str(arguments[0]).startswith(below):
        counts[event] += 1
sys.addaudithook(hear)
from ci_mlsnap.cli import main
code = main()
print(counts, file=sys.stderr)
sys.exit(code)
"""
"""mlsnap, which says last how many folders below one it listed, and how many files it opened there."""


def counted_run(stage: Stage) -> str:
    stage.another_commit("two")
    done = subprocess.run(
        (sys.executable, "-c", COUNTING, str(stage.volume), "run"),
        cwd=stage.repository.path,
        env=stage.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()[-1]


def grow(live: Path, folders: int) -> None:
    """Fill a volume; what no walk could pass stands in it too, so that none goes unseen."""
    for number in range(folders):
        (live / "data" / f"{number:06}").mkdir(parents=True)
        (live / "data" / f"{number:06}" / "part").touch()
    (live / "data" / "out").symlink_to("/etc/passwd")


def test_a_volume_of_ten_tebibytes_is_not_walked(emulator: Emulator, launcher: Launcher, tmp_path: Path) -> None:
    """The number of entries does not matter, since none of them is looked at: as few for hundreds as for two."""
    counts = []
    for folders in (2, 200):
        place = tmp_path / str(folders)
        place.mkdir()
        volume: Volume = emulator.cluster.add_volume(
            "models", junction=f"/models{folders}", size=TEN_TEBIBYTES, only=".mlsnap"
        )
        with staged(emulator, volume, place, launcher, settings=NO_WALK) as stage:
            grow(stage.volume, folders)
            first = stage.mlsnap("run")
            assert first.code == 0, first.text
            counts.append(counted_run(stage))
            assert "contents not inventoried" in str(stage.last_status(stage.repository.head())["description"])
        volume.name = f"models{folders}"
    assert counts[0] == counts[1]


def test_what_a_failed_run_left_is_refused_without_an_inventory_too(
    emulator: Emulator, models: Volume, launcher: Launcher, tmp_path: Path
) -> None:
    with staged(emulator, models, tmp_path, launcher, settings=NO_WALK) as stage:
        assert stage.mlsnap("run").code == 0
        stage.train_with('echo half > "$MLSNAP_MODEL_DIR/model.bin"; exit 1\n')
        assert stage.mlsnap("run").code == 10
        refused = stage.mlsnap("run")
        assert refused.code == 40, refused.text
        assert "`mlsnap recover --shared`" in refused.stderr
        assert stage.mlsnap("recover", "--shared").code == 0
        stage.another_commit("two")
        stage.train_with(TRAIN)
        done = stage.mlsnap("run")
        assert done.code == 0, done.text
        assert len(models.snapshots) >= 2
