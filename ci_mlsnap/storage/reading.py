"""One stored file, read to say whether it still is what an entry says."""

from __future__ import annotations

import os
from collections.abc import Callable

from ci_mlsnap.domain.manifest import Entry
from ci_mlsnap.storage.facts import content_of
from ci_mlsnap.trees.crew import Crew
from ci_mlsnap.trees.files import attributes, digest, open_found, require_unchanged
from ci_mlsnap.trees.walk import Found, reading_error


def compare_file(
    crew: Crew, found: Found, entry: Entry, known: bytes | None, answer: Callable[[str], None]
) -> None:
    """Have the crew compare a file's content and attributes with the entry's; `answer` gets what is wrong, or "".

    A file that is as `known` remembers it is not read. Raises `LateWriter`, `StorageFailed`, here or by the crew.
    """
    file = open_found(found)

    def compare() -> None:
        try:
            if attributes(found.path, file) != entry.xattrs:
                answer("its extended attributes are others")
                return
            content = content_of(known, found.stat)
            if not content:
                content = digest(file, found.stat.st_size, crew.go_on)
                require_unchanged(found.path, found.stat, file)
            answer("" if content == entry.sha256 else "its content is another")
        except OSError as error:
            raise reading_error(found.path, error) from error
        finally:
            os.close(file)

    crew.do(compare, found.stat.st_size)
