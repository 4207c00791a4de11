"""The comment on a change request: what the summary shows, behind a hidden marker, within GitHub's limit."""

from __future__ import annotations

import msgspec
import pytest

from ci_mlsnap.domain.gates import Finding, Gate, Verdict
from ci_mlsnap.domain.metrics import Curve, Metrics
from ci_mlsnap.domain.notices import COMMENT_LIMIT
from ci_mlsnap.report.comment import comment_body
from ci_mlsnap.report.curve import chart, plain, sparkline
from tests.report.corpus import HOSTILE, KINDS, in_all_places
from tests.report.page import Page, read_page
from tests.report.records import SHA, hostile_record, record

RUN = "https://ci.example/org/digits/actions/runs/7"
MARKER = "<!-- mlsnap:digits -->\n"


def shown(text: str) -> Page:
    """Read a comment as a person sees it: the marker must be its first line, and is not to be seen."""
    marker, _, rest = text.partition("\n")
    assert marker.startswith("<!-- mlsnap:")
    return read_page(rest, link=RUN)


def test_the_comment_begins_with_its_marker_and_leads_to_the_run() -> None:
    text = comment_body(record(run_url=RUN, steps={"train": 12.7}, attempt=2))
    assert text.startswith(MARKER)
    page = shown(text)
    assert "The run trained for 12.7 s · attempt 2" in page.texts
    for words in ("▲ +0.0111 better", "✅ met", "❌ missed", SHA, "mlsnap restore", "mlsnap checkout cdcd"):
        assert words in page.text


def test_a_missing_base_is_said() -> None:
    page = shown(comment_body(record(baseline="", baseline_metrics={})))
    assert "There is no version of the base branch to compare with yet." in page.texts
    assert "Go back" not in page.text


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_text_stays_text(kind: str) -> None:
    plain_page = shown(_with_model("x"))
    for text in in_all_places(KINDS[kind]):
        page = shown(_with_model(text))
        # A name that begins a fork of its own, such as ![, may neither add nor take an element.
        assert page.shape == plain_page.shape, ascii(text)


def _with_model(text: str) -> str:
    """The model's name is a label that settings check; all else is a stranger's."""
    return comment_body(msgspec.structs.replace(hostile_record(text), model="digits", run_url=RUN))


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://u:p@x/", "nfs://x/y", "https://é.example/", ""])
def test_what_is_no_web_address_is_no_link(url: str) -> None:
    assert "The run" not in shown(comment_body(record(run_url=url))).text


@pytest.mark.parametrize("url", ["https://x/)](https://evil.example", "https://x/<b>", "https://x/`'\"[]\\|{}^"])
def test_nothing_in_a_link_can_end_it(url: str) -> None:
    text = comment_body(record(run_url=url))
    inside = text.split("[The run](")[1].split(")")[0]
    read_page(text.partition("\n")[2], link=inside)
    assert set(inside).isdisjoint("()<>[]\\`|{}^\"' ")


@pytest.mark.parametrize("length", [10, 90, 200])
@pytest.mark.parametrize("char", ["a", "|", "字", "😀", "_"])
def test_a_comment_is_never_too_long(length: int, char: str) -> None:
    names = [f"{number:03}{char * length}" for number in range(120)]
    findings = tuple(Finding(metric=name, good=False, text=f"{name} 1.0000 < 2.0000") for name in names)
    made = record(
        run_url=RUN,
        metrics=Metrics(
            scalars=dict.fromkeys(names, 1.0),
            curves=tuple(Curve(name=name, steps=(0.0, 1.0), values=(0.0, 1.0)) for name in names),
        ),
        gates=tuple(Gate(metric=name, min=2.0) for name in names),
        verdict=Verdict(good=False, findings=findings),
        reason=char * 5000,
    )
    text = comment_body(made)
    assert len(text) <= COMMENT_LIMIT
    page = shown(text)
    assert "This is shortened: the run's own summary has more." in page.texts
    assert "and 100 more gates missed" in page.texts


# -- curves -------------------------------------------------------------------------------------------


def curve(*values: float | str, name: str = "loss") -> Curve:
    return Curve(name=name, steps=tuple(float(step) for step in range(len(values))), values=values)


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((1.0, 2.0, 3.0), "▁▅█"),
        ((3.0, 2.0, 1.0), "█▅▁"),
        ((1.0, 1.0), "▁▁"),
        ((0.0, "nan", 1.0), "▁·█"),
        ((0.0, "inf", 1.0), "▁·█"),
        ((-1.7e308, 1.7e308), "▁█"),
        ((1.0,), ""),
        ((), ""),
        (("nan", "nan"), ""),
    ],
)
def test_a_sparkline_is_the_curves_shape(values: tuple[float | str, ...], line: str) -> None:
    assert sparkline(curve(*values)) == line


def test_a_long_curve_keeps_its_ends() -> None:
    line = sparkline(curve(9.0, *[5.0] * 1000, 1.0))
    assert (len(line), line[0], line[-1]) == (12, "█", "▁")


def test_a_chart_has_the_steps_it_was_measured_at() -> None:
    """Between uneven steps the last known value stands, since a chart's points are at even distances."""
    drawn = chart(Curve(name="loss", steps=(0.0, 1.0, 1000.0), values=(3.0, 2.0, 1.0)))
    assert drawn is not None
    assert drawn.mermaid.splitlines() == [
        "xychart-beta",
        '  title "loss"',
        '  x-axis "step" 0 --> 1000',
        '  y-axis "loss"',
        "  line [3, 2, 1]",
    ]


@pytest.mark.parametrize("values", [(1.0,), ("nan", "nan"), (1e13, 1.0), (1e-9, 2e-9), (1e300, 1.0)])
def test_what_mermaid_cannot_draw_is_left_out(values: tuple[float | str, ...]) -> None:
    assert chart(curve(*values)) is None


def test_no_name_says_anything_to_mermaid_or_ends_its_fence() -> None:
    for text in HOSTILE:
        drawn = chart(curve(0.0, 1.0, name=text))
        assert drawn is not None
        title = drawn.mermaid.splitlines()[1]
        assert len(drawn.mermaid.splitlines()) == 5
        assert set(title.removeprefix('  title "').removesuffix('"')).isdisjoint('"`%{}<>;:#&\\\n[](),=@')
        assert plain(text).isprintable()


def test_where_training_left_no_curve_it_is_the_metric_over_the_last_versions() -> None:
    before = Curve(name="accuracy", steps=(0.0, 1.0), values=(0.8, 0.9))
    page = shown(comment_body(record(history=before)))
    assert "▁▅█" in page.text
    assert 'x-axis "version" 0 --> 2' in page.text
    assert "line [0.8, 0.9, 0.9611]" in page.text


def test_without_a_version_before_there_is_no_line_of_them() -> None:
    assert "mermaid" not in comment_body(record(history=None))
    other = Curve(name="another metric", steps=(0.0,), values=(1.0,))
    assert "mermaid" not in comment_body(record(history=other))
