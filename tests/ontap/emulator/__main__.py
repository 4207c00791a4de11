"""Start an emulated cluster by hand: `python -m tests.emulators.ontap --root DIR`.

The first line of output is JSON that says where it is; then it serves until SIGTERM, SIGINT or the end of
`--seconds`. `source DIR/environment` lets `mlsnap` in the same shell speak to it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.ontap.emulator.access import VSADMIN, Account
from tests.ontap.emulator.server import Emulator


def main(arguments: list[str] | None = None) -> int:
    """Serve one SVM, `svm1`, to its administrator `vsadmin`."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.ontap", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="a folder of its own for all files")
    parser.add_argument(
        "--password-env", help="the variable that holds vsadmin's password; without it one is made"
    )
    parser.add_argument("--volume", action="append", default=[], help="a volume's name; may be repeated")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--job-seconds", type=float, default=0.1, help="how long each job takes")
    parser.add_argument("--seconds", type=float, default=3600, help="serve no longer than this")
    wanted = parser.parse_args(arguments)
    password = os.environ.get(wanted.password_env, "") if wanted.password_env else secrets.token_urlsafe(16)
    if not password:
        parser.error(f"{wanted.password_env} is not set")
    wanted.root.mkdir(parents=True, exist_ok=True)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with Emulator(wanted.root, port=wanted.port) as emulator:
        cluster = emulator.cluster
        cluster.accounts.add(Account(name="vsadmin", role=VSADMIN, password=password, svm="svm1"))
        cluster.jobs.delay = wanted.job_seconds
        volumes = {name: cluster.add_volume(name, junction=f"/{name}") for name in wanted.volume or ["models"]}
        environment = wanted.root / "environment"
        told = {
            "host": emulator.host,
            "port": emulator.port,
            "svm": "svm1",
            "user": "vsadmin",
            "fingerprint": emulator.own.fingerprint,
            "certificate": str(emulator.own.certificate),
            "volumes": {name: str(cluster.path(volume)) for name, volume in volumes.items()},
            "environment": str(environment),
        }
        _write_environment(environment, emulator.login("vsadmin", password))
        print(json.dumps(told), flush=True)
        stop.wait(wanted.seconds)
    return 0


def _write_environment(file: Path, variables: Mapping[str, str]) -> None:
    file.touch(mode=0o600)
    file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))


if __name__ == "__main__":
    raise SystemExit(main())
