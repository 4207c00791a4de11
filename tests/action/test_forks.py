"""A pull request from a fork, by the workflows that `mlsnap init` writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

from ci_mlsnap.flows.init import ACTION
from tests.action.conftest import FORKS, REPOSITORY, Workplace

Make = Callable[..., Workplace]


def test_a_change_of_a_fork_is_told_by_the_workflow_that_init_writes(workplace: Make) -> None:
    place = workplace(files={"mlsnap.toml": 'train = "sh train.sh"\n'})
    init = (sys.executable, "-m", "ci_mlsnap", "init", "--forks", "--action", ACTION)
    subprocess.run(init, cwd=place.repository.path, check=True, capture_output=True)
    text = (place.repository.path / FORKS).read_text()
    given = "volume: VOLUME\ninstall: skip\npython-path: PYTHON\ntoken: ${{ secrets.TOKEN }}\ngithub-url: URL"
    text = text.replace("          fork: true\n", "          fork: true\nMORE\n")
    place.workflow(text, more=given, file=FORKS)
    base = place.repository.head()
    place.repository.git("update-ref", "refs/remotes/origin/main", base)  # as a checkout leaves it
    sha = place.repository.commit("a proposal", {"weights.txt": "theirs\n"})
    place.repository.git("update-ref", "refs/pull/9/head", sha)
    place.repository.git("reset", "--quiet", "--hard", base)
    place.server.conversations.open_request(REPOSITORY, 9, sha, fork="mallory/digits")
    run = {
        "event": "pull_request",
        "head_sha": sha,
        "head_branch": "patch-1",
        "head_repository": {"full_name": "mallory/digits"},
        "actor": {"login": "mallory"},
        "pull_requests": [],
        "path": ".github/workflows/mlsnap.yml@refs/heads/main",
    }
    ran = place.act("workflow_run", {"workflow_run": run, "repository": place.described()}, file=FORKS)
    assert ran.code == 0, ran.log
    assert place.states(sha) == ["pending"]
    assert "maintainer" in str(place.server.board.statuses(REPOSITORY, sha)[0]["description"])
    assert place.snapshots() == []
