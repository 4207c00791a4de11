"""`mlsnap prune` and `mlsnap hold`: what no rule keeps goes to the trash, and comes back when it is asked for."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import GitRepository
from tests.flows.conftest import QUIET, MakePlace, Place
from tests.promise.checking import everything_of

LAST_TWO = 'train = "sh train.sh"\n[volumes.models]\npath = "models"\n[retention]\nkeep_last = 2\n'
TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
echo "{\\"accuracy\\": $(cat score.txt)}" > "$MLSNAP_METRICS"
"""


def made(
    make_place: MakePlace, count: int, settings: str = LAST_TWO, *, announced: bool = False
) -> tuple[Place, list[str]]:
    """Give a place with so many versions, oldest first."""
    place = quiet(make_place(settings=settings, train=TRAIN))
    shas = []
    for number in range(count):
        shas.append(place.commit(f"weights {number}\n", **{"score.txt": f"0.{number + 1}"}))
        place.mlsnap("run", env={} if announced else QUIET)
    return place, shas


def quiet(place: Place) -> Place:
    """Let nobody be asked over a network what branches there are."""
    place.repository.git("config", "url./nowhere/.insteadOf", "https://github.com/")
    return place


def listed(place: Place) -> list[str]:
    return [name for name in place.snapshots() if not name.startswith(".")]


def in_trash(place: Place) -> list[str]:
    return [name.removeprefix(".pruned-") for name in place.snapshots() if name.startswith(".pruned-")]


def kept(place: Place) -> dict[str, list[str]]:
    """Give the reasons of each version that a dry run would keep."""
    return {row["version"]: row["reasons"] for row in place.mlsnap("prune", "--dry-run", "--json").facts["kept"]}


# -- by policy -----------------------------------------------------------------------------------------


def test_what_no_rule_keeps_goes_to_the_trash_and_comes_back(make_place: MakePlace) -> None:
    place, shas = made(make_place, 5)
    said = place.mlsnap("prune").stdout
    assert "3 versions" not in said and "2 versions kept, 3 went to the trash" in said
    assert listed(place) == sorted(shas[3:])
    assert in_trash(place) == sorted(shas[:3])
    back = place.mlsnap("recover", shas[1])
    assert "is back from the trash" in back.stdout
    assert listed(place) == sorted([shas[1], *shas[3:]])
    place.mlsnap("restore", shas[1])
    assert (place.volume / "weights.txt").read_text() == "weights 1\n"
    place.snapshot(shas[1])


def test_the_dry_run_says_the_same_and_changes_nothing(make_place: MakePlace) -> None:
    place, shas = made(make_place, 4)
    before = everything_of(place.repository.path)
    dry = place.mlsnap("prune", "--dry-run", "--json").facts
    assert everything_of(place.repository.path) == before
    real = place.mlsnap("prune", "--json").facts
    assert [row["version"] for row in dry["removed"]] == shas[:2]
    assert {**dry, "dry_run": False} == real


def test_a_second_prune_changes_nothing(make_place: MakePlace) -> None:
    place, _ = made(make_place, 4)
    place.mlsnap("prune")
    before, ledger = listed(place), (place.store / "state/ledger").read_bytes()
    assert "0 went to the trash" in place.mlsnap("prune").stdout
    assert (listed(place), (place.store / "state/ledger").read_bytes()) == (before, ledger)


def test_without_a_retention_policy_nothing_goes(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3, settings='train = "sh train.sh"\n')
    assert "no rule of [retention] limits" in place.mlsnap("prune").stdout
    assert listed(place) == sorted(shas)


def test_before_the_first_version_there_is_nothing_to_do(place: Place) -> None:
    assert "0 versions kept" in quiet(place).mlsnap("prune").stdout


def test_a_run_never_prunes(make_place: MakePlace) -> None:
    place, shas = made(make_place, 4)
    assert listed(place) == sorted(shas)


def test_only_a_share_goes_at_once_unless_all_is_asked_for(make_place: MakePlace) -> None:
    place, shas = made(make_place, 5, LAST_TWO + "max_removed = 1\n")
    assert "2 of those kept go with later runs" in place.mlsnap("prune").stdout
    assert in_trash(place) == [shas[0]]
    place.mlsnap("prune", "--all")
    assert in_trash(place) == sorted(shas[:3])


def test_after_the_grace_period_the_next_prune_removes_for_good(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3, LAST_TWO + "grace = 0\n")
    place.mlsnap("prune")
    assert in_trash(place) == [shas[0]]
    assert "1 version from the trash were removed for good" in place.mlsnap("prune").stdout
    assert in_trash(place) == [] and listed(place) == sorted(shas[1:])
    gone = place.refused("no-version", 44, "recover", shas[0])
    assert "removed for good" in gone.text
    # Its number is spent: what is trained there now is another attempt.
    place.repository.git("checkout", "--quiet", shas[0])
    place.mlsnap("run", env=QUIET)
    assert f"{shas[0]}.2" in listed(place)


# -- what is kept whatever the policy ------------------------------------------------------------------


def test_tags_branches_the_live_tree_and_holds_keep_their_versions(make_place: MakePlace) -> None:
    place, shas = made(make_place, 7, LAST_TWO + "keep_tagged = true\n")
    place.repository.git("tag", "v1", shas[0])
    place.repository.git("branch", "old", shas[1])
    place.mlsnap("restore", shas[2])
    place.mlsnap("hold", shas[3], "--reason", "the paper's")
    place.mlsnap("promote", shas[4], "production")
    reasons = kept(place)
    assert sorted(reasons) == sorted(shas)
    assert reasons[shas[0]] == ["its commit has a tag"]
    assert "the last good version of old" in reasons[shas[1]]
    assert reasons[shas[2]] == [f"the live tree {place.volume} is it"]
    assert "the paper's" in reasons[shas[3]][0]
    assert reasons[shas[4]] == ["held by channel production", "the channel production leads to it"]


def test_what_a_view_of_any_work_tree_shows_is_kept(make_place: MakePlace, tmp_path: Path) -> None:
    place = quiet(make_place(shared=True))
    first = place.repository.head()
    place.mlsnap("run", env=QUIET)
    second = place.commit("second\n")
    place.mlsnap("run", env=QUIET)
    third = place.configure((place.folder / "mlsnap.toml").read_text() + "[retention]\nkeep_last = 1\n")
    other = GitRepository(path=tmp_path / "other")
    place.repository.git("worktree", "add", "--quiet", "--detach", str(other.path), first)
    (other.path / "models").symlink_to(place.volume / ".snapshot" / first)
    place.commit("third\n")
    place.mlsnap("run", env=QUIET)
    reasons = kept(place)
    assert reasons[first] == [f"the view {other.path}/models leads to it"]
    assert second not in reasons and third not in reasons


def test_what_an_open_run_began_from_is_held_until_it_ends(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    place.repository.git("checkout", "--quiet", "-b", "topic", shas[0])
    place.commit("from the first\n")
    place.mlsnap("begin", env=QUIET)
    place.repository.git("checkout", "--quiet", "main")
    place.repository.git("branch", "-D", "topic")
    assert any("held by run" in reason for reason in kept(place)[shas[0]])
    assert place.mlsnap("prune").code == 0
    assert shas[0] in listed(place)
    place.mlsnap("finish", env=QUIET)
    assert shas[0] not in kept(place)


def test_foreign_snapshots_are_never_touched(make_place: MakePlace) -> None:
    place, shas = made(make_place, 4)
    planted = place.store / "snapshots" / "hourly.2026-01-01"
    shutil.copytree(place.store / "snapshots" / shas[0], planted)
    before = everything_of(planted)
    place.mlsnap("prune", "--all")
    assert everything_of(planted) == before


def test_another_model_in_the_same_repository_is_not_touched(make_place: MakePlace) -> None:
    place, _ = made(make_place, 3)
    second = place.folder / "second"
    second.mkdir()
    (second / "mlsnap.toml").write_text('train = "sh ../train.sh"\n[volumes.models]\npath = "models"\n')
    shutil.copy(place.folder / "weights.txt", second)
    shutil.copy(place.folder / "score.txt", second)
    place.repository.commit("another model")
    place.mlsnap("run", cwd=second, env=QUIET)
    other = place.store.parent / "second-models"
    assert other.is_dir()
    before = everything_of(other / "snapshots")
    place.mlsnap("prune", "--all")
    assert everything_of(other / "snapshots") == before


# -- where branches and tags are not known -------------------------------------------------------------


def test_a_clone_that_has_not_all_branches_is_refused(make_place: MakePlace, tmp_path: Path) -> None:
    place, shas = made(make_place, 4)
    remote = tmp_path / "remote"
    place.repository.git("clone", "--quiet", "--bare", str(place.folder), str(remote))
    place.repository.git("remote", "set-url", "origin", str(remote))
    GitRepository(path=tmp_path / "colleague").path.mkdir()
    colleague = GitRepository(path=tmp_path / "colleague")
    colleague.git("clone", "--quiet", str(remote), ".")
    colleague.commit("theirs")
    colleague.git("push", "--quiet", "origin", "HEAD:refs/heads/theirs")
    said = place.refused("refused", 40, "prune")
    assert "git fetch" in said.text
    assert listed(place) == sorted(shas)
    place.repository.git("fetch", "--quiet", "origin")
    place.mlsnap("prune")
    assert len(listed(place)) == 2


def test_a_shallow_clone_is_refused(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    (place.folder / ".git" / "shallow").write_text(f"{shas[0]}\n")
    assert "unshallow" in place.refused("refused", 40, "prune", "--dry-run").text


def test_a_commit_in_no_branch_goes_where_that_is_wanted(make_place: MakePlace) -> None:
    place, shas = made(make_place, 4, LAST_TWO.replace("keep_last = 2", "keep_last = 9\nkeep_unreachable = false"))
    place.repository.git("remote", "remove", "origin")
    place.repository.git("reset", "--quiet", "--hard", shas[1])
    place.mlsnap("restore", shas[1])
    place.commit("another way\n")
    place.mlsnap("run", env=QUIET)
    facts = place.mlsnap("prune", "--json").facts
    assert {row["version"]: row["reasons"] for row in facts["removed"]} == {
        shas[2]: ["its commit is in no branch"],
        shas[3]: ["its commit is in no branch"],
    }


# -- statuses ------------------------------------------------------------------------------------------


def test_commits_hear_that_their_version_was_pruned_and_that_it_is_back(make_place: MakePlace) -> None:
    place, shas = made(make_place, 4, announced=True)
    place.mlsnap("prune")
    state, text = place.statuses(shas[0])[-1]
    assert state == "success"
    assert text.startswith("Pruned on ") and f"the nearest kept version is {shas[2][:7]}" in text
    assert place.states(shas[3]) == ["pending", "success"]
    place.mlsnap("recover", shas[0])
    state, text = place.statuses(shas[0])[-1]
    assert state == "success" and text.startswith(f"Snapshot {shas[0][:7]} is back")
    count = len(place.statuses(shas[0]))
    place.mlsnap("recover", shas[0])
    assert len(place.statuses(shas[0])) == count


def test_a_commit_that_used_the_version_of_another_hears_it_too(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3, announced=True)
    place.repository.git("checkout", "--quiet", shas[0])
    place.repository.git("commit", "--quiet", "--allow-empty", "-m", "the same files")
    same = place.repository.head()
    place.mlsnap("run")
    place.repository.git("checkout", "--quiet", "main")
    place.mlsnap("prune")
    assert place.statuses(same)[-1][1].startswith("Pruned on ")


def test_what_was_announced_nowhere_is_announced_nowhere(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    place.mlsnap("prune")
    assert place.statuses(shas[0]) == []


def test_a_status_that_cannot_be_sent_waits(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3, announced=True)
    said = place.mlsnap("prune", env={"MLSNAP__FORGE__URL": "http://127.0.0.1:9"})
    assert "1 status not sent yet" in said.stderr
    assert place.statuses(shas[0])[-1][1].startswith("Snapshot")
    place.mlsnap("publish")
    assert place.statuses(shas[0])[-1][1].startswith("Pruned on ")


# -- one version, by name ------------------------------------------------------------------------------


def test_exactly_one_version_is_removed_at_once_with_its_reason(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    place.mlsnap("prune", "--version", shas[2], "--now", "--reason", "trained on data that had to go")
    assert listed(place) == sorted(shas[:2]) and in_trash(place) == []
    shown = place.mlsnap("show", shas[2], "--json").facts
    assert (shown["removed"], shown["reason"]) == ("gone", "trained on data that had to go")
    assert shown["before"] == shas[1] and shown["header"]["metrics"] == {"accuracy": 0.3}
    again = place.mlsnap("prune", "--version", shas[2], "--now", "--reason", "again")
    assert "trained on data that had to go" in again.stdout
    assert listed(place) == sorted(shas[:2])


def test_named_without_now_it_goes_to_the_trash_and_now_takes_it_from_there(make_place: MakePlace) -> None:
    place, shas = made(make_place, 2)
    place.mlsnap("prune", "--version", shas[0], "--reason", "bad labels")
    assert in_trash(place) == [shas[0]]
    place.mlsnap("prune", "--version", shas[0], "--now", "--reason", "for good")
    assert in_trash(place) == [] and listed(place) == [shas[1]]


def test_a_held_version_goes_only_where_that_is_said(make_place: MakePlace) -> None:
    place, shas = made(make_place, 2)
    place.mlsnap("hold", shas[0], "--reason", "ours")
    asked = ("prune", "--version", shas[0], "--now", "--reason", "must go")
    assert "ours" in place.refused("snapshot-held", 40, *asked).text
    assert listed(place) == sorted(shas)
    place.mlsnap(*asked, "--even-held")
    assert listed(place) == [shas[1]]


def test_of_several_attempts_one_has_to_be_named(make_place: MakePlace) -> None:
    place, (sha,) = made(make_place, 1)
    place.mlsnap("run", "--retrain", env=QUIET)
    asked = ("--now", "--reason", "x")
    assert f"{sha[:7]}.1" in place.refused("usage", 2, "prune", "--version", sha, *asked).text
    place.mlsnap("prune", "--version", f"{sha}.2", *asked)
    assert listed(place) == [sha]
    place.mlsnap("prune", "--version", f"{sha}.2", *asked)
    assert listed(place) == [sha]


def test_a_commit_that_another_version_answers_names_none(make_place: MakePlace) -> None:
    place, (sha,) = made(make_place, 1)
    place.repository.git("commit", "--quiet", "--allow-empty", "-m", "the same files")
    assert sha[:7] in place.refused("refused", 40, "prune", "--version", "HEAD", "--reason", "x").text
    assert listed(place) == [sha]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--now",),
        ("--reason", "x"),
        ("--version", "HEAD", "--dry-run", "--reason", "x"),
        ("--version", "HEAD", "--even-held", "--reason", "x"),
        ("--version", "HEAD", "--now"),
    ],
)
def test_options_that_mean_nothing_together_are_refused(make_place: MakePlace, arguments: tuple[str, ...]) -> None:
    place, (sha,) = made(make_place, 1)
    place.refused("usage", 2, "prune", *arguments)
    assert listed(place) == [sha]


# -- holds ---------------------------------------------------------------------------------------------


def test_holds_are_listed_shown_and_taken_back(make_place: MakePlace) -> None:
    place, shas = made(make_place, 2)
    assert place.mlsnap("hold", "--list", "--json").facts == []
    place.mlsnap("hold", shas[0], "--reason", "for the fair")
    assert "held already" in place.mlsnap("hold", shas[0], "--reason", "for the fair").stdout
    (one,) = place.mlsnap("hold", "--list", "--json").facts
    assert one["version"] == shas[0] and one["holds"][0].endswith(": for the fair")
    assert "for the fair" in place.mlsnap("show", shas[0]).stdout
    place.mlsnap("hold", shas[0], "--release")
    assert place.mlsnap("hold", "--list", "--json").facts == []
    assert "nobody held it" in place.mlsnap("hold", shas[0], "--release").stdout


def test_what_a_channel_holds_is_not_released_by_hand(make_place: MakePlace) -> None:
    place, (sha,) = made(make_place, 1)
    place.mlsnap("promote", sha, "production")
    assert "channel production" in place.refused("refused", 40, "hold", sha, "--release").text


# -- what was removed still answers --------------------------------------------------------------------


def test_a_pruned_commit_names_its_record_its_neighbours_and_the_way_back(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    place.mlsnap("prune")
    said = place.refused("no-version", 44, "restore", shas[0])
    assert "was pruned on" in said.text and f"mlsnap recover {shas[0][:7]}" in said.text
    assert shas[1][:7] in said.text
    shown = place.mlsnap("show", shas[0]).stdout
    assert "in the trash until" in shown and "accuracy 0.1000" in shown and f"after     {shas[1][:7]}" in shown
    assert json.loads(place.mlsnap("show", shas[0], "--json").stdout)["removed"] == "trash"


def test_the_log_says_which_commits_had_a_version(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    place.mlsnap("prune")
    lines = place.mlsnap("log").stdout.splitlines()
    assert [line.endswith("pruned") for line in lines if shas[0][:7] in line] == [True]
    facts = {line["commit"]: line["pruned"] for line in place.mlsnap("log", "--json").facts}
    assert facts[shas[0]] is True and facts[shas[1]] is False


def test_several_volumes_go_and_come_back_as_one_version(make_place: MakePlace) -> None:
    settings = LAST_TWO.replace("[retention]", '[volumes.tokenizer]\npath = "tokenizer"\n[retention]')
    place = quiet(
        make_place(settings=settings, train=TRAIN + 'cp weights.txt "$MLSNAP_MODEL_DIR_TOKENIZER/words"\n')
    )
    place.commit(**{".gitignore": "/models\n/tokenizer\n", "score.txt": "0.5"})
    shas = []
    for number in range(3):
        shas.append(place.commit(f"weights {number}\n"))
        place.mlsnap("run", env=QUIET)
    second = place.store.parent / "tokenizer" / "snapshots"
    place.mlsnap("prune")
    place.mlsnap("prune")
    assert in_trash(place) == [shas[0]] and (second / f".pruned-{shas[0]}").is_dir()
    place.mlsnap("recover", shas[0])
    place.mlsnap("restore", shas[0])
    assert (place.folder / "tokenizer" / "words").read_text() == "weights 0\n"
    place.mlsnap("prune", "--version", shas[1], "--now", "--reason", "x")
    assert not (second / shas[1]).exists() and not (second / f".pruned-{shas[1]}").exists()


def test_what_lies_in_the_trash_without_a_record_comes_back(make_place: MakePlace) -> None:
    place, shas = made(make_place, 3)
    place.mlsnap("prune")
    shutil.rmtree(place.store / "state" / "pruned")
    said = place.mlsnap("prune", "--version", shas[2], "--now", "--reason", "x")
    assert said.code == 0
    assert listed(place) == sorted(shas[:2])
