"""What ONTAP answers instead of obeying: codes as its documents, its clients and its users' reports name them.

A code marked `unsure` was not found in a document. Nothing should depend on it beyond the answer's class.
"""

from __future__ import annotations

from typing import NamedTuple


class Code(NamedTuple):
    """An error code with the HTTP status that it has in an immediate answer."""

    number: int
    status: int = 400


NOT_FOUND = Code(4, 404)
NOT_AUTHORISED = Code(6, 403)
NOT_AUTHENTICATED = Code(6691623, 401)  # unsure of the number
UNKNOWN_ARGUMENT = Code(262179)  # unsure of the number
BAD_VALUE = Code(262197)  # unsure of the number
NEEDED_FIELD = Code(262186)  # unsure of the number

SNAPSHOT_TAKEN = Code(525059, 409)
SNAPSHOT_LIMIT = Code(525062)
OFFLINE_OR_FULL = Code(524479)
BAD_SNAPSHOT_NAME = Code(1638518)
RESERVED_NAME = Code(1638477)
NOT_READ_WRITE = Code(1638461)
REVERTING = Code(1638532, 409)
SNAPSHOT_OWNED = Code(1638543, 409)
SNAPSHOT_BUSY = Code(1638555, 409)
NO_EXPIRY_ON_FLEXGROUP = Code(1638574)
FENCED = Code(524481, 409)

RESTORE_FAILED = Code(524511)
NEWER_IS_REFERENCE = Code(1638480, 409)
NEWER_IS_LOCKED = Code(9437886, 409)
VOLUME_OFFLINE = Code(9437885)

VOLUME_TAKEN = Code(917526, 409)
VOLUME_NAME_LONG = Code(917886)
VOLUME_NAME_BAD = Code(917887)
VOLUME_HAS_CLONES = Code(524615, 409)
VOLUME_MOUNTED = Code(524486, 409)  # unsure that this is the code; that it is refused is documented
NO_LOCKING_IN_GROUP = Code(918636)
JUNCTION_AND_SVM = Code(1520442)

GROUP_SNAPSHOT_FAILED = Code(53411921)
GROUP_SNAPSHOT_LOCKED = Code(53412007, 409)
FILE_CLONE_FAILED = Code(13565954)  # unsure of the number


class Refused(Exception):
    """A request, or the job it started, that ends without doing what it asks."""

    def __init__(self, code: Code, message: str, target: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.target = target

    @property
    def body(self) -> dict[str, object]:
        """The envelope of an immediate answer; its code is a text, that of a job is a number."""
        told: dict[str, object] = {"message": self.message, "code": str(self.code.number)}
        return {"error": told | ({"target": self.target} if self.target else {})}
