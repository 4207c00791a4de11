"""diff: two versions beside each other, from manifests, git and records."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import Any

import pytest

from tests.cli.conftest import Folder, Said, make_folder
from tests.cli.test_output import on_a_terminal
from tests.flows.conftest import QUIET, MakePlace
from tests.promise.checking import everything_of

TRAIN = """\
set -eu
rm -f "$MLSNAP_MODEL_DIR"/*
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
cp weights.txt "$MLSNAP_MODEL_DIR/$(cat extra)"
cp model.json "$MLSNAP_MODEL_DIR/config.json"
cp scores.json "$MLSNAP_METRICS"
"""
HOSTILE = "\x1b[31mred \u202e|`x`@you <b>"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A repository with two versions, `one` and then `two`."""

    folder: Folder
    one: str
    two: str

    def diff(self, *arguments: str, code: int = 0) -> Said:
        """Give what `diff` says."""
        said = self.folder.mlsnap("diff", *arguments)
        assert said.code == code, said.stderr
        return said

    def facts(self, *arguments: str) -> dict[str, Any]:
        """Give what `diff` says as facts."""
        found: dict[str, Any] = self.diff("--json", *arguments).facts
        return found


def _version(folder: Folder, subject: str, files: dict[str, str | bytes], **scores: float) -> str:
    made = {"scores.json": json.dumps(scores), "train.sh": TRAIN, **files}
    folder.repository.commit(subject, made)
    said = folder.mlsnap("run")
    assert said.code == 0, said.stderr
    return folder.repository.head()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = make_folder(tmp_path_factory.mktemp("pair") / "digits")
    one = _version(
        folder,
        "one",
        {
            "weights.txt": "1\n",
            "extra": "gone.bin",
            "params.yaml": "train:\n  lr: 0.1\n  hidden: [64]\nhf_token: first-secret\n",
            "model.json": '{"layers": 2}',
        },
        accuracy=0.9,
        loss=0.2,
    )
    two = _version(
        folder,
        "two",
        {
            "weights.txt": "22\n",
            "extra": f"new {HOSTILE}",
            "params.yaml": f"train:\n  lr: 0.2\n  hidden: [64]\n  note: '{HOSTILE}'\nhf_token: second-secret\n",
            "model.json": '{"layers": 3}',
        },
        accuracy=0.8,
        loss=0.1,
    )
    return Pair(folder=folder, one=one, two=two)


def test_metrics_say_which_way_they_went(pair: Pair) -> None:
    found = pair.facts(pair.one, pair.two)
    assert [(it["name"], it["before"], it["after"], it["better"]) for it in found["metrics"]] == [
        ("accuracy", 0.9, 0.8, False),
        ("loss", 0.2, 0.1, True),
    ]


def test_files_are_those_of_the_manifests(pair: Pair) -> None:
    files = {it["path"]: (it["sort"], it["before"], it["after"]) for it in pair.facts(pair.one, pair.two)["files"]}
    assert files == {
        "config.json": ("changed", 13, 13),
        "gone.bin": ("removed", 2, None),
        f"new {HOSTILE}": ("added", None, 3),
        "weights.txt": ("changed", 2, 3),
    }


def test_parameters_come_from_the_commits_and_from_the_model_and_no_secret_is_shown(pair: Pair) -> None:
    said = pair.diff("--json", pair.one, pair.two)
    found = [(it["file"], it["name"], it["before"], it["after"]) for it in said.facts["parameters"]]
    assert found == [
        ("models/config.json", "layers", "2", "3"),
        ("params.yaml", "train.lr", "0.1", "0.2"),
        ("params.yaml", "hf_token", "", ""),
        ("params.yaml", "train.note", None, HOSTILE),
    ]
    for form in ((), ("--md",), ("--json",)):
        assert "-secret" not in pair.diff(*form, pair.one, pair.two).stdout


def test_code_is_counted_as_git_counts_it(pair: Pair) -> None:
    code = {it["path"]: (it["added"], it["removed"]) for it in pair.facts(pair.one, pair.two)["code"]}
    assert code["params.yaml"] == (3, 2)
    assert "code: 5 files" in pair.diff(pair.one, pair.two).stdout


def test_the_environment_is_that_of_the_records(pair: Pair) -> None:
    assert pair.facts(pair.one, pair.two)["environment"] == []
    assert pair.facts(pair.one, pair.two)["notes"] == []


def test_head_is_compared_with_what_it_was_measured_against(pair: Pair) -> None:
    found = pair.facts()
    assert (found["from"]["version"], found["to"]["version"]) == (pair.one, pair.two)
    assert pair.facts(pair.one)["to"]["version"] == pair.two


def test_the_other_way_round_is_the_opposite(pair: Pair) -> None:
    found = pair.facts(pair.two, pair.one)
    assert {it["path"]: it["sort"] for it in found["files"]}["gone.bin"] == "added"


def test_a_version_is_the_same_as_itself(pair: Pair) -> None:
    said = pair.diff("--exit-code", "HEAD", "HEAD")
    assert said.stdout.splitlines()[-1] == "the same: metrics, files, code"
    assert pair.facts("HEAD", "HEAD")["same_model"] is True


def test_other_models_end_with_3_when_that_is_asked(pair: Pair) -> None:
    pair.diff(pair.one, pair.two)
    for form in ((), ("--json",), ("--md",)):
        assert pair.diff("--exit-code", *form, pair.one, pair.two, code=3).stdout


def test_two_forms_at_once_are_refused(pair: Pair) -> None:
    assert pair.diff("--json", "--md", code=2).stdout == ""


def test_a_commit_without_a_version_is_told_as_everywhere(pair: Pair) -> None:
    said = pair.diff(f"{pair.one}^", pair.two, code=44)
    assert "no-version" in said.stderr


def test_the_first_version_has_nothing_to_be_compared_with(pair: Pair) -> None:
    said = pair.folder.mlsnap("diff", f"{pair.one}^", pair.one)
    assert said.code == 44
    pair.folder.repository.git("checkout", "--quiet", pair.one)
    try:
        assert "nothing that" in pair.diff(code=44).stderr
    finally:
        pair.folder.repository.git("checkout", "--quiet", "main")


def test_looking_changes_nothing(pair: Pair) -> None:
    before = everything_of(pair.folder.path)
    for form in ((), ("--json",), ("--md",)):
        pair.diff(*form)
    assert everything_of(pair.folder.path) == before


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_lines_that_fit_and_nothing_to_obey(pair: Pair, width: int) -> None:
    code, shown = on_a_terminal(pair.folder, "diff", env={"COLUMNS": str(width)})
    assert code == 0
    lines = shown.splitlines()
    assert max(map(len, lines)) <= width, shown
    assert all(line.isprintable() for line in lines)


def test_markdown_for_a_pull_request_pings_nobody_and_holds_no_html(pair: Pair) -> None:
    page = pair.diff("--md").stdout
    assert page.startswith("### mlsnap")
    assert not any(sign in page for sign in ("<b>", "@you", "`x`", "\x1b"))


def test_without_records_versions_are_still_compared_by_their_manifests(pair: Pair) -> None:
    runs = pair.folder.path / ".git" / "mlsnap" / "models" / "state" / "runs"
    aside = runs.with_name("runs-aside")
    runs.rename(aside)
    try:
        found = pair.facts(pair.one, pair.two)
    finally:
        shutil.rmtree(runs, ignore_errors=True)
        aside.rename(runs)
    assert len(found["files"]) == 4
    assert found["notes"] == [
        f"no record of {pair.one[:7]} and {pair.two[:7]}: host, image, packages and command are not compared"
    ]


def test_a_file_of_parameters_that_was_tampered_with_is_not_read(pair: Pair) -> None:
    place = pair.folder.path / "models" / ".snapshot" / pair.two / "config.json"
    before = place.read_bytes()
    place.chmod(0o644)
    try:
        place.write_bytes(b'{"layers": 4}')
        found = pair.facts(pair.one, pair.two)
        assert [it["file"] for it in found["unread"]] == ["models/config.json"]
    finally:
        place.write_bytes(before)
        place.chmod(0o444)


def test_a_shallow_clone_says_what_it_cannot_compare(pair: Pair) -> None:
    shallow = pair.folder.path / ".git" / "shallow"
    shallow.write_text(f"{pair.two}\n")
    hidden = pair.folder.path / ".git" / "objects" / pair.one[:2] / pair.one[2:]
    aside = hidden.with_name(f"{hidden.name}.aside")
    hidden.rename(aside)
    try:
        found = pair.facts(pair.one, pair.two)
        assert found["code"] is None
        assert any("this clone has not the commit" in note for note in found["notes"])
        assert len(found["files"]) == 4
    finally:
        aside.rename(hidden)
        shallow.unlink()


def test_all_volumes_of_versions_are_compared(make_place: MakePlace) -> None:
    settings = 'train = "sh train.sh"\n[volumes.models]\npath = "models"\n[volumes.words]\npath = "words"\n'
    train = """\
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
echo '{"size": "'$(cat weights.txt)'"}' > "$MLSNAP_MODEL_DIR_WORDS/config.json"
"""
    place = make_place(settings=settings, train=train)
    first = place.commit("1", **{".gitignore": "/models\n/words\n"})
    place.mlsnap("run", env=QUIET)
    place.commit("22")
    place.mlsnap("run", env=QUIET)
    found = place.mlsnap("diff", first, "HEAD", "--json").facts
    assert [(it["path"], it["sort"]) for it in found["files"]] == [
        ("models/weights.txt", "changed"),
        ("words/config.json", "changed"),
    ]
    assert [(it["file"], it["name"], it["before"], it["after"]) for it in found["parameters"]] == [
        ("words/config.json", "size", "1", "22")
    ]
    assert "in volume words" in place.mlsnap("show").stdout
