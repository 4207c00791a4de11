"""Certificates of the Jenkins server: those of the given authority are trusted, all others get nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci_mlsnap.ci.jenkins_api import Server
from ci_mlsnap.ci.jenkins_facts import Endpoint
from ci_mlsnap.errors import JenkinsUnreachable
from tests.forge.test_github_tls import _authority
from tests.jenkins_server.conftest import BRISK
from tests.jenkins_server.lookalike import API_TOKEN, USER, JenkinsLookAlike


def client(url: str, ca: Path | None) -> Server:
    return Server(Endpoint(url=url, user=USER, token=API_TOKEN, ca=str(ca or "")), patience=BRISK)


def test_the_given_authority_is_trusted_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, other = _authority(tmp_path / "ours"), _authority(tmp_path / "other")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.bundle))
    with JenkinsLookAlike(tls=ours.context) as server:
        asking = client(server.url, ours.bundle)
        assert asking.who() == USER
        asking.close()


@pytest.mark.parametrize("wrong", ["the system's authorities", "another authority", "another host"])
def test_any_other_certificate_gets_no_login(tmp_path: Path, wrong: str) -> None:
    ours = _authority(tmp_path / "ours", host="127.0.0.2" if wrong == "another host" else "127.0.0.1")
    bundles = {"the system's authorities": None, "another host": ours.bundle}
    ca = bundles[wrong] if wrong in bundles else _authority(tmp_path / "other").bundle
    with JenkinsLookAlike(tls=ours.context) as server:
        asking = client(server.url, ca)
        for act in (asking.who, lambda: asking.stop("digits", 1)):
            with pytest.raises(JenkinsUnreachable) as caught:
                act()
            assert "jenkins.ca" in caught.value.hint
            assert caught.value.safe == "nothing was done"
        asking.close()
        assert server.received == []
