"""Commit statuses as values: contexts, states, texts of at most 140 characters, target URLs."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from ci_mlsnap.domain.gates import Gate
from ci_mlsnap.errors import ConfigInvalid

DESCRIPTION_LIMIT = 140
"""GitHub's limit in characters; a longer description is refused with 422."""

CONTEXT_LIMIT = 255
"""The same of a context."""

State = Literal["pending", "success", "failure", "error"]


class CommitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One status of one commit, ready to be sent: the limits are already kept."""

    sha: str
    context: str
    state: State
    description: str
    target_url: str = ""


def context_for(model: str, metric: str = "") -> str:
    """Give the stable context that branch protection refers to: `mlsnap/<model>`, or with the gate's metric.

    A metric's name that would not fit is cut and ends in its digest, so that two of them stay two contexts.
    """
    if not metric:
        return f"mlsnap/{model}"
    context = f"mlsnap/{model}/{one_line(metric)}"
    if len(context) <= CONTEXT_LIMIT:
        return context
    return context[: CONTEXT_LIMIT - 13] + "~" + hashlib.sha256(metric.encode(errors="replace")).hexdigest()[:12]


ROLL_UP = "mlsnap"
"""The context of the one status that stands for all models of a commit."""


def gate_contexts(model: str, gates: Iterable[Gate]) -> dict[str, str]:
    """Give each gate's context by its metric. Raises `ConfigInvalid` for two that a forge could not tell apart."""
    contexts: dict[str, str] = {}
    for gate in gates:
        context = context_for(model, gate.metric)
        same = next((metric for metric, it in contexts.items() if it.lower() == context.lower()), None)
        if same is not None:
            raise ConfigInvalid(
                f"the gates {ascii(same)[:80]} and {ascii(gate.metric)[:80]} have the same status",
                why=f"to the forge both are {cut(context, 80)}, since it tells no capitals from small letters",
                safe="nothing was done",
                hint="name one of the metrics otherwise, or set `forge.gate_statuses = false`",
            )
        contexts[gate.metric] = context
    return contexts


def status(sha: str, context: str, state: State, description: str, target_url: str = "") -> CommitStatus:
    """Build a status within the forge's limits; a target that is no http(s) URL is left out."""
    return CommitStatus(
        sha=sha,
        context=context,
        state=state,
        description=cut(one_line(description), DESCRIPTION_LIMIT),
        target_url=target_url if is_web_url(target_url) else "",
    )


def is_web_url(text: str) -> bool:
    """Tell whether `text` may be a status's target: absolute http or https, with a host and without a login."""
    try:
        parts = urlsplit(text)
        return (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.username is None
            and re.search(r"[\s\x00-\x1f\x7f]", text) is None
        )
    except ValueError:
        return False


def one_line(text: str) -> str:
    """Make strangers' text harmless in one line: control, format and unpaired characters become `?`."""
    if text.isascii() and text.isprintable():
        return " ".join(text.split())
    return " ".join("".join(_harmless(char) for char in text).split())


def _harmless(char: str) -> str:
    if char in "\t\n\r":
        return " "
    # Cf holds the bidi overrides and zero-width characters that make a text read as another one.
    return "?" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") else char


def cut(text: str, limit: int) -> str:
    """Shorten to `limit` characters, at a word where one ends near, with an ellipsis."""
    if len(text) <= limit:
        return text
    head = text[: limit - 1]
    word = head.rfind(" ")
    return (head[:word] if word > limit * 2 // 3 else head).rstrip() + "…"
