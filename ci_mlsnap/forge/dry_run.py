"""A forge that sends nothing and says what it would send."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ci_mlsnap.domain.notices import CheckRun, Comment, Deployment, Notice
from ci_mlsnap.domain.status import CommitStatus
from ci_mlsnap.forge import request as requests
from ci_mlsnap.forge.request import Request
from ci_mlsnap.ports import Sent


class DryRun:
    """A `Forge` that needs no token and no network. Each request stays in `requests` and goes to `show`."""

    def __init__(self, *, show: Callable[[str], None] | None = None) -> None:
        self.requests: list[Request] = []
        self._show = show

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        """Keep the request that would send the status. Raises `ForgeRejected` where `GitHub` would send none."""
        self._keep(requests.posting(repository, status))
        return Sent()

    def may_post(self, repository: str) -> str:
        """Keep the request that would look; nothing is known to stop what is not sent."""
        self._keep(requests.looking(repository))
        return ""

    def statuses_of(self, repository: str, sha: str) -> Sequence[CommitStatus]:
        """Keep the request that would ask; nothing is answered to what is not sent."""
        self._keep(requests.reading(repository, sha))
        return ()

    def newest_statuses(self, repository: str, sha: str) -> Sequence[CommitStatus]:
        """Keep the request that would ask; nothing is answered to what is not sent."""
        self._keep(requests.summing(repository, sha, 1))
        return ()

    def tell(self, repository: str, notice: Notice) -> Sent:
        """Keep the requests that would look for what is there, and, where these say enough, make it."""
        for request in _telling(repository, notice):
            self._keep(request)
        return Sent()

    def _keep(self, request: Request) -> None:
        self.requests.append(request)
        if self._show is not None:
            self._show(str(request))


def _telling(repository: str, notice: Notice) -> list[Request]:
    match notice:
        case Comment(number=0):
            return [requests.finding_requests(repository, notice.sha)]
        case Comment():
            return [
                requests.reading_request(repository, notice.number),
                requests.listing_comments(repository, notice.number, 1),
                requests.commenting(repository, notice.number, notice.body),
            ]
        case Deployment():
            return [requests.listing_deployments(repository, notice), requests.deploying(repository, notice)]
        case CheckRun():
            return [requests.listing_checks(repository, notice), requests.checking(repository, notice)]
