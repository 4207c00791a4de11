"""The set-up of the actions: which Python it takes, what it installs, and when it refuses."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci_mlsnap.testing.ground import every_stat
from tests.action.conftest import ROOT, tool
from tests.action.test_files import script, steps
from tests.conftest import IN_CI, GitRepository, need


@dataclass(frozen=True, kw_only=True)
class SetUp:
    """How the set-up ended."""

    code: int
    said: str
    outputs: dict[str, str]


def set_up(folder: Path, environment: Mapping[str, str], *, path: str = "", script_of: Path = ROOT) -> SetUp:
    """Run the set-up as a step does."""
    (folder / "temp").mkdir(exist_ok=True)
    out = folder / "output"
    out.write_text("")
    done = subprocess.run(
        ("bash", str(script_of / "actions/setup/setup.sh")),
        env={
            "PATH": path or os.environ["PATH"],
            "HOME": str(folder),
            "RUNNER_TEMP": str(folder / "temp"),
            "GITHUB_OUTPUT": str(out),
            **environment,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    outputs = dict(line.split("=", 1) for line in out.read_text().splitlines())
    return SetUp(code=done.returncode, said=done.stdout + done.stderr, outputs=outputs)


def make_environment(folder: Path) -> Path:
    """Make an environment that has nothing, but is one."""
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", str(folder)), check=True)
    return folder / "bin" / "python"


def sealed(folder: Path, python: Path, seal: str) -> subprocess.CompletedProcess[str]:
    """Run the text of the step that follows training, up to mlsnap itself."""
    text = script(steps("action.yml")["conclude"]).replace("exec ", "echo would run ")
    return subprocess.run(
        ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", text),
        env={"PATH": os.environ["PATH"], "MLSNAP_PYTHON": str(python), "MLSNAP_SEAL": seal},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_prepared_runner_installs_nothing(tmp_path: Path) -> None:
    done = set_up(tmp_path, {"MLSNAP_SETUP_INSTALL": "skip", "MLSNAP_SETUP_PYTHON": sys.executable})
    assert done.code == 0, done.said
    assert done.outputs == {"python": sys.executable, "seal": "-", "environment": f"- {sys.executable}"}
    assert os.listdir(tmp_path / "temp") == []


def test_the_mlsnap_on_the_path_is_found_with_its_python(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "mlsnap").symlink_to(Path(sys.executable).parent / "mlsnap")
    done = set_up(tmp_path, {"MLSNAP_SETUP_INSTALL": "skip"}, path=f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert done.code == 0, done.said
    assert Path(done.outputs["python"]) == (Path(sys.executable).parent / "mlsnap").resolve().with_name("python")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MLSNAP_SETUP_INSTALL": "skip", "MLSNAP_SETUP_PYTHON": "/usr/bin/false"}, "has no mlsnap"),
        ({"MLSNAP_SETUP_INSTALL": 'sk"ip; touch evil'}, "is neither own nor skip"),
        ({"MLSNAP_SETUP_PYTHON": "/nowhere/python"}, "is no Python 3.11 or newer"),
        ({"MLSNAP_SETUP_PYTHON": "$(touch evil)"}, "is no Python 3.11 or newer"),
        ({"MLSNAP_SETUP_PYTHON": "x\n::add-mask::y"}, "is no Python 3.11 or newer"),
    ],
)
def test_what_cannot_be_is_an_error_in_one_line(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    done = set_up(tmp_path, environment)
    assert done.code == 2
    [line] = [line for line in done.said.splitlines() if line.startswith("::")]
    assert line.startswith("::error title=mlsnap::")
    assert said in line
    assert done.outputs == {}
    assert sorted(os.listdir(tmp_path)) == ["output", "temp"]


def test_without_a_python_that_fits_the_error_says_what_to_do(tmp_path: Path) -> None:
    script_of = tmp_path / "action"
    (script_of / "actions/setup").mkdir(parents=True)
    text = (ROOT / "actions/setup/setup.sh").read_text().replace("/usr/bin/python3", "/nowhere/python3")
    (script_of / "actions/setup/setup.sh").write_text(text)
    (tmp_path / "bin").mkdir()
    for name in ("bash", "dirname"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    done = set_up(tmp_path, {}, path=str(tmp_path / "bin"), script_of=script_of)
    assert done.code == 2
    assert "apt-get install python3-venv" in done.said


def test_an_environment_that_nobody_touched_is_used_again_and_passes(tmp_path: Path) -> None:
    python = make_environment(tmp_path / "environment")
    seal = seal_of(tmp_path, python)
    again = set_up(tmp_path, {"MLSNAP_SETUP_ENVIRONMENT": f"{seal} {python}"})
    assert again.code == 0, again.said
    assert again.outputs["seal"] == seal
    assert "would run" in sealed(tmp_path, python, seal).stdout


def seal_of(folder: Path, python: Path) -> str:
    """Compute the seal of an environment by the text of the set-up."""
    text = (ROOT / "actions/setup/setup.sh").read_text()
    function = text[text.index("seal_of() (") : text.index("make_environment()")]
    command = f'{function}\nseal_of "{python.parent.parent}"'
    return subprocess.check_output(("bash", "-c", command), cwd=folder, text=True).strip()


@pytest.mark.parametrize(
    "deed", ["append", "same bytes", "same size and time", "new module", "mode", "link", "interpreter", "remove"]
)
def test_an_environment_that_training_touched_is_run_by_no_step(tmp_path: Path, deed: str) -> None:
    python = make_environment(tmp_path / "environment")
    victim = tmp_path / "environment" / "module.py"
    victim.write_text("good = 1\n")
    seal = seal_of(tmp_path, python)
    before = victim.stat()
    match deed:
        case "append":
            victim.write_text("good = 1\nevil = 1\n")
        case "same bytes":
            victim.write_text("good = 1\n")
        case "same size and time":
            victim.write_text("evil = 1\n")
            os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
        case "new module":
            (tmp_path / "environment" / "evil.pth").write_text("import evil\n")
        case "mode":
            victim.chmod(stat.S_IRWXU)
        case "link":
            victim.unlink()
            victim.symlink_to("/evil")
        case "interpreter":
            python.unlink()
            python.symlink_to("/bin/true")
        case _:
            victim.unlink()
    done = sealed(tmp_path, python, seal)
    assert (done.returncode, "would run" in done.stdout) == (60, False)
    assert "was changed since set-up" in done.stdout
    refused = set_up(tmp_path, {"MLSNAP_SETUP_ENVIRONMENT": f"{seal} {python}"})
    assert refused.code == 2
    assert "environment: it was changed" in refused.said


def test_the_build_writes_nothing_into_the_actions_folder(action: Path, tmp_path: Path) -> None:
    """On some runners it is read-only."""
    before = every_stat(action)
    subprocess.run(
        (
            *(sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"),
            *("--no-index", "--no-deps", "--no-build-isolation", "--target", str(tmp_path / "lib"), str(action)),
        ),
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "lib" / "ci_mlsnap" / "report" / "templates" / "workflow.yml.j2").is_file()
    assert every_stat(action) == before


def test_the_action_trains_on_itself_with_what_it_installs(tmp_path: Path) -> None:
    """Run this repository's own workflow `selftest`: the whole set-up, from the registry, by hash."""
    need(IN_CI, "takes half a minute and the package registry; CI does it")
    repository = GitRepository(path=tmp_path / "itself")
    shutil.copytree(
        ROOT, repository.path, ignore=shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache")
    )
    repository.git("init", "--quiet", "--initial-branch=main")
    repository.git("remote", "add", "origin", "https://github.com/org/mlsnap-action.git")
    sha = repository.commit("the action")
    event = {"ref": "refs/heads/main", "after": sha, "repository": {"default_branch": "main"}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    done = subprocess.run(
        (
            *(tool("act"), "push", "--workflows", ".github/workflows/selftest.yml", "--action-offline-mode"),
            *("--eventpath", str(tmp_path / "event.json"), "--platform", "ubuntu-24.04=-self-hosted"),
        ),
        cwd=repository.path,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"snapshot-name={sha}" in done.stdout
