"""The comment on a change request: one for each model, edited in place, never a reason for a run to fail."""

from __future__ import annotations

import msgspec

from ci_mlsnap.domain.announcing import has_news
from ci_mlsnap.domain.notices import Comment, marker_of
from ci_mlsnap.domain.plan import Plan
from ci_mlsnap.domain.record import Record
from ci_mlsnap.flows.announce import send_notices
from ci_mlsnap.flows.context import Hands
from ci_mlsnap.ports import Driver, Step
from ci_mlsnap.report.comment import comment_body
from ci_mlsnap.state.notices import NoticeBox

_KINDS = ("push", "pull_request", "manual", "workflow_run")
"""Events whose commit may be the head of a change request; a merge queue's, a tag's and a schedule's is none."""


def leave_comment(hands: Hands, driver: Driver, plan: Plan, record: Record) -> Record:
    """Tell the commit's change requests how the run ended; give the record with the comment's page.

    Where the forge is silent the comment waits, and goes with the next run or `mlsnap publish`. Never raises for
    the forge's sake. By hand, and on a run that was stopped, none is left.
    """
    if not _is_wanted(hands, plan, record):
        return record
    comment = Comment(
        sha=plan.commit,
        number=plan.event.pull_request,
        from_fork=bool(plan.event.untrusted),
        marker=marker_of(plan.model),
        body=comment_body(record),
        only_edits=plan.comment == "on-change" and not has_news(record),
    )
    snapshot = record.volume.snapshot if record.volume else ""
    NoticeBox(driver.state_folder()).put(plan.repository, comment, snapshot=snapshot)
    if record.queued:  # the forge did not take the status either
        hands.progress.step(Step(name="comment", state="note", text="waits until the forge answers again"))
        return record
    return _sent(hands, driver, record, comment)


def _is_wanted(hands: Hands, plan: Plan, record: Record) -> bool:
    return (
        plan.comment != "never"
        and bool(plan.event.ci and plan.repository and hands.announcer.forge)
        and plan.event.kind in _KINDS
        and not plan.dirty
        and record.outcome not in ("cancelled", "nothing")
    )


def _sent(hands: Hands, driver: Driver, record: Record, comment: Comment) -> Record:
    told = send_notices(driver, hands.announcer)
    url = next((url for notice, url in told.sent if notice == comment), "")
    if url:
        hands.progress.step(Step(name="comment", state="ok", text=url))
    for notice, why in (*told.kept, *told.dropped):
        if notice == comment:
            hands.progress.step(Step(name="comment", state="note", text=f"not posted: {why}"))
    return msgspec.structs.replace(record, comment_url=url)
