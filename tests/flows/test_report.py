"""report: static pages of all versions, by real commands."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

from tests.flows.conftest import QUIET, MakePlace, Place
from tests.promise.checking import everything_of

TRAIN = """\
set -eu
cp weights.txt "$MLSNAP_MODEL_DIR/weights.txt"
mkdir -p "$MLSNAP_MODEL_DIR/sub"
echo same > "$MLSNAP_MODEL_DIR/sub/tokens.txt"
cp scores.json "$MLSNAP_METRICS"
"""
SETTINGS = 'train = "sh train.sh"\nvolume = "models"\n[gates.accuracy]\nmin = 0.5\n'


def history(make_place: MakePlace) -> tuple[Place, list[str]]:
    """Make three versions, of which the last one misses its gate."""
    place = make_place(settings=SETTINGS, train=TRAIN)
    shas = []
    for accuracy, code in ((0.8, 0), (0.9, 0), (0.4, 12)):
        shas.append(place.commit(f"weights {accuracy}", **{"scores.json": json.dumps({"accuracy": accuracy})}))
        place.mlsnap("run", expect=code, env=QUIET)
    return place, shas


def text_of(page: Path) -> str:
    """Give what is to be read on a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.read_text()).split())


def test_the_pages_say_what_the_versions_are(make_place: MakePlace, tmp_path: Path) -> None:
    place, shas = history(make_place)
    place.mlsnap("promote", shas[0], "production", "--reason", "the first good one")
    place.mlsnap("hold", shas[1], "--reason", "for the paper")
    out = tmp_path / "out"
    said = place.mlsnap("report", "--output", str(out), "--json")
    assert said.facts["index"] == str(out / "index.html")
    assert said.facts["files"] == said.facts["written"] > 10
    index = text_of(out / "index.html")
    assert "Best version 0.9000 accuracy" in index
    assert f"production {shas[0][:7]}" in index
    assert "the first good one" in index
    assert "for the paper" in index
    assert index.index(shas[2][:7]) < index.index(f"✓ good {shas[1][:7]}") < index.index(f"✓ good {shas[0][:7]}")
    page = text_of(out / shas[2] / "index.html")
    for words in ("Gate missed", "accuracy 0.4000 &lt; 0.5000", "-0.5000 worse", f"The baseline is {shas[1][:7]}"):
        assert words in page
    assert "sub/tokens.txt 5 B" in page
    assert re.search(r"weights\.txt 11 B [0-9a-f]{12} changed \(content\)", page)
    assert f"mlsnap restore {shas[2][:7]}" in page
    comparison = text_of(out / shas[2] / "comparison.html")
    assert f"From {shas[1][:7]} to {shas[2][:7]}" in comparison
    assert "accuracy 0.9000 0.4000 -0.5000 worse" in comparison
    assert "accuracy 0.9000" in (out / "badge.svg").read_text()


def test_what_is_to_be_taken_away_is_what_the_snapshot_has(make_place: MakePlace, tmp_path: Path) -> None:
    place, shas = history(make_place)
    place.mlsnap("report", "--output", str(tmp_path / "out"))
    folder, snapshot = tmp_path / "out" / shas[1], place.snapshot(shas[1])
    done = subprocess.run(
        ("sha256sum", "--check", "--strict", folder / "SHA256SUMS.txt"),
        cwd=snapshot,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b": OK") == 2
    manifest = (folder / "manifest.txt").read_bytes()
    assert manifest == (snapshot / ".mlsnap/manifest.jsonl").read_bytes()
    record = json.loads((folder / "record.json").read_bytes())
    assert record["volume"]["manifest_digest"] == hashlib.sha256(manifest).hexdigest()
    assert record["commit"] == shas[1]


def test_a_new_version_rewrites_only_the_pages_that_it_changes(make_place: MakePlace, tmp_path: Path) -> None:
    place, shas = history(make_place)
    out = tmp_path / "out"
    place.mlsnap("report", "--output", str(out))
    assert place.mlsnap("report", "--output", str(out), "--json").facts["written"] == 0
    before = {path: path.stat().st_ino for path in out.rglob("*") if path.is_file()}
    new = place.commit("weights 0.95", **{"scores.json": '{"accuracy": 0.95}'})
    place.mlsnap("run", env=QUIET)
    place.mlsnap("report", "--output", str(out))
    touched = {path.relative_to(out).as_posix() for path in before if path.stat().st_ino != before[path]}
    lists = {"index.html", "metric-accuracy.html", "badge.svg", "mlsnap-report.json"}
    assert touched == {*lists, f"{shas[2]}/index.html"}
    assert (out / new / "index.html").is_file()


def test_the_page_of_a_version_that_was_pruned_says_so(make_place: MakePlace, tmp_path: Path) -> None:
    """A status links to it, and goes on to."""
    place, shas = history(make_place)
    out = tmp_path / "out"
    place.mlsnap("report", "--output", str(out))
    place.mlsnap("prune", "--version", shas[0], "--reason", "too old")
    place.mlsnap("report", "--output", str(out))
    assert [path.name for path in (out / shas[0]).iterdir()] == ["index.html"]
    page = text_of(out / shas[0] / "index.html")
    for words in (
        f"Version {shas[0][:7]} was pruned",
        "too old",
        f"mlsnap recover {shas[0][:7]}",
        "accuracy 0.8000",
    ):
        assert words in page
    assert f"Kept near it: {shas[1][:7]}" in page
    assert shas[0][:7] not in (out / "index.html").read_text()
    place.mlsnap("recover", shas[0])
    place.mlsnap("report", "--output", str(out))
    assert "Good: every gate is met" in text_of(out / shas[0] / "index.html")


def test_making_pages_changes_nothing_else_and_needs_no_token(make_place: MakePlace, tmp_path: Path) -> None:
    place, _ = history(make_place)
    before = everything_of(place.store, place.volume)
    place.mlsnap("report", "--output", str(tmp_path / "out"), env=QUIET)
    assert everything_of(place.store, place.volume) == before


def test_without_a_version_the_index_says_how_to_make_one(place: Place, tmp_path: Path) -> None:
    place.mlsnap("report", "--output", str(tmp_path / "out"), env=QUIET)
    assert "No versions yet: mlsnap run makes the first one." in text_of(tmp_path / "out" / "index.html")
    assert "no version yet" in (tmp_path / "out" / "badge.svg").read_text()


def test_a_damaged_manifest_hides_only_its_own_files(make_place: MakePlace, tmp_path: Path) -> None:
    place, shas = history(make_place)
    manifest = place.volume / ".snapshot" / shas[1] / ".mlsnap/manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.parent.chmod(0o755)
    manifest.chmod(0o644)
    manifest.write_bytes(b"".join([*lines[:-1], lines[-1].replace(b'"mode"', b'"mood"')]))
    place.mlsnap("report", "--output", str(tmp_path / "out"))
    assert "The files cannot be listed" in text_of(tmp_path / "out" / shas[1] / "index.html")
    assert "weights.txt" in text_of(tmp_path / "out" / shas[0] / "index.html")


def test_a_folder_of_somebody_else_is_refused(place: Place, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    place.refused("refused", 40, "report", "--output", str(tmp_path / "site"), env=QUIET)
    assert (tmp_path / "site" / "index.html").read_text() == "mine"


# -- by each run ---------------------------------------------------------------------------------------


def reporting(out: Path) -> dict[str, str]:
    return {**QUIET, "MLSNAP__REPORT__OUTPUT": str(out)}


def test_a_run_writes_what_it_did_and_the_pages(make_place: MakePlace, tmp_path: Path) -> None:
    place, out = make_place(settings=SETTINGS, train=TRAIN), tmp_path / "out"
    sha = place.commit("weights", **{"scores.json": '{"accuracy": 0.8}'})
    said = place.mlsnap("run", env=reporting(out))
    assert f"{out}/index.html" in said.stderr
    assert json.loads((out / "record.json").read_bytes())["outcome"] == "good"
    assert json.loads((out / "metrics.json").read_bytes()) == {"accuracy": 0.8}
    assert "accuracy" in (out / "summary.md").read_text()
    assert 'failures="0"' in (out / "junit.xml").read_text()
    assert (out / sha / "index.html").is_file()
    place.mlsnap("report", "--output", str(out), env=QUIET)
    assert (out / "junit.xml").is_file(), "making pages by hand leaves what the run said"
    place.train_with("exit 3")
    place.mlsnap("run", expect=10, env=reporting(out))
    assert json.loads((out / "record.json").read_bytes())["error"] == "training-failed"
    assert 'failures="1"' in (out / "junit.xml").read_text()
    assert (out / sha / "index.html").is_file()


def test_the_phases_write_the_same_as_a_run(make_place: MakePlace, tmp_path: Path) -> None:
    place, out = make_place(settings=SETTINGS, train=TRAIN), tmp_path / "out"
    sha = place.commit("weights", **{"scores.json": '{"accuracy": 0.8}'})
    for phase in ("begin", "train", "conclude"):
        place.mlsnap(phase, env=reporting(out))
    before = everything_of(out)
    assert "record.json" in str(before)
    assert (out / sha / "index.html").is_file()
    place.mlsnap("report", "--output", str(out), env=QUIET)
    assert everything_of(out) == before


def test_a_report_that_cannot_be_written_takes_nothing_from_the_version(place: Place, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    said = place.mlsnap("run", env=reporting(tmp_path / "site"))
    assert re.search(r"report +no +not written: .*no folder for this report", said.stderr)
    assert place.snapshots() == [place.repository.head()]
    place.require_rest()
    assert (tmp_path / "site" / "index.html").read_text() == "mine"


def test_a_report_inside_the_checkout_makes_it_no_dirty_tree(place: Place) -> None:
    env = {**QUIET, "MLSNAP__REPORT__OUTPUT": "public"}
    for _ in range(2):
        place.mlsnap("run", "--retrain", env=env)
    assert (place.folder / "public" / "index.html").is_file()


def test_a_status_links_to_the_page_of_its_version(make_place: MakePlace, tmp_path: Path) -> None:
    url = "https://acme.github.io/digits/"
    place = make_place(settings=f'{SETTINGS}[report]\nbase_url = "{url}"\n', train=TRAIN)
    sha = place.commit("weights", **{"scores.json": '{"accuracy": 0.8}'})
    place.mlsnap("run")
    missed = place.commit("worse", **{"scores.json": '{"accuracy": 0.1}'})
    place.mlsnap("run", expect=12)
    failed = place.train_with("exit 3")
    place.mlsnap("run", expect=10)

    def targets(commit: str) -> list[str]:
        found = place.server.board.statuses("octo/digits", commit)[::-1]
        return [str(status["target_url"] or "") for status in found]

    assert targets(sha) == ["", f"{url}{sha}/index.html"]
    assert targets(missed)[-1] == f"{url}{missed}/index.html"
    assert targets(failed)[-1] == "", "there is no page of a version that there is not"


def test_parameters_of_a_version_are_new_only_where_those_before_are_known(
    make_place: MakePlace, tmp_path: Path
) -> None:
    place, out = make_place(settings=SETTINGS, train=TRAIN), tmp_path / "out"
    for lr, env in (("0.1", QUIET), ("0.01", reporting(out))):
        place.commit(lr, **{"params.yaml": f"lr: {lr}\n", "scores.json": '{"accuracy": 0.8}'})
        place.mlsnap("run", env=env)
    page = text_of(out / place.repository.head() / "index.html")
    assert "lr 0.01 params.yaml" in page
    assert "(new)" not in page


def test_nothing_says_where_pages_go(place: Place) -> None:
    place.refused("usage", 2, "report", env=QUIET)


# -- somebody's own templates --------------------------------------------------------------------------


def test_a_repository_has_its_own_style_sheet_and_templates(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place(settings=f'{SETTINGS}[report]\ntemplates = "ci/look"\n', train=TRAIN)
    blocks = "{% block title %}x{% endblock %}{% block content %}<h1>{{ page.name }}</h1>{% endblock %}"
    own = '{% extends "page.html.j2" %}' + blocks
    place.commit(
        "look",
        **{
            "scores.json": '{"accuracy": 0.8}',
            "ci/look/style.css": "h1 { color: red }",
            "ci/look/version.html.j2": own,
        },
    )
    place.mlsnap("run", env=reporting(tmp_path / "out"))
    sha = place.repository.head()
    assert (tmp_path / "out" / "style.css").read_text() == "h1 { color: red }"
    assert f"<h1>{sha[:7]}</h1>" in (tmp_path / "out" / sha / "index.html").read_text()
    assert "All versions" in text_of(tmp_path / "out" / "index.html"), "what is not theirs stays ours"


def test_the_operator_s_templates_win(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place(settings=f'{SETTINGS}[report]\ntemplates = "ci/look"\n', train=TRAIN)
    place.commit("look", **{"scores.json": '{"accuracy": 0.8}', "ci/look/style.css": "theirs"})
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "style.css").write_text("the operator's")
    env = {**QUIET, "MLSNAP__REPORT__TEMPLATES": str(tmp_path / "site")}
    place.mlsnap("report", "--output", str(tmp_path / "out"), env=env)
    assert (tmp_path / "out" / "style.css").read_text() == "the operator's"


def test_a_template_that_fails_is_named_with_its_line(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place(settings=f'{SETTINGS}[report]\ntemplates = "look"\n', train=TRAIN)
    place.commit("look", **{"scores.json": '{"accuracy": 0.8}', "look/version.html.j2": "\n{% if %}"})
    said = place.refused("config-invalid", 2, "report", "--output", str(tmp_path / "out"), env=QUIET)
    assert "version.html.j2" in said.stderr
    assert "line 2" in said.stderr
    said = place.mlsnap("run", env=reporting(tmp_path / "out"))
    assert re.search(r"report +no +not written: report.templates: version.html.j2", said.stderr)
    assert len(place.snapshots()) == 1


def test_a_repository_names_no_folder_elsewhere(make_place: MakePlace, tmp_path: Path) -> None:
    place = make_place(settings=f'{SETTINGS}[report]\ntemplates = "../look"\n', train=TRAIN)
    place.refused("config-invalid", 2, "report", "--output", str(tmp_path / "out"), env=QUIET)


def test_the_page_of_a_version_has_its_parameters_and_how_they_changed(
    make_place: MakePlace, tmp_path: Path
) -> None:
    place, out = make_place(settings=SETTINGS, train=TRAIN), tmp_path / "out"
    secret = "ghp_" + "a1" * 20
    for lr, accuracy in (("0.1", 0.8), ("0.01", 0.9)):
        params = f"train:\n  lr: {lr}\n  layers: [64, 32]\nhf_token: {secret}\n"
        place.commit("params", **{"params.yaml": params, "scores.json": json.dumps({"accuracy": accuracy})})
        place.mlsnap("run", env=reporting(out))
    page = text_of(out / place.repository.head() / "index.html")
    assert "train.lr 0.01 0.1 params.yaml hf_token (hidden) params.yaml train.layers [64, 32]" in page
    assert "train.lr 0.1 0.01 changed, params.yaml" in text_of(out / place.repository.head() / "comparison.html")
    assert secret not in "".join(path.read_text() for path in out.rglob("*") if path.is_file())
