"""A stage for whole commands whose model volume is the emulated cluster's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ci_mlsnap.demo.github import GitHubLookAlike
from tests.conftest import GitRepository
from tests.ontap.emulator.server import Emulator
from tests.ontap.emulator.values import Volume
from tests.ontap.mounted import PASSWORD
from tests.promise.conftest import REPOSITORY, TOKEN, Stage
from tests.promise.launching import Launcher

TRAIN = """\
set -eu
mkdir -p "$MLSNAP_MODEL_DIR/layers"
cp weights.txt "$MLSNAP_MODEL_DIR/layers/weights.txt"
cp weights.txt "$MLSNAP_MODEL_DIR/model.bin"
echo '{"accuracy": 0.9}' > "$MLSNAP_METRICS"
"""

_SETTINGS = """\
train = "sh train.sh"
[volumes.models]
path = "{live}"
driver = "ontap"
volume = "models"
state = "{state}"
[lease]
wait = "5s"
{more}"""


@contextmanager
def staged(
    emulator: Emulator, volume: Volume, folder: Path, launcher: Launcher, *, settings: str = ""
) -> Iterator[Stage]:
    """Give a repository with one commit, whose model volume this is and whose state is elsewhere."""
    with ExitStack() as started, GitHubLookAlike(tokens={TOKEN: "write"}, repositories=[REPOSITORY]) as server:
        repository = GitRepository(path=folder / "checkout")
        repository.path.mkdir()
        repository.git("init", "--quiet", "--initial-branch=main")
        live, state = emulator.cluster.path(volume), folder / "state"
        files: dict[str, str | bytes] = {
            "mlsnap.toml": _SETTINGS.format(live=live, state=state, more=settings),
            "train.sh": TRAIN,
            "weights.txt": "one\n",
        }
        repository.commit("the first model", files)
        repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
        yield Stage(
            repository=repository,
            server=server,
            environment={
                **os.environ,
                "MLSNAP__FORGE__URL": server.url,
                "MLSNAP__FORGE__REPOSITORY": REPOSITORY,
                "MLSNAP_GITHUB_TOKEN": TOKEN,
                **emulator.login("admin", PASSWORD),
            },
            volume=live,
            store=state,
            folder=folder,
            launcher=launcher,
            _started=started,
        )
