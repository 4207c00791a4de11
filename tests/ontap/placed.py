"""A checkout whose model volume the emulated cluster has, and whole commands in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ci_mlsnap.demo.github import GitHubLookAlike
from tests.conftest import GitRepository
from tests.flows.conftest import REPOSITORY, TOKEN, TRAIN, Place
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import PASSWORD

SETTINGS = """\
train = "sh train.sh"
[volumes.models]
path = "{path}"
driver = "ontap"
volume = "models"
{more}"""


@contextmanager
def placed(emulator: Emulator, models: Volume, folder: Path, *, elsewhere: bool = True) -> Iterator[Place]:
    """Give a repository whose model volume is the cluster's, with statuses that go to a look-alike.

    Its state is on another volume, unless not `elsewhere`.
    """
    live, top = emulator.cluster.path(models), folder / "checkout"
    state = folder / "state" if elsewhere else live / ".mlsnap/state"
    repository = GitRepository(path=top)
    top.mkdir()
    repository.git("init", "--quiet")
    repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    files: dict[str, str | bytes] = {
        "mlsnap.toml": SETTINGS.format(path=live, more=f'state = "{state}"\n' if elsewhere else ""),
        "train.sh": TRAIN,
        "weights.txt": "first\n",
    }
    repository.commit("the first model", files)
    with GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server:
        environment = {
            **os.environ,
            "MLSNAP__FORGE__URL": server.url,
            "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
            "MLSNAP_GITHUB_TOKEN": TOKEN,
            "MLSNAP__ONTAP__HOST": emulator.host,
            "MLSNAP__ONTAP__PORT": str(emulator.port),
            "MLSNAP__ONTAP__SVM": "svm1",
            "MLSNAP__ONTAP__USER": "admin",
            "MLSNAP__ONTAP__FINGERPRINT": emulator.own.fingerprint,
            "MLSNAP_ONTAP_PASSWORD": PASSWORD,
        }
        yield Place(
            repository=repository, server=server, environment=environment, volume=live, store=state, folder=top
        )
