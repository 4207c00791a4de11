"""A check run for each run of a commit, found again by its name and the run, and edited in place."""

from __future__ import annotations

from ci_mlsnap.domain.notices import CheckRun
from ci_mlsnap.forge import request as requests
from ci_mlsnap.forge.comments import Asker
from ci_mlsnap.forge.once import once


def put(client: Asker, repository: str, check: CheckRun) -> str:
    """Let the check run be there with this result; give its page. Only an Action's or App's token may do so."""

    def edited() -> str | None:
        there = client.listed(requests.listing_checks(repository, check), "check_runs")
        number = next((each.get("id") for each in there if each.get("external_id") == check.run), None)
        if not isinstance(number, int):
            return None
        return str(client.facts(requests.checking_again(repository, number, check)).get("html_url") or "")

    def made() -> str:
        return str(client.facts(requests.checking(repository, check), repeats=False).get("html_url") or "")

    return once(client, edited, made)
