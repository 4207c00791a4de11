"""The repository's name in the URL of its remote."""

from __future__ import annotations

import pytest

from ci_mlsnap.git.remote import repository_name


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/acme/digits",
        "https://github.com/acme/digits.git",
        "https://github.com/acme/digits.git/",
        "https://github.com/acme/digits/",
        "https://ada:s3cret@github.com/acme/digits.git",
        "https://x-access-token:s3cret@forge.example:8443/acme/digits.git",
        "http://forge.example/acme/digits",
        "ssh://git@github.com/acme/digits.git",
        "ssh://git@ssh.github.com:443/acme/digits.git",
        "git://forge.example/acme/digits",
        "git@github.com:acme/digits.git",
        "git@forge.example:acme/digits",
        "github:acme/digits",
        "org-123@github.com:acme/digits.git",
    ],
)
def test_the_name_is_read_from_every_form_of_url(url: str) -> None:
    assert repository_name(url) == "acme/digits"


@pytest.mark.parametrize("name", ["a/b.c", "A-b/c_d", "acme/.github", "acme/digits.git.io"])
def test_unusual_names_are_kept(name: str) -> None:
    assert repository_name(f"https://github.com/{name}.git") == name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv/git/acme/digits.git",
        "../acme/digits",
        "acme/digits",
        "file:///acme/digits",
        "https:///acme/digits",
        "https://github.com/digits",
        "https://gitlab.example/group/sub/digits",
        "https://github.com/acme/..",
        "https://github.com/../digits",
        "https://github.com/acme/dig its",
        "https://github.com/acme/digits\n",
        "https://github.com/acme/di%20gits",
        "https://[github.com/acme/digits",
        "ext::sh -c touch% x",
        "git@github.com:/acme\x00/digits",
    ],
)
def test_what_is_no_forges_url_has_no_name(url: str) -> None:
    assert repository_name(url) == ""
