"""Interpreters that have the examples' libraries, those that are too large for the tests' own."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import IN_CI, need

# Read before the tests' clean environment hides the user's folders: what was installed is kept between runs.
HOME = Path.home()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or HOME / ".cache") / "mlsnap-tests"
ONCE = "`CI=true make test TESTS=tests/examples` installs them once"
SYSTEM = Path("/usr/bin/python3")
"""The interpreter that packages of the distribution are for."""
LOOK = "import importlib.util as it, sys; sys.exit(it.find_spec(sys.argv[1]) is None)"
LONGEST = 900


def own() -> Path:
    """Give the folder with the tests' own `python`."""
    return Path(sys.executable).parent


def of_requirements(example: Path) -> Path:
    """Give the folder with a `python` that has what the example's `requirements.txt` pins.

    Made once in CI, then kept; elsewhere the test is left out until it is there.
    """
    wanted = f"{sys.version} {sys.base_prefix}\n{(example / 'requirements.txt').read_text()}"
    folder = CACHE / f"{example.name}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{example.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            need(IN_CI, f"needs the packages of examples/{example.name}/requirements.txt: {ONCE}")
            _install(folder, example / "requirements.txt")
    return folder / "bin"


def _install(folder: Path, requirements: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _do(sys.executable, "-m", "venv", "--without-pip", str(folder))
    # Python compiles what it uses at first use; pip would compile all.
    quietly = ("--quiet", "--no-compile", "--disable-pip-version-check", "--only-binary=:all:")
    pip = (sys.executable, "-m", "pip", f"--python={folder}/bin/python", "install")
    _do(*pip, *quietly, f"--requirement={requirements}")
    (folder / "installed").touch()


def _do(*command: str) -> None:
    # pip's own settings, such as its index, are the user's.
    home = {**os.environ, "HOME": str(HOME)}
    done = subprocess.run(command, env=home, capture_output=True, text=True, check=False, timeout=LONGEST)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()[-500:]}"


def of_the_distribution(module: str, package: str, folder: Path) -> Path:
    """Make `folder` with the distribution's interpreter as `python`; left out where that lacks `module`."""
    looked = SYSTEM.exists() and subprocess.run((SYSTEM, "-I", "-c", LOOK, module), check=False).returncode == 0
    need(looked, f"needs {module} for {SYSTEM}: apt-get install {package}")
    folder.mkdir()
    (folder / "python").symlink_to(SYSTEM)
    return folder
