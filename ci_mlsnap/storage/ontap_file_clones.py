"""Files that the cluster puts from a snapshot into the live tree: no byte of them travels or is stored twice.

What the cluster says proves nothing: whoever asked looks at the file through the mount. When it refuses, or what
came of it is unclear, files are copied from then on. A clone that is made all the same, after its answer was lost,
has a name that nobody waits for any more, and the next restore removes it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.errors import MlsnapError
from ci_mlsnap.storage.layout import LINK
from ci_mlsnap.storage.ontap_api import OntapApi
from ci_mlsnap.storage.ontap_errors import Absent, Taken, Unclear

LARGE = 16 * 2**20
"""From how many bytes on a file is cloned: asking the cluster takes longer than copying less."""


@dataclass(kw_only=True)
class FileClones:
    """Clones out of one snapshot of a volume, for one restore. `refused` says why the cluster makes no more."""

    api: OntapApi
    volume: str
    snapshot: str
    large: int = LARGE
    refused: str = ""

    def put(self, entry: Entry, place: bytes) -> bool:
        """Have the entry's content put at a free place; tell whether it may be there. See `sync.Putting`."""
        if self.refused or entry.size < self.large:
            return False
        try:
            source, destination = _text(entry.path), _text(place)
        except UnicodeError:
            return False
        try:
            self.api.clone_file(self.volume, f"{LINK}/{self.snapshot}/{source}", destination)
        except (MlsnapError, Absent, Taken, Unclear) as error:
            self.refused = str(error)
            return False
        return True


def _text(path: bytes) -> str:
    """Write a path as a request has it. Raises `UnicodeError` for one that could mean something else there."""
    text = path.decode()
    if not text.isprintable():
        raise UnicodeError
    return text
