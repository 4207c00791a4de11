from __future__ import annotations

import pytest

from ci_mlsnap.trees.links import leads_out


@pytest.mark.parametrize(
    ("links", "out"),
    [
        ({b"a": b"b"}, False),
        ({b"a": b"/etc"}, True),
        ({b"a": b"//etc"}, True),
        ({b"a": b".."}, True),
        ({b"x/a": b".."}, False),
        ({b"x/a": b"../.."}, True),
        ({b"x/a": b"../x/../x/b"}, False),
        ({b"x/a": b"./..//../y"}, True),
        ({b"a": b"missing/.."}, False),
        ({b"a": b"missing/../.."}, True),
        ({b"a": b"..."}, False),
        ({b"a": b"x/..hidden"}, False),
    ],
)
def test_one_link(links: dict[bytes, bytes], out: bool) -> None:
    assert leads_out(next(iter(links)), links) is out


@pytest.mark.parametrize(
    ("links", "out"),
    [
        # Read word for word, the first would leave the tree; through the second link it does not.
        ({b"a/x": b"deep/../../y", b"a/deep": b"../b/c/d"}, False),
        # And this stays inside word for word, but not really.
        ({b"a/b/x": b"up/../../y", b"a/b/up": b"../.."}, True),
        ({b"x": b"y/../..", b"y": b"a/b/c"}, False),
        ({b"x": b"y/z", b"y": b"/srv"}, True),
        ({b"x": b"y", b"y": b"x"}, False),
        ({b"x": b"x/../.."}, False),
    ],
)
def test_a_link_through_another(links: dict[bytes, bytes], out: bool) -> None:
    assert leads_out(next(iter(links)), links) is out


def test_what_is_no_content_is_outside() -> None:
    assert leads_out(b"a/x", {b"a/x": b"../.snapshot/1"}, no_content=(b".snapshot",))
    assert not leads_out(b"a/x", {b"a/x": b".snapshot/1"}, no_content=(b".snapshot",))


def test_a_long_chain_of_links_ends() -> None:
    chain = {b"%d" % number: b"%d" % (number + 1) for number in range(39)}
    assert leads_out(b"0", {**chain, b"39": b"../x"})
    doubling = {b"l%d" % number: b"l%d/l%d" % (number + 1, number + 1) for number in range(60)}
    assert not leads_out(b"l0", doubling)
