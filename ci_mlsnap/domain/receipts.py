"""Receipts: what other hosts that write to a volume say of their part, and whether enough of them said it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

_Text = Annotated[str, msgspec.Meta(max_length=255)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Receipt(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="format",
    tag="mlsnap/receipt/1",
):
    """One host's word that what it wrote below `path` is on the storage.

    `boot` tells hosts apart: containers of one machine share it, and with it the memory that files wait in.
    `errors` counts what could not be made durable, the first in `why`; `at` is that host's clock, ISO 8601.
    """

    run: _Name
    commit: _Text = ""
    host: _Name
    boot: _Name
    at: _Text
    path: Annotated[str, msgspec.Meta(max_length=4096)]
    files: _Count
    folders: _Count
    errors: _Count = 0
    why: _Text = ""


def settled(receipts: Sequence[Receipt], *, run: str, own_boot: str) -> tuple[Receipt, ...]:
    """Give the receipts that count: of this run, from other hosts, one for each, without an error; by host."""
    good = {it.boot: it for it in receipts if it.run == run and it.boot != own_boot and not it.errors}
    return tuple(sorted(good.values(), key=lambda it: (it.host, it.boot)))


def objections(receipts: Sequence[Receipt], *, run: str, own_boot: str) -> tuple[str, ...]:
    """Say of each receipt that does not count why not, in the order that they are given in."""
    said = []
    for receipt in receipts:
        if receipt.run != run:
            said.append(f"{receipt.host}: its receipt is of another run")
        elif receipt.boot == own_boot:
            said.append(f"{receipt.host}: this is the host that concludes")
        elif receipt.errors:
            said.append(f"{receipt.host}: {receipt.why or 'not everything is on the storage'}")
    return tuple(said)
