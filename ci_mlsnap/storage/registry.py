"""The table of drivers: from the name in the configuration to the class."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ci_mlsnap.errors import ConfigInvalid
from ci_mlsnap.ports import Driver
from ci_mlsnap.storage.local import LocalDriver

DRIVERS = {"local": LocalDriver}


def open_driver(
    kind: str,
    path: Path,
    store: Path,
    name: str,
    *,
    ephemeral: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Driver:
    """Open the driver of a volume; nothing is looked at yet. Raises `ConfigInvalid` for an unknown kind."""
    driver = DRIVERS.get(kind)
    if driver is None:
        raise ConfigInvalid(
            f"volumes.{name}.driver: {kind[:60]!r} is no driver",
            hint=f"accepted: {', '.join(repr(known) for known in sorted(DRIVERS))}",
        )
    return driver(path, store, name, ephemeral=ephemeral, environ=environ)
