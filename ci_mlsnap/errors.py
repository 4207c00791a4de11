"""Every error a person can meet: its slug, its exit code, and how it reads.

The slug is stable: it is a heading in `docs/errors.md`, and scripts may match it. The exit codes are
those of `docs/exit-codes.md`; two conditions share a code when a script would do the same about both.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import ClassVar, NamedTuple


class ExitCode(IntEnum):
    """What the process says to the CI. Stable; see `docs/exit-codes.md`."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    DIFFERENT = 3
    TRAINING_FAILED = 10
    INVALID_MODEL = 11
    GATE_MISSED = 12
    STORAGE_FAILED = 20
    STORAGE_UNKNOWN = 21
    ANNOUNCING_QUEUED = 30
    REFUSED = 40
    NO_SUCH_VERSION = 44
    BUSY = 50
    INTEGRITY = 60
    INTERRUPTED = 130
    TERMINATED = 143


class Remark(NamedTuple):
    """A part of an error: a text with a title, about a line of a file of the repository where one is to blame."""

    text: str
    title: str = ""
    file: str = ""
    line: int = 0


class MlsnapError(Exception):
    """Base of all errors that mlsnap raises on purpose.

    `what` happened, `why`, what is `safe` (what was kept, what was not done), and the `hint`: what to do
    next. Only `what` is required; the texts never contain a secret or an unescaped control character of
    a stranger (the command line escapes them once more). `remarks` are its parts, where a CI can show these at
    the place that each speaks of.
    """

    slug: ClassVar[str] = "internal"
    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(
        self, what: str, *, why: str = "", safe: str = "", hint: str = "", remarks: Iterable[Remark] = ()
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.safe = safe
        self.hint = hint
        self.remarks = tuple(remarks)


# -- usage and configuration: exit 2 -----------------------------------------------------------------


class UsageError(MlsnapError):
    """The command line asks for something that cannot be."""

    slug = "usage"
    exit_code = ExitCode.USAGE


class NotARepository(MlsnapError):
    """The folder is in no git work tree."""

    slug = "not-a-repository"
    exit_code = ExitCode.USAGE


class NoCommit(MlsnapError):
    """The repository has no such commit, or none at all."""

    slug = "no-commit"
    exit_code = ExitCode.USAGE


class ConfigInvalid(MlsnapError):
    """One or more settings are wrong: unknown key, wrong type, impossible combination."""

    slug = "config-invalid"
    exit_code = ExitCode.USAGE


class ConfigLevel(MlsnapError):
    """A setting stands at a level that may not set it (see `docs/trust.md`)."""

    slug = "config-level"
    exit_code = ExitCode.USAGE


class GitFailed(MlsnapError):
    """A git command that must work did not."""

    slug = "git-failed"
    exit_code = ExitCode.USAGE


# -- training: exit 10 -------------------------------------------------------------------------------


class TrainingFailed(MlsnapError):
    """The training command ended with a failure, was killed, or could not be started."""

    slug = "training-failed"
    exit_code = ExitCode.TRAINING_FAILED


class TrainingTimeout(TrainingFailed):
    """The training command ran longer than `train.timeout` and was stopped."""

    slug = "training-timeout"


class CommandMissing(TrainingFailed):
    """The training command cannot be found or executed."""

    slug = "command-missing"


# -- the trained files: exit 11 ----------------------------------------------------------------------


class ModelUnchanged(MlsnapError):
    """Training ended well but changed no file of the volume."""

    slug = "model-unchanged"
    exit_code = ExitCode.INVALID_MODEL


class MetricsInvalid(MlsnapError):
    """The metrics file is missing, too large, no regular file, or not what a reader understands."""

    slug = "metrics-invalid"
    exit_code = ExitCode.INVALID_MODEL


class LateWriter(MlsnapError):
    """Something still wrote to the volume after training had ended."""

    slug = "late-writer"
    exit_code = ExitCode.INVALID_MODEL


class WriterUnsettled(MlsnapError):
    """Another host that writes to the volume did not say that its files are on the storage."""

    slug = "writer-unsettled"
    exit_code = ExitCode.INVALID_MODEL


class TreeUnsupported(MlsnapError):
    """The tree holds something that no snapshot can carry: a socket, a device, a FIFO, a mount."""

    slug = "tree-unsupported"
    exit_code = ExitCode.INVALID_MODEL


class LinkEscapes(MlsnapError):
    """A symbolic link of the tree leads out of it."""

    slug = "link-escapes"
    exit_code = ExitCode.INVALID_MODEL


# -- gates: exit 12 ----------------------------------------------------------------------------------


class GateMissed(MlsnapError):
    """The version exists but misses a gate: kept for study, never advanced or promoted by itself."""

    slug = "gate-missed"
    exit_code = ExitCode.GATE_MISSED


# -- storage: exit 20 and 21 -------------------------------------------------------------------------


class StorageFailed(MlsnapError):
    """The storage refused or failed, and nothing was made."""

    slug = "storage-failed"
    exit_code = ExitCode.STORAGE_FAILED


class StorageFull(StorageFailed):
    """No space, no inodes, or a quota is used up."""

    slug = "storage-full"


class StorageReadOnly(StorageFailed):
    """The place is mounted read-only, or this user may not write there."""

    slug = "storage-read-only"


class VolumeMissing(StorageFailed):
    """The volume's folder is not there and may not be made."""

    slug = "volume-missing"


class StorageAuth(StorageFailed):
    """The storage does not accept the login: a wrong password or token, an unknown certificate, a locked user."""

    slug = "storage-auth"


class StorageForbidden(StorageFailed):
    """The storage knows the user, who lacks the right for this."""

    slug = "storage-forbidden"


class StorageUntrusted(StorageFailed):
    """The storage's certificate is not the one that is expected; nothing was sent to it, no password either."""

    slug = "storage-certificate"


class StorageUnreachable(StorageFailed):
    """The storage's management address does not answer, or answers with what is no answer of it."""

    slug = "storage-unreachable"


class StorageUnknown(MlsnapError):
    """It is not known whether the storage did what was asked; `mlsnap status` tells later."""

    slug = "storage-unknown"
    exit_code = ExitCode.STORAGE_UNKNOWN


# -- a Jenkins server: exit 2, 20, 21; its builds: 10, 12, 143 -----------------------------------------


class JenkinsNotFound(UsageError):
    """The server has no such job or build, or does not show it to this user."""

    slug = "jenkins-not-found"


class JenkinsUnreachable(MlsnapError):
    """The Jenkins server does not answer, its certificate is not trusted, or the answer is none of Jenkins."""

    slug = "jenkins-unreachable"
    exit_code = ExitCode.STORAGE_FAILED


class JenkinsForbidden(MlsnapError):
    """The Jenkins server does not accept the login, or its user lacks the right for this."""

    slug = "jenkins-forbidden"
    exit_code = ExitCode.STORAGE_FAILED


class JenkinsRejected(MlsnapError):
    """The Jenkins server would not do it: what was sent is not accepted, or something failed there."""

    slug = "jenkins-rejected"
    exit_code = ExitCode.STORAGE_FAILED


class JenkinsUnknown(MlsnapError):
    """It is not known whether the Jenkins server did what was asked."""

    slug = "jenkins-unknown"
    exit_code = ExitCode.STORAGE_UNKNOWN


class BuildFailed(MlsnapError):
    """The build on Jenkins ended as FAILURE or NOT_BUILT."""

    slug = "build-failed"
    exit_code = ExitCode.TRAINING_FAILED


class BuildUnstable(MlsnapError):
    """The build on Jenkins ended as UNSTABLE, which is what a missed gate makes of it."""

    slug = "build-unstable"
    exit_code = ExitCode.GATE_MISSED


class BuildAborted(MlsnapError):
    """The build on Jenkins was aborted there, or taken out of the queue."""

    slug = "build-aborted"
    exit_code = ExitCode.TERMINATED


# -- announcing: exit 30 -----------------------------------------------------------------------------


class AnnouncingQueued(MlsnapError):
    """The version is good, but statuses could not be sent and wait in the outbox."""

    slug = "announcing-queued"
    exit_code = ExitCode.ANNOUNCING_QUEUED


class ForgeUnavailable(AnnouncingQueued):
    """The forge did not answer, answered with a server error or a limit, or with garbage: try later."""

    slug = "forge-unavailable"


class ForgeForbidden(AnnouncingQueued):
    """The forge refused the token: 401, 403, or 404 for a token without access."""

    slug = "forge-forbidden"


class ForgeRejected(AnnouncingQueued):
    """The forge will never take this (422: unknown commit, too many statuses); it is not sent again."""

    slug = "forge-rejected"


# -- refused by policy: exit 40 ----------------------------------------------------------------------


class Refused(MlsnapError):
    """A rule forbids it; nothing was changed."""

    slug = "refused"
    exit_code = ExitCode.REFUSED


class DirtyTree(Refused):
    """The work tree has changes that are in no commit."""

    slug = "dirty-tree"


class ForkRefused(Refused):
    """The event comes from a fork or a bot without secrets, and `on_fork` says to fail."""

    slug = "fork-refused"


class TrainingUnisolated(Refused):
    """Training could read mlsnap's secrets in the process that starts it."""

    slug = "training-unisolated"


class VolumeRefused(Refused):
    """The path can be no volume: a file, a link, a mount root, a folder others may write to."""

    slug = "volume-refused"


class VolumeForeign(Refused):
    """The folder carries another volume id than the one recorded, or belongs to another model."""

    slug = "volume-foreign"


class StoreRefused(Refused):
    """The store would not last or is unsafe: temporary disk, CI workspace, world-writable."""

    slug = "store-refused"


class SnapshotForeign(Refused):
    """Something that is not ours stands under the snapshot's name."""

    slug = "snapshot-foreign"


class SnapshotConflict(Refused):
    """A snapshot of this name exists with another content or marker."""

    slug = "snapshot-conflict"


class SnapshotHeld(Refused):
    """The snapshot is held and may not be deleted."""

    slug = "snapshot-held"


class FormatRefused(Refused):
    """A model file has a format that `policy.formats` does not allow, or cannot be read as one that it allows."""

    slug = "format-refused"


class LiveTreeChanged(Refused):
    """The live tree equals no known version, so training or restoring there could lose work."""

    slug = "live-tree-changed"


class PlanMismatch(Refused):
    """The open run has another plan than the one that was handed over."""

    slug = "plan-mismatch"


class LeaseLost(Refused):
    """This run's lease was taken over; it may publish nothing any more."""

    slug = "lease-lost"


# -- the rest ----------------------------------------------------------------------------------------


class NoSuchVersion(MlsnapError):
    """The commit has no version, or the version has no such file."""

    slug = "no-version"
    exit_code = ExitCode.NO_SUCH_VERSION


class Busy(MlsnapError):
    """Another run holds the lease."""

    slug = "busy"
    exit_code = ExitCode.BUSY


class IntegrityDamage(MlsnapError):
    """A stored file, manifest, marker or line of state is not what was written."""

    slug = "integrity"
    exit_code = ExitCode.INTEGRITY


class Cancelled(MlsnapError):
    """The run was stopped by SIGINT or SIGTERM and is at rest."""

    slug = "cancelled"
    exit_code = ExitCode.INTERRUPTED


class Terminated(Cancelled):
    """The run was stopped by SIGTERM and is at rest."""

    exit_code = ExitCode.TERMINATED


class OutputLost(MlsnapError):
    """Standard output could not be written; what the command did besides printing is done."""

    slug = "output-lost"
