"""Which packages training can import: a digest of their names and versions."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path


def packages_digest(environment: Mapping[str, str]) -> str:
    """Give the SHA-256 over the packages that the `python` on training's PATH has installed; empty without one.

    The names of the `*.dist-info` folders say name and version (PEP 376); nothing is imported or executed.
    """
    python = shutil.which("python", path=environment.get("PATH", "")) or shutil.which(
        "python3", path=environment.get("PATH", "")
    )
    if python is None:
        return ""
    names = sorted({name for folder in _site_packages(Path(python)) for name in _distributions(folder)})
    return hashlib.sha256("\n".join(names).encode(errors="surrogateescape")).hexdigest() if names else ""


def _site_packages(python: Path) -> Iterator[Path]:
    # A virtual environment's python is a link out of it: its packages are where the link is.
    for prefix in dict.fromkeys((python.parent.parent, Path(os.path.realpath(python)).parent.parent)):
        yield from prefix.glob("lib*/python3*/site-packages")
        if any(prefix.glob("pyvenv.cfg")):
            return


def _distributions(folder: Path) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".dist-info")]
    except OSError:
        return []
