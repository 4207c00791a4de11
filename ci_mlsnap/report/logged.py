"""One row of `mlsnap log`."""

from __future__ import annotations

from ci_mlsnap.domain.metrics import headline
from ci_mlsnap.domain.status import cut, one_line
from ci_mlsnap.domain.texts import better, change, size
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.ports import CommitFacts
from ci_mlsnap.report.rendering import short
from ci_mlsnap.report.told import headline_of


def log_row(
    commit: CommitFacts | None, version: Version | None, base: Version | None, best: bool
) -> tuple[str, ...]:
    """Give the cells: mark, name, time, message, metric, change against the baseline, size, remarks."""
    sha = commit.sha if commit else version.header.commit if version else ""
    subject = cut(one_line(commit.subject), 40) if commit else "(not in this history)"
    if version is None:
        return ("·", sha[:7], _when(commit.time if commit else ""), subject, "", "", "", "no version")
    first = headline_of(version)
    attempt = version.name.is_version
    return (
        ("ok" if version.good else "no") if attempt else "--",
        short(version.header.name),
        _when(version.header.created),
        subject,
        f"{cut(one_line(first[0]), 20)} {first[1]}" if first else "",
        _moved(version, base),
        size(version.header.bytes),
        "best" if best else "" if attempt else "kept",
    )


def _moved(version: Version, base: Version | None) -> str:
    name = headline(version.metrics, tuple(gate.metric for gate in version.header.gates))
    if name is None or base is None:
        return ""
    value, before = version.metrics[name], base.metrics.get(name)
    word = {True: " better", False: " worse", None: ""}[better(name, value, before)]
    return change(name, value, before) + word


def _when(moment: str) -> str:
    return moment[:16].replace("T", " ")
