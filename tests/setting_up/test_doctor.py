from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.demo.faults import Fault
from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.testing.ground import every_stat
from tests.conftest import GitRepository
from tests.setting_up.conftest import READER, REPOSITORY, STRANGER, Place

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "push", "CI": "true", "GITHUB_REPOSITORY": REPOSITORY}


def _pushed(place: Place, **payload: Any) -> dict[str, str]:
    """Give the environment of a push on Actions."""
    event = place.path.parent / "event.json"
    repository = {"full_name": REPOSITORY, "default_branch": "main"}
    facts = {"after": place.repository.head(), "ref": "refs/heads/main", "repository": repository}
    event.write_text(json.dumps({**facts, **payload}))
    return {**ACTIONS, "GITHUB_EVENT_PATH": str(event), "GITHUB_SHA": place.repository.head()}


def test_a_healthy_place_has_nothing_bad_and_says_what_was_looked_at(told: Place) -> None:
    screen = told.doctor()
    of_the_machine = {screen.of(topic)["state"] for topic in ("space", "isolation")}
    assert {finding["state"] for finding in screen.findings} == {"ok"} | of_the_machine
    topics = [finding["topic"] for finding in screen.findings]
    volume = ["volume", "way", "space", "snapshots"]
    assert topics == ["git", "event", "settings", *volume, "status", "isolation", "hooks"]
    assert screen.of("status")["text"] == f"the token may post to {REPOSITORY}"
    assert screen.of("way")["text"].startswith("copy on ")
    assert screen.of("snapshots")["text"] == "0 of ours, 0 foreign"


def test_hooks_are_told_of_with_the_command_until_they_are_there(told: Place) -> None:
    found = told.doctor().of("hooks")
    assert (found["state"], found["hint"]) == ("ok", "`mlsnap hooks install`")
    told.mlsnap("hooks", "install")
    assert told.doctor().of("hooks")["text"].startswith("installed: ")


def test_people_get_the_same_on_one_screen(told: Place) -> None:
    (told.path / "models").write_text("a file")
    said = told.mlsnap("doctor", expect=20).stdout
    assert len(said.splitlines()) <= 24
    screen = told.doctor(expect=20)
    for finding in screen.findings:
        assert f"  {finding['topic']}" in said
        assert finding["text"] in said
        assert finding["hint"] in said
    assert said.splitlines()[3].startswith("  volume         no  ")


def test_doctor_changes_nothing_where_nothing_was_made_yet(told: Place) -> None:
    before = every_stat(told.path.parent)
    told.doctor()
    assert not (told.path / "models").exists()
    assert not (told.path / ".git" / "mlsnap").exists()
    assert every_stat(told.path.parent) == before


def test_doctor_after_a_run_counts_its_version(told: Place) -> None:
    told.mlsnap("run")
    assert told.doctor().of("snapshots")["text"] == "1 of ours, 0 foreign"


# -- git -----------------------------------------------------------------------------------------------


def test_no_repository_is_found(place: Place, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    screen = place.doctor(expect=20, cwd=tmp_path / "elsewhere")
    assert screen.bad == ["git"]
    assert screen.of("git")["hint"]


def test_a_repository_without_a_commit_is_found(tmp_path: Path) -> None:
    empty = GitRepository(path=tmp_path / "empty")
    empty.path.mkdir()
    empty.git("init", "--quiet")
    assert Place(repository=empty).doctor(expect=20).bad == ["no-commit"]


def test_a_shallow_clone_is_found(place: Place, tmp_path: Path) -> None:
    place.repository.commit("another", {"x": "y"})
    shallow = GitRepository(path=tmp_path / "shallow")
    done = ("git", "clone", "--quiet", "--depth=1", f"file://{place.path}", str(shallow.path))
    subprocess.run(done, check=True, capture_output=True)
    shallow.git("remote", "set-url", "origin", f"https://github.com/{REPOSITORY}.git")
    found = Place(repository=shallow).doctor().of("history")
    assert found["state"] == "note"
    assert "git fetch --unshallow" in found["hint"]


def test_a_dirty_tree_is_found(place: Place) -> None:
    (place.path / "train.sh").write_text("exit 1\n")
    assert place.doctor().of("work tree")["state"] == "note"


def test_the_models_in_a_volume_that_git_does_not_track_are_no_dirt(place: Place) -> None:
    (place.path / ".gitignore").write_text("")
    place.repository.commit("nothing is ignored")
    (place.path / "models").mkdir()
    (place.path / "models" / "weights").write_text("w")
    assert "work tree" not in place.doctor().text


# -- settings and the event ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "topic", "word"),
    [
        ('on_fork = "fail"\n', "config-level", "on_fork"),
        ('trian = "sh train.sh"\n', "config-invalid", "train"),
        ("train = [\n", "config-invalid", "TOML"),
    ],
)
def test_wrong_settings_are_found_with_file_and_way_out(
    place: Place, settings: str, topic: str, word: str
) -> None:
    place.repository.commit("settings", {"mlsnap.toml": settings})
    screen = place.doctor(expect=20)
    assert screen.bad == [topic]
    assert word in screen.text
    assert "mlsnap.toml" in screen.text


def test_a_missing_training_command_is_found(place: Place) -> None:
    place.repository.commit("settings", {"mlsnap.toml": 'volume = "models"\n'})
    assert place.doctor().of("training")["text"] == "no command is set"


def test_the_event_of_a_push_is_named(place: Place, tmp_path: Path) -> None:
    place.repository.commit("a store", {"mlsnap.toml": _with_store(tmp_path / "store")})
    found = place.doctor(_pushed(place)).of("event")
    assert found["text"] == f"GitHub Actions: push of {place.repository.head()[:7]}"


def test_a_deleted_branch_is_a_note(place: Place, tmp_path: Path) -> None:
    place.repository.commit("a store", {"mlsnap.toml": _with_store(tmp_path / "store")})
    found = place.doctor(_pushed(place, deleted=True, after="0" * 40)).of("event")
    assert (found["state"], found["text"].partition(":")[0]) == ("note", "GitHub Actions")


def test_a_ci_without_an_event_is_found(place: Place) -> None:
    screen = place.doctor(env={"GITHUB_ACTIONS": "true"}, expect=20)
    assert screen.bad == ["usage"]
    assert "GITHUB_EVENT_NAME" in screen.text


# -- the volume and its store --------------------------------------------------------------------------


def _with_store(store: Path) -> str:
    return f'train = "sh train.sh"\n[volumes.models]\npath = "models"\nstore = "{store}"\n'


def test_a_store_in_the_workspace_of_the_ci_is_found(place: Place) -> None:
    screen = place.doctor({**_pushed(place), "GITHUB_WORKSPACE": str(place.path)}, expect=20)
    assert screen.bad == ["volume"]
    assert "GITHUB_WORKSPACE" in screen.of("volume")["text"]
    assert "store" in screen.of("volume")["hint"]


def test_a_store_on_a_hosted_runner_is_found(place: Place, tmp_path: Path) -> None:
    place.repository.commit("a store", {"mlsnap.toml": _with_store(tmp_path / "store")})
    assert place.doctor(_pushed(place)).bad == []
    screen = place.doctor({**_pushed(place), "RUNNER_ENVIRONMENT": "github-hosted"}, expect=20)
    assert screen.bad == ["volume"]
    assert "hosted" in screen.text


def test_what_can_be_no_volume_is_found(place: Place) -> None:
    (place.path / "models").symlink_to("/tmp")
    found = place.doctor(expect=20).of("volume")
    assert found["state"] == "bad"
    assert "can be no volume" in found["text"]
    assert found["hint"]


def test_a_live_tree_that_differs_is_found(told: Place) -> None:
    told.mlsnap("run")
    (told.path / "models" / "weights").write_text("by hand")
    assert "mlsnap recover" in told.doctor().of("live tree")["hint"]


# -- the token -----------------------------------------------------------------------------------------


def test_a_missing_token_is_a_note(place: Place) -> None:
    found = place.doctor().of("status")
    assert found["state"] == "note"
    assert "MLSNAP_GITHUB_TOKEN" in found["text"]


def test_a_repository_without_a_forge_is_a_note(told: Place) -> None:
    told.repository.git("remote", "remove", "origin")
    assert told.doctor().of("status")["state"] == "note"


@pytest.mark.parametrize(
    ("token", "word"),
    [("wrong", "refuses the token"), (READER, "may not write"), (STRANGER, "no such repository")],
)
def test_a_token_that_may_not_post_is_found_and_never_shown(told: Place, token: str, word: str) -> None:
    screen = told.doctor(env={"MLSNAP_GITHUB_TOKEN": token}, expect=20)
    assert screen.bad == ["status"]
    assert word in screen.of("status")["text"]
    assert token == "wrong" or token not in screen.text


def test_a_forge_that_does_not_answer_as_one_is_found(told: Place, forge: GitHubLookAlike) -> None:
    page = Fault(code=200, headers={"Content-Type": "text/html"}, body="<html>Please log in</html>")
    forge.faults.next(page, times=20)
    screen = told.doctor(expect=20)
    assert screen.bad == ["token"]
    assert screen.of("token")["hint"]


def test_what_keeps_training_from_the_token_is_said(told: Place) -> None:
    assert told.doctor().of("isolation")["text"] in {
        "of training in `mlsnap run`: own process namespace",
        "of training in `mlsnap run`: non-dumpable parent",
    }


def test_doctor_posts_nothing(told: Place, forge: GitHubLookAlike) -> None:
    told.doctor()
    assert {request.method for request in forge.received} == {"GET"}


# -- what is left over ---------------------------------------------------------------------------------


def test_an_unfinished_run_is_found(told: Place) -> None:
    told.mlsnap("begin")
    found = told.doctor().of("runs")
    assert found["text"].startswith("1 unfinished run: ")
    assert "mlsnap finish" in found["hint"]
    told.mlsnap("finish")
    assert "unfinished" not in told.doctor().text


def test_a_waiting_status_is_found(told: Place, forge: GitHubLookAlike) -> None:
    told.mlsnap("run", env={"MLSNAP_GITHUB_TOKEN": "wrong"}, expect=30)
    found = told.doctor().of("outbox")
    assert "mlsnap publish" in found["hint"]
    told.mlsnap("publish")
    assert "wait" not in told.doctor().text


def test_one_fault_hides_no_other(told: Place) -> None:
    (told.path / "models").write_text("a file")
    (told.path / "train.sh").write_text("exit 1\n")
    screen = told.doctor(env={"MLSNAP_GITHUB_TOKEN": "wrong"}, expect=20)
    assert screen.bad == ["volume", "status"]
    assert screen.of("work tree")["state"] == "note"


def test_a_broken_state_is_found_and_the_rest_is_looked_at(told: Place) -> None:
    told.mlsnap("begin")
    for file in (told.path / ".git/mlsnap/models/state/runs").rglob("plan*"):
        file.write_text("{")
    screen = told.doctor(expect=20)
    assert screen.bad == ["unfinished"]
    assert screen.of("status")["state"] == "ok"
