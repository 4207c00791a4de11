"""Errors stand where GitHub shows them: at the line of the file that is to blame, and one for each missed gate."""

from __future__ import annotations

from tests.ci.test_actions_log import commands
from tests.publishing.conftest import Job, MakeJob


def errors(stderr: str) -> list[tuple[str, str]]:
    """Give the errors that the runner obeys: their properties, as it reads them, and their texts."""
    found = [(place, text) for name, place, text in commands(stderr) if name == "error"]
    return [(place.replace("%3A", ":").replace("%2C", ","), text) for place, text in found]


def test_each_wrong_setting_is_shown_at_its_line(job: Job) -> None:
    job.place.configure('train = "true"\nvolume = "models"\ntrian = 1\n\n[gates.accuracy]\nmin = "high"\n')
    said = job.push(expect=2)
    (first, second) = errors(said.stderr)
    assert (first[0], second[0]) == (
        "file=mlsnap.toml,line=3,title=mlsnap: trian",
        "file=mlsnap.toml,line=6,title=mlsnap: gates.accuracy.min",
    )
    assert first[1].startswith("config-invalid: unknown key; did you mean train")


def test_a_projects_file_is_named_from_the_top_of_the_repository(make_job: MakeJob) -> None:
    job = make_job(folder="models/digits")
    job.place.configure('train = "true"\ntrian = 1\n')
    ((place, _),) = errors(job.push(expect=2).stderr)
    assert place == "file=models/digits/mlsnap.toml,line=2,title=mlsnap: trian"


def test_each_missed_gate_is_an_error_of_its_own(make_job: MakeJob) -> None:
    found = errors(make_job("[gates.accuracy]\nmin = 0.95\n[gates.loss]\nmax = 1\n").push(expect=12).stderr)
    assert found == [
        ("title=mlsnap: accuracy missed its gate", "gate-missed: accuracy 0.9000 < 0.9500"),
        ("title=mlsnap: loss missed its gate", "gate-missed: loss was not reported"),
    ]


def test_of_many_the_tenth_says_how_many_more_there_are(make_job: MakeJob) -> None:
    gates = "".join(f"[gates.m{number:02}]\nmin = 1\n" for number in range(14))
    found = errors(make_job(gates).push(expect=12).stderr)
    assert len(found) == 10
    assert found[-1] == ("", "gate-missed: and 5 more, which the log has")
