"""The files of the actions: made from one table, clean by the checkers, secrets only where they belong."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from ci_mlsnap.ci.inputs import INPUTS, OUTPUTS
from ci_mlsnap.domain.record import Record
from ci_mlsnap.flows.closing import outputs
from tests.action.conftest import ROOT, tool
from tests.conftest import GitRepository

ACTIONS = ["action.yml", *sorted(str(it.relative_to(ROOT)) for it in ROOT.glob("actions/*/action.yml"))]
_STEP = re.compile(r"^    - id: (?P<id>\w+)\n(?P<body>(?:      .*\n)+)", re.MULTILINE)
SECRETS = {one.handed_over_as for one in INPUTS if one.name in ("token", "ontap-password", "ontap-token")}


def steps(action: str) -> dict[str, str]:
    """Give the text of each step of an action, by its name."""
    return {found["id"]: found["body"] for found in _STEP.finditer((ROOT / action).read_text())}


def script(body: str) -> str:
    """Give the text that a step hands to the shell."""
    one_line, block = re.search(r"^      run: (?:\|\n((?:        .*\n)+)|(.*)\n)", body, re.MULTILINE).group(2, 1)  # type: ignore[union-attr]
    return str(one_line or re.sub(r"^        ", "", block, flags=re.MULTILINE))


def test_all_files_and_tables_are_as_the_generator_writes_them() -> None:
    done = subprocess.run(
        (sys.executable, "actions/generate.py", "--check"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, ""), f"{done.stdout}{done.stderr}\nrun: make docs"


def test_the_page_has_every_input_and_output_once() -> None:
    page = (ROOT / "docs/github.md").read_text()
    for heading, names in (("Inputs", [one.name for one in INPUTS]), ("Outputs", list(OUTPUTS))):
        section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)
        assert set(names) <= set(rows), heading
        assert len(rows) == len(set(rows))


def test_the_outputs_in_the_table_are_those_of_a_run() -> None:
    blank = Record(format="mlsnap/record/1", outcome="nothing", project="p", model="m", commit="c", tool="t")
    assert set(outputs(blank)) == set(OUTPUTS)


@pytest.mark.parametrize("action", ACTIONS)
def test_no_expression_stands_in_what_a_shell_reads(action: str) -> None:
    found = steps(action)
    assert "setup" in found
    for name, body in found.items():
        assert "${{" not in script(body), name
        assert "shell: bash\n" in body
        if "uses:" in body:
            raise AssertionError(f"{name} needs another action")


@pytest.mark.parametrize("action", ACTIONS)
def test_training_and_set_up_get_no_secret(action: str) -> None:
    for name, body in steps(action).items():
        given = {it for it in SECRETS if f"        {it}: " in body}
        if name in ("setup", "train"):
            assert given == set()
            assert "inputs.token" not in body
        if name in ("begin", "conclude", "finish"):
            assert given == SECRETS


@pytest.mark.parametrize("action", ACTIONS)
def test_a_command_takes_the_place_of_its_shell_in_a_python_that_reads_nothing_of_the_job(action: str) -> None:
    for name, body in steps(action).items():
        last = script(body).strip().splitlines()[-1]
        if name == "setup":
            assert last.startswith("exec bash ")
        elif name == "diff":
            assert "| tee -a" in last
        else:
            plain = re.sub(r"^exec env( -u INPUT_[A-Z_-]+)+ ", "exec ", last) if name == "train" else last
            assert plain == f'exec "$MLSNAP_PYTHON" -I -B -m ci_mlsnap {name}'


@pytest.mark.parametrize("action", ACTIONS)
def test_what_runs_with_secrets_after_training_is_compared_first(action: str) -> None:
    names = list(steps(action))
    later = names[names.index("train") + 1 :] if "train" in names else [it for it in names if it == "conclude"]
    for name in later:
        assert "MLSNAP_SEAL" in script(steps(action)[name])


def test_the_seal_is_computed_alike_at_set_up_and_after_training() -> None:
    line = next(it.strip() for it in script(steps("action.yml")["finish"]).splitlines() if "find ." in it)
    assert line in (ROOT / "actions/setup/setup.sh").read_text()


def test_all_that_is_installed_is_locked_by_hash() -> None:
    lines = (ROOT / "actions/setup/requirements.txt").read_text().replace("\\\n", " ").splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert len(wanted) > 20
    assert [
        line for line in wanted if not re.match(r"[a-z0-9._-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line)
    ] == []
    names = {line.split("==")[0] for line in wanted}
    assert {"hatchling", "pygithub", "netapp-ontap", "msgspec", "click", "jinja2", "rich"} <= names


def test_zizmor_finds_nothing() -> None:
    done = subprocess.run(
        (
            tool("zizmor"),
            "--offline",
            "--no-progress",
            "--config",
            ".github/zizmor.yml",
            *ACTIONS,
            ".github/workflows",
        ),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARN" not in done.stdout + done.stderr


def test_actionlint_finds_nothing_in_our_workflows() -> None:
    workflows = sorted(str(it) for it in (ROOT / ".github/workflows").glob("*.yml"))
    done = subprocess.run((tool("actionlint"), *workflows), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_find_nothing_in_the_workflows_that_init_writes(repository: GitRepository) -> None:
    sha = "c0ffee" * 6 + "0000"
    init = (sys.executable, "-m", "ci_mlsnap", "init", "--github", "--forks", f"--action=acme/mlsnap-action@{sha}")
    subprocess.run(init, cwd=repository.path, check=True, capture_output=True)
    files = [f".github/workflows/{name}.yml" for name in ("mlsnap", "mlsnap-forks")]
    for command in ((tool("zizmor"), "--offline", "--no-progress", *files), (tool("actionlint"), *files)):
        done = subprocess.run(command, cwd=repository.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_test_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/github.md").read_text()))
    there = {
        name
        for file in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    assert len(named) > 20
    assert named - there == set()
