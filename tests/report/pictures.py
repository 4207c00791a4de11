"""Takes the pictures that docs/report.md shows, which then are made smaller:

`python -m tests.report.pictures docs/images && pngquant --force --ext .png 64 docs/images/*.png`
"""

from __future__ import annotations

import base64
import math
import sys
import tempfile
from pathlib import Path

from ci_mlsnap.domain.channels import Move
from ci_mlsnap.state import channels
from tests.report.browser import Browser
from tests.report.site import Site, make_site

_WIDE, _NARROW = 880, 320


def main(folder: Path) -> None:
    """Make a history, its pages, and pictures of some of them."""
    with tempfile.TemporaryDirectory() as scratch:
        site = make_site(Path(scratch) / "site")
        for number in range(18):
            better = 0.905 + 0.07 * (1 - math.exp(-number / 6)) + 0.006 * math.sin(number * 2.4)
            site.add(accuracy=better - (0.13 if number % 7 == 3 else 0))
        _promote(site, "production", site.names[-5])
        site.write(site.folder / "out")
        out = site.folder / "out"
        with Browser(Path(scratch) / "profile") as browser:
            for name, page, width, dark in (
                ("index", out / "index.html", _WIDE, False),
                ("version", out / site.names[-2] / "index.html", _WIDE, False),
                ("phone", out / site.names[-1] / "index.html", _NARROW, True),
            ):
                browser.look(width, dark=dark)
                browser.open(page.as_uri())
                height = 1000 if width == _WIDE else 760
                picture = browser.picture(width, height)
                (folder / f"report-{name}.png").write_bytes(base64.b64decode(picture))


def _promote(site: Site, channel: str, version: str) -> None:
    state = site.driver.state_folder()
    move = Move(
        channel=channel,
        before="",
        version=version,
        link="x",
        manifest="",
        who="ada",
        at="2026-11-02T09:30:00+00:00",
        why="passed the shadow test",
    )
    with channels.alone(state):
        channels.begin(state, move)
        channels.finish(state)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
