"""hooks install, uninstall, status: git calls mlsnap, and everything is as before when it no longer does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

import ci_mlsnap
from ci_mlsnap.errors import Refused
from ci_mlsnap.flows import trusting
from ci_mlsnap.flows.context import Project
from ci_mlsnap.git import hooks as git
from ci_mlsnap.hooks import folder as folders
from ci_mlsnap.hooks import hint
from ci_mlsnap.hooks.folder import Found
from ci_mlsnap.hooks.script import NAMES, Program
from ci_mlsnap.ports import Repository
from ci_mlsnap.trees.remove import remove_tree

CALL = 'h="$(git rev-parse --git-common-dir)/mlsnap/.hooks/${0##*/}"; [ ! -x "$h" ] || "$h" "$@"'
"""What calls our hook from one that is a file of the work tree; nothing for those who did not install ours."""

_CALLED = "/mlsnap/.hooks/"
_GLOBAL = "all clones of this user"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the hooks of a repository stand. `uncalled` are the files of the work tree that need the line `CALL`."""

    folder: Path
    hooks: tuple[Found, ...]
    uncalled: tuple[Path, ...] = ()
    trusted: bool
    template: bool

    @property
    def installed(self) -> bool:
        """Tell whether git calls all of them."""
        return all(hook.state == "installed" for hook in self.hooks) and not self.uncalled


def standing(project: Project) -> Standing:
    """Say how the hooks stand. Changes nothing. Raises `Refused` where git runs none, `GitFailed`."""
    repository = project.repository
    where = _hooks_folder(repository)
    ours = trusting.own_folder(repository) if where.work_tree else where.path
    trust = trusting.read(trusting.trust_file(repository))
    template = git.template_folder()
    return Standing(
        folder=where.path,
        hooks=tuple(folders.found(ours, name, _user(repository)) for name in NAMES),
        uncalled=tuple(_uncalled(where)) if where.work_tree else (),
        trusted=set(trusting.places_of(project)) <= set(trust.places),
        template=template is not None and _is_installed(template),
    )


def install(project: Project) -> Standing:
    """Let git call mlsnap in all work trees of this repository, and remember what the settings name now.

    Where the hooks are files of a work tree, nothing is written there. Doing it again changes nothing.
    Raises `Refused`, `StorageFailed`, `GitFailed`.
    """
    repository = project.repository
    where = _hooks_folder(repository)
    program = _program(repository)
    if not _user(repository).isprintable():
        raise _replaceable("the repository's path has control characters, which a script cannot name")
    ours = trusting.own_folder(repository) if where.work_tree else where.path
    below = project.folder.relative_to(repository.top).as_posix()
    trusting.remember(trusting.trust_file(repository), trusting.places_of(project), below)
    for name in NAMES:
        folders.install(ours, name, program, _user(repository))
    return standing(project)


def uninstall(repository: Repository) -> bool:
    """Put back what was there before, and forget what was trusted; tell whether anything changed."""
    where = _hooks_folder(repository)
    own = trusting.own_folder(repository)
    changed = [
        folders.uninstall(folder, name, _user(repository), is_used=_is_used)
        for folder in dict.fromkeys((own, where.path, repository.common_folder / "hooks"))
        for name in NAMES
        if where.work_tree is None or folder != where.path
    ]
    had_trust = trusting.trust_file(repository).exists()
    remove_tree(own)
    for git_folder in (repository.common_folder, *(repository.common_folder / "worktrees").glob("*")):
        hint.forget(git_folder)
    return any(changed) or had_trust


def install_for_all(environ: Mapping[str, str], project: Project | None) -> Path:
    """Let future clones of this user have the hooks, by the folder that git makes clones from; give that folder.

    What the `project` at hand names is trusted in all of them. Raises `Refused`, `StorageFailed`, `GitFailed`.
    """
    program = _program(None)
    template = git.template_folder()
    if template is None:
        template = trusting.user_folder(environ) / "git-template"
        if not (template / "hooks").is_dir():
            git.copy_own_template(template)
        git.set_template(template)
    for name in NAMES:
        folders.install(template / "hooks", name, program, _GLOBAL)
    if project is not None:
        trusting.remember(trusting.user_trust_file(environ), trusting.places_of(project))
    return template


def uninstall_for_all(environ: Mapping[str, str]) -> bool:
    """Let future clones be made as before, and forget what all clones trusted; tell whether anything changed."""
    own = trusting.user_folder(environ) / "git-template"
    template = git.template_folder()
    changed = False
    if template is not None and template != own:
        hooks = template / "hooks"
        done = [folders.uninstall(hooks, name, _GLOBAL, is_used=lambda _user: False) for name in NAMES]
        changed = any(done)
    if template == own:
        git.set_template(None)
        remove_tree(own)
        changed = True
    trust = trusting.user_trust_file(environ)
    changed = changed or trust.exists()
    trust.unlink(missing_ok=True)
    return changed


def _is_installed(template: Path) -> bool:
    return folders.found(template / "hooks", NAMES[0], _GLOBAL).state == "installed"


def _hooks_folder(repository: Repository) -> git.HooksFolder:
    return git.hooks_folder(repository.top, repository.common_folder)


def _user(repository: Repository) -> str:
    return str(repository.common_folder)


def _is_used(user: str) -> bool:
    return Path(user, "mlsnap", ".hooks", "trust.json").exists()


def _uncalled(where: git.HooksFolder) -> list[Path]:
    """Name the files of the work tree that do not call ours. husky's are beside its own folder, `_`."""
    folder = where.path.parent if where.path.name == "_" else where.path
    return [folder / name for name in NAMES if not _calls(folder / name)]


def _calls(file: Path) -> bool:
    try:
        return _CALLED in file.read_text(errors="replace")
    except OSError:
        return False


def _program(repository: Repository | None) -> Program:
    """Give the mlsnap that runs now. Raises `Refused` where a commit could replace it, or it would not start.

    One in a virtual environment inside a work tree is fine as long as git tracks nothing there, which the hook
    looks at each time. One from a checkout of mlsnap's own is what its user works on.
    """
    root = Path(os.path.realpath(ci_mlsnap.__file__)).parents[1]
    inside = []
    for place in sorted({Path(os.path.realpath(sys.prefix)), root}):
        top = git.work_tree_around(place)
        if top is None:
            continue
        if not git.tracks(top, place):
            inside.append((str(top), str(place)))
        elif repository is not None and top.samefile(repository.top):
            raise _replaceable("git tracks files where it is installed, and a commit may bring others")
    program = Program(python=sys.executable, root=str(root), inside=tuple(inside))
    _require_starting(program)
    return program


def _require_starting(program: Program) -> None:
    """Try it as the hook will run it: alone, with nothing of the environment and of the folder it is in."""
    if not f"{program.python}{program.root}{program.inside}".isprintable():
        raise _replaceable("its path has control characters, which a script cannot name")
    code = "import sys; sys.path.append(sys.argv[1]); import msgspec, ci_mlsnap.hooks.entry"
    done = subprocess.run(
        [program.python, "-I", "-c", code, program.root], capture_output=True, check=False, cwd="/", timeout=60
    )
    if done.returncode != 0:
        raise _replaceable("it does not start alone: what it needs is found by variables of this environment only")


def _replaceable(why: str) -> Refused:
    return Refused(
        "hooks cannot run the mlsnap of this command",
        why=why,
        safe="nothing was changed",
        hint="install mlsnap in a place of its own, as pipx does, and run `hooks install` of that one",
    )
