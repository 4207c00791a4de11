"""Metrics as the real libraries wrote them; `metrics_made/README.md` says how each file was made."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.domain.metrics import Curve, Metrics, number
from ci_mlsnap.training.metrics import find_metrics

MADE = Path(__file__).with_name("metrics_made")
LOSSES = (0.9, 0.5, 0.25)


def read(folder: str, configured: str | None = None) -> Metrics:
    told: list[str] = []
    found = find_metrics((MADE / folder,), configured, tell=told.append)
    assert told == []
    return found


def curve(metrics: Metrics, name: str) -> Curve:
    return next(it for it in metrics.curves if it.name == name)


def made(path: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((MADE / path).read_text())
    return content


def test_trainer_gives_its_results_its_curves_and_its_best_value() -> None:
    metrics, state = read("transformers"), made("transformers/trainer_state.json")
    assert metrics.source == "all_results.json and trainer_state.json"
    assert made("transformers/all_results.json").items() <= metrics.scalars.items()
    assert metrics.scalars["best_metric"] == state["best_metric"]
    logged = [(entry["step"], entry["loss"]) for entry in state["log_history"] if "loss" in entry]
    assert len(logged) == 3
    assert curve(metrics, "loss") == Curve(
        name="loss", steps=tuple(step for step, _ in logged), values=tuple(loss for _, loss in logged)
    )
    assert "eval_loss" in {it.name for it in metrics.curves}
    assert not {"epoch", "step"} & {it.name for it in metrics.curves}


def test_trainers_newest_checkpoint_is_read_where_the_state_was_not_saved(tmp_path: Path) -> None:
    for checkpoint in (2, 4, 6):
        source, name = MADE / f"transformers/checkpoint-{checkpoint}", f"checkpoint-{checkpoint * 3}"
        shutil.copytree(source, tmp_path / name)
    metrics = find_metrics((tmp_path,), None)
    assert metrics.source == "checkpoint-18/trainer_state.json"
    assert metrics.scalars["best_metric"] == made("transformers/checkpoint-6/trainer_state.json")["best_metric"]


def test_lightnings_table_has_blanks_where_a_metric_was_not_logged() -> None:
    metrics = read("lightning")
    assert metrics.source == "lightning_logs/version_0/metrics.csv"
    assert metrics.scalars == {"train_loss": 0.25, "val_acc": 0.75, "val_loss": 0.35}
    assert curve(metrics, "train_loss") == Curve(name="train_loss", steps=(0, 10, 20), values=LOSSES)
    assert curve(metrics, "val_loss").steps == (9, 19, 29)


def test_lightnings_newest_version_counts(tmp_path: Path) -> None:
    for version in (2, 9, 10):
        folder = tmp_path / f"lightning_logs/version_{version}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"step,loss\n1,{version}\n")
    metrics = find_metrics((tmp_path,), None)
    assert (metrics.source, metrics.scalars) == ("lightning_logs/version_10/metrics.csv", {"loss": 10})


@pytest.mark.parametrize("file", ["history.json", "training.log"])
def test_keras_history_and_table_say_the_same(file: str) -> None:
    history = made("keras/history.json")
    metrics = read("keras", file)
    assert set(metrics.scalars) == {"loss", "mae", "val_loss", "val_mae"}
    for name, values in history.items():
        assert metrics.scalars[name] == values[-1]
        assert curve(metrics, name) == Curve(name=name, steps=(0, 1, 2, 3), values=tuple(values))


def test_keras_files_are_found_by_their_names() -> None:
    assert read("keras").source == "history.json"


def test_plain_values_of_event_files_come_as_they_were_logged() -> None:
    metrics = read("tensorboard")
    assert metrics.source == "runs/first/events.out.tfevents.1700000000.host.1"
    assert metrics.scalars == {"loss/train": 0.25, "accuracy": 0.3}
    assert curve(metrics, "loss/train") == Curve(name="loss/train", steps=(0, 100, 200), values=LOSSES)


def test_tensors_of_event_files_are_what_the_history_says() -> None:
    history, metrics = made("tensorflow/history.json"), read("tensorflow", "logs")
    assert metrics.source == "logs"
    for folder, name in (("train", "loss"), ("validation", "val_loss")):
        found = curve(metrics, f"{folder}/epoch_loss")
        assert found.steps == (0, 1, 2, 3)
        in_32_bits = [struct.pack("<f", number(value)) for value in found.values]
        assert in_32_bits == [struct.pack("<f", value) for value in history[name]]


def test_a_single_folder_of_event_files_needs_no_name_before_the_tags() -> None:
    assert set(read("tensorflow", "logs/train").scalars) == {"epoch_loss", "epoch_learning_rate"}


def test_a_classification_report_gives_dotted_names() -> None:
    metrics, report = read("scikit_learn", "report.json"), made("scikit_learn/report.json")
    assert metrics.scalars["accuracy"] == report["accuracy"]
    assert metrics.scalars["macro avg.f1-score"] == report["macro avg"]["f1-score"]
    assert metrics.scalars["2.recall"] == report["2"]["recall"]
    assert metrics.curves == ()


def test_a_search_gives_the_row_of_its_best_candidate() -> None:
    metrics, results = read("scikit_learn", "cv_results.json"), made("scikit_learn/cv_results.json")
    best = results["rank_test_score"].index(1)
    assert best == 1
    assert metrics.scalars["mean_test_score"] == max(results["mean_test_score"])
    assert metrics.scalars["split2_test_score"] == results["split2_test_score"][best]
    assert not [name for name in metrics.scalars if name.startswith(("param", "rank"))]
    assert metrics.curves == ()


@pytest.mark.parametrize("configured", [None, "mlruns"])
def test_of_several_runs_in_a_store_the_one_that_began_last_counts(configured: str | None) -> None:
    metrics = read("mlflow", configured)
    assert metrics.scalars == {"val/loss": 0.25, "accuracy": 0.75}
    assert curve(metrics, "val/loss") == Curve(name="val/loss", steps=(0, 1, 2), values=LOSSES)
    metas = {meta.parent.name: meta.read_text() for meta in MADE.glob("mlflow/mlruns/0/*/meta.yaml")}
    starts = {run: int(text.split("start_time: ")[1].split()[0]) for run, text in metas.items()}
    assert len(starts) == 2
    assert metrics.source == f"mlruns/0/{max(starts, key=lambda run: starts[run])}"


@pytest.mark.parametrize(
    ("configured", "source"),
    [
        ("lightning/lightning_logs", "lightning/lightning_logs/version_0/metrics.csv"),
        ("tensorboard/runs", "tensorboard/runs/first/events.out.tfevents.1700000000.host.1"),
        ("transformers", "transformers/all_results.json and transformers/trainer_state.json"),
        ("keras", "keras/history.json"),
    ],
)
def test_a_folder_can_be_configured(configured: str, source: str) -> None:
    assert read("", configured).source == source


@pytest.mark.parametrize("folder", ["lightning/lightning_logs/version_0/metrics.csv", "keras/training.log"])
@pytest.mark.parametrize("name", ["scores", "scores.json", "scores.txt"])
def test_the_content_says_what_a_configured_file_is(tmp_path: Path, folder: str, name: str) -> None:
    shutil.copy(MADE / folder, tmp_path / name)
    assert "val_loss" in find_metrics((tmp_path,), name).scalars


def test_an_event_file_is_known_by_its_content(tmp_path: Path) -> None:
    (file,) = MADE.glob("tensorboard/runs/first/*")
    shutil.copy(file, tmp_path / "scores")
    assert find_metrics((tmp_path,), "scores").scalars == {"loss/train": 0.25, "accuracy": 0.3}


def test_plain_metrics_are_before_every_tools(tmp_path: Path) -> None:
    for folder in ("transformers", "lightning", "keras", "tensorboard", "mlflow"):
        shutil.copytree(MADE / folder, tmp_path, dirs_exist_ok=True)
    order = []
    gone = {
        "all_results.json and trainer_state.json": "*.json",
        "checkpoint-6/trainer_state.json": "checkpoint-*",
        "lightning_logs/version_0/metrics.csv": "lightning_logs",
        "training.log": "training.log",
        "runs/first/events.out.tfevents.1700000000.host.1": "runs",
    }
    (tmp_path / "metrics.json").write_text('{"mine": 1}')
    assert find_metrics((tmp_path,), None).scalars == {"mine": 1}
    (tmp_path / "metrics.json").unlink()
    while (source := find_metrics((tmp_path,), None).source) in gone:
        order.append(source)
        for path in tmp_path.glob(gone[source]):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert order == list(gone)
    assert source.startswith("mlruns/0/")
