"""A whole run on Actions in which every name and text is a stranger's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.ci.test_actions_log import commands
from tests.conftest import GitRepository
from tests.report.corpus import KINDS
from tests.report.page import read_page

MLSNAP = Path(sys.executable).with_name("mlsnap")
SUBJECT = "::error::forged $(touch canary) <script>@octocat</script> \x1b[2J"
BRANCH = "feature/$(touch${IFS}canary)&&<b>@octocat"
GATE = "a|b <img src=x> @octocat ##[error]x"


def _metrics() -> dict[str, float]:
    names = [text[:90] for kind in ("html", "markdown", "links", "shell") for text in KINDS[kind]]
    return {name: 1.0 for name in names if name.isprintable()}


def test_nothing_that_strangers_wrote_is_obeyed_by_a_shell_the_runner_or_the_page(
    repository: GitRepository, tmp_path: Path
) -> None:
    train = 'touch "$MLSNAP_MODEL_DIR/w"; cp metrics.in "$MLSNAP_METRICS"; printf "::error::from training\\n"'
    settings = (
        f"train = {json.dumps(train)}\n"
        f'[volumes.models]\npath = "models"\nstore = "{tmp_path / "store"}"\n'
        f"[gates.{json.dumps(GATE)}]\nmin = 2.0\n"
    )
    repository.git("checkout", "--quiet", "-b", BRANCH)
    files: dict[str, str | bytes] = {"mlsnap.toml": settings, ".gitignore": "/models/\n"}
    sha = repository.commit(SUBJECT, {**files, "metrics.in": json.dumps({**_metrics(), GATE: 1.0})})
    event, summary, output = (tmp_path / name for name in ("event.json", "summary", "output"))
    payload = {"after": sha, "ref": f"refs/heads/{BRANCH}", "repository": {"full_name": "o/r"}}
    event.write_text(json.dumps({**payload, "sender": {"login": SUBJECT}}))
    environment = {
        **os.environ,
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_REF": f"refs/heads/{BRANCH}",
        "GITHUB_SHA": sha,
        "GITHUB_ACTOR": SUBJECT,
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_OUTPUT": str(output),
    }

    def mlsnap(*arguments: str, expect: int) -> str:
        done = subprocess.run(
            (MLSNAP, *arguments),
            cwd=repository.path,
            env=environment,
            capture_output=True,
            check=False,
            timeout=100,
        )
        said = (done.stdout + b"\n" + done.stderr).decode(errors="replace")
        assert done.returncode == expect, ascii(said)
        return said

    planned = mlsnap("run", "--dry-run", expect=0)
    assert commands(planned) == []
    said = mlsnap("run", expect=12)
    ((name, place, text),) = commands(said)
    assert (name, place, text.partition(":")[0]) == ("error", "", "gate-missed")
    assert "::error::from training" in said
    page = read_page(summary.read_text())
    assert page.shape.count("table") == 1
    assert page.shape.count("tr") == 1 + 100 + 1, "the last row says how many more there are"
    assert any(text.startswith("Gate missed a|b <img src=x> @") for text in page.texts)
    for command in (("log",), ("show",), ("status",), ("restore", "HEAD")):
        shown = mlsnap(*command, expect=0)
        assert commands(shown) == []
        assert "\x1b[2J" not in shown
    assert list(tmp_path.rglob("canary")) == []
