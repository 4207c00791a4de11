"""The page that stays where that of a pruned version was, so that a status's link still leads somewhere."""

from __future__ import annotations

from collections.abc import Mapping

from ci_mlsnap.domain.metrics import shown
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.removed import Pruned
from ci_mlsnap.domain.versions import Version
from ci_mlsnap.report.kept import removed_lines
from ci_mlsnap.report.pages import Look, render_page

_STATES = {
    "trash": "It lies in the trash, and can be brought back until the grace period is over.",
    "gone": "It is gone for good; this is what is still known of it.",
    "removing": "It is being removed.",
}


def pruned_page(
    look: Look, site: Mapping[str, str], record: Pruned, around: tuple[Version | None, Version | None]
) -> dict[str, bytes]:
    """Render what `mlsnap show` says of a pruned version, with links to its neighbours that are kept."""
    _what, *lines = removed_lines(record, "", around)
    short = SnapshotName.parse(record.name).short
    page = {
        "name": short,
        "sha": record.name,
        "day": record.at[:10],
        "state": _STATES[record.condition],
        "facts": [line.split(maxsplit=1) for line in lines if not line.startswith("back ")],
        "metrics": [(name, shown(value)) for name, value in sorted(record.header.metrics.items())[:100]],
        "near": [(it.header.name, it.name.short) for it in around if it is not None],
        "back": f"mlsnap recover {short}" if record.condition == "trash" else "",
    }
    return {"index.html": render_page(look, "pruned.html.j2", {"page": page, "site": site, "up": "../"})}
