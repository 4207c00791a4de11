"""Where a cluster is, how its certificate is known, and who we are to it: one record of one operator's source.

And what the operator wants of the volumes there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ci_mlsnap.errors import ConfigInvalid

PASSWORD = "MLSNAP_ONTAP_PASSWORD"  # noqa: S105  the variable's name
TOKEN = "MLSNAP_ONTAP_TOKEN"  # noqa: S105

_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A cluster's or SVM's management address with the one credential that is for it.

    The credential is a user with a password, a token, or a client's certificate with its key. `ca` is a file of
    authorities; `fingerprint` is the SHA-256 of the very certificate, in hex, which then needs neither authority
    nor name; `insecure` takes any certificate. Secrets are in no text that this value gives of itself.
    """

    host: str
    svm: str = ""
    port: int = 443
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    certificate: str = ""
    key: str = ""
    ca: str = ""
    fingerprint: str = ""
    insecure: bool = False

    def __post_init__(self) -> None:
        given = [bool(self.user and self.password), bool(self.token), bool(self.certificate and self.key)]
        if sum(given) != 1:
            raise ConfigInvalid(
                f"ontap: there {'is no credential' if not any(given) else 'are two credentials'} for {self.host}",
                safe="nothing was sent",
                hint=f"set one: ontap.user and {PASSWORD}, or {TOKEN}, or ontap.certificate and ontap.key",
            )
        if self.ca and self.fingerprint:
            raise ConfigInvalid("ontap.ca and ontap.fingerprint are both set", hint="keep one of the two")
        if self.insecure and (self.ca or self.fingerprint):
            raise ConfigInvalid(
                "ontap.ca or ontap.fingerprint is set, and --insecure is given",
                safe="nothing was sent",
                hint="leave --insecure out: what is set tells the cluster from others",
            )

    @property
    def pin(self) -> str:
        """The fingerprint as plain hex digits. Raises `ConfigInvalid` when it is none."""
        plain = self.fingerprint.lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
        if plain and _FINGERPRINT.fullmatch(plain) is None:
            raise ConfigInvalid(
                "ontap.fingerprint is no SHA-256",
                hint="`openssl x509 -noout -fingerprint -sha256 -in <certificate>` gives 32 pairs of hex digits",
            )
        return plain


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the operator wants of volumes on a cluster.

    `clones` is where the namespace of their SVM, or a part of it, is mounted, empty for nowhere: below it a clone
    is a volume of its own. `lock` is for how many seconds nobody can delete a new snapshot, 0 for not at all;
    `label` says to SnapMirror which snapshots are ours. With `by_server` the mount need not show snapshots: then
    only their manifests can be read here, from copies in the state.
    """

    clones: str = ""
    lock: float = 0.0
    label: str = ""
    by_server: bool = False


NO_WISHES = Wishes()
