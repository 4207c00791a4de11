"""init: the files that a repository needs, written once and never over somebody's own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ci_mlsnap.config.read import PROJECT_FILE, settings_file
from ci_mlsnap.domain.names import label_from
from ci_mlsnap.durable.atomic import write_atomically
from ci_mlsnap.durable.faults import storage_errors
from ci_mlsnap.errors import UsageError
from ci_mlsnap.ports import Repository
from ci_mlsnap.report.rendering import render_text


class Wrote(msgspec.Struct, frozen=True, kw_only=True):
    """One file, and what was done about it: with `content` it is written, or would be."""

    path: Path
    what: str
    content: bytes | None = None


class CiFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file by which a CI starts mlsnap: its `path` from the top of the repository, and its template.

    `{}` in the path is where a project in a sub-folder puts its name.
    """

    path: str
    template: str


CI_FILES: dict[str, CiFile] = {
    "github": CiFile(path=".github/workflows/mlsnap{}.yml", template="workflow.yml.j2"),
    "forks": CiFile(path=".github/workflows/mlsnap{}-forks.yml", template="forks.yml.j2"),
    "jenkins": CiFile(path="Jenkinsfile{}", template="Jenkinsfile.j2"),
}
"""What `init` writes for a CI, by the option's name."""

ACTION = "org/mlsnap-action@v1"
_ACTION = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+@[A-Za-z0-9_./-]+")


def init(
    repository: Repository,
    folder: Path,
    *,
    command: str,
    volume: str,
    ci: Sequence[str] = (),
    action: str = ACTION,
    dry_run: bool = False,
) -> list[Wrote]:
    """Write `mlsnap.toml`, ignore a private volume in git, and write the file of each CI asked for; a second time
    nothing changes, and a file that is there already is left as it is.

    A volume whose files git tracks already is only told of: what to do about them is a person's decision.
    Raises `UsageError` for a volume or action that can be none, before anything is written, and `StorageFailed`.
    """
    place = Path(os.path.normpath(folder / volume))
    if not volume.isprintable() or folder.is_relative_to(place):
        raise _useless(volume, "volume", "name a folder, such as `models`")
    if any("\ud800" <= char <= "\udfff" for char in command):
        raise _useless(command, "command in a settings file", "put it into a script, and name that")
    if _ACTION.fullmatch(action) is None:
        raise _useless(action, "action", f"write owner, repository and version, such as `{ACTION}`")
    done = [_settings(folder, command, volume)]
    if place.is_relative_to(repository.top):
        done.append(_ignored(folder if place.is_relative_to(folder) else repository.top, place))
        if repository.is_tracked(place):
            done.append(Wrote(path=place, what="is tracked by git: `git rm -r --cached` it, then commit"))
    done += [_ci_file(repository.top, folder, CI_FILES[name], action) for name in ci]
    for wrote in done:
        if wrote.content is not None and not dry_run:
            with storage_errors(f"{wrote.path} cannot be written"):
                wrote.path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(wrote.path, wrote.content)
    return done


def _settings(folder: Path, command: str, volume: str) -> Wrote:
    found = settings_file(folder)
    if found is not None:
        return Wrote(path=found, what="is there already: left as it is")
    text = render_text("mlsnap.toml.j2", {"command": toml_text(command), "volume": toml_text(volume)})
    return Wrote(path=folder / PROJECT_FILE, what="written", content=text.encode())


def _ignored(folder: Path, place: Path) -> Wrote:
    file = folder / ".gitignore"
    # A view is a link, which a pattern that ends in a slash would not match; the volume is a folder.
    line = "/" + re.sub(r"([\\*?\[])", r"\\\1", place.relative_to(folder).as_posix()) + "/"
    before = file.read_bytes().decode("utf-8", "surrogateescape") if file.exists() else ""
    if {line, line.rstrip("/")} & set(before.splitlines()):
        return Wrote(path=file, what=f"ignores {line} already")
    gap = "" if not before or before.endswith("\n") else "\n"
    content = (before + gap + line + "\n").encode("utf-8", "surrogateescape")
    return Wrote(path=file, what=f"ignores {line} now", content=content)


def _ci_file(top: Path, folder: Path, file: CiFile, action: str) -> Wrote:
    """Write a CI's file. One that is there is somebody's own by now, and told of where it differs."""
    below = "" if folder == top else folder.relative_to(top).as_posix()
    label = f"-{label_from(below)}" if below else ""
    project = toml_text(below) if below else ""  # a TOML string is a YAML string too
    content = render_text(file.template, {"name": f"mlsnap{label}", "project": project, "action": action}).encode()
    path = top / file.path.format(label)
    if not os.path.lexists(path):
        return Wrote(path=path, what="written", content=content)
    same = path.is_file() and path.read_bytes() == content
    differs = "is there already, and differs from what would be written: left as it is"
    return Wrote(path=path, what="is there already: left as it is" if same else differs)


def _useless(text: str, what: str, hint: str) -> UsageError:
    return UsageError(f"{ascii(text)[:200]} can be no {what}", safe="nothing was written", hint=hint)


def toml_text(text: str) -> str:
    """Write a text as a TOML string: JSON's escapes are a part of TOML's, except for pairs of surrogates."""
    import json

    # TOML takes no raw DEL, which JSON does.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
