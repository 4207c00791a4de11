"""Every key of the configuration: who may set it, what it accepts, what it does. Nothing else lists keys."""

from __future__ import annotations

import re

import msgspec

from ci_mlsnap.config import kinds
from ci_mlsnap.config.kinds import Kind
from ci_mlsnap.config.levels import Level

KeyPath = tuple[str, ...]
"""A key with its tables: `("gates", "accuracy", "min")`. In the table of keys `*` stands for a name."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `level` is the least trusted level that may set it; `only_less` lets the tested commit of a
    change request lower the value but never raise it. `default` and `example` are for the reference."""

    path: KeyPath
    level: Level
    kind: Kind
    text: str
    default: str
    example: str
    only_less: bool = False


KEYS: tuple[Key, ...] = (
    Key(
        path=("model",),
        level=Level.REPOSITORY,
        kind=kinds.LABEL,
        text="The model's name; the commit status has the context `mlsnap/<model>`.",
        default="the repository's name, or the folder's in a sub-project",
        example='model = "digits"',
    ),
    Key(
        path=("project",),
        level=Level.REPOSITORY,
        kind=kinds.PROJECT,
        text="The project that snapshots are marked with, so that ours are told from others.",
        default="`owner/name` of the remote `origin`, else the root commit",
        example='project = "acme/digits"',
    ),
    Key(
        path=("on_fork",),
        level=Level.OPERATOR,
        kind=kinds.choice("skip", "fail"),
        text="What happens on a change request of a fork or a bot, which gets no secrets: "
        "nothing, with exit code 0, or a failure with exit code 40.",
        default='"skip"',
        example='on_fork = "fail"',
    ),
    Key(
        path=("train", "command"),
        level=Level.TESTED,
        kind=kinds.COMMAND,
        text="The training command. A string goes to `/bin/sh -c`; an array is run without a shell. "
        '`train = "python train.py"` is short for it.',
        default="what follows `--` on the command line",
        example='train.command = ["python", "train.py"]',
    ),
    Key(
        path=("train", "timeout"),
        level=Level.TESTED,
        kind=kinds.DURATION,
        text="How long training may run before it is stopped with all its descendants; 0 for no limit. "
        "A change request may only shorten it.",
        default="0",
        example='train.timeout = "6h"',
        only_less=True,
    ),
    Key(
        path=("train", "env"),
        level=Level.REPOSITORY,
        kind=kinds.VARIABLES,
        text="Environment variables that training gets besides the usual ones. Secrets of mlsnap never pass.",
        default="none",
        example='train.env = ["HF_TOKEN"]',
    ),
    Key(
        path=("train", "inputs"),
        level=Level.REPOSITORY,
        kind=kinds.GLOBS,
        text="The files that the model depends on. A commit that changes none of them uses the version "
        "that is already there.",
        default="all files of the commit",
        example='train.inputs = ["*.py", "params.toml"]',
    ),
    Key(
        path=("train", "start"),
        level=Level.REPOSITORY,
        kind=kinds.choice("parent", "empty"),
        text="What training finds in its workspace: the files of the nearest ancestor's version, or nothing.",
        default='"parent"',
        example='train.start = "empty"',
    ),
    Key(
        path=("train", "writers"),
        level=Level.REPOSITORY,
        kind=kinds.count(least=1, most=4096),
        text="How many hosts write to the volume during training. With more than one, each other host runs "
        "`mlsnap settle` at the end of its part; without that there is no version.",
        default="1",
        example="train.writers = 4",
    ),
    Key(
        path=("volume",),
        level=Level.REPOSITORY,
        kind=kinds.PATH,
        text="Short for the `path` of the model volume, which then has its folder's name.",
        default='"models"',
        example='volume = "models"',
    ),
    Key(
        path=("volumes", "*", "path"),
        level=Level.REPOSITORY,
        kind=kinds.PATH,
        text="The folder that training writes its model to, or reads its data from. Inside the work tree it is "
        "private to it; elsewhere it is shared.",
        default='"models", for a volume of that name',
        example='volumes.models.path = "/srv/ml/digits"',
    ),
    Key(
        path=("volumes", "*", "role"),
        level=Level.REPOSITORY,
        kind=kinds.choice("model", "data"),
        text="What the volume holds: a model, or data that training reads. Several model volumes make "
        "one version together, see [storage](storage.md#several-model-volumes); a data volume is never written "
        "to, see [data volumes](data.md).",
        default='"model"',
        example='volumes.images.role = "data"',
    ),
    Key(
        path=("volumes", "*", "pin"),
        level=Level.REPOSITORY,
        kind=kinds.PIN,
        text="How a data volume is kept from changing while training reads it, and found again later: by a "
        "snapshot under the commit's SHA, by its owner's newest snapshot with a fitting name, or not at all: then "
        "it is only written down what was there.",
        default='"snapshot"',
        example='volumes.images.pin = "existing:daily.*"',
    ),
    Key(
        path=("volumes", "*", "driver"),
        level=Level.REPOSITORY,
        kind=kinds.choice("local", "ontap"),
        text="The storage that the volume is on: any local file system, or a volume of NetApp ONTAP that is "
        "mounted at `path`, see [ONTAP](ontap.md). Data volumes are opened as local ones.",
        default='"local"',
        example='volumes.models.driver = "local"',
    ),
    Key(
        path=("volumes", "*", "store"),
        level=Level.REPOSITORY,
        kind=kinds.PATH,
        text='Where snapshots are kept. For a model volume, or a data volume with `pin = "snapshot"`.',
        default="`<git folder>/mlsnap/<name>` for a private volume, `.mlsnap/<name>` beside a shared one",
        example='volumes.models.store = "/srv/ml/history/digits"',
    ),
    Key(
        path=("volumes", "*", "volume"),
        level=Level.REPOSITORY,
        kind=kinds.NATIVE_VOLUME,
        text="The volume's name on its SVM, or its UUID. For a volume on ONTAP.",
        default="the volume that is mounted at `path`",
        example='volumes.digits.volume = "ml_digits"',
    ),
    Key(
        path=("volumes", "*", "state"),
        level=Level.REPOSITORY,
        kind=kinds.PATH,
        text="Where leases, journals and the ledger are kept: a folder that all hosts see, best on another "
        "volume. For a volume on ONTAP.",
        default="`.mlsnap/state` in the volume",
        example='volumes.digits.state = "/mnt/ml/state/digits"',
    ),
    Key(
        path=("volumes", "*", "view"),
        level=Level.REPOSITORY,
        kind=kinds.INNER_PATH,
        text="A link in the work tree that leads to the version of the checked-out commit. For a shared model "
        "volume.",
        default="no view",
        example='volumes.models.view = "models"',
    ),
    Key(
        path=("volumes", "*", "isolation"),
        level=Level.REPOSITORY,
        kind=kinds.choice("workspace", "in-place"),
        text="Where training writes: a workspace of its own, or the live tree. For the first model volume, and "
        "all others are trained like it.",
        default='"workspace" for a shared volume, "in-place" for a private one',
        example='volumes.models.isolation = "workspace"',
    ),
    Key(
        path=("gates", "*", "min"),
        level=Level.REPOSITORY,
        kind=kinds.number(),
        text="The least value of the metric that is good.",
        default="no bound",
        example="gates.accuracy.min = 0.95",
    ),
    Key(
        path=("gates", "*", "max"),
        level=Level.REPOSITORY,
        kind=kinds.number(),
        text="The greatest value of the metric that is good.",
        default="no bound",
        example="gates.loss.max = 0.3",
    ),
    Key(
        path=("gates", "*", "max_drop"),
        level=Level.REPOSITORY,
        kind=kinds.number(least=0),
        text="How far the metric may fall below the baseline, the newest good version of the base branch.",
        default="no bound",
        example="gates.accuracy.max_drop = 0.01",
    ),
    Key(
        path=("gates", "*", "max_rise"),
        level=Level.REPOSITORY,
        kind=kinds.number(least=0),
        text="How far the metric may rise above the baseline.",
        default="no bound",
        example="gates.loss.max_rise = 0.02",
    ),
    Key(
        path=("metrics", "file"),
        level=Level.REPOSITORY,
        kind=kinds.INNER_PATH,
        text="The file, or a tool's folder, with the metrics that training writes. "
        "Its content says which format it has.",
        default="`metrics.json`, else what the usual tools leave",
        example='metrics.file = "out/scores.json"',
    ),
    Key(
        path=("manifest", "files"),
        level=Level.REPOSITORY,
        kind=kinds.choice("changed", "full", "none"),
        text="How files get their digest into the manifest: read when changed, always read, or not listed at all.",
        default='"changed"',
        example='manifest.files = "full"',
    ),
    Key(
        path=("policy", "formats"),
        level=Level.TESTED,
        kind=kinds.FORMATS,
        text="The formats that [model files](models.md#a-policy-for-formats) may have; a file of another one is "
        "refused before there is a version. Texts and pictures may always be beside them. A change request may "
        "only take formats away.",
        default="all formats",
        example='policy.formats = ["safetensors", "onnx"]',
        only_less=True,
    ),
    Key(
        path=("live", "follow"),
        level=Level.REPOSITORY,
        kind=kinds.BRANCHES,
        text="The branches whose good versions become the live tree.",
        default="the default branch",
        example='live.follow = ["main"]',
    ),
    Key(
        path=("lease", "wait"),
        level=Level.REPOSITORY,
        kind=kinds.DURATION,
        text="How long a run waits for another one that uses the same volume.",
        default='"30m"',
        example='lease.wait = "10m"',
    ),
    Key(
        path=("hooks", "copy_mb"),
        level=Level.OPERATOR,
        kind=kinds.count(least=0, most=10**9),
        text="How many MB a git hook may write anew to bring a version back, on storage where files share no "
        "blocks; of a larger version the hook names the command instead.",
        default="100",
        example="hooks.copy_mb = 500",
    ),
    Key(
        path=("retention", "keep_last"),
        level=Level.REPOSITORY,
        kind=kinds.count(least=1, most=100_000),
        text="How many of the newest versions `mlsnap prune` keeps. Nothing else ever removes one.",
        default="no limit",
        example="retention.keep_last = 50",
    ),
    Key(
        path=("retention", "keep_daily"),
        level=Level.REPOSITORY,
        kind=kinds.count(least=1, most=100_000),
        text="For how many days the newest good version of the day is kept; days without one do not count.",
        default="none",
        example="retention.keep_daily = 14",
    ),
    Key(
        path=("retention", "keep_weekly"),
        level=Level.REPOSITORY,
        kind=kinds.count(least=1, most=100_000),
        text="The same for weeks, from Monday on.",
        default="none",
        example="retention.keep_weekly = 8",
    ),
    Key(
        path=("retention", "keep_monthly"),
        level=Level.REPOSITORY,
        kind=kinds.count(least=1, most=100_000),
        text="The same for months.",
        default="none",
        example="retention.keep_monthly = 12",
    ),
    Key(
        path=("retention", "keep_best"),
        level=Level.REPOSITORY,
        kind=kinds.BEST,
        text="The good versions with the best values of a metric are kept. The metric's name says whether less "
        "of it is better, as of a loss.",
        default="none",
        example='retention.keep_best = { metric = "accuracy", count = 5 }',
    ),
    Key(
        path=("retention", "keep_tagged"),
        level=Level.REPOSITORY,
        kind=kinds.BOOLEAN,
        text="Whether versions of commits with a tag are kept.",
        default="false",
        example="retention.keep_tagged = true",
    ),
    Key(
        path=("retention", "keep_unreachable"),
        level=Level.REPOSITORY,
        kind=kinds.BOOLEAN,
        text="Whether the rules by number and time also keep versions whose commit is in no branch and has no "
        "tag, as after a forced push. Only where `origin` answers can that be told.",
        default="true",
        example="retention.keep_unreachable = false",
    ),
    Key(
        path=("retention", "max_space"),
        level=Level.REPOSITORY,
        kind=kinds.SPACE,
        text="How much the files of all versions may take, those that versions share counted once. The oldest go "
        "first, but for those that a rule names or something needs.",
        default="no limit",
        example='retention.max_space = "20%"',
    ),
    Key(
        path=("retention", "max_removed"),
        level=Level.REPOSITORY,
        kind=kinds.AMOUNT,
        text="How many versions one `mlsnap prune` may remove at most; of a share, at least 10. `--all` lifts it.",
        default='"25%"',
        example="retention.max_removed = 100",
    ),
    Key(
        path=("retention", "grace"),
        level=Level.REPOSITORY,
        kind=kinds.DURATION,
        text="How long `mlsnap recover <revision>` can bring back what was pruned.",
        default='"14d"',
        example='retention.grace = "30d"',
    ),
    Key(
        path=("ontap", "host"),
        level=Level.OPERATOR,
        kind=kinds.HOST,
        text="The management address of the SVM or cluster. The credential is sent there and nowhere else.",
        default="none: volumes on ONTAP can only be read",
        example='ontap.host = "svm1.example.com"',
    ),
    Key(
        path=("ontap", "port"),
        level=Level.OPERATOR,
        kind=kinds.count(least=1, most=65535),
        text="The port of the management interface.",
        default="443",
        example="ontap.port = 443",
    ),
    Key(
        path=("ontap", "svm"),
        level=Level.OPERATOR,
        kind=kinds.ACCOUNT,
        text="The SVM that the volumes are on. With the address of a cluster it is needed.",
        default="the one that the user belongs to",
        example='ontap.svm = "svm1"',
    ),
    Key(
        path=("ontap", "user"),
        level=Level.OPERATOR,
        kind=kinds.ACCOUNT,
        text="The user whose password is in the environment variable `MLSNAP_ONTAP_PASSWORD`. "
        "A bearer token in `MLSNAP_ONTAP_TOKEN` needs no user.",
        default="none",
        example='ontap.user = "mlsnap"',
    ),
    Key(
        path=("ontap", "certificate"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="A file with the client's certificate, instead of a password or token.",
        default="none",
        example='ontap.certificate = "/etc/mlsnap/client.pem"',
    ),
    Key(
        path=("ontap", "key"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="The file with that certificate's key.",
        default="none",
        example='ontap.key = "/etc/mlsnap/client.key"',
    ),
    Key(
        path=("ontap", "ca"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="A file with the certificates of the authority that signed the cluster's.",
        default="well-known authorities",
        example='ontap.ca = "/etc/ssl/example-ca.pem"',
    ),
    Key(
        path=("ontap", "fingerprint"),
        level=Level.OPERATOR,
        kind=kinds.FINGERPRINT,
        text="The SHA-256 of the cluster's own certificate, which then needs neither an authority nor a name.",
        default="none",
        example='ontap.fingerprint = "' + ":".join(["1B", "C4"] * 16) + '"',
    ),
    Key(
        path=("ontap", "clones"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="Where the namespace of the SVM, or a part of it, is mounted. `mlsnap restore --to` a folder below "
        "it has the cluster make a clone that takes no time and no space, see [clones](ontap.md#clones).",
        default="none: a version is copied",
        example='ontap.clones = "/mnt/ml/clones"',
    ),
    Key(
        path=("ontap", "snapmirror_label"),
        level=Level.OPERATOR,
        kind=kinds.SNAPMIRROR_LABEL,
        text="The label that snapshots of versions carry: by it a SnapMirror policy chooses what it replicates.",
        default="none",
        example='ontap.snapmirror_label = "mlsnap"',
    ),
    Key(
        path=("ontap", "readback"),
        level=Level.OPERATOR,
        kind=kinds.choice("mount", "server"),
        text='By whom a new snapshot is looked at: `"mount"` opens it as a reader would. `"server"` asks the '
        "cluster alone, for volumes that show no snapshots; the status then says `not read back`, see "
        "[reading back](ontap.md#reading-back).",
        default='"mount"',
        example='ontap.readback = "server"',
    ),
    Key(
        path=("snapshot", "lock"),
        level=Level.OPERATOR,
        kind=kinds.DURATION,
        text="For how long nobody, an administrator neither, can delete the snapshot of a new version. For "
        "volumes on ONTAP that have [snapshot locking](ontap.md#kept-and-replicated).",
        default="no lock",
        example='snapshot.lock = "30d"',
    ),
    Key(
        path=("report", "output"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="The folder that each run writes its [report](report.md) to when it ends: the pages of all versions, "
        "and `record.json`, `metrics.json`, `summary.md` and `junit.xml` of the run.",
        default="none: only `mlsnap report` writes pages",
        example='report.output = "/srv/reports/digits"',
    ),
    Key(
        path=("report", "base_url"),
        level=Level.REPOSITORY,
        kind=kinds.WEB_FOLDER,
        text="Where the report is published. Statuses then link to a version's page there, else to the CI's run, "
        "else to the commit.",
        default="none",
        example='report.base_url = "https://acme.github.io/digits"',
    ),
    Key(
        path=("report", "templates"),
        level=Level.REPOSITORY,
        kind=kinds.PATH,
        text="A folder with [templates or a style sheet](report.md#your-own-templates) that stand in place of "
        "those of the report's pages. In a repository it is inside the project's folder, and what is there at the "
        "commit that decides counts, never a change request's own.",
        default="none",
        example='report.templates = "ci/report"',
    ),
    Key(
        path=("forge", "url"),
        level=Level.OPERATOR,
        kind=kinds.ENDPOINT,
        text="The base URL of the forge's API. The token is sent there and nowhere else.",
        default='what the CI says, else "https://api.github.com"',
        example='forge.url = "https://github.example.com/api/v3"',
    ),
    Key(
        path=("forge", "ca"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="A file with the certificates of the authority that signs the forge's.",
        default="the certificates that the system trusts",
        example='forge.ca = "/etc/ssl/example-ca.pem"',
    ),
    Key(
        path=("forge", "repository"),
        level=Level.OPERATOR,
        kind=kinds.FORGE_REPOSITORY,
        text="The repository that statuses are posted to.",
        default="what the CI says, else `owner/name` of the remote `origin`",
        example='forge.repository = "acme/digits"',
    ),
    Key(
        path=("forge", "pause"),
        level=Level.OPERATOR,
        kind=kinds.DURATION,
        text="The least time between two writes to the forge, which GitHub asks for. An Enterprise Server without "
        "rate limits needs none.",
        default='"1s"',
        example='forge.pause = "0s"',
    ),
    Key(
        path=("forge", "comment"),
        level=Level.REPOSITORY,
        kind=kinds.COMMENT,
        text="Whether a run in CI leaves a comment on the commit's pull request, one for each model, edited in "
        'place. `"on-change"` makes the first one only when a metric differs from the base, a gate was missed, or '
        "the run failed. See [statuses](statuses.md#the-comment).",
        default="true",
        example='forge.comment = "on-change"',
    ),
    Key(
        path=("forge", "gate_statuses"),
        level=Level.REPOSITORY,
        kind=kinds.BOOLEAN,
        text="Whether each gate has a commit status of its own, `mlsnap/<model>/<metric>`, besides the model's.",
        default="false",
        example="forge.gate_statuses = true",
    ),
    Key(
        path=("forge", "check_runs"),
        level=Level.REPOSITORY,
        kind=kinds.BOOLEAN,
        text="Whether a run also leaves its report as a check run, `<model> report`. Only the token of an Action "
        "or an App may do so; the job needs `checks: write`.",
        default="false",
        example="forge.check_runs = true",
    ),
    Key(
        path=("forge", "deployments"),
        level=Level.REPOSITORY,
        kind=kinds.BOOLEAN,
        text="Whether `mlsnap promote` makes a deployment to the environment of the channel's name. The token "
        "needs `deployments: write`.",
        default="false",
        example="forge.deployments = true",
    ),
    Key(
        path=("jenkins", "url"),
        level=Level.OPERATOR,
        kind=kinds.ENDPOINT,
        text="The Jenkins server that [`mlsnap jenkins`](jenkins-server.md) speaks to. The login is sent there "
        "and nowhere else.",
        default="none",
        example='jenkins.url = "https://jenkins.example.com"',
    ),
    Key(
        path=("jenkins", "ca"),
        level=Level.OPERATOR,
        kind=kinds.PATH,
        text="A file with the certificates of the authority that signs the Jenkins server's.",
        default="well-known authorities",
        example='jenkins.ca = "/etc/ssl/example-ca.pem"',
    ),
)

SHORT_FORMS: dict[KeyPath, KeyPath] = {("train",): ("train", "command")}
"""A table's name that may hold a plain value, and the key which that value is then given to."""

_CREDENTIAL = re.compile(
    r"(?:^|[^a-z])(?:token|password|passwd|passphrase|secret|credential|api[_-]?key|private[_-]?key)s?(?:[^a-z]|$)"
    r"|(?:token|password|secret)$"
)


def find(path: KeyPath) -> Key | None:
    """Give the key that stands at this path."""
    return next((key for key in KEYS if _fits(key.path, path)), None)


def is_table(path: KeyPath) -> bool:
    """Tell whether keys stand below this path."""
    return any(len(key.path) > len(path) and _fits(key.path[: len(path)], path) for key in KEYS)


def names_below(path: KeyPath) -> list[str]:
    """Give the names that may stand directly below this path; empty where any name may."""
    depth = len(path)
    below = (key.path[depth] for key in KEYS if len(key.path) > depth and _fits(key.path[:depth], path))
    return [name for name in dict.fromkeys(below) if name != "*"]


def known_part(path: KeyPath) -> KeyPath:
    """Give the tables that an unknown key stands in, as far as they are known ones."""
    depth = next((depth for depth in range(1, len(path)) if not is_table(path[:depth])), len(path))
    return path[: depth - 1]


def suggestion(path: KeyPath) -> str:
    """Give the key that was probably meant by an unknown one, as it is written; empty when none is near."""
    import difflib  # for mistakes alone

    *tables, name = path
    near = difflib.get_close_matches(name.lower(), names_below(tuple(tables)), n=1)
    if near:
        return shown((*tables, near[0]))
    elsewhere = [key for key in KEYS if key.path[-1] == name.lower()]
    return shown(elsewhere[0].path).replace("*", "<name>") if elsewhere else ""


def is_credential(name: str) -> bool:
    """Tell whether an unknown key's name says that its value is a secret."""
    return _CREDENTIAL.search(name.lower()) is not None


def shown(path: KeyPath) -> str:
    """Write a path as TOML does, with quotes where a name needs them."""
    return ".".join(part if re.fullmatch(r"[A-Za-z0-9_*-]+", part) else f'"{part}"' for part in path)


def _fits(pattern: KeyPath, path: KeyPath) -> bool:
    return len(pattern) == len(path) and all(a in ("*", b) for a, b in zip(pattern, path, strict=True))
