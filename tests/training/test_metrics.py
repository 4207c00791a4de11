from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ci_mlsnap.domain.metrics import Curve, Metrics
from ci_mlsnap.errors import MetricsInvalid
from ci_mlsnap.training.metrics import find_metrics

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Give `write(path, content)`: a file below the test's folder; what is no text becomes JSON."""

    def put(path: str, content: Any) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        return file

    return put


def scalars(tmp_path: Path) -> dict[str, float | str]:
    return find_metrics((tmp_path,), None).scalars


# -- what is taken ---------------------------------------------------------------------------------------------


def test_a_flat_file_gives_its_numbers(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"accuracy": 0.97, "errors": 3})
    assert find_metrics((tmp_path,), None) == Metrics(
        source="metrics.json", scalars={"accuracy": 0.97, "errors": 3}, curves=()
    )


def test_nested_names_are_joined_by_dots(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"val": {"top": {"1": 0.9}, "loss": 0.1}, "loss": 0.2})
    assert scalars(tmp_path) == {"val.top.1": 0.9, "val.loss": 0.1, "loss": 0.2}


def test_texts_booleans_and_nulls_are_no_metrics(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"name": "mlp", "done": True, "none": None, "mixed": [1, "a"], "empty": [], "loss": 1})
    assert scalars(tmp_path) == {"loss": 1}


def test_a_list_is_a_curve_and_its_last_value_the_metric(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"loss": [0.9, 0.5, 0.25]})
    metrics = find_metrics((tmp_path,), None)
    assert metrics.scalars == {"loss": 0.25}
    assert metrics.curves == (Curve(name="loss", steps=(0, 1, 2), values=(0.9, 0.5, 0.25)),)


def test_a_list_of_entries_gives_a_curve_for_each_name(write: Write, tmp_path: Path) -> None:
    entries = [{"step": 10, "loss": 0.9, "val": {"acc": 0.5}}, {"step": 20, "loss": 0.4}, {"loss": 0.2}]
    write("metrics.json", {"log": entries})
    metrics = find_metrics((tmp_path,), None)
    assert metrics.scalars == {"log.loss": 0.2, "log.val.acc": 0.5}
    assert metrics.curves == (
        Curve(name="log.loss", steps=(10, 20, 2), values=(0.9, 0.4, 0.2)),
        Curve(name="log.val.acc", steps=(10,), values=(0.5,)),
    )


def test_a_list_of_steps_and_values_is_the_curve_of_its_own_name(write: Write, tmp_path: Path) -> None:
    entries = [{"step": 10, "value": 0.5}, {"step": 20, "value": 0.25, "rate": 0.1}]
    write("metrics.json", {"val": {"loss": entries}})
    metrics = find_metrics((tmp_path,), None)
    assert metrics.scalars == {"val.loss": 0.25, "val.loss.rate": 0.1}
    assert metrics.curves[0] == Curve(name="val.loss", steps=(10, 20), values=(0.5, 0.25))


def test_not_a_number_and_infinity_keep_their_value(write: Write, tmp_path: Path) -> None:
    write(
        "metrics.json",
        '{"a": NaN, "b": Infinity, "c": -Infinity, "d": 1e999, "e": [1, NaN], "f": -1' + "0" * 400 + "}",
    )
    assert scalars(tmp_path) == {"a": "nan", "b": "inf", "c": "-inf", "d": "inf", "e": "nan", "f": "-inf"}


def test_a_long_curve_is_thinned_and_keeps_its_ends(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"loss": list(range(100_000))})
    (curve,) = find_metrics((tmp_path,), None).curves
    assert len(curve.steps) == len(curve.values) == 1000
    assert (curve.values[0], curve.values[-1]) == (0, 99_999)
    assert list(curve.steps) == sorted(set(curve.steps))


def test_a_byte_order_mark_is_no_matter(write: Write, tmp_path: Path) -> None:
    write("metrics.json", "\ufeff" + '{"loss": 1}')
    assert scalars(tmp_path) == {"loss": 1}


def test_names_in_any_script_are_kept_as_they_are(write: Write, tmp_path: Path) -> None:
    write("metrics.json", '{"\u7cbe\u5ea6": 1, "a b/c|d`e": 2, "\\ud83d\\ude00": 3}')
    assert scalars(tmp_path) == {"\u7cbe\u5ea6": 1, "a b/c|d`e": 2, "\U0001f600": 3}


def test_an_object_without_numbers_is_fine_and_empty(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {})
    assert find_metrics((tmp_path,), None) == Metrics(source="metrics.json")


# -- dvclive -----------------------------------------------------------------------------------------------------


def test_dvclive_gives_final_values_and_curves(write: Write, tmp_path: Path) -> None:
    write("dvclive/metrics.json", {"train": {"loss": 0.11}, "step": 2})
    write("dvclive/plots/metrics/train/loss.tsv", "step\tloss\n0\t0.9\n1\t0.5\n2\t0.1\n")
    write(
        "dvclive/plots/metrics/acc.tsv",
        "timestamp\tstep\tacc\n1700000000\t5\t0.5\n1700000001\t6\t\n1700000002\t7\tnan\n",
    )
    metrics = find_metrics((tmp_path,), None)
    assert metrics.source == "dvclive/metrics.json"
    assert metrics.scalars == {"train.loss": 0.11, "step": 2, "acc": "nan"}
    assert metrics.curves == (
        Curve(name="acc", steps=(5, 7), values=(0.5, "nan")),
        Curve(name="train.loss", steps=(0, 1, 2), values=(0.9, 0.5, 0.1)),
    )


def test_curves_alone_give_their_last_values(write: Write, tmp_path: Path) -> None:
    write("dvclive/plots/metrics/loss.tsv", "step\tloss\n0\t0.9\n1\t0.5\n")
    assert scalars(tmp_path) == {"loss": 0.5}


def test_a_dvclive_without_a_folder_of_its_own_is_read_too(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"loss": 0.5})
    write("plots/metrics/loss.tsv", "step\tloss\n0\t0.9\n1\t0.5\n")
    assert [curve.name for curve in find_metrics((tmp_path,), None).curves] == ["loss"]


@pytest.mark.parametrize("content", ["", "step\n1\n", "step\tloss\n0\tlow\n"])
def test_a_table_that_is_none_is_refused(write: Write, tmp_path: Path, content: str) -> None:
    write("dvclive/plots/metrics/loss.tsv", content)
    with pytest.raises(MetricsInvalid, match=r"loss\.tsv"):
        scalars(tmp_path)


def test_too_many_tables_are_refused(write: Write, tmp_path: Path) -> None:
    for number in range(1001):
        write(f"dvclive/plots/metrics/{number}.tsv", "step\tx\n0\t1\n")
    with pytest.raises(MetricsInvalid, match="plots/metrics"):
        scalars(tmp_path)


def test_tables_share_one_bound(write: Write, tmp_path: Path) -> None:
    for number in range(3):
        write(f"dvclive/plots/metrics/{number}.tsv", "step\tx\n" + "0\t1\n" * 100)
    with pytest.raises(MetricsInvalid):
        find_metrics((tmp_path,), None, max_bytes=1000)


# -- where it is looked for ------------------------------------------------------------------------------------


def test_nothing_found_is_no_metrics(tmp_path: Path) -> None:
    assert find_metrics((tmp_path, tmp_path / "absent"), None) == Metrics()


def test_the_first_root_that_has_some_wins(write: Write, tmp_path: Path) -> None:
    write("model/dvclive/metrics.json", {"from": 1})
    write("code/metrics.json", {"from": 2})
    roots = (tmp_path / "out", tmp_path / "model", tmp_path / "code")
    assert find_metrics(roots, None).scalars == {"from": 1}


def test_the_plain_file_is_before_dvclive(write: Write, tmp_path: Path) -> None:
    write("dvclive/metrics.json", {"from": 1})
    write("metrics.json", {"from": 2})
    assert scalars(tmp_path) == {"from": 2}


def test_a_configured_file_is_the_only_one_that_counts(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"from": 1})
    write("out/scores.json", {"from": 2})
    metrics = find_metrics((tmp_path,), "out/scores.json")
    assert (metrics.source, metrics.scalars) == ("out/scores.json", {"from": 2})


def test_a_configured_table_is_a_curve(write: Write, tmp_path: Path) -> None:
    write("log/loss.tsv", "step\tloss\n0\t0.9\n1\t0.5\n")
    assert find_metrics((tmp_path,), "log/loss.tsv").scalars == {"loss": 0.5}


def test_a_configured_file_that_is_missing_is_an_error(write: Write, tmp_path: Path) -> None:
    write("metrics.json", {"from": 1})
    with pytest.raises(MetricsInvalid, match=r"scores\.json") as caught:
        find_metrics((tmp_path,), "scores.json")
    assert caught.value.hint


@pytest.mark.parametrize("path", ["/etc/passwd", "../metrics.json", "a/../../metrics.json", ".", "a\0b"])
def test_a_configured_path_stays_in_the_project(tmp_path: Path, path: str) -> None:
    with pytest.raises(MetricsInvalid):
        find_metrics((tmp_path,), path)


def test_a_view_in_the_checkout_leads_to_the_model(write: Write, tmp_path: Path) -> None:
    write("model/scores.json", {"loss": 1})
    (tmp_path / "code").mkdir()
    (tmp_path / "code/models").symlink_to(tmp_path / "model")
    roots = (tmp_path / "out", tmp_path / "model", tmp_path / "code")
    assert find_metrics(roots, "models/scores.json").scalars == {"loss": 1}


def test_the_files_of_an_earlier_training_do_not_count(write: Write, tmp_path: Path) -> None:
    old = write("model/metrics.json", {"from": 1})
    write("model/dvclive/plots/metrics/old.tsv", "step\told\n0\t1\n")
    since = max(path.stat().st_ctime_ns for path in tmp_path.rglob("*")) + 1
    while time.time_ns() < since + 50_000_000:
        time.sleep(0.01)
    assert find_metrics((tmp_path / "model",), None, since_ns=since) == Metrics()
    with pytest.raises(MetricsInvalid, match=r"metrics\.json") as caught:
        find_metrics((tmp_path / "model",), "metrics.json", since_ns=since)
    assert "before" in caught.value.why
    write("model/dvclive/metrics.json", {"from": 2})
    assert find_metrics((tmp_path / "model",), None, since_ns=since).scalars == {"from": 2}
    # A time stamp that is set by hand makes a new file no older.
    old.write_text('{"from": 3}')
    os.utime(old, ns=(0, 0))
    assert find_metrics((tmp_path / "model",), None, since_ns=since).scalars == {"from": 3}
