"""Who asks, and what their role lets them do: accounts, REST roles, and what a password, token or certificate is.

The words of a role and its longest-path rule are those of `security login rest-role`; `*` stands for one part of
a path.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tests.ontap.emulator.refusals import NOT_AUTHENTICATED, NOT_AUTHORISED, Refused

Access = Literal["none", "readonly", "read_create", "read_modify", "read_create_modify", "all"]
Role = Mapping[str, Access]

_MAY: Mapping[Access, frozenset[str]] = {
    "none": frozenset(),
    "readonly": frozenset({"GET"}),
    "read_create": frozenset({"GET", "POST"}),
    "read_modify": frozenset({"GET", "PATCH"}),
    "read_create_modify": frozenset({"GET", "POST", "PATCH"}),
    "all": frozenset({"GET", "POST", "PATCH", "DELETE"}),
}

ADMIN: Role = {"/api": "all"}
VSADMIN: Role = {
    "/api/application/consistency-groups": "all",
    "/api/cluster": "readonly",
    "/api/storage/file/clone": "all",
    "/api/storage/snapshot-policies": "readonly",
    "/api/storage/volumes": "all",
    "/api/svm/svms": "readonly",
}
SNAPSHOTS_ONLY: Role = {
    "/api/cluster/jobs": "readonly",
    "/api/storage/volumes": "readonly",
    "/api/storage/volumes/*/snapshots": "read_create",
    "/api/svm/svms": "readonly",
}
"""What a runner needs that only makes versions."""

PRUNING: Role = {**SNAPSHOTS_ONLY, "/api/storage/volumes/*/snapshots": "all"}


@dataclass(frozen=True, kw_only=True)
class Account:
    """An account; with an `svm` it sees that one alone. A client's certificate names it by its common name."""

    name: str
    role: Role
    password: str = ""
    svm: str = ""


@dataclass(frozen=True, kw_only=True)
class Token:
    """A bearer token of an account, refused when it has expired by the cluster's clock."""

    text: str
    account: str
    expires: datetime


def token_text(account: str, expires: datetime) -> str:
    """Write what has the form of a signed token: three parts, the first two of them JSON."""
    parts = ({"alg": "RS256", "typ": "JWT"}, {"sub": account, "exp": int(expires.timestamp())})
    encoded = [base64.b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join((*encoded, "c2lnbmF0dXJl"))


class Accounts:
    """All accounts of a cluster."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}
        self._tokens: dict[str, Token] = {}

    def add(self, account: Account) -> None:
        """Let somebody in, or change what they may do."""
        self._accounts[account.name] = account

    def remove(self, name: str) -> None:
        """Let somebody in no more."""
        del self._accounts[name]

    def add_token(self, account: str, expires: datetime) -> str:
        """Issue a token to an account."""
        token = Token(text=token_text(account, expires), account=account, expires=expires)
        self._tokens[token.text] = token
        return token.text

    def who(self, authorization: str, certificate: str, now: datetime) -> Account:
        """Tell whose header, or certificate by its common name, a request came with. Raises `Refused`."""
        scheme, _, secret = authorization.partition(" ")
        found: Account | None = None
        if scheme.lower() == "basic":
            found = self._by_password(secret)
        elif scheme.lower() == "bearer":
            found = self._by_token(secret, now)
        elif not authorization and certificate:
            found = self._accounts.get(certificate)
        if found is None:
            raise Refused(NOT_AUTHENTICATED, "User is not authorized.")
        return found

    def _by_password(self, secret: str) -> Account | None:
        try:
            name, _, password = base64.b64decode(secret, validate=True).decode().partition(":")
        except ValueError:
            return None
        account = self._accounts.get(name)
        right = account is not None and account.password and hmac.compare_digest(account.password, password)
        return account if right else None

    def _by_token(self, secret: str, now: datetime) -> Account | None:
        token = self._tokens.get(secret)
        return self._accounts.get(token.account) if token and token.expires > now else None


def require(account: Account, method: str, path: str) -> None:
    """Let a request pass that the account's role allows. Raises `Refused`."""
    granted = _granted(account.role, path.strip("/").split("/"))
    if method not in _MAY[granted]:
        raise Refused(NOT_AUTHORISED, "not authorized for that command")


def _granted(role: Role, parts: list[str]) -> Access:
    """Find the most exact path of a role that a request's path lies at or below."""
    fitting = [(pattern.strip("/").split("/"), access) for pattern, access in role.items()]
    fitting = [(pattern, access) for pattern, access in fitting if _below(pattern, parts)]
    return max(fitting, key=lambda one: len(one[0]), default=([], "none"))[1]


def _below(pattern: Iterable[str], parts: list[str]) -> bool:
    pattern = list(pattern)
    return len(parts) >= len(pattern) and all(
        one in {"*", part} for one, part in zip(pattern, parts, strict=False)
    )
