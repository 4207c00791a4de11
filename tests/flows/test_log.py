"""log: versions beside git's history, and versions alone."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Folder, Said, make_folder
from tests.cli.test_output import on_a_terminal
from tests.promise.checking import everything_of

TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
cp scores.json "$MLSNAP_METRICS"
"""
HOSTILE = "\x1b[31mred \u202e ##[error]no | `x` é"


@dataclass(frozen=True, kw_only=True)
class History:
    """A repository with a merge, and its versions: two of `first`, `side`, `second`; the merge has none."""

    folder: Folder
    first: str
    side: str
    second: str
    merge: str

    def log(self, *arguments: str) -> list[dict[str, Any]]:
        """Give what `log` says as facts."""
        said = self.said("--json", *arguments)
        found: list[dict[str, Any]] = said.facts
        return found

    def said(self, *arguments: str, code: int = 0, env: Mapping[str, str] | None = None) -> Said:
        """Give what `log` says."""
        said = self.folder.mlsnap("log", *arguments, env=env)
        assert said.code == code, said.stderr
        return said

    def versions(self, *arguments: str) -> list[str | None]:
        """Name the versions that `log` lists."""
        return [line["version"] for line in self.log(*arguments)]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    folder = make_folder(tmp_path_factory.mktemp("history") / "digits")
    repository = folder.repository

    def version(subject: str, *options: str, **scores: float) -> str:
        weights = f"{subject} {options}\n"
        repository.commit(subject, {"scores.json": json.dumps(scores), "weights.txt": weights, "train.sh": TRAIN})
        said = folder.mlsnap("run", *options)
        assert said.code == 0, said.stderr
        return repository.head()

    first = version("first", accuracy=0.8, loss=0.5)
    assert folder.mlsnap("run", "--retrain").code == 0
    repository.git("checkout", "--quiet", "-b", "side")
    side = version(HOSTILE, accuracy=0.95)
    repository.git("checkout", "--quiet", "main")
    second = version("second", accuracy=0.9, loss=0.4)
    (folder.path / "weights.txt").write_text("not committed\n")
    assert folder.mlsnap("run", "--allow-dirty").code == 0
    repository.git("checkout", "--quiet", "--", ".")
    repository.git("merge", "--quiet", "--no-ff", "--strategy=ours", "--message=both", "side")
    assert folder.mlsnap("promote", first, "production", "--reason", "it serves").code == 0
    return History(folder=folder, first=first, side=side, second=second, merge=repository.head())


# -- commits -------------------------------------------------------------------------------------------


def test_the_log_has_the_commits_of_git_with_every_attempt(history: History) -> None:
    lines = history.log()
    assert [(it["commit"], it["version"]) for it in lines if it["commit"] != history.side] == [
        (history.merge, None),
        (history.second, history.second),
        (history.first, f"{history.first}.2"),
        (history.first, history.first),
        (history.folder.repository.git("rev-parse", f"{history.first}^"), None),
    ]
    assert [it["subject"] for it in lines if it["commit"] == history.side] == [HOSTILE]


def test_a_commit_with_the_files_of_another_says_whose_version_has_them(history: History) -> None:
    merge = history.log("-n", "1")[0]
    assert merge["same_files_as"] == history.second
    assert f"same files as {history.second[:7]}" in history.said("-n", "1").stdout


def test_what_was_kept_or_not_committed_is_listed_with_all_alone(history: History) -> None:
    assert not any("-dirty-" in str(name) for name in history.versions())
    assert sum("-dirty-" in str(name) for name in history.versions("--all")) == 1


def test_versions_outside_the_history_are_listed_with_all_alone(history: History) -> None:
    assert history.side not in history.versions(history.second)
    (outside,) = [it for it in history.log("--all", history.second) if it["commit"] == history.side]
    assert (outside["version"], outside["subject"]) == (history.side, HOSTILE)


def test_the_graph_is_gits_with_each_version_beside_its_commit(history: History) -> None:
    rows = history.said("--graph").stdout.splitlines()[1:]
    drawn = history.folder.repository.git("log", "--graph", "--format=%x2e").splitlines()
    attempts = [row for row in rows if history.first[:7] in row]
    assert len(attempts) == 2
    assert attempts[0].startswith("* ") and attempts[1].startswith("| "), "the second stands below, without a star"
    graphs = [re.match(r"[*|\\/ ]*", row)[0].rstrip() for row in rows if row is not attempts[1]]  # type: ignore[index]
    assert graphs == [line.removesuffix(".").rstrip() for line in drawn]


def test_channels_are_said_beside_what_they_lead_to(history: History) -> None:
    (line,) = [it for it in history.log() if it["channels"]]
    assert (line["version"], line["channels"]) == (f"{history.first}.2", ["production"])


# -- versions ------------------------------------------------------------------------------------------


def test_the_best_are_listed_with_the_direction_that_was_guessed(history: History) -> None:
    assert history.versions("--best", "accuracy", "-n", "2") == [history.side, history.second]
    assert history.versions("--best", "loss")[0] == history.second
    said = history.said("--best", "loss", "--metric", "accuracy")
    assert "loss: lower is taken to be better" in said.stderr
    assert "accuracy: higher is taken to be better" in said.stderr
    assert [name for name in said.stdout.splitlines()[0].split() if name.islower()] == ["loss", "accuracy"]


def test_a_revision_limits_the_best_to_its_history(history: History) -> None:
    assert history.versions("--best", "accuracy", history.second)[0] == history.second


def test_a_metric_that_nobody_has_is_refused_with_those_there_are(history: History) -> None:
    for option in ("--best", "--metric"):
        said = history.said(option, "acuracy", code=2)
        assert "'accuracy', 'loss'" in said.stderr


def test_versions_of_a_branch_stay_when_it_is_gone(history: History) -> None:
    assert history.versions("--branch", "side") == [history.side]
    assert history.versions("--branch", "no-such-branch") == []


def test_dates_are_held_against_commits_and_versions(history: History) -> None:
    assert history.versions("--since", "1 hour ago") == history.versions()
    assert history.versions("--since", "2099-01-01") == []
    assert history.versions("--branch", "side", "--since", "2099-01-01") == []
    assert "no date" in history.said("--since", "garbage", code=2).stderr


def test_no_version_was_trained_on_data_that_nobody_pinned(history: History) -> None:
    said = history.said("--data", "daily.2026")
    assert (said.stdout, said.stderr.splitlines()[-1]) == ("", "no such version")


def test_what_was_live_is_said_for_a_moment(history: History) -> None:
    now = history.log("--live-at", "now")
    assert [(it["version"], it["channels"]) for it in now] == [(f"{history.first}.2", ["production"])]
    assert history.log("--live-at", "2001-01-01") == []


# -- one version -----------------------------------------------------------------------------------------


def test_a_version_is_shown_with_its_run_and_what_keeps_it(history: History) -> None:
    shown = history.folder.mlsnap("show", history.first)
    for words in (
        "command   sh train.sh",
        "channel   production leads here",
        "held by   channel production",
        f"get it    mlsnap checkout {history.first[:7]}.2",
    ):
        assert words in shown.stdout, shown.stdout
    facts = history.folder.mlsnap("show", history.first, "--json").facts
    assert facts["channels"] == ["production"]
    assert facts["record"]["outcome"] == "good"
    assert facts["record"]["volume"]["snapshot"] == facts["header"]["name"] == f"{history.first}.2"


def test_a_versions_metrics_are_shown_against_its_baseline(history: History) -> None:
    shown = history.folder.mlsnap("show", history.second).stdout
    assert "0.9000   +0.1000 better, from 0.8000" in shown
    facts = history.folder.mlsnap("show", history.second, "--json").facts
    assert facts["baseline_metrics"] == {"accuracy": 0.8, "loss": 0.5}


# -- what goes not together, and how it looks ------------------------------------------------------------


@pytest.mark.parametrize("options", [("--graph", "--best", "loss"), ("--graph", "--json")])
def test_a_graph_of_what_has_none_is_refused(history: History, options: tuple[str, ...]) -> None:
    assert "next" in history.said(*options, code=2).stderr


def test_looking_changes_nothing(history: History) -> None:
    before = everything_of(history.folder.path)
    for options in ((), ("--graph",), ("--all",), ("--best", "loss"), ("--live-at", "now")):
        history.said(*options)
    assert everything_of(history.folder.path) == before


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("options", [(), ("--graph", "--all"), ("--best", "accuracy")])
def test_a_terminal_gets_lines_that_fit_and_nothing_to_obey(
    history: History, width: int, options: tuple[str, ...]
) -> None:
    code, shown = on_a_terminal(history.folder, "log", *options, env={"COLUMNS": str(width)})
    lines = shown.splitlines()
    assert code == 0
    assert len(lines) > 3
    assert max(map(len, lines)) <= width, shown
    assert all(char.isprintable() for line in lines for char in line)
    assert "##[" not in shown


def test_a_pipe_gets_whole_columns(history: History) -> None:
    header, *rows = history.said().stdout.splitlines()
    assert {"VERSION", "WHEN", "MESSAGE", "METRIC", "CHANGE", "SIZE"} <= set(header.split())
    assert all(row.isprintable() for row in rows)


def test_damaged_channels_hide_no_version(history: History, tmp_path: Path) -> None:
    ledger = history.folder.path / ".git" / "mlsnap" / "models" / "state" / "channels.jsonl"
    whole = ledger.read_bytes()
    try:
        ledger.write_bytes(b"rotten\n")
        said = history.said()
        assert "channels are left out" in said.stderr
        assert history.first[:7] in said.stdout
        assert history.said("--live-at", "now", code=60).stdout == ""
    finally:
        ledger.write_bytes(whole)
