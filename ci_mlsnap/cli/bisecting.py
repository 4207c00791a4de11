"""bisect: the first bad version between two commits. It writes nothing and needs no credentials."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ci_mlsnap.cli.options import json_option, open_here, stop_signals
from ci_mlsnap.cli.printing import emit_json, printable
from ci_mlsnap.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ci_mlsnap.flows.bisect import Candidate, Culprit
    from ci_mlsnap.flows.context import Project


@click.command()
@click.option(
    "--eval", "command", metavar="COMMAND", help="Judge by this command; {path} is the version's folder."
)
@click.option("--timeout", metavar="TIME", help="Skip a version on which the command takes longer, such as 10m.")
@click.option("--metric", metavar="NAME", help="Judge a version by this metric of its record; runs nothing.")
@click.option("--min", "lowest", type=float, help="The least value of the metric that is good.")
@click.option("--max", "highest", type=float, help="The largest value of the metric that is good.")
@json_option
@click.argument("good")
@click.argument("bad")
@click.pass_context
def bisect(ctx: click.Context, /, good: str, bad: str, as_json: bool, **how: Any) -> int:
    """Find the first bad version after the commit GOOD, up to the commit BAD; train nothing.

    The command's exit code is read as by `git bisect run`: 0 is good, 125 cannot tell, else bad, up to 127.
    It runs here, without a shell, in an environment without secrets, with MLSNAP_VERSION and MLSNAP_COMMIT set.
    """
    _refuse_unclear(**how)
    project = open_here(ctx)
    found = _by_metric(project, good, bad, **how) if how["metric"] else _by_command(project, good, bad, **how)
    if as_json:
        emit_json(_facts(found))
    else:
        for line in _lines(found):
            click.echo(printable(line))
    return ExitCode.DONE


def _refuse_unclear(
    *, command: str | None, timeout: str | None, metric: str | None, lowest: float | None, highest: float | None
) -> None:
    bounded = lowest is not None or highest is not None
    if (command is None) == (metric is None):
        raise _unclear("bisect needs either --eval COMMAND or --metric NAME")
    if bounded != (metric is not None):
        raise _unclear("--metric needs --min or --max, and these need --metric")
    if timeout is not None and command is None:
        raise _unclear("--timeout is for --eval; a metric takes no time")


def _unclear(what: str) -> UsageError:
    hint = "mlsnap bisect --eval 'python check.py {path}' GOOD BAD, or --metric accuracy --min 0.9 GOOD BAD"
    return UsageError(what, safe="nothing was done", hint=hint)


def _by_metric(
    project: Project, good: str, bad: str, *, metric: str, lowest: float | None, highest: float | None, **_: object
) -> Culprit:
    from ci_mlsnap.flows.bisect import bisect_by_metric

    return bisect_by_metric(project, good, bad, metric, min=lowest, max=highest)


def _by_command(
    project: Project, good: str, bad: str, *, command: str, timeout: str | None, **_: object
) -> Culprit:
    from ci_mlsnap.flows.bisect import bisect_by_command
    from ci_mlsnap.flows.evaluating import Evaluation, read_command
    from ci_mlsnap.services import isolate_training

    words, limit = read_command(command), _seconds(timeout)
    isolation = isolate_training(project.hands, trusted=False)
    evaluation = Evaluation(command=words, folder=Path.cwd(), timeout=limit, isolation=isolation)
    with stop_signals() as stop:
        return bisect_by_command(project, good, bad, evaluation, stop=stop)


def _seconds(text: str | None) -> float | None:
    from ci_mlsnap.config.durations import seconds

    if text is None:
        return None
    found = seconds(text)
    if not found:
        raise _unclear(f"{text[:40]!r} is no time such as 90s, 10m or 2h")
    return found


def _lines(found: Culprit) -> Iterator[str]:
    from ci_mlsnap.domain.texts import counted

    rows = [
        ("bad by" if found.unjudged else "first bad", found.first_bad.text),
        ("last good", found.last_good.text),
    ]
    rows += [("not judged", candidate.text) for candidate in found.unjudged]
    rows += [("no version", f"{commit.sha[:7]} {commit.subject[:60]}") for commit in found.untrained]
    for label, text in rows:
        yield f"{label:<10}  {text}"
    if found.untrained or found.unjudged:
        yield "it may be any of these: train one of them, or have it judged, to know more"
    yield f"{counted(found.judged, 'version')} of {found.candidates} judged"


def _facts(found: Culprit) -> dict[str, Any]:
    return {
        "first_bad": _candidate(found.first_bad),
        "last_good": _candidate(found.last_good),
        "unjudged": [_candidate(candidate) for candidate in found.unjudged],
        "untrained": [{"commit": commit.sha, "subject": commit.subject} for commit in found.untrained],
        "judged": found.judged,
        "versions": found.candidates,
    }


def _candidate(found: Candidate) -> dict[str, str]:
    return {"version": str(found.version.name), "commit": found.commit.sha, "subject": found.commit.subject}
