from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import pytest

from ci_mlsnap.training.packages import packages_digest


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Give an installation of Python with two packages; what stands there as `python` is never run."""
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    python = prefix / "bin" / "python"
    python.write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
    python.chmod(0o755)
    _install(prefix, "numpy-2.0.dist-info", "scipy-1.9.dist-info", "numpy", "README.txt")
    return prefix


def _install(prefix: Path, *names: str, version: str = "python3.11") -> None:
    for name in names:
        (prefix / "lib" / version / "site-packages" / name).mkdir(parents=True)


def _digest(*prefixes: Path) -> str:
    return packages_digest({"PATH": os.pathsep.join(str(prefix / "bin") for prefix in prefixes)})


def test_the_digest_is_of_names_and_versions_in_order(installed: Path) -> None:
    assert _digest(installed) == hashlib.sha256(b"numpy-2.0.dist-info\nscipy-1.9.dist-info").hexdigest()


def test_nothing_is_executed(installed: Path, tmp_path: Path) -> None:
    _digest(installed)
    assert not (tmp_path / "canary").exists()


def test_another_version_or_package_is_another_digest(installed: Path) -> None:
    before = _digest(installed)
    place = installed / "lib/python3.11/site-packages"
    (place / "numpy-2.0.dist-info").rename(place / "numpy-2.1.dist-info")
    changed = _digest(installed)
    _install(installed, "torch-2.4.dist-info")
    assert len({before, changed, _digest(installed)}) == 3


def test_what_is_no_package_does_not_count(installed: Path) -> None:
    before = _digest(installed)
    _install(installed, "another", "__pycache__", "numpy.libs")
    assert _digest(installed) == before


def test_the_same_packages_elsewhere_have_the_same_digest(installed: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python3").symlink_to(installed / "bin" / "python")
    _install(other, "scipy-1.9.dist-info", "numpy-2.0.dist-info", version="python3.12")
    (other / "pyvenv.cfg").touch()
    assert _digest(other) == _digest(installed)


def test_a_virtual_environment_counts_alone(installed: Path, tmp_path: Path) -> None:
    """Its python is a link to the one that it was made with, whose packages it does not import."""
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").symlink_to(installed / "bin" / "python")
    (venv / "pyvenv.cfg").touch()
    _install(venv, "click-8.1.dist-info")
    assert _digest(venv) == hashlib.sha256(b"click-8.1.dist-info").hexdigest()


def test_a_link_to_python_leads_to_its_packages(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "links" / "bin").mkdir(parents=True)
    (tmp_path / "links" / "bin" / "python3").symlink_to(installed / "bin" / "python")
    assert _digest(tmp_path / "links") == _digest(installed)


def test_the_first_python_on_the_path_counts(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "empty" / "bin").mkdir(parents=True)
    assert _digest(tmp_path / "empty", installed) == _digest(installed)


@pytest.mark.parametrize("environment", [{}, {"PATH": ""}, {"PATH": "/nowhere"}])
def test_without_a_python_on_the_path_there_is_no_digest(environment: dict[str, str]) -> None:
    """Training would find none either, whatever the path of this process has."""
    assert packages_digest(environment) == ""


def test_a_python_without_packages_has_no_digest(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "python").chmod(0o755)
    assert _digest(tmp_path) == ""


def test_a_name_that_is_not_utf_8_has_a_digest(installed: Path) -> None:
    place = os.fsencode(installed / "lib/python3.11/site-packages")
    os.mkdir(place + b"/caf\xe9-1.dist-info")
    assert len(_digest(installed)) == 64


def test_the_python_of_the_tests_has_its_packages() -> None:
    found = packages_digest({"PATH": str(Path(sys.executable).parent)})
    assert len(found) == 64
