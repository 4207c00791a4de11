from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.gates import Finding, Gate, Verdict
from ci_mlsnap.domain.manifest import Entry, Manifest, inventory_of
from ci_mlsnap.domain.pins import DataPlan, Pin
from ci_mlsnap.domain.plan import Plan, TrainingPlan, VolumePlan, digest
from ci_mlsnap.domain.versions import Answer, How
from ci_mlsnap.ports import CommitFacts
from ci_mlsnap.report.logged import LogLine, log_facts, log_rows
from ci_mlsnap.report.planned import plan_lines
from ci_mlsnap.report.shown import FILES_SHOWN, Beside, version_facts, version_lines
from ci_mlsnap.report.told import back_lines, headline_of
from tests.domain.strategies import header_of, version
from tests.report.records import record as run_record

A, B, C = "a" * 40, "b" * 40, "c" * 40
COMMIT = CommitFacts(sha=A, tree=C, parents=(B,), subject="A better model", time="2026-01-02T03:04:05+00:00")


def _plan(**changes: Any) -> Plan:
    plan = Plan(
        action="train",
        project="org/digits",
        model="digits",
        event=Event(kind="push", sha=A),
        commit=A,
        name=A,
        volume=VolumePlan(
            name="models",
            path="/srv/ml/digits",
            driver="local",
            store="/srv/ml/.mlsnap/digits",
            private=False,
            isolation="workspace",
        ),
        training=TrainingPlan(command=("python", "train.py"), timeout=7200.0, top="/r"),
        parent=B,
        baseline=B,
        gates=(Gate(metric="accuracy", min=0.9),),
        advance=True,
        repository="org/digits",
        context="mlsnap/digits",
        tool="0.1.0",
    )
    return msgspec.structs.replace(plan, **changes)


# -- the plan ------------------------------------------------------------------------------------------


def test_a_plan_names_each_step_and_each_call_in_order() -> None:
    plan = _plan()
    call = f"  POST      /repos/org/digits/statuses/{A}  mlsnap/digits: "
    assert list(plan_lines(plan)) == [
        f"plan {digest(plan)[:12]}: train aaaaaaa and snapshot it as {A}",
        f"  commit    {A}",
        f"{call}pending",
        "  lease     volume models (workspace)",
        "  train in  a workspace that starts from bbbbbbb",
        "  command   python train.py   at most 2 h 0 min",
        "  gate      accuracy against bbbbbbb",
        f"  snapshot  /srv/ml/digits/.snapshot/{A}",
        "  advance   /srv/ml/digits, on a good verdict",
        f"{call}final",
    ]


def test_a_plan_without_a_repository_says_that_no_status_is_posted() -> None:
    lines = list(plan_lines(_plan(repository="")))
    assert sum("no repository to post to" in line for line in lines) == 2
    assert not any("POST" in line for line in lines)


def test_a_dirty_run_calls_nobody() -> None:
    lines = "\n".join(plan_lines(_plan(dirty=True, name=f"{A}-dirty-12345678")))
    assert "POST" not in lines
    assert "status" not in lines


@pytest.mark.parametrize("start", ["parent", "empty"])
def test_where_training_starts_is_said(start: str) -> None:
    training = TrainingPlan(command="sh train.sh", top="/r", worktree=True, start=start)  # type: ignore[arg-type]
    lines = "\n".join(plan_lines(_plan(training=training)))
    assert ("starts from an empty tree" in lines) == (start == "empty")
    assert "on a work tree of the commit" in lines
    assert "at most" not in lines


def test_a_plan_in_place_advances_nothing_and_names_the_live_tree() -> None:
    plan = _plan()
    assert plan.volume is not None
    lines = list(plan_lines(_plan(volume=msgspec.structs.replace(plan.volume, isolation="in-place"))))
    assert "  train in  /srv/ml/digits" in lines
    assert not any(line.startswith("  advance") for line in lines)


def test_what_is_announced_again_is_read_back_and_not_trained() -> None:
    lines = list(plan_lines(_plan(action="announce", answered_by=B, answered_how="same-tree")))
    assert lines[0].endswith("announce bbbbbbb again (same-tree); train nothing")
    assert lines[2] == f"  read back {B} through the snapshot"
    assert len(lines) == 4


def test_nothing_to_do_is_one_line_with_the_reason() -> None:
    (line,) = plan_lines(_plan(action="nothing", reason="the branch was deleted"))
    assert line.endswith("nothing to do: the branch was deleted")


# -- the log -------------------------------------------------------------------------------------------


def _row(**line: Any) -> tuple[str, ...]:
    """Give the one row of a table."""
    (row,) = log_rows([LogLine(**line)])[1:]
    return row


def test_a_row_says_how_a_version_did_against_the_one_before() -> None:
    base = version(B, metrics={"accuracy": 0.95})
    made = version(A, metrics={"accuracy": 0.9611}, bytes=218_000)
    assert _row(commit=COMMIT, version=made, base=base, best=True, channels=("canary", "production")) == (
        *("ok", "aaaaaaa", "2024-05-01 12:00", "A better model"),
        *("accuracy 0.9611", "+0.0111 better", "218 KB", "best · canary · production"),
    )


@pytest.mark.parametrize(
    ("name", "value", "base", "moved"),
    [
        ("loss", 0.2, 0.3, "-0.1000 better"),
        ("loss", 0.3, 0.2, "+0.1000 worse"),
        ("accuracy", 0.5, 0.5, "+0.0000"),
        ("accuracy", "nan", 0.5, ""),
        ("accuracy", 0.5, None, ""),
    ],
)
def test_a_change_has_its_word(name: str, value: float | str, base: float | None, moved: str) -> None:
    before, after = version(B, metrics={} if base is None else {name: base}), version(A, metrics={name: value})
    assert _row(commit=COMMIT, version=after, base=before)[5] == moved
    ((*_, change, _size, _remark),) = log_rows([LogLine(version=after, base=before)], [name])[1:]
    assert change == moved


def test_each_metric_that_was_asked_for_has_its_columns() -> None:
    lines = [
        LogLine(version=version(A, metrics={"loss": 0.5})),
        LogLine(version=version(B)),
        LogLine(commit=COMMIT),
    ]
    header, *rows = log_rows(lines, ["loss", "f1"])
    assert header == ("", "VERSION", "WHEN", "MESSAGE", "loss", "CHANGE", "f1", "CHANGE", "SIZE", "")
    assert [row[4:8] for row in rows] == [("0.5000", "", "", ""), ("", "", "", ""), ("", "", "", "")]
    assert {len(row) for row in rows} == {len(header)}


def test_rows_tell_versions_missed_gates_keepsakes_and_commits_without_one_apart() -> None:
    rows = [
        _row(commit=COMMIT, version=version(A, good=False)),
        _row(commit=COMMIT, version=version(f"{A}-keep-1")),
        _row(commit=COMMIT),
        _row(commit=COMMIT, same_files=f"{B}.2"),
        _row(version=version(f"{A}.2")),
        _row(gone=B, channels=("production",)),
    ]
    assert [(row[0], row[1], row[7]) for row in rows] == [
        ("no", "aaaaaaa", ""),
        ("--", "aaaaaaa-keep-1", "kept"),
        ("·", "aaaaaaa", "no version"),
        ("·", "aaaaaaa", "same files as bbbbbbb.2"),
        ("ok", "aaaaaaa.2", ""),
        ("·", "bbbbbbb", "not there any more · production"),
    ]
    assert rows[4][3] == "(its commit is not here)"
    assert {len(row) for row in rows} == {8}


def test_what_git_draws_stands_before_all_else() -> None:
    lines = [LogLine(commit=COMMIT, drawn="*"), LogLine(drawn="|\\"), LogLine(version=version(A), drawn="| *")]
    table = log_rows(lines)
    assert [row[0] for row in table] == ["", "*", "|\\", "| *"]
    assert table[2][1:] == ("",) * 8


def test_a_subject_and_a_metric_stay_in_their_cells() -> None:
    hostile = CommitFacts(sha=A, tree=C, parents=(), subject="x\n\x1b[2J" + "y" * 500)
    made = version(A, metrics={"m\r\n" + "z" * 500: 1.0})
    rows = [
        *log_rows([LogLine(commit=hostile, version=made)]),
        *log_rows([LogLine(version=made)], list(made.metrics)),
    ]
    assert all(cell.isprintable() and len(cell) <= 72 for row in rows for cell in row)


def test_the_facts_of_every_kind_of_line_have_the_same_keys() -> None:
    pin = Pin(volume="images", kind="existing", path="/d", name="daily.1")
    lines = [
        LogLine(commit=COMMIT),
        LogLine(version=version(A, pins=(pin,), baseline=B, ref="refs/heads/main")),
        LogLine(gone=f"{B}.2"),
    ]
    facts = [log_facts(line) for line in lines]
    assert {tuple(it) for it in facts} == {tuple(facts[0])}
    assert [it["commit"] for it in facts] == [A, A, B]
    assert [it["version"] for it in facts] == [None, A, None]
    assert facts[1]["data"] == ["daily.1"]


# -- one version ---------------------------------------------------------------------------------------


def _answer(how: How = "own", *, files: int = 2, **changes: Any) -> tuple[Answer, Manifest]:
    entries = [
        Entry(path=b"file-%03d" % number, kind="file", mode=0o644, mtime_ns=0, size=1000, sha256="e" * 64)
        for number in range(files)
    ]
    entries.append(Entry(path=b"folder", kind="dir", mode=0o755, mtime_ns=0))
    inventory = inventory_of(entries)
    header = header_of(inventory, **changes)
    found = version(header.name)
    found = msgspec.structs.replace(found, header=header)
    return Answer(version=found, how=how), Manifest(header=header, entries=inventory.entries)


def test_show_says_where_a_version_came_from_what_it_scored_and_what_is_in_it() -> None:
    findings = (
        Finding(metric="accuracy", good=True, text="accuracy 0.9611 >= 0.9000"),
        Finding(metric="loss", good=False, text="loss 0.3 > 0.2"),
    )
    answer, manifest = _answer(
        ref="refs/heads/main",
        metrics={"accuracy": 0.9611},
        metrics_source="metrics.json",
        baseline=B,
        verdict=Verdict(good=False, findings=findings),
    )
    base = version(B, metrics={"accuracy": 0.95})
    record = run_record(
        host="ml-01 x86_64",
        argv=("python", "train.py", "--token", "abc"),
        actor="ada",
        run_url="https://ci.example/1",
        steps={"train": 12.7},
    )
    found = Beside(
        links={"path": "/r/models/.snapshot/a"},
        base=base,
        record=record,
        channels=["production"],
        holds=["channel x"],
    )
    lines = list(version_lines(answer, [manifest], found))
    assert lines == [
        f"version   {A}",
        "model     digits of org/digits, number 1, made 2024-05-01T12:00:00Z",
        f"commit    {A} on refs/heads/main",
        "verdict   gate missed",
        "  met     accuracy 0.9611 >= 0.9000",
        "  missed  loss 0.3 > 0.2",
        "metrics   from metrics.json",
        "  accuracy                 0.9611   +0.0111 better, from 0.9500",
        "baseline  bbbbbbb",
        "trained   in 12.7 s by ada",
        "command   python train.py --token (hidden)",
        "host      ml-01 x86_64",
        "tool      0.1.0",
        "run       https://ci.example/1",
        "files     2 files, 2 KB",
        "      1 KB  eeeeeeeeeeee  file-000",
        "      1 KB  eeeeeeeeeeee  file-001",
        f"manifest  {'d' * 64}",
        "channel   production leads here",
        "held by   channel x",
        "path      /r/models/.snapshot/a",
        "get it    mlsnap checkout aaaaaaa   (the model alone: mlsnap restore aaaaaaa)",
    ]


def test_what_is_not_there_any_more_is_said_of_a_version() -> None:
    answer, manifest = _answer(metrics={"accuracy": 0.9611}, baseline=B)
    assert "baseline  bbbbbbb (not there any more)" in list(version_lines(answer, [manifest]))


def test_what_was_kept_is_got_at_another_place() -> None:
    answer, manifest = _answer(name=f"{A}-keep-1")
    assert list(version_lines(answer, [manifest]))[-1] == "get it    mlsnap restore aaaaaaa-keep-1 --to DIR"


def test_every_volume_of_a_version_is_shown() -> None:
    answer, manifest = _answer(members=("models", "words"))
    other = msgspec.structs.replace(
        manifest, header=msgspec.structs.replace(manifest.header, volume="words", files_mode="none"), entries=()
    )
    lines = list(version_lines(answer, [manifest, other]))
    assert "volumes   models, words" in lines
    assert "files     2 files, 2 KB in volume models" in lines
    assert "files     contents not inventoried in volume words" in lines
    assert {it["volume"] for it in version_facts(answer, [manifest, other])["files"]} == {"models"}


def test_facts_of_a_record_have_no_secret_and_nothing_that_training_printed() -> None:
    answer, manifest = _answer()
    record = run_record(argv="TOKEN=abc python train.py", log_tail="my secret")
    facts = version_facts(answer, [manifest], Beside(record=record))
    assert (facts["record"].argv, facts["record"].log_tail) == ("TOKEN=(hidden) python train.py", "")


def test_show_says_what_a_version_was_trained_on() -> None:
    snapshot = Pin(volume="images", kind="snapshot", path=f"/d/{A}", name=A, token="t", held=True)
    written_down = Pin(volume="raw", kind="record", path="/raw", token="t", facts={"mount source": "nas:/raw"})
    answer, manifest = _answer(pins=(snapshot, written_down))
    lines = list(version_lines(answer, [manifest], Beside(lost=["images"])))
    assert lines[4:9] == [
        "data      images: snapshot aaaaaaa (not there any more)",
        f"  read at         /d/{A}",
        "data      raw: not pinned, only written down",
        "  read at         /raw",
        "  mount source    nas:/raw",
    ]


def test_a_plan_says_which_data_it_reads_and_why_it_trains_again() -> None:
    data = DataPlan(name="images", path="/mnt/images", driver="local", store="/s", pin="existing:daily.*")
    lines = list(plan_lines(_plan(data=(data,), reason="bbbbbbb was trained on other data (images)")))
    assert lines[0].endswith(f"snapshot it as {A} (bbbbbbb was trained on other data (images))")
    assert "  data      images at /mnt/images (pin: existing:daily.*)" in lines


def test_show_ends_a_long_list_of_files_and_json_has_them_all() -> None:
    answer, manifest = _answer(files=FILES_SHOWN + 5)
    lines = list(version_lines(answer, [manifest]))
    assert "  and 5 more: --json lists all" in lines
    assert len(version_facts(answer, [manifest])["files"]) == FILES_SHOWN + 6


def test_another_commits_version_is_never_shown_as_the_commits_own() -> None:
    answer, manifest = _answer("same-inputs")
    assert next(iter(version_lines(answer, [manifest]))).endswith("(same-inputs answer)")


def test_a_path_that_is_not_utf_8_is_shown_and_is_valid_json() -> None:
    entry = Entry(path=b"caf\xe9\n", kind="file", mode=0o644, mtime_ns=0, size=1, sha256="e" * 64)
    inventory = inventory_of([entry])
    manifest = Manifest(header=header_of(inventory), entries=inventory.entries)
    answer = Answer(version=version(A), how="own")
    assert os.fsdecode(entry.path) in "\n".join(version_lines(answer, [manifest]))
    facts = msgspec.json.decode(msgspec.json.encode(version_facts(answer, [manifest])))
    assert facts["files"][0]["path"] == "caf\\udce9\n"


# -- what was brought back -----------------------------------------------------------------------------

PLACE = Path("/r/models")


def test_what_came_back_is_said_with_its_metric_and_what_was_kept() -> None:
    found = version(A, metrics={"accuracy": 0.9611}, files=3, bytes=218_000)
    assert back_lines(found, "own", PLACE, ("swap", f"{A}-keep-1", 2)) == [
        "/r/models is now aaaaaaa: accuracy 0.9611, 3 files, 218 KB, checked against its manifest",
        "  2 entries brought back",
        "  what only the live tree had is kept: mlsnap restore aaaaaaa-keep-1 --to DIR",
    ]


def test_nothing_to_bring_back_is_one_line() -> None:
    assert back_lines(version(A, files=1, bytes=5), "own", PLACE, ("none", "", 0)) == [
        "/r/models is aaaaaaa already: 1 file, 5 B"
    ]


@pytest.mark.parametrize("how", ["same-tree", "same-inputs", "nearest"])
def test_another_commits_version_is_said_with_the_reason(how: How) -> None:
    lines = back_lines(version(A), how, PLACE, None)
    assert lines[1].startswith("  used because ")
    assert len(lines) == 2


def test_a_version_that_misses_a_gate_comes_back_with_a_word_of_warning() -> None:
    assert back_lines(version(A, good=False), "own", PLACE, None)[-1] == "  this version misses a gate"


def test_the_gated_metric_is_the_one_to_show() -> None:
    found = version(A, metrics={"accuracy": 0.9, "zeal": 0.5}, gates=(Gate(metric="zeal", min=0.1),))
    assert headline_of(found) == ("zeal", "0.5000")
    assert headline_of(version(A)) is None
