"""Where git looks for hooks, and for what it copies into new clones."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from ci_mlsnap.errors import GitFailed, Refused
from ci_mlsnap.git.run import Git

TEMPLATE = "init.templateDir"


class HooksFolder(msgspec.Struct, frozen=True, kw_only=True):
    """The folder that git runs hooks from. `work_tree` is the work tree whose files these are, if any: then they
    may be in git, and belong to whoever commits."""

    path: Path
    work_tree: Path | None = None


def hooks_folder(top: Path, common: Path) -> HooksFolder:
    """Say where git looks for the hooks of a work tree. Raises `Refused` where that is no folder, `GitFailed`."""
    set_to = _configured(Git(top), "core.hooksPath")
    path = Path(os.path.normpath(top / set_to)) if set_to else common / "hooks"
    if os.path.lexists(path) and not path.is_dir():
        raise Refused(
            f"git runs no hooks here: core.hooksPath is {path}",
            safe="nothing was changed",
            hint="set it to a folder, or unset it, then run again",
        )
    return HooksFolder(path=path, work_tree=work_tree_around(path) if set_to else None)


def template_folder() -> Path | None:
    """The folder that new clones are made from; None for git's own. Raises `GitFailed`."""
    set_to = _configured(Git(Path("/")), TEMPLATE)
    return Path(set_to) if set_to else None


def set_template(folder: Path | None) -> None:
    """Let this user's new clones be made from a folder; None for git's own again. Raises `GitFailed`."""
    git = Git(Path("/"))
    if folder is not None:
        git.run("config", "--global", TEMPLATE, str(folder), what="git's configuration cannot be changed")
    elif template_folder() is not None:
        git.run("config", "--global", "--unset", TEMPLATE, what="git's configuration cannot be changed")


def copy_own_template(folder: Path) -> None:
    """Make a new template folder with what git's own has: without it, new clones would lack `info/exclude`."""
    with tempfile.TemporaryDirectory() as place:
        git = Git(Path(place))
        git.run("init", "--quiet", "--bare", "made", what="git cannot make a repository in a temporary folder")
        for name in ("description", "hooks", "info"):
            found = Path(place) / "made" / name
            for file in [found] if found.is_file() else sorted(found.glob("*")):
                copy = folder / file.relative_to(Path(place) / "made")
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(file.read_bytes())
                copy.chmod(file.stat().st_mode & 0o777)


def _configured(git: Git, name: str) -> str:
    """Give what git's configuration says, without what this process itself says on git's command line."""
    answer = git.ask("config", "--null", "--show-scope", "--type=path", "--get-all", name)
    if answer.code not in (0, 1):
        raise GitFailed("git cannot read its configuration", why=answer.complaint)
    parts = answer.text.decode("utf-8", "surrogateescape").split("\0")
    found = [value for scope, value in zip(parts[::2], parts[1::2], strict=False) if scope != "command"]
    return found[-1] if found else ""


def tracks(top: Path, path: Path) -> bool:
    """Tell whether a work tree's git has files at a place. Raises `GitFailed`."""
    return bool(Git(top).run("ls-files", "-z", "--", str(path), what="the index cannot be read"))


def work_tree_around(path: Path) -> Path | None:
    """Give the work tree that a place is in; None where it is in none, or in a git folder."""
    folder = next((above for above in (path, *path.parents) if above.is_dir()), Path("/"))
    answer = Git(folder).ask("rev-parse", "--is-inside-work-tree", "--show-toplevel")
    inside, _, top = answer.line.partition(b"\n")
    return Path(os.fsdecode(top)) if answer.code == 0 and inside == b"true" else None
