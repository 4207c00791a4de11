"""promote, channels and path: a name that leads to a version, for people, scripts and serving machines."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from ci_mlsnap.state import channels
from tests.flows.conftest import QUIET, MakePlace, Place

GATED = """\
train = "sh train.sh"
volume = "models"
[gates.accuracy]
min = 0.5
"""
TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
cp weights.txt "$MLSNAP_MODEL_DIR/again.txt"
cp accuracy "$MLSNAP_METRICS"
"""


def scored(accuracy: float) -> str:
    return json.dumps({"accuracy": accuracy})


@pytest.fixture
def served(make_place: MakePlace) -> tuple[Place, str, str]:
    """Give a place with two good versions, and their names, the older one first."""
    place = make_place(settings=GATED, train=TRAIN)
    first = place.commit("first\n", accuracy=scored(0.8))
    place.mlsnap("run", env=QUIET)
    second = place.commit("second\n", accuracy=scored(0.9))
    place.mlsnap("run", env=QUIET)
    return place, first, second


def link(place: Place, channel: str = "production") -> Path:
    return channels.place(place.store / "state", channel)


def holds(place: Place, version: str) -> list[str]:
    """Say who holds a version, as the store's ledger has it."""
    from ci_mlsnap.storage.ledger import Ledger

    (ledger,) = (place.store / "state").glob("ledger*")
    return sorted(Ledger(path=ledger).read().holds.get(version, {}))


def test_a_channel_leads_where_it_was_promoted_to_and_what_is_live_is_held(
    served: tuple[Place, str, str],
) -> None:
    place, first, second = served
    said = place.mlsnap("promote", first, "production", "--reason", "the first that serves")
    assert f"production leads to {first[:7]}" in said.stdout
    assert (link(place) / "weights.txt").read_text() == "first\n"
    assert holds(place, first) == ["channel production"]

    said = place.mlsnap("promote", "HEAD", "production")
    assert f"mlsnap promote {first[:7]} production" in said.stdout, "it says how to go back"
    assert (link(place) / "weights.txt").read_text() == "second\n"
    assert holds(place, second) == ["channel production"]
    assert holds(place, first) == []


def test_promoting_twice_changes_nothing(served: tuple[Place, str, str]) -> None:
    place, first, _ = served
    place.mlsnap("promote", first, "production")
    before = (place.store / "state" / "channels.jsonl").read_bytes()
    inode = os.lstat(link(place)).st_ino
    with place.nothing_changed():
        again = place.mlsnap("promote", first, "production", "--json").facts
    assert again["changed"] is False
    assert (place.store / "state" / "channels.jsonl").read_bytes() == before
    assert os.lstat(link(place)).st_ino == inode


def test_two_channels_hold_one_version_each_for_itself(served: tuple[Place, str, str]) -> None:
    place, first, second = served
    place.mlsnap("promote", first, "production")
    place.mlsnap("promote", first, "canary")
    assert holds(place, first) == ["channel canary", "channel production"]
    place.mlsnap("promote", second, "canary")
    assert holds(place, first) == ["channel production"]


def test_channels_says_where_each_leads_and_how_it_came_to(served: tuple[Place, str, str]) -> None:
    place, first, second = served
    assert "no channels yet" in place.mlsnap("channels").stderr
    place.mlsnap("promote", first, "production", "--reason", "we begin \x1b[2J")
    place.mlsnap("promote", second, "production")
    (told,) = place.mlsnap("channels", "--json").facts
    assert (told["channel"], told["version"], told["there"]) == ("production", second, True)
    assert told["link"] == str(link(place))
    moves = place.mlsnap("channels", "production", "--json").facts
    assert [(move["from"], move["version"]) for move in moves] == [(first, second), (None, first)]
    assert moves[1]["who"]
    shown = place.mlsnap("channels", "production").stdout
    assert "we begin" in shown
    assert "\x1b" not in shown
    place.refused("no-version", 44, "channels", "canary")


def test_who_promoted_in_a_ci_is_whom_the_ci_names(served: tuple[Place, str, str]) -> None:
    place, first, _ = served
    event = place.folder.parent / "event.json"
    event.write_text("{}")
    actions = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "workflow_dispatch",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_SHA": place.repository.head(),
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": "octo/digits",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "128",
        "GITHUB_ACTOR": "ada",
    }
    place.mlsnap("promote", first, "production", env=actions)
    (move,) = place.mlsnap("channels", "production", "--json").facts
    assert move["who"] == "ada"
    assert move["run_url"].startswith("https://github.com/octo/digits/actions/runs/128")


# -- what may be promoted ------------------------------------------------------------------------------


def test_a_version_that_missed_its_gate_is_promoted_only_with_a_reason(served: tuple[Place, str, str]) -> None:
    place, first, _ = served
    place.mlsnap("promote", first, "production")
    bad = place.commit("bad\n", accuracy=scored(0.1))
    place.mlsnap("run", expect=12, env=QUIET)
    with place.nothing_changed():
        refused = place.refused("gate-missed", 12, "promote", bad, "production")
        assert "accuracy 0.1000 < 0.5000" in refused.stderr
        place.refused("usage", 2, "promote", bad, "production", "--even-missed")
        place.refused("usage", 2, "promote", bad, "production", "--even-missed", "--reason", " ")
    assert (link(place) / "weights.txt").read_text() == "first\n"
    said = place.mlsnap("promote", bad, "production", "--even-missed", "--reason", "the old one leaks")
    assert "misses a gate" in said.stdout
    assert (link(place) / "weights.txt").read_text() == "bad\n"
    assert place.mlsnap("channels", "--json").facts[0]["last"]["why"] == "the old one leaks"


def test_a_damaged_version_is_not_promoted(served: tuple[Place, str, str]) -> None:
    place, first, second = served
    place.mlsnap("promote", first, "production")
    file = place.store / "snapshots" / second / "weights.txt"
    file.parent.chmod(0o755)
    file.chmod(0o644)
    file.write_text("SECOND\n")
    refused = place.refused("integrity", 60, "promote", second, "production")
    assert "weights.txt" in refused.stderr
    assert (link(place) / "weights.txt").read_text() == "first\n"
    assert holds(place, second) == []


def test_what_was_kept_of_a_live_tree_is_no_version_to_serve(served: tuple[Place, str, str]) -> None:
    place, first, _ = served
    (place.volume / "mine").write_text("unsaved")
    kept = place.mlsnap("restore", first, "--json").facts["kept"]
    place.refused("refused", 40, "promote", kept, "production")
    assert not link(place).is_symlink()


@pytest.mark.parametrize("name", ["Production", "a/b", "..", "-x", "x" * 64, ""])
def test_a_name_outside_the_grammar_is_refused(place: Place, name: str) -> None:
    place.refused("usage", 2, "promote", "--", "HEAD", name)
    assert not (place.store / "state" / "channels").exists()


def test_promote_without_a_channel_says_what_it_takes(place: Place) -> None:
    place.refused("usage", 2, "promote", "HEAD")
    place.refused("usage", 2, "promote")
    place.refused("usage", 2, "promote", "HEAD", "production", "--end", "production")


# -- a channel as a name of a version ------------------------------------------------------------------


def test_a_channel_may_stand_wherever_a_revision_does(served: tuple[Place, str, str]) -> None:
    place, first, _ = served
    place.mlsnap("promote", first, "production")
    assert place.mlsnap("path", "production").stdout.strip().endswith(first)
    assert place.mlsnap("show", "production", "--json").facts["how"] == "channel"
    said = place.mlsnap("restore", "production").stdout
    assert "the channel of this name leads to it" in said
    assert (place.volume / "weights.txt").read_text() == "first\n"
    place.mlsnap("checkout", "production")
    assert place.repository.head() == first
    place.refused("no-commit", 2, "path", "canary")


def test_gits_name_goes_first_and_that_is_said(served: tuple[Place, str, str]) -> None:
    """A tag comes with any fetch: what serves asks for the channel by name, and gets it."""
    place, first, second = served
    place.mlsnap("promote", first, "production")
    place.repository.git("tag", "production", second)
    said = place.mlsnap("path", "production")
    assert said.stdout.strip().endswith(second)
    assert "--channel production" in said.stderr
    said = place.mlsnap("path", "--channel", "production")
    assert said.stdout.strip().endswith(first)
    assert said.stderr == ""
    place.refused("no-version", 44, "path", "--channel", "canary")


def test_nothing_follows_a_forged_link(served: tuple[Place, str, str], tmp_path: Path) -> None:
    place, first, _ = served
    place.mlsnap("promote", first, "production")
    (tmp_path / "evil").mkdir()
    link(place).unlink()
    link(place).symlink_to(tmp_path / "evil")
    for command in (("path", "production"), ("path", "--channel", "production"), ("restore", "production")):
        place.refused("integrity", 60, *command)
    place.mlsnap("promote", first, "production")
    assert (link(place) / "weights.txt").read_text() == "first\n", "promoting again makes the link anew"


def test_a_ledger_that_was_changed_is_found_by_all_who_read_it(served: tuple[Place, str, str]) -> None:
    place, first, second = served
    place.mlsnap("promote", first, "production")
    place.mlsnap("promote", second, "production")
    ledger = place.store / "state" / "channels.jsonl"
    ledger.write_text("".join(ledger.read_text().splitlines(keepends=True)[:1]))
    for command in (("channels",), ("path", "production"), ("promote", first, "production")):
        assert "line 2" in place.refused("integrity", 60, *command).stderr
    assert (link(place) / "weights.txt").read_text() == "second\n"
    place.mlsnap("restore", first)  # other work goes on


def test_what_is_live_stays_held_when_the_ledger_is_lost(served: tuple[Place, str, str]) -> None:
    """The holds are then all that says what was live; a lost file must not hand that to the next prune."""
    place, first, _ = served
    place.mlsnap("promote", first, "production")
    for file in (place.store / "state").glob("channels.json*"):
        file.unlink()
    link(place).unlink()
    place.mlsnap("restore", first)
    assert holds(place, first) == ["channel production"]


def test_a_channel_can_end_and_holds_nothing_then(served: tuple[Place, str, str]) -> None:
    place, first, _ = served
    place.mlsnap("promote", first, "prodction")
    said = place.mlsnap("promote", "--end", "prodction", "--reason", "a slip")
    assert "leads nowhere" in said.stdout
    assert holds(place, first) == []
    assert not os.path.lexists(link(place, "prodction"))
    assert place.mlsnap("channels", "--json").facts == []
    assert place.mlsnap("promote", "--end", "prodction", "--json").facts["changed"] is False
    assert len(place.mlsnap("channels", "prodction", "--json").facts) == 2
    place.refused("no-version", 44, "promote", "--end", "canary")


# -- readers -------------------------------------------------------------------------------------------


def test_a_reader_that_follows_a_channel_never_sees_a_mix(served: tuple[Place, str, str]) -> None:
    """Both files have the weights of their version; the reader opens the channel once and reads them in turn."""
    place, first, second = served
    state = place.store / "state"
    place.mlsnap("promote", first, "production")
    (start,) = channels.moves(state)
    texts = {name: channels.text_for(state, place.store / "snapshots" / name) for name in (first, second)}
    mixed: list[tuple[str, str]] = []
    seen: set[str] = set()
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            folder = os.open(link(place), os.O_RDONLY | os.O_DIRECTORY)
            pair = tuple(_text(folder, name) for name in ("weights.txt", "again.txt"))
            os.close(folder)
            seen.add(pair[0])
            if pair[0] != pair[1]:
                mixed.append((pair[0], pair[1]))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        from msgspec.structs import replace

        for number in range(100):
            before, after = ((first, second), (second, first))[number % 2]
            with channels.alone(state):
                channels.begin(state, replace(start, before=before, version=after, link=texts[after]))
                channels.finish(state)
    finally:
        over.set()
        reader.join()
    assert mixed == []
    assert seen == {"first\n", "second\n"}
    assert channels.live(state) == {"production": first}


def _text(folder: int, name: str) -> str:
    with open(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
        return file.read()
