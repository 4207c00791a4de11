"""The pages as they were approved. To approve others: read the difference, then write it into the files with
`python -c "from tests.report.test_pages_golden import approve; approve()"`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.domain.comparing import Side, compare
from ci_mlsnap.domain.gates import Gate, judge
from ci_mlsnap.domain.manifest import Entry, Manifest, ManifestHeader
from ci_mlsnap.domain.metrics import Curve, Metrics, Scalar
from ci_mlsnap.domain.models import Model, ModelFile
from ci_mlsnap.domain.parameters import Parameters
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.record import Record, VolumeRecord
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.ports import CommitFacts
from ci_mlsnap.report.logged import LogLine
from ci_mlsnap.report.pages import look_of
from ci_mlsnap.report.pages_list import Link, Links, ListPage, badge, list_page
from ci_mlsnap.report.pages_version import Best, Told, version_pages
from tests.report.html import Page

GOLDEN = Path(__file__).with_name("pages")
SITE = {"project": "acme/digits", "model": "digits", "tool": "mlsnap 1.2.3"}
GATES = (Gate(metric="accuracy", min=0.9, max_drop=0.01),)


def manifest_of(number: int, accuracy: float, before: str, *files: tuple[str, int]) -> Manifest:
    """Give the manifest of the version of this number."""
    sha = f"{number:02x}" * 20
    metrics: dict[str, Scalar] = {"accuracy": accuracy, "loss": round(1.2 - accuracy, 4)}
    entries = tuple(
        Entry(path=name.encode(), kind="file", mode=0o644, mtime_ns=0, size=size, sha256=f"{size % 256:02x}" * 32)
        for name, size in files
    )
    header = ManifestHeader(
        format="mlsnap/manifest/1",
        name=sha,
        volume="models",
        volume_id="v1",
        members=("models",),
        project="acme/digits",
        model="digits",
        commit=sha,
        tree="ee" * 20,
        parents=(before,) if before else (),
        sequence=number,
        created=f"2026-11-0{number}T10:00:00+00:00",
        ref="refs/heads/main",
        event="push",
        metrics=metrics,
        metrics_source="metrics.json",
        baseline=before,
        gates=GATES,
        verdict=judge(GATES, metrics, {"accuracy": 0.9583} if number == 3 else {}),
        files_mode="changed",
        files=len(files),
        bytes=sum(size for _, size in files),
        pins=(Pin(volume="images", kind="existing", path="/mnt/images/.snapshot/daily.1", name="daily.1"),),
        tool="mlsnap 1.2.3",
    )
    return Manifest(header=header, entries=entries)


MANIFESTS = (
    manifest_of(1, 0.9472, "", ("model.pkl", 143_000)),
    manifest_of(2, 0.9583, "01" * 20, ("model.pkl", 160_000), ("weights.safetensors", 27_000)),
    manifest_of(3, 0.6139, "02" * 20, ("model.pkl", 160_001), ("tokens <b>.txt", 12)),
)
VERSIONS = tuple(Version(header=it.header, digest=f"{number:02x}" * 32) for number, it in enumerate(MANIFESTS, 10))
SUBJECTS = ("One hidden layer", "Two hidden layers", "Learning rate 10 times higher & <more>")


def record_of(number: int) -> Record:
    version, manifest = VERSIONS[number], MANIFESTS[number]
    header = manifest.header
    steps = (0.0, 1.0, 2.0, 3.0)
    model = Model(
        format="pickle", framework="scikit-learn", version="1.9.1", runs_code="yes", why="it is a pickle"
    )
    return Record(
        format="mlsnap/record/1",
        outcome="good" if version.good else "gate-missed",
        project="acme/digits",
        model="digits",
        commit=header.commit,
        subject=SUBJECTS[number],
        ref=header.ref,
        event="push",
        actor="ada",
        run_url=f"https://github.com/acme/digits/actions/runs/{number + 100}",
        argv=("python", "train.py", "--lr", f"0.{number}"),
        host="ml-01 x86_64",
        volume=VolumeRecord(
            name="models",
            driver="local",
            way="reflink",
            volume_id="v1",
            path="/srv/ml/digits",
            snapshot=header.name,
            manifest_digest=version.digest,
            files=header.files,
            bytes=header.bytes,
        ),
        pins=header.pins,
        metrics=Metrics(
            source="metrics.json",
            scalars=header.metrics,
            curves=(Curve(name="accuracy", steps=steps, values=(0.2, 0.5, "nan", 0.6 + number / 10)),),
        ),
        parameters={"params.yaml": {"lr": f"0.{number}", "batch": "32", **({"seed": "7"} if number == 1 else {})}},
        models=(ModelFile(volume="models", path="model.pkl", size=1000, model=model),),
        baseline=header.baseline,
        verdict=header.verdict,
        steps={"train": 12.7},
        tool="mlsnap 1.2.3",
    )


def line_of(number: int, *channels: str) -> LogLine:
    version = VERSIONS[number]
    header = version.header
    subject = SUBJECTS[number]
    return LogLine(
        commit=CommitFacts(sha=header.commit, tree=header.tree, parents=header.parents, subject=subject),
        version=version,
        base=VERSIONS[number - 1] if number else None,
        best=number == 1,
        channels=channels,
    )


def index() -> bytes:
    lines = [line_of(2), line_of(1), line_of(0, "production")]
    move = Move(
        channel="production",
        before="",
        version=VERSIONS[0].header.name,
        link="x",
        manifest="",
        who="ada",
        at="2026-11-04T12:00:00+00:00",
        why="the first good one",
    )
    page = ListPage(
        title="Versions",
        heading="Versions of digits",
        lead="3 versions, 490 KB of files in all.",
        table_title="All versions",
        lines=lines,
        charted=lines[::-1],
        metrics=("accuracy",),
        best=lines[1],
        channels=[("production", VERSIONS[0], VERSIONS[0].header.name, move)],
        holds=[(VERSIONS[1], "ada: for the paper")],
        more=(Links(title="Metrics", links=(Link(href="metric-loss.html", text="loss"),)),),
        notes=("The manifest of 04 cannot be trusted.",),
    )
    return list_page(look_of(), SITE, page)


def version() -> dict[str, bytes]:
    sides = [
        Side(
            version=VERSIONS[number],
            entries=MANIFESTS[number].entries,
            record=record_of(number),
            parameters={file: Parameters(values=it) for file, it in record_of(number).parameters.items()},
        )
        for number in (1, 2)
    ]
    told = Told(
        version=VERSIONS[2],
        record=record_of(2),
        base=VERSIONS[1],
        base_record=record_of(1),
        before_record=record_of(1),
        channels=("canary",),
        holds=("ada: for the paper",),
        best_before={"accuracy": Best(version=VERSIONS[1].header.name, value=0.9583)},
        older=VERSIONS[1].header.name,
        manifests=[MANIFESTS[2]],
        found=compare(*sides, code=None),
    )
    return version_pages(look_of(), SITE, told)


MADE: dict[str, Callable[[], bytes]] = {
    "index.html": index,
    "version.html": lambda: version()["index.html"],
    "comparison.html": lambda: version()["comparison.html"],
    "badge.svg": lambda: badge(look_of(), "digits", VERSIONS[1]),
}


def approve() -> None:
    """Write the pages as they are made now into the files."""
    for name, make in MADE.items():
        (GOLDEN / name).write_bytes(make())


@pytest.mark.parametrize("name", MADE)
def test_a_page_is_the_one_that_was_approved(name: str) -> None:
    assert MADE[name]().decode() == (GOLDEN / name).read_text()


@pytest.mark.parametrize("name", [name for name in MADE if name.endswith(".html")])
def test_an_approved_page_keeps_the_rules(name: str) -> None:
    Page((GOLDEN / name).read_bytes())


def test_a_version_without_a_record_has_a_page_all_the_same() -> None:
    """As after a loss of state: the manifest alone says what it is."""
    told = Told(version=VERSIONS[0], manifests=[MANIFESTS[0]])
    files = version_pages(look_of(), SITE, told)
    page = Page(files["index.html"])
    assert sorted(files) == ["SHA256SUMS.txt", "index.html", "manifest.txt"]
    assert "Version 0101010" in page.text
    assert "accuracy" in page.text


def test_a_version_that_was_not_inventoried_says_so() -> None:
    header = msgspec.structs.replace(MANIFESTS[0].header, files_mode="none", files=0, bytes=0)
    told = Told(version=Version(header=header, digest="aa" * 32), manifests=[Manifest(header=header)])
    files = version_pages(look_of(), SITE, told)
    assert "SHA256SUMS.txt" not in files
    assert "not inventoried" in Page(files["index.html"]).text
