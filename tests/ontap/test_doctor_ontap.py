"""What `doctor` finds on a cluster, and what it says to do; nothing is changed by it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from ci_mlsnap.storage.ontap_roles import ROLES, commands_of
from ci_mlsnap.trees.mounts import Mount
from tests.ontap.emulator.access import Account, Role
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Policy, Volume
from tests.ontap.mounted import driver_of
from tests.ontap.staging import staged
from tests.promise.conftest import Stage
from tests.promise.launching import Launcher

Screen = dict[str, dict[str, Any]]


@pytest.fixture
def stage(emulator: Emulator, models: Volume, launcher: Launcher, tmp_path: Path) -> Iterator[Stage]:
    """Give a stage whose volume is fine."""
    models.policy = "none"
    with staged(emulator, models, tmp_path, launcher) as made:
        yield made


def screen(stage: Stage, *, code: int = 0, **environment: str) -> Screen:
    """Give the findings by their topics; of several of one topic the worst."""
    done = stage.mlsnap("doctor", "--json", environment=environment)
    assert done.code == code, done.text
    worst = sorted(json.loads(done.stdout), key=lambda it: ["ok", "note", "bad"].index(it["state"]))
    return {it["topic"]: it for it in worst}


def test_a_healthy_cluster_is_told_of_line_by_line(stage: Stage, emulator: Emulator, models: Volume) -> None:
    before = stage.everything()
    found = screen(stage)
    assert found["cluster"]["text"] == "127.0.0.1 runs ONTAP 9.15.1"
    assert "known by its fingerprint; it ends on " in found["certificate"]["text"]
    assert found["clock"]["state"] == "ok"
    assert found["rights"]["text"] == "admin may make, rename and delete snapshots"
    assert found["limit"]["text"] == "0 of 1023"
    assert found["autodelete"]["state"] == "ok"
    assert found["mount"]["state"] == "note"  # the emulated volume is a folder
    assert [topic for topic, it in found.items() if it["state"] == "bad"] == []
    assert models.snapshots == {}
    assert stage.everything() == before


def test_rights_are_found_out_without_acting(stage: Stage, emulator: Emulator, models: Volume) -> None:
    assert stage.mlsnap("run").code == 0
    there = dict(models.snapshots)
    screen(stage)
    assert models.snapshots == there
    acts = [it for it in emulator.exchanges if it.method != "GET"]
    assert [it.code for it in acts[-3:]] == [400, 404, 404]


def give_role(emulator: Emulator, kind: str) -> None:
    role = cast("Role", ROLES.get(kind, {"/api/storage/volumes": "readonly"}))
    emulator.cluster.accounts.add(Account(name="admin", role=role, password="cluster-password"))


@pytest.mark.parametrize(
    ("role", "state", "text"),
    [
        ("run", "ok", "may make snapshots, and not rename and delete any"),
        ("prune", "ok", "may make, rename and delete"),
        ("none", "bad", "may not make snapshots"),
    ],
)
def test_a_role_is_told_by_what_it_may(stage: Stage, emulator: Emulator, role: str, state: str, text: str) -> None:
    give_role(emulator, role)
    found = screen(stage, code=20 if state == "bad" else 0)
    assert found["rights"]["state"] == state
    assert text in found["rights"]["text"]
    assert "not told to this user" in found["cluster"]["text"]


def test_the_role_of_runs_is_enough_for_a_run_and_not_for_pruning(
    stage: Stage, emulator: Emulator, models: Volume
) -> None:
    give_role(emulator, "run")
    sha = stage.repository.head()
    done = stage.mlsnap("run")
    assert done.code == 0, done.text
    stage.another_commit("two")
    assert stage.mlsnap("run").code == 0
    refused = stage.mlsnap("prune", "--version", sha, "--reason", "a test")
    assert refused.code == 20, refused.text
    assert "error[storage-forbidden]" in refused.stderr
    assert "doctor --role" in refused.stderr
    assert sha in models.snapshots
    give_role(emulator, "prune")
    pruned = stage.mlsnap("prune", "--version", sha, "--reason", "a test")
    assert pruned.code == 0, pruned.text
    assert sha not in models.snapshots


def test_the_roles_are_printed_as_commands(stage: Stage, emulator: Emulator) -> None:
    said = stage.mlsnap("doctor", "--role", "run")
    assert said.code == 0, said.text
    lines = said.stdout.splitlines()
    assert lines == list(commands_of("run", svm="svm1"))
    assert (
        'security login rest-role create -vserver svm1 -role mlsnap_run -api "/api/storage/volumes/*/snapshots"'
        " -access read_create" in lines
    )
    assert emulator.exchanges == []


@pytest.mark.parametrize(
    ("topic", "spoil", "hint"),
    [
        ("volume", {"state": "offline"}, "volume online"),
        ("volume", {"type": "dp"}, "mirrors"),
    ],
)
def test_a_volume_that_can_have_no_version_is_bad_and_the_rest_is_told_all_the_same(
    stage: Stage, models: Volume, topic: str, spoil: dict[str, Any], hint: str
) -> None:
    for name, value in spoil.items():
        setattr(models, name, value)
    found = screen(stage, code=20)
    assert found[topic]["state"] == "bad"
    assert hint in found[topic]["hint"]
    assert {"cluster", "certificate", "rights", "limit", "autodelete"} <= set(found)


@pytest.mark.parametrize(
    ("source", "state", "said"),
    [
        ("svm1.example.com:/models", "ok", "svm1.example.com:/models is mounted at "),
        ("svm1.example.com:/other", "bad", "and models is /models of its SVM"),
    ],
)
def test_what_is_mounted_is_held_to_the_volumes_junction(
    emulator: Emulator,
    models: Volume,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    source: str,
    state: str,
    said: str,
) -> None:
    live = emulator.cluster.path(models)
    mount = Mount(point=live.resolve(), kind="nfs4", source=source)
    for module in ("ontap_doctor", "ontap_volume"):
        monkeypatch.setattr(f"ci_mlsnap.storage.{module}.mount_of", lambda _path: mount)
    found = {it.topic: it for it in driver_of(emulator, models, tmp_path / "state").examine()}
    assert found["mount"].state == state
    assert said in found["mount"].text
    assert found["volume"].state == state


def test_autodelete_is_told_with_what_it_takes_first(stage: Stage, models: Volume) -> None:
    models.autodelete.enabled = True
    assert "after scheduled ones" in screen(stage)["autodelete"]["text"]
    models.autodelete.defer_delete = "scheduled"
    found = screen(stage)["autodelete"]
    assert (found["state"], "the oldest first" in found["text"]) == ("note", True)
    assert "-enabled false" in found["hint"]


def test_a_policy_that_eats_the_limit_is_told(stage: Stage, emulator: Emulator, models: Volume) -> None:
    emulator.cluster.policies["hoarding"] = Policy(copies={"hourly": 900, "daily": 100})
    models.policy = "hoarding"
    found = screen(stage)["limit"]
    assert found["state"] == "note"
    assert "hoarding keeps up to 1000" in found["text"]
    assert "-snapshot-policy none" in found["hint"]
    models.policy = "default"
    assert screen(stage)["limit"]["state"] == "ok"


def test_clocks_that_are_apart_are_told(stage: Stage, emulator: Emulator) -> None:
    emulator.cluster.skew = timedelta(seconds=90)
    found = screen(stage)["clock"]
    assert found["state"] == "note"
    assert "seconds apart" in found["text"]


def test_another_certificate_is_told_by_its_fingerprint_and_gets_no_login(
    stage: Stage, emulator: Emulator
) -> None:
    emulator.renew_certificate()
    found = screen(stage, code=20)
    assert emulator.own.fingerprint in found["certificate"]["text"]
    assert "ask the cluster's administrator" in found["certificate"]["hint"]
    assert emulator.exchanges == []


@pytest.mark.parametrize(("days", "said"), [(10, "in 9 days"), (-1, "it has ended")])
def test_a_certificates_end_is_told_in_time(stage: Stage, emulator: Emulator, days: int, said: str) -> None:
    emulator.renew_certificate(days=days)
    found = screen(stage, MLSNAP__ONTAP__FINGERPRINT=emulator.own.fingerprint)["certificate"]
    assert found["state"] == "note"
    assert said in found["text"]
    assert "renewed" in found["hint"]


def test_an_old_release_is_bad(stage: Stage, emulator: Emulator) -> None:
    emulator.cluster.version = (9, 7, 0)
    assert screen(stage, code=20)["cluster"]["hint"] == "mlsnap needs 9.8 or newer"


def test_what_is_wrong_with_the_way_there_is_said_once(stage: Stage) -> None:
    said = stage.mlsnap("doctor", environment={"MLSNAP_ONTAP_PASSWORD": "not-the-password"})
    assert said.code == 20, said.text
    assert said.stdout.count("security login show") == 1
    assert "not-the-password" not in said.text
