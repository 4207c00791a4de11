"""The whole command line on a volume of the emulated cluster."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.conftest import REPOSITORY, TRAIN, Place
from tests.ontap.emulator.others import recreate
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import PASSWORD
from tests.ontap.placed import placed

pytestmark = pytest.mark.usefixtures("untouched")


@pytest.fixture(params=["state elsewhere", "state in the volume"])
def place(request: pytest.FixtureRequest, emulator: Emulator, models: Volume, tmp_path: Path) -> Iterator[Place]:
    """Give a checkout whose model volume is the cluster's."""
    with placed(emulator, models, tmp_path, elsewhere=request.param == "state elsewhere") as place:
        yield place


def test_a_commit_gets_its_version_as_a_snapshot_of_the_cluster(
    emulator: Emulator, models: Volume, place: Place
) -> None:
    sha = place.repository.git("rev-parse", "HEAD").strip()
    assert "not read" not in place.mlsnap("run").text
    assert place.states(sha)[-1] == "success"
    assert list(models.snapshots) == [sha]
    assert models.snapshots[sha].comment.startswith(f"mlsnap/1 p={REPOSITORY} model=digits sha={sha} m=")
    assert (place.volume / ".snapshot" / sha / "weights.txt").read_text() == "first\n"
    calls = [f"{it.method} {it.path.rsplit('/')[-1]} {it.query.get('name', '')}" for it in emulator.exchanges]
    calls = [call for call in calls if "jobs" not in call]
    assert len(calls) <= 6, "\n".join(calls)


def test_a_person_goes_back_and_forth(emulator: Emulator, models: Volume, place: Place) -> None:
    first = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    second = place.commit("second\n")
    place.mlsnap("run")
    assert set(models.snapshots) == {first, second}
    assert (place.volume / "weights.txt").read_text() == "second\n"
    place.mlsnap("restore", first, "--shared")
    assert (place.volume / "weights.txt").read_text() == "first\n"
    place.mlsnap("restore", second, "--shared")
    assert (place.volume / "weights.txt").read_text() == "second\n"
    assert first[:7] in place.mlsnap("log").stdout
    place.mlsnap("diff", first, second)
    place.mlsnap("verify", first)
    place.mlsnap("promote", first, "production")
    place.mlsnap("doctor")


def test_the_live_tree_that_all_share_comes_back_by_name(emulator: Emulator, models: Volume, place: Place) -> None:
    sha = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    (place.volume / "weights.txt").unlink()
    assert "`mlsnap recover --shared` goes back" in place.mlsnap("status").stdout
    place.mlsnap("recover", "--shared")
    assert (place.volume / "weights.txt").read_text() == "first\n"
    (place.volume / "weights.txt").write_text("by hand\n")
    place.commit("second\n")
    said = place.refused("live-tree-changed", 40, "run")
    assert "`mlsnap recover --shared`" in said.text
    place.mlsnap("recover", "--shared")
    assert set(models.snapshots) == {sha, f"{sha}-keep-1"}
    assert "nothing to recover: the live tree equals" in place.mlsnap("recover", "--shared").stdout


def test_without_a_login_the_live_tree_comes_back_too(emulator: Emulator, models: Volume, place: Place) -> None:
    sha = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    (place.volume / "weights.txt").unlink()
    before = len(emulator.exchanges)
    place.mlsnap("restore", sha, "--shared", env={"MLSNAP_ONTAP_PASSWORD": ""})
    assert (place.volume / "weights.txt").read_text() == "first\n"
    assert len(emulator.exchanges) == before


def test_what_is_pruned_comes_back(emulator: Emulator, models: Volume, place: Place) -> None:
    first = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    second = place.commit("second\n")
    place.mlsnap("run")
    place.mlsnap("prune", "--version", first, "--reason", "a test")
    assert set(models.snapshots) == {f"mlsnap-pruned-{first}", second}
    place.mlsnap("recover", first)
    assert set(models.snapshots) == {first, second}
    place.mlsnap("verify", first)


def test_a_run_again_adds_nothing(emulator: Emulator, models: Volume, place: Place) -> None:
    place.mlsnap("run")
    before = len(emulator.calls("POST"))
    place.mlsnap("run")
    assert len(emulator.calls("POST")) == before
    assert len(models.snapshots) == 1


def test_training_finds_no_login_of_the_cluster(emulator: Emulator, models: Volume, place: Place) -> None:
    place.train_with(
        TRAIN + 'env > "$MLSNAP_MODEL_DIR/seen"; cat /proc/$PPID/environ >> "$MLSNAP_MODEL_DIR/seen"; true\n'
    )
    place.mlsnap("run")
    seen = (place.volume / "seen").read_bytes()
    assert b"MLSNAP_MODEL_DIR" in seen and PASSWORD.encode() not in seen


def test_without_a_login_a_person_still_reads(emulator: Emulator, models: Volume, place: Place) -> None:
    sha = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    before = len(emulator.exchanges)
    silent = {"MLSNAP_ONTAP_PASSWORD": ""}
    assert sha[:7] in place.mlsnap("log", env=silent).stdout
    assert place.mlsnap("path", sha, env=silent).stdout.strip() == str(place.volume / ".snapshot" / sha)
    place.mlsnap("status", env=silent)
    place.mlsnap("verify", sha, env=silent)
    assert len(emulator.exchanges) == before
    place.commit("second\n")
    said = place.refused("storage-failed", 20, "run", env=silent)
    assert "MLSNAP_ONTAP" in said.text or "ontap.host" in said.text
    assert list(models.snapshots) == [sha]


def test_two_credentials_are_refused_before_anything_is_sent(emulator: Emulator, place: Place) -> None:
    place.refused("config-invalid", 2, "run", env={"MLSNAP_ONTAP_TOKEN": "a.b.c"})
    assert emulator.exchanges == []


def test_an_insecure_command_says_so_and_is_refused_in_a_ci(emulator: Emulator, place: Place) -> None:
    unpinned = {"MLSNAP__ONTAP__FINGERPRINT": ""}
    said = place.mlsnap("--insecure", "doctor", env=unpinned)
    assert said.stderr.count("no certificate is checked") == 1
    assert "Warning" not in said.stderr
    assert emulator.own.fingerprint in said.stdout
    before = len(emulator.exchanges)
    refused = place.refused("usage", 2, "--insecure", "status", env={**unpinned, "CI": "true"})
    assert "ontap.fingerprint" in refused.text
    assert len(emulator.exchanges) == before


@pytest.mark.parametrize(
    ("changes", "slug"),
    [
        ({"MLSNAP_ONTAP_PASSWORD": "a-wrong-password"}, "storage-auth"),
        ({"MLSNAP__ONTAP__FINGERPRINT": "ab" * 32}, "storage-certificate"),
        ({"MLSNAP__ONTAP__SVM": "svm9"}, "volume-missing"),
    ],
)
def test_what_is_wrong_with_the_cluster_is_said_before_training(
    emulator: Emulator, models: Volume, place: Place, changes: dict[str, str], slug: str
) -> None:
    said = place.refused(slug, 20, "run", env=changes)
    assert PASSWORD not in said.text and "a-wrong-password" not in said.text
    assert not (place.volume / "weights.txt").exists()


def test_the_training_phase_needs_no_login(emulator: Emulator, models: Volume, place: Place) -> None:
    sha = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("begin")
    before = len(emulator.exchanges)
    place.mlsnap("train", env={"MLSNAP_ONTAP_PASSWORD": "", "MLSNAP_GITHUB_TOKEN": ""})
    assert len(emulator.exchanges) == before
    place.mlsnap("conclude")
    place.mlsnap("finish")
    assert list(models.snapshots) == [sha]
    assert place.states(sha)[-1] == "success"


def test_with_all_but_storage_and_git_lost_versions_are_known_again(models: Volume, place: Place) -> None:
    first = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    shutil.rmtree(place.store)
    place.refused("volume-foreign", 40, "run", "--retrain")
    place.mlsnap("rebuild")
    place.mlsnap("verify", first)
    place.mlsnap("restore", first, "--shared")  # which version the live tree was is not known any more
    second = place.commit("second\n")
    place.mlsnap("run")
    assert {first, second} <= set(models.snapshots)
    assert place.states(second)[-1] == "success"


def test_a_person_says_that_a_moved_volume_is_the_same(emulator: Emulator, models: Volume, place: Place) -> None:
    first = place.repository.git("rev-parse", "HEAD").strip()
    place.mlsnap("run")
    recreate(emulator.cluster, models)
    second = place.commit("second\n")
    said = place.refused("volume-foreign", 40, "run")
    assert "mlsnap rebuild --accept-moved-volume" in said.text
    place.mlsnap("rebuild", "--accept-moved-volume")
    place.mlsnap("run")
    assert list(models.snapshots) == [first, second]


def test_two_volumes_make_one_version(emulator: Emulator, models: Volume, place: Place) -> None:
    other = emulator.cluster.add_volume("tokens", junction="/tokens")
    live = emulator.cluster.path(other)
    settings = (place.folder / "mlsnap.toml").read_text()
    second = f'[volumes.tokens]\npath = "{live}"\ndriver = "ontap"\nvolume = "tokens"\n'
    sha = place.commit(
        **{
            "mlsnap.toml": settings + second,
            "train.sh": TRAIN + 'cp weights.txt "$MLSNAP_MODEL_DIR_TOKENS/vocabulary"\n',
        }
    )
    place.mlsnap("run")
    assert list(models.snapshots) == list(other.snapshots) == [sha]
    assert (live / ".snapshot" / sha / "vocabulary").read_text() == "first\n"
    place.mlsnap("verify", sha)
    late = place.commit("second\n")
    emulator.faults.before(
        f"POST *{models.uuid}/snapshots", lambda: (place.volume / "weights.txt").write_text("late")
    )
    place.refused("late-writer", 11, "run")
    assert list(models.snapshots) == [sha]
    assert place.states(late)[-1] == "failure"
    assert place.mlsnap("log").stdout.count("no version") == 2
    place.mlsnap("restore", sha, "--shared")
    third = place.commit("third\n")
    place.mlsnap("run")
    kept = f"{sha}-keep-1"  # what the late writer left in the live tree
    assert set(models.snapshots) == set(other.snapshots) == {sha, kept, third}
