"""init: the files that a repository needs, written once and never over somebody's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ci_mlsnap.durable.atomic import write_atomically
from ci_mlsnap.ports import Repository
from ci_mlsnap.report.rendering import render_text

PROJECT_FILE = "mlsnap.toml"


@dataclass(frozen=True, kw_only=True)
class Wrote:
    """One file, and what was done about it."""

    path: Path
    what: str


def init(repository: Repository, folder: Path, *, command: str, volume: str, private: bool) -> list[Wrote]:
    """Write `mlsnap.toml` and ignore a private volume in git; a second time nothing changes.

    A volume whose files git tracks already is only told of: what to do about them is a person's decision.
    """
    done = [_settings(folder / PROJECT_FILE, command, volume)]
    if private:
        done.append(_ignored(folder / ".gitignore", volume))
        if repository.is_tracked(folder / volume):
            done.append(
                Wrote(path=folder / volume, what="is tracked by git: `git rm -r --cached` it, then commit")
            )
    return done


def _settings(file: Path, command: str, volume: str) -> Wrote:
    if file.exists():
        return Wrote(path=file, what="is there already: left as it is")
    text = render_text("mlsnap.toml.j2", {"command": toml_text(command), "volume": toml_text(volume)})
    write_atomically(file, text.encode())
    return Wrote(path=file, what="written")


def _ignored(file: Path, volume: str) -> Wrote:
    line = f"/{volume.strip('/')}/"
    # A view is a link, which a pattern that ends in a slash would not match; the volume is a folder.
    before = file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""
    if line in before.splitlines():
        return Wrote(path=file, what=f"ignores {line} already")
    gap = "" if not before or before.endswith("\n") else "\n"
    write_atomically(file, (before + gap + line + "\n").encode("utf-8", "surrogateescape"))
    return Wrote(path=file, what=f"ignores {line} now")


def toml_text(text: str) -> str:
    """Write a text as a TOML string: JSON's escapes are a part of TOML's."""
    import json

    return json.dumps(text, ensure_ascii=True)
