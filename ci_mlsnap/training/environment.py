"""The variables that training gets: an allow-list, since nobody knows the names of all secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import urlsplit

_NAMES = frozenset(
    (
        *("PATH", "HOME", "LANG", "LANGUAGE", "VIRTUAL_ENV", "TMPDIR", "USER", "LOGNAME", "SHELL", "TERM", "TZ"),
        # Where certificates are that the site's own proxies need.
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        # What the CI shows to everybody who sees the build.
        *("CI", "GITHUB_ACTIONS", "GITHUB_SHA", "GITHUB_REF", "GITHUB_REF_NAME", "GITHUB_REF_TYPE"),
        *("GITHUB_HEAD_REF", "GITHUB_BASE_REF", "GITHUB_REPOSITORY", "GITHUB_EVENT_NAME", "GITHUB_ACTOR"),
        *("GITHUB_RUN_ID", "GITHUB_RUN_NUMBER", "GITHUB_RUN_ATTEMPT", "GITHUB_WORKFLOW", "GITHUB_JOB"),
        *("GITHUB_SERVER_URL", "GITHUB_WORKSPACE", "RUNNER_OS", "RUNNER_ARCH", "RUNNER_NAME"),
        *("JENKINS_URL", "BUILD_NUMBER", "BUILD_ID", "BUILD_TAG", "BUILD_URL", "JOB_NAME", "JOB_BASE_NAME"),
        *("JOB_URL", "NODE_NAME", "EXECUTOR_NUMBER", "STAGE_NAME", "WORKSPACE", "BRANCH_NAME", "TAG_NAME"),
        *("CHANGE_ID", "CHANGE_TARGET", "CHANGE_BRANCH", "CHANGE_URL", "GIT_COMMIT", "GIT_BRANCH"),
        # By these two the CI finds what a cancelled build left running, should we have been killed before.
        *("RUNNER_TRACKING_ID", "JENKINS_NODE_COOKIE"),
    )
)
_PREFIXES = (
    *("LC_", "LD_", "PYTHON", "CONDA_", "SLURM_", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_"),
    *("CUDA_", "NCCL_", "NVIDIA_", "HIP_", "ROCR_"),
)
_PROXIES = re.compile(r"(https?|ftp|all|no)_proxy", re.IGNORECASE)
_LOOKS_SECRET = re.compile(
    r"TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL|JWT|API_?KEY|PRIVATE_?KEY|ACCESS_?KEY", re.IGNORECASE
)
_OWN_SECRETS = (
    r"(GITHUB|GH)_(ENTERPRISE_)?TOKEN"
    r"|(MLSNAP|ONTAP|NETAPP|JENKINS)_.*(TOKEN|SECRET|PASSWORD|PASSPHRASE|CREDENTIAL|KEY).*"
)
_OWN_SECRET = re.compile(_OWN_SECRETS, re.IGNORECASE)
_NEVER = re.compile(
    # The inputs of the action, its cache and identity tokens, and the files by which a step speaks to the runner.
    rf"{_OWN_SECRETS}|INPUT_.*|ACTIONS_.*|GITHUB_(OUTPUT|ENV|PATH|STEP_SUMMARY|STATE)|MLSNAP_OUTPUT",
    re.IGNORECASE,
)


def training_environment(
    environ: Mapping[str, str], *, passed: Sequence[str], own: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Give the environment of training, and the names that were left out, refused wishes first.

    `passed` are names asked for besides the usual ones; secrets of mlsnap and the CI's own channels do not pass
    even then. `own` is what mlsnap tells training, and wins.
    """
    refused = sorted({name for name in passed if name in environ and _NEVER.fullmatch(name)})
    given = {name: value for name, value in environ.items() if _may_pass(name, value, passed)}
    left_out = sorted(set(environ) - set(given) - set(own) - set(refused))
    return {**given, **own}, (*refused, *left_out)


def passed_names(environ: Mapping[str, str], passed: Sequence[str]) -> tuple[str, ...]:
    """Give the names that `train.env` asks for and that training does get, for the record."""
    return tuple(sorted({name for name in passed if name in environ and not _NEVER.fullmatch(name)}))


def own_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the names of the variables that hold secrets of mlsnap, which training may get in no way."""
    return tuple(sorted(name for name, value in environ.items() if value and _OWN_SECRET.fullmatch(name)))


def shows_secrets(environ: Mapping[str, str]) -> bool:
    """Tell whether a variable holds what looks like a secret of anybody: by its name, or by a login in a URL."""
    return any(
        _NEVER.fullmatch(name) or _LOOKS_SECRET.search(name) or ("://" in value and _has_login(value))
        for name, value in environ.items()
        if value
    )


def _may_pass(name: str, value: str, passed: Sequence[str]) -> bool:
    if _NEVER.fullmatch(name):
        return False
    if name in passed:
        return True
    if _PROXIES.fullmatch(name):
        return not _has_login(value)
    return name in _NAMES or (name.startswith(_PREFIXES) and not _LOOKS_SECRET.search(name))


def _has_login(value: str) -> bool:
    """Tell whether a proxy's URL, or any of a list of them, carries a user name; an unreadable one may."""
    return any("@" in part for part in _authorities(value))


def _authorities(value: str) -> Iterator[str]:
    for part in re.split(r"[,\s]+", value):
        try:
            yield urlsplit(part if "//" in part else f"//{part}").netloc
        except ValueError:
            yield "@"
