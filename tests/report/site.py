"""A model's versions as runs would leave them, made quickly: manifests in a store, records beside, channels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ci_mlsnap.domain.gates import Gate, judge
from ci_mlsnap.domain.manifest import Manifest, ManifestHeader, digest_of, encode
from ci_mlsnap.domain.metrics import Curve, Metrics, Scalar
from ci_mlsnap.domain.models import Model, ModelFile
from ci_mlsnap.domain.names import Marker, SnapshotName
from ci_mlsnap.domain.pins import Pin
from ci_mlsnap.domain.record import Record, VolumeRecord
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.flows.report import write_report
from ci_mlsnap.report.pages import Look, look_of
from ci_mlsnap.report.pages_folder import Written
from ci_mlsnap.state import catalogue
from ci_mlsnap.storage.local import LocalDriver

PROJECT, MODEL = "octo/digits", "digits"
SUBJECTS = ("One hidden layer", "Two hidden layers", "Learning rate 10 times higher", "Larger batches")


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What strangers write: wherever one of them may stand, `text` stands."""

    text: str = ""

    def or_else(self, usual: str) -> str:
        """Give the text, else what usually stands there."""
        return self.text or usual


def file_name(text: str) -> str:
    """Make the name of a file of a text; a few characters no name may have."""
    name = text.encode(errors="replace").replace(b"\0", b"?").replace(b"/", b"|")[:200]
    return f"file {name.decode(errors='surrogateescape')}"


@dataclass(kw_only=True)
class Site:
    """A store with versions; `write` makes their pages."""

    folder: Path
    driver: LocalDriver
    names: list[str] = field(default_factory=list)

    def write(self, out: Path, look: Look | None = None) -> Written:
        """Write the pages of all versions."""
        return write_report(self.driver, out, look or look_of(), project=PROJECT, model=MODEL)

    def add(self, *, text: str = "", ref: str = "refs/heads/main", accuracy: float | None = None) -> Version:
        """Make the next version; `text` stands wherever a stranger's may."""
        texts, number = Texts(text=text), len(self.names)
        volume = self.folder / "models"
        (volume / "weights.bin").write_bytes(b"w" * (1000 + number))
        if text:
            (volume / file_name(text)).write_bytes(b"x")
        if accuracy is None:
            accuracy = 0.9 + number % 7 / 100 - (0.1 if number % 5 == 2 else 0)
        header = self._header(texts, number, ref, accuracy)
        frozen = self.driver.freeze(volume, parent=None, full=False, inventory=True)
        inventory = frozen.inventory
        header = msgspec.structs.replace(
            header, files=inventory.files, bytes=inventory.bytes, content_digest=inventory.content_digest
        )
        manifest = Manifest(header=header, entries=inventory.entries)
        digest = digest_of(encode(manifest))
        marker = Marker(project=PROJECT, model=MODEL, name=SnapshotName.parse(header.name), digest=digest)
        self.driver.seal(frozen, manifest, marker)
        version = Version(header=header, digest=digest)
        self._record(version, texts, number, accuracy)
        self.names.append(header.name)
        return version

    def _header(self, texts: Texts, number: int, ref: str, accuracy: float) -> ManifestHeader:
        sha = hashlib.sha1(f"commit {number}".encode(), usedforsecurity=False).hexdigest()
        name = texts.or_else("accuracy")
        metrics: dict[str, Scalar] = {name: round(accuracy, 4), "loss": round(1.2 - accuracy, 4)}
        gates = (Gate(metric=name, min=0.85),)
        return ManifestHeader(
            format="mlsnap/manifest/1",
            name=sha,
            volume="models",
            volume_id=self.driver.volume_id,
            members=("models",),
            project=PROJECT,
            model=MODEL,
            commit=sha,
            tree=hashlib.sha1(f"tree {number}".encode(), usedforsecurity=False).hexdigest(),
            parents=tuple(self.names[-1:]),
            sequence=number + 1,
            created=f"2026-11-{1 + number // 24 % 28:02}T{number % 24:02}:00:00+00:00",
            ref=f"refs/heads/{texts.text}" if texts.text else ref,
            event="push",
            metrics=metrics,
            metrics_source=texts.or_else("metrics.json"),
            baseline=self.names[-1] if self.names else "",
            gates=gates,
            verdict=judge(gates, metrics, {}),
            files_mode="changed",
            pins=(
                Pin(
                    volume="images",
                    kind="existing",
                    path=texts.or_else("/mnt/images/.snapshot/daily.1"),
                    name=texts.or_else("daily.1"),
                    token="t",
                    facts={texts.or_else("owner"): texts.or_else("data team")},
                ),
            ),
            tool="mlsnap 1.2.3",
        )

    def _record(self, version: Version, texts: Texts, number: int, accuracy: float) -> None:
        header = version.header
        run = self.driver.state_folder() / "runs" / f"{header.commit[:12]}-{number:08x}"
        run.mkdir(parents=True)
        steps = tuple(float(step) for step in range(3 if texts.text else 20))
        name = texts.or_else("accuracy")
        curve = Curve(name=name, steps=steps, values=tuple(accuracy * (1 - 0.7 ** (step + 1)) for step in steps))
        (run / "record.json").write_bytes(msgspec.json.encode(_record(version, texts, number, curve)))


def _record(version: Version, texts: Texts, number: int, curve: Curve) -> Record:
    header = version.header
    return Record(
        format="mlsnap/record/1",
        outcome="good" if version.good else "gate-missed",
        project=PROJECT,
        model=MODEL,
        commit=header.commit,
        subject=texts.or_else(SUBJECTS[number % len(SUBJECTS)]),
        ref=header.ref,
        event="push",
        pull_request=7,
        actor=texts.or_else("ada"),
        run_url=texts.or_else(f"https://github.com/octo/digits/actions/runs/{number}"),
        argv=("python", "train.py", texts.or_else("--fast"), "--token", "hunter2"),
        host=texts.or_else("ml-01 x86_64"),
        image=texts.or_else("ubuntu24"),
        packages_digest="ab" * 32,
        passed_variables=("HF_HOME",),
        volume=VolumeRecord(
            name="models",
            driver="local",
            way="copy",
            volume_id=header.volume_id,
            path=texts.or_else("/srv/ml/digits"),
            snapshot=header.name,
            manifest_digest=version.digest,
            storage_seconds=0.04,
            files=header.files,
            bytes=header.bytes,
        ),
        pins=header.pins,
        metrics=Metrics(source=header.metrics_source, scalars=header.metrics, curves=(curve,)),
        parameters={"params.yaml": {texts.or_else("lr"): texts.or_else(f"0.{number}"), "hidden": "[64, 32]"}},
        models=(_model(texts, number),),
        baseline=header.baseline,
        gates=header.gates,
        verdict=header.verdict,
        log_tail="what training printed: hunter3",
        steps={"train": 12.7, "freeze": 0.04},
        created=header.created,
        tool="mlsnap 1.2.3",
    )


def _model(texts: Texts, number: int) -> ModelFile:
    facts = Model(
        format="pickle",
        framework=texts.or_else("scikit-learn"),
        version=texts.or_else("1.9.1"),
        architecture=texts.or_else("MLPClassifier"),
        tensor_count=4,
        parameters=6570 + number,
        runs_code="yes",
        why=texts.or_else("it names sklearn.neural_network"),
    )
    return ModelFile(volume="models", path=texts.or_else("model.pkl"), size=1000, model=facts)


def make_site(folder: Path, count: int = 0, refs: Sequence[str] = ("refs/heads/main",)) -> Site:
    """Make a store below a folder, with so many versions."""
    (folder / "models").mkdir(parents=True)
    driver = LocalDriver(folder / "models", folder / "store", "models")
    driver.initialise(project=PROJECT, model=MODEL)
    site = Site(folder=folder, driver=driver)
    for number in range(count):
        site.add(ref=refs[number % len(refs)])
    catalogue.read(driver, remember=True)
    return site
