"""init: the files that a repository needs, written once and never over somebody's own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from ci_mlsnap.config.read import PROJECT_FILE, settings_file
from ci_mlsnap.durable.atomic import write_atomically
from ci_mlsnap.errors import UsageError
from ci_mlsnap.ports import Repository
from ci_mlsnap.report.rendering import render_text


class Wrote(msgspec.Struct, frozen=True, kw_only=True):
    """One file, and what was done about it."""

    path: Path
    what: str


def init(repository: Repository, folder: Path, *, command: str, volume: str) -> list[Wrote]:
    """Write `mlsnap.toml` and ignore a private volume in git; a second time nothing changes.

    A volume whose files git tracks already is only told of: what to do about them is a person's decision.
    Raises `UsageError` for a volume that can be none, before anything is written.
    """
    place = Path(os.path.normpath(folder / volume))
    if not volume.isprintable() or folder.is_relative_to(place):
        raise _useless(volume, "volume", "name a folder, such as `models`")
    if any("\ud800" <= char <= "\udfff" for char in command):
        raise _useless(command, "command in a settings file", "put it into a script, and name that")
    done = [_settings(folder, command, volume)]
    if place.is_relative_to(repository.top):
        done.append(_ignored(folder if place.is_relative_to(folder) else repository.top, place))
        if repository.is_tracked(place):
            done.append(Wrote(path=place, what="is tracked by git: `git rm -r --cached` it, then commit"))
    return done


def _settings(folder: Path, command: str, volume: str) -> Wrote:
    found = settings_file(folder)
    if found is not None:
        return Wrote(path=found, what="is there already: left as it is")
    text = render_text("mlsnap.toml.j2", {"command": toml_text(command), "volume": toml_text(volume)})
    write_atomically(folder / PROJECT_FILE, text.encode())
    return Wrote(path=folder / PROJECT_FILE, what="written")


def _ignored(folder: Path, place: Path) -> Wrote:
    file = folder / ".gitignore"
    # A view is a link, which a pattern that ends in a slash would not match; the volume is a folder.
    line = "/" + re.sub(r"([\\*?\[])", r"\\\1", place.relative_to(folder).as_posix()) + "/"
    before = file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""
    if {line, line.rstrip("/")} & set(before.splitlines()):
        return Wrote(path=file, what=f"ignores {line} already")
    gap = "" if not before or before.endswith("\n") else "\n"
    write_atomically(file, (before + gap + line + "\n").encode("utf-8", "surrogateescape"))
    return Wrote(path=file, what=f"ignores {line} now")


def _useless(text: str, what: str, hint: str) -> UsageError:
    return UsageError(f"{ascii(text)[:200]} can be no {what}", safe="nothing was written", hint=hint)


def toml_text(text: str) -> str:
    """Write a text as a TOML string: JSON's escapes are a part of TOML's, except for pairs of surrogates."""
    import json

    # TOML takes no raw DEL, which JSON does.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
