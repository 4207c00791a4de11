"""mlsnap comes to the agent: `install.sh` of the library, run as the step runs it, with small packages of ours."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.jenkins_library import steps

INSTALLER = steps.LIBRARY / "resources" / "org" / "mlsnap" / "install.sh"


def wheel(folder: Path, name: str, version: str, files: dict[str, str]) -> Path:
    """Make a wheel of some modules."""
    info = f"{name}-{version}.dist-info"
    whole = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    made = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in whole.items():
            archive.writestr(path, text)
    return made


@dataclass(kw_only=True)
class Agent:
    """An agent's temporary folder, an index of wheels, and what the step hands over."""

    tool: Path
    environment: dict[str, str]

    def install(self, **changes: str) -> subprocess.CompletedProcess[str]:
        (self.tool / "install.sh").write_bytes(INSTALLER.read_bytes())
        (text,) = (one for one in steps.shells("mlsnapTool"))
        return subprocess.run(
            ("/bin/sh", "-xe", "-c", text),
            env={**self.environment, **changes},
            cwd=self.tool,
            capture_output=True,
            text=True,
            check=False,
        )

    def folders(self) -> list[Path]:
        return sorted(path for path in self.tool.iterdir() if path.is_dir())


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    index, tool = tmp_path / "index", tmp_path / "a b@tmp" / "mlsnap-tool"
    index.mkdir()
    tool.mkdir(parents=True)
    needed = wheel(index, "needed", "1.0", {"needed.py": "WORD = 'needed'\n"})
    main = "import os, sys, needed\nprint(needed.WORD, sys.flags.isolated, os.environ['HOME'], *sys.argv[1:])\n"
    wheel(index, "ci_mlsnap", "0.1.0", {"ci_mlsnap/__init__.py": "", "ci_mlsnap/__main__.py": main})
    digest = hashlib.sha256(needed.read_bytes()).hexdigest()
    (tool / "requirements.txt").write_text(f"needed==1.0 --hash=sha256:{digest}\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path / "home"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_COMPILE": "1",
        "PIP_FIND_LINKS": str(index),
        "MLSNAP_TOOL": str(tool),
        "MLSNAP_TOOL_PYTHON": sys.executable,
        "MLSNAP_TOOL_REQUIREMENT": "ci-mlsnap==0.1.0",
        "MLSNAP_TOOL_KNOWN": "",
    }
    return Agent(tool=tool, environment=environment)


def test_what_was_installed_runs_and_is_taken_again_as_long_as_it_is_as_it_was(agent: Agent) -> None:
    home = Path(agent.environment["HOME"])
    (home / ".config" / "pip").mkdir(parents=True)
    (home / ".config" / "pip" / "pip.conf").write_text("[global]\nrequire-virtualenv = maybe\n")
    old, planted = agent.tool / "old", agent.tool / "planted"
    for left in (old, planted):
        left.mkdir()
    os.utime(old, (0, 0))

    done = agent.install()
    assert done.returncode == 0, done.stderr
    known = done.stdout.strip()
    folder = Path(known.partition(" ")[2])
    assert agent.folders() == sorted([planted, folder])
    ran = subprocess.run(
        (str(folder / "mlsnap"), "begin", "a b"), env=agent.environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout == f"needed 1 {home} begin a b\n"
    assert agent.install(MLSNAP_TOOL_KNOWN=known).stdout.strip() == known, "running it changed what is installed"

    (module,) = folder.glob("venv/lib/*/site-packages/needed.py")
    module.write_text("import os\nos.environ.clear()\n")
    (agent.tool / "requirements.txt").write_text(f"needed==1.0 --hash=sha256:{'0' * 64}\n")
    refused = agent.install(MLSNAP_TOOL_KNOWN=known)
    assert "is not as it was" in refused.stderr
    assert "DO NOT MATCH THE HASHES" in refused.stderr
    assert (refused.returncode != 0, refused.stdout) == (True, "")
    assert agent.folders() == sorted([planted, folder])


@pytest.mark.parametrize(
    ("python", "says"), [("/nowhere/python3", "is no Python 3.11 or later"), ("", "no Python 3.11 or later")]
)
def test_an_agent_without_a_fitting_python_is_told_what_to_do(
    agent: Agent, tmp_path: Path, python: str, says: str
) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("find", "sh", "cat", "mktemp", "rm"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    text = INSTALLER.read_text(encoding="utf-8").replace("/usr/bin/python", "/nowhere/python")
    (agent.tool / "there.sh").write_text(text)
    done = subprocess.run(
        ("/bin/sh", str(agent.tool / "there.sh")),
        env={**agent.environment, "PATH": str(tools), "MLSNAP_TOOL_PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert agent.folders() == []
