"""The table of drivers: from the name in the configuration to the class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ci_mlsnap.domain.pins import DataPlan
from ci_mlsnap.domain.plan import VolumePlan
from ci_mlsnap.errors import ConfigInvalid
from ci_mlsnap.ports import Driver, Member
from ci_mlsnap.storage.local import LocalDriver
from ci_mlsnap.storage.local_data import LocalData

if TYPE_CHECKING:
    from ci_mlsnap.storage.ontap_endpoint import Endpoint, Wishes

DRIVERS = ("local", "ontap")
DATA_DRIVERS = {"local": LocalData}


def open_driver(
    kind: str,
    path: Path,
    store: Path,
    name: str,
    *,
    native: str = "",
    endpoint: Endpoint | None = None,
    moved: bool = False,
    wishes: Wishes | None = None,
    ephemeral: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Driver:
    """Open the driver of a volume; nothing is looked at yet. Raises `ConfigInvalid` for an unknown kind.

    `native` is the volume's name on its storage, `endpoint` the cluster of those on ONTAP, with the login;
    `moved` lets the volume be another one there than before; `wishes` are the operator's.
    """
    match kind:
        case "local":
            return LocalDriver(path, store, name, ephemeral=ephemeral, environ=environ)
        case "ontap":
            from ci_mlsnap.storage.ontap import OntapDriver
            from ci_mlsnap.storage.ontap_endpoint import NO_WISHES

            return OntapDriver(
                path, store, name, endpoint=endpoint, volume=native, moved=moved, wishes=wishes or NO_WISHES
            )
        case _:
            raise _unknown(DRIVERS, kind, name)


def together(volumes: Sequence[VolumePlan], drivers: Sequence[Driver]) -> Driver:
    """Give the driver of the model volumes that make a version, the first one first, from the driver of each."""
    if len(volumes) == 1:
        return drivers[0]
    from ci_mlsnap.storage.together import Together

    others = zip(volumes[1:], drivers[1:], strict=True)
    return Together(drivers[0], [Member(name=it.name, path=Path(it.path), driver=driver) for it, driver in others])


def open_data_driver(
    data: DataPlan, *, ephemeral: bool = False, environ: Mapping[str, str] = os.environ
) -> Driver:
    """Open the driver of a data volume; nothing is looked at yet. Raises `ConfigInvalid` for an unknown kind."""
    driver = DATA_DRIVERS.get(data.driver)
    if driver is None:
        raise _unknown(DATA_DRIVERS, data.driver, data.name)
    return driver(Path(data.path), Path(data.store), data.name, ephemeral=ephemeral, environ=environ)


def _unknown(drivers: Iterable[str], kind: str, name: str) -> ConfigInvalid:
    return ConfigInvalid(
        f"volumes.{name}.driver: {kind[:60]!r} is no driver",
        hint=f"accepted: {', '.join(repr(known) for known in sorted(drivers))}",
    )
