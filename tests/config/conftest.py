"""How these tests get from the texts of all sources to settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import pytest

from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.read import ReadFile, load_layers
from ci_mlsnap.config.settings import Defaults, Settings


class SettingsFrom(Protocol):
    """Settles the settings of these texts. `site` is the text of a site file, `tested` that of the commit."""

    def __call__(
        self,
        repository: str = "",
        *,
        tested: str | None = None,
        environ: Mapping[str, str] | None = None,
        git_config: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
        site: str | None = None,
        in_ci: bool = False,
    ) -> Settings: ...


def only(text: str, name: str = "mlsnap.toml") -> ReadFile:
    """Give a commit's files of which only one is there."""
    return lambda wanted: text.encode(errors="surrogateescape") if wanted == name else None


@pytest.fixture
def settings_from(tmp_path: Path) -> SettingsFrom:
    """Give `settings_from(text, …)`."""

    def settings(
        repository: str = "",
        *,
        tested: str | None = None,
        environ: Mapping[str, str] | None = None,
        git_config: Mapping[str, str] | None = None,
        inputs: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
        site: str | None = None,
        in_ci: bool = False,
    ) -> Settings:
        site_file = tmp_path / "site.toml"
        site_file.unlink(missing_ok=True)
        if site is not None:
            site_file.write_text(site)
        layers = load_layers(
            repository=only(repository),
            tested=None if tested is None else only(tested),
            environ=environ or {},
            in_ci=in_ci,
            git_config=git_config,
            inputs=[(key, text, f"input {key}") for key, text in (inputs or {}).items()],
            flags=flags,
            site=site_file,
        )
        return settle(layers, defaults=Defaults(model="digits", project="acme/digits"))

    return settings
