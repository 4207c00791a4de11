"""The comment on a change request and the check run: what a run leaves besides statuses.

Both show the record in Markdown. Neither is ever a reason for a run to fail.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ci_mlsnap.domain.announcing import conclusion_of, has_news
from ci_mlsnap.domain.notices import CheckRun, Comment, Notice, marker_of
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.flows.announce import send_notices
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.ports import Driver, Step
from ci_mlsnap.report.comment import check_text, comment_body
from ci_mlsnap.report.summary import HEADLINES
from ci_mlsnap.state.notices import NoticeBox

_KINDS = ("push", "pull_request", "manual", "workflow_run")
"""Events whose commit may be the head of a change request; a merge queue's, a tag's and a schedule's is none."""
_NAMES = {Comment: "comment", CheckRun: "check run"}


def leave_notices(hands: Hands, driver: Driver, plan: Plan, record: Record) -> Record:
    """Tell how the run ended, on the commit's change requests and as a check run; give the record with the pages.

    Where the forge is silent they wait, and go with the next run or `mlsnap publish`. Never raises for the
    forge's sake. By hand, and on a run that was stopped, none is left.
    """
    notices = tuple(_notices(hands, plan, record))
    snapshot = record.volume.snapshot if record.volume else ""
    for notice in notices:
        NoticeBox(driver.state_folder()).put(plan.repository, notice, snapshot=snapshot)
    if not notices:
        return record
    if record.queued:  # the forge did not take the status either
        text = " and ".join(_NAMES[type(notice)] for notice in notices) + " waits until the forge answers again"
        hands.progress.step(Step(name="publish", state="note", text=text))
        return record
    return _sent(hands, driver, record, notices)


def _notices(hands: Hands, plan: Plan, record: Record) -> Iterator[Notice]:
    silent = plan.dirty or record.outcome in ("cancelled", "nothing")
    if silent or not (plan.event.ci and plan.repository and hands.announcer.forge):
        return
    if plan.comment != "never" and plan.event.kind in _KINDS:
        yield Comment(
            sha=plan.commit,
            number=plan.event.pull_request,
            from_fork=bool(plan.event.untrusted),
            marker=marker_of(plan.model),
            body=comment_body(record),
            only_edits=plan.comment == "on-change" and not has_news(record),
        )
    if plan.check_runs:
        yield CheckRun(
            sha=plan.commit,
            name=f"{plan.model} report",
            run=f"{plan.event.run_id}.{plan.event.run_attempt}",
            conclusion=conclusion_of(record),
            title=HEADLINES[record.outcome],
            summary=check_text(record),
            url=plan.target_url,
        )


def _sent(hands: Hands, driver: Driver, record: Record, notices: tuple[Notice, ...]) -> Record:
    told = send_notices(driver, hands.announcer)
    urls = {type(notice): url for notice, url in told.sent if notice in notices and url}
    for kind, url in urls.items():
        hands.progress.step(Step(name="publish", state="ok", text=f"{_NAMES[kind]} {url}"))
    for notice, why in (*told.kept, *told.dropped):
        if notice in notices:
            text = f"{_NAMES[type(notice)]} not posted: {why}"
            hands.progress.step(Step(name="publish", state="note", text=text))
    return msgspec.structs.replace(record, comment_url=urls.get(Comment, ""))
