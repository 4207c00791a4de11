"""The host of `origin`, which decides whether statuses may go to the forge."""

from __future__ import annotations

import pytest

from ci_mlsnap.git.remote import repository_host


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("git@github.com:octo/digits.git", "github.com"),
        ("https://user:secret@GHE.example/octo/digits", "ghe.example"),
        ("ssh://git@ghe.example:2222/octo/digits", "ghe.example"),
        ("git@work:octo/digits.git", "work"),
        ("/srv/git/digits.git", ""),
        ("file:///srv/git/digits.git", ""),
        ("https://[::1/octo/digits", ""),
        ("git@host\n.example:octo/digits", ""),
    ],
)
def test_the_host_of_a_remote_is_read_without_its_login(url: str, host: str) -> None:
    assert repository_host(url) == host
