"""bisect: by a command on views, and by the metrics of records."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ci_mlsnap.demo.github import GitHubLookAlike
from ci_mlsnap.training.isolation import why_no_namespace
from tests.conftest import GitRepository, need
from tests.flows.conftest import REPOSITORY, Place
from tests.promise.checking import everything_of

TRAIN = """\
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
cp metrics.txt "$MLSNAP_METRICS"
"""
JUDGE = """\
#!/bin/sh
echo "$MLSNAP_VERSION $MLSNAP_COMMIT $1" >> "$0.looked"
exit "$(head -1 "$1/weights.txt")"
"""
VERSIONS = 7
FIRST_BAD = 4


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Give a repository with 7 versions, the last three bad, and a commit before the first bad one without any."""
    top = tmp_path_factory.mktemp("history") / "my check out"
    top.mkdir()
    repository = GitRepository(path=top)
    repository.git("init", "--quiet")
    files: dict[str, str | bytes] = {
        "mlsnap.toml": 'train = "sh train.sh"\nvolume = "models"\n',
        "train.sh": TRAIN,
        ".gitignore": "/models\n",
    }
    with GitHubLookAlike(tokens={}, repositories=[REPOSITORY]) as server:
        environment = {**os.environ, "MLSNAP__PROJECT": REPOSITORY}
        place = Place(
            repository=repository,
            server=server,
            environment=environment,
            volume=top / "models",
            store=top / ".git" / "mlsnap" / "models",
            folder=top,
        )
        for number in range(VERSIONS):
            if number == FIRST_BAD:
                repository.commit("not trained", {"notes.txt": "words"})
            good = number < FIRST_BAD
            metrics = f'{{"accuracy": {0.9 if good else 0.4}, "loss": {0.1 if good else 0.6}}}'
            files |= {"weights.txt": f"{0 if good else number}\n{number}\n", "metrics.txt": metrics}
            repository.commit(f"number {number}", files)
            repository.git("tag", f"v{number}")
            place.mlsnap("run")
        yield place


@pytest.fixture
def judge(tmp_path: Path) -> Path:
    """Give a program, with a space in its path, whose exit code is what the version's weights say."""
    program = tmp_path / "the judge.sh"
    program.write_text(JUDGE)
    program.chmod(0o700)
    return program


def looked(judge: Path) -> list[list[str]]:
    """Give what the judge was asked: version, commit and path."""
    log = Path(f"{judge}.looked")
    return [line.split(" ", 2) for line in log.read_text().splitlines()] if log.exists() else []


# -- by a command --------------------------------------------------------------------------------------


def test_the_first_bad_version_is_found_by_few_looks_and_nothing_changes(history: Place, judge: Path) -> None:
    before = everything_of(history.store, history.volume)
    head = history.repository.head()
    found = history.mlsnap("bisect", "--json", "--eval", f"'{judge}' {{path}}", "v0", "HEAD").facts
    assert found["first_bad"]["commit"] == history.repository.git("rev-parse", f"v{FIRST_BAD}")
    assert found["first_bad"]["subject"] == f"number {FIRST_BAD}"
    assert found["last_good"]["commit"] == history.repository.git("rev-parse", f"v{FIRST_BAD - 1}")
    assert [commit["subject"] for commit in found["untrained"]] == ["not trained"]
    assert found["judged"] == len(looked(judge)) <= 3  # log2(7) + 1
    assert found["versions"] == VERSIONS
    assert everything_of(history.store, history.volume) == before
    assert history.repository.head() == head
    history.require_rest()


def test_the_command_is_given_a_read_only_view_as_one_word(history: Place, judge: Path) -> None:
    history.mlsnap("bisect", "--eval", f"'{judge}' {{path}}", "v0", "HEAD")
    for version, commit, path in looked(judge):
        assert version == commit
        assert path == str(history.volume / ".snapshot" / version)
        assert " " in path


def test_people_read_what_was_found_and_what_may_hide_between(history: Place, judge: Path) -> None:
    said = history.mlsnap("bisect", "--eval", f"'{judge}' {{path}}", "v0", "v6")
    shas = [history.repository.git("rev-parse", "--short=7", f"v{number}") for number in range(VERSIONS)]
    first, last, between, *_ = said.stdout.splitlines()
    assert first == f"first bad   {shas[FIRST_BAD]} number {FIRST_BAD}"
    assert last == f"last good   {shas[FIRST_BAD - 1]} number {FIRST_BAD - 1}"
    assert between.startswith("no version  ") and between.endswith("not trained")
    assert "of 7 judged" in said.stdout


def test_a_version_that_cannot_be_judged_is_passed_over_and_named(history: Place, judge: Path) -> None:
    bad = history.repository.git("rev-parse", f"v{FIRST_BAD}")
    judge.write_text(JUDGE.replace("exit", f'case "$1" in *{bad}) exit 125;; esac\nexit'))
    found = history.mlsnap("bisect", "--json", "--eval", f"'{judge}' {{path}}", "v0", "HEAD").facts
    assert found["first_bad"]["subject"] == "number 5"
    assert [version["commit"] for version in found["unjudged"]] == [bad]
    assert [commit["subject"] for commit in found["untrained"]] == ["not trained"]


def test_a_command_that_hangs_is_stopped_and_its_version_passed_over(history: Place, tmp_path: Path) -> None:
    second = history.repository.git("rev-parse", "v5")
    script = f'case "$0" in *{second}) sleep 1000;; esac; exit "$(head -1 "$0/weights.txt")"'
    said = history.mlsnap(
        "bisect", "--timeout", "0.5s", "--eval", f"sh -c '{script}' {{path}}", "v4", "HEAD", expect=2
    )
    assert "not judged" in said.stderr  # v5
    assert "was judged bad" in said.stderr  # v4, which is no good commit


@pytest.mark.parametrize(("good", "bad", "wrong"), [("v0", "v3", "bad"), ("v4", "v6", "good")])
def test_a_wrong_end_is_told(history: Place, judge: Path, good: str, bad: str, wrong: str) -> None:
    said = history.refused("usage", 2, "bisect", "--eval", f"'{judge}' {{path}}", good, bad)
    assert f"the {wrong} commit's version" in said.stderr


def test_no_shell_reads_the_command(history: Place, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    history.refused(
        "usage", 2, "bisect", "--eval", f"true {{path}} ; touch '{canary}' $(touch '{canary}')", "v0", "HEAD"
    )
    assert not canary.exists()


def test_no_secret_and_no_other_variable_reaches_the_command(history: Place, tmp_path: Path) -> None:
    need(os.geteuid() != 0 or not why_no_namespace(), "needs process namespaces")
    seen = tmp_path / "seen"
    secrets = {"MLSNAP_GITHUB_TOKEN": "canary-1", "AWS_SECRET_ACCESS_KEY": "canary-2", "MY_OWN": "canary-3"}
    script = f'cat /proc/self/environ /proc/$PPID/environ >> "{seen}"; exit "$(head -1 "$0/weights.txt")"'
    said = history.mlsnap("bisect", "--eval", f"sh -c '{script}' {{path}}", "v0", "HEAD", env=secrets)
    content = seen.read_bytes()
    assert b"MLSNAP_COMMIT=" in content
    assert b"canary" not in content
    assert "canary" not in said.text


@pytest.mark.parametrize(
    ("command", "pattern"),
    [
        ("/no/such/program {path}", "cannot be run"),
        ("true", "says nowhere where"),
        ("true '{path}", "cannot be read"),
        ("sh -c 'kill -9 $$' {path}", "killed by signal 9"),
        ("sh -c 'exit 200' {path}", "ended with code 200"),
    ],
)
def test_a_command_that_is_broken_ends_the_search(history: Place, command: str, pattern: str) -> None:
    assert pattern in history.refused("usage", 2, "bisect", "--eval", command, "v0", "HEAD").error[0]


def test_an_interrupt_ends_the_command_too(history: Place, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    running = history.start(
        "bisect", "--eval", f"sh -c 'echo $$ > \"{begun}\"; sleep 1000' {{path}}", "v0", "HEAD"
    )
    while not (begun.exists() and begun.read_text().strip()):
        assert running.poll() is None
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    assert running.wait(60) == 130
    assert not Path(f"/proc/{begun.read_text().strip()}").exists()
    history.require_rest()


def test_a_damaged_version_is_not_evaluated(history: Place, judge: Path) -> None:
    name = history.repository.git("rev-parse", "v3")
    file = history.volume / ".snapshot" / name / "weights.txt"
    content, before = file.read_bytes(), file.stat()
    file.chmod(0o600)
    file.write_bytes(b"1")
    try:
        said = history.refused("integrity", 60, "bisect", "--eval", f"'{judge}' {{path}}", "v0", "HEAD")
        assert "weights.txt" in said.error[0]
        assert name not in [version for version, _, _ in looked(judge)]
    finally:
        file.write_bytes(content)
        file.chmod(before.st_mode & 0o777)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


# -- by a metric ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [("accuracy", "--min", "0.8"), ("loss", "--max", "0.3")])
def test_a_metric_finds_the_first_bad_version_and_runs_nothing(history: Place, bound: tuple[str, ...]) -> None:
    name, *limit = bound
    found = history.mlsnap("bisect", "--json", "--metric", name, *limit, "v0", "HEAD").facts
    assert found["first_bad"]["subject"] == f"number {FIRST_BAD}"
    assert found["judged"] == VERSIONS


def test_a_metric_that_no_version_has_is_told_with_those_there_are(history: Place) -> None:
    said = history.refused("usage", 2, "bisect", "--metric", "acuracy", "--min", "0.8", "v0", "HEAD")
    assert "accuracy, loss" in said.stderr


# -- which history -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ends", "pattern"),
    [(("HEAD", "v0"), "other way round"), (("v2", "v2"), "same version"), (("v0", "nothing"), "names no commit")],
)
def test_ends_that_make_no_history_are_told(history: Place, ends: tuple[str, str], pattern: str) -> None:
    said = history.mlsnap("bisect", "--metric", "loss", "--max", "0.3", *ends, expect=2)
    assert pattern in said.stderr


def test_an_end_without_a_version_is_told(history: Place) -> None:
    history.refused("no-version", 44, "bisect", "--metric", "loss", "--max", "0.3", "v0", f"v{FIRST_BAD}~1")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--eval", "true {path}", "--metric", "loss", "--max", "1"),
        ("--metric", "loss"),
        ("--min", "1"),
        ("--eval", "true {path}", "--min", "1"),
        ("--metric", "loss", "--max", "1", "--timeout", "1s"),
        ("--eval", "true {path}", "--timeout", "soon"),
    ],
)
def test_what_is_no_question_is_refused(history: Place, arguments: tuple[str, ...]) -> None:
    history.refused("usage", 2, "bisect", *arguments, "v0", "HEAD")
