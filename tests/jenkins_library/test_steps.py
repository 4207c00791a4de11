"""The steps themselves, on JenkinsPipelineUnit: plain, and in the form that Jenkins can stop and go on with."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import need

HERE = Path(__file__).parent
LONGEST = 1200
"""Seconds; with an empty cache Maven downloads for a minute or two."""


def test_the_steps_do_what_they_say(tmp_path: Path) -> None:
    need(shutil.which("mvn"), "needs mvn, to run the tests of the Jenkins steps")
    done = maven("--offline", built=tmp_path / "built")
    if "in offline mode" in done.stdout:
        done = maven(built=tmp_path / "built")
    assert done.returncode == 0, failures(done.stdout)
    assert set(re.findall(r"Running (\w+)", done.stdout)) == {
        path.stem for path in HERE.glob("src/test/groovy/*Test.groovy")
    }


def maven(*options: str, built: Path) -> subprocess.CompletedProcess[str]:
    """Run all tests of the steps; Maven keeps what it downloads for the next time."""
    return subprocess.run(
        ("mvn", "--batch-mode", "--no-transfer-progress", *options, f"-Dbuilt={built}", "test"),
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )


def failures(text: str) -> str:
    """Give what Maven says of failures, without what it says of itself."""
    wanted = re.compile(r"\[ERROR\]|\s+at \w+Test|\S*(?:Error|Exception):")
    return "\n".join([line for line in text.splitlines() if wanted.match(line)][:80])
