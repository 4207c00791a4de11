"""Read the sources of settings. The only module of the configuration that opens files."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ci_mlsnap.config import keys
from ci_mlsnap.config.keys import KeyPath
from ci_mlsnap.config.layers import (
    ChangeRequestLayer,
    Gathering,
    Layer,
    OperatorLayer,
    RepositoryLayer,
    from_texts,
)
from ci_mlsnap.config.levels import Level, Origin, Source
from ci_mlsnap.config.lines import lines_of
from ci_mlsnap.config.problems import Problem
from ci_mlsnap.errors import ConfigInvalid

PROJECT_FILE = "mlsnap.toml"
SHARED_FILE = "pyproject.toml"
SITE_FILE = Path("/etc/mlsnap.toml")
LARGEST = 1 << 20
"""Bytes; a larger file is none that a person wrote."""

PREFIX = "MLSNAP__"

ReadFile = Callable[[str], bytes | None]
"""Gives a file of the project's folder by name, at one commit or in the work tree; None when it is not there."""


def load_layers(
    *,
    repository: ReadFile,
    tested: ReadFile | None = None,
    environ: Mapping[str, str],
    in_ci: bool,
    git_config: Mapping[str, str] | None = None,
    inputs: Iterable[tuple[str, str, str]] = (),
    flags: Mapping[str, object] | None = None,
    site: Path = SITE_FILE,
) -> tuple[Layer, ...]:
    """Read every source. Problems in them are kept in the layers, and `settle` raises them all at once.

    `repository` gives the files of the commit that decides: the pushed one, a change request's base, or by
    hand the work tree; `tested` those of a change request's own commit. `git_config` has names such as
    `mlsnap.lease.wait`, and is not used in CI, where a job before this one could have written it. `inputs` are
    the CI's, each a key such as `train.timeout`, a text and how messages name it; `flags` the command line's
    values by such keys.
    Raises `ConfigInvalid` for a file that cannot be read at all.
    """
    layers: list[Layer] = [read_repository(repository)]
    if tested is not None:
        layers.append(read_tested(tested))
    if not in_ci:
        layers.append(parse_git_config(git_config or {}))
    layers += [parse_environment(environ), parse_inputs(inputs), parse_flags(flags or {})]
    return (*layers, read_site(site))


def read_repository(files: ReadFile) -> RepositoryLayer:
    """Read `mlsnap.toml` or `[tool.mlsnap]` of `pyproject.toml`; neither is fine.

    Raises `ConfigInvalid` when both are there.
    """
    name, text = _chosen(files)
    return parse_repository_file(text, name)


def read_tested(files: ReadFile) -> ChangeRequestLayer:
    """Read the same at the tested commit of a change request."""
    name, text = _chosen(files)
    gathering = _parse(text, Origin(source=Source.TESTED, place=name), Level.REPOSITORY)
    return ChangeRequestLayer(
        source=Source.TESTED, settings=gathering.settings, problems=tuple(gathering.problems)
    )


def parse_repository_file(text: bytes, file: str) -> RepositoryLayer:
    """Parse a repository's file; of a `pyproject.toml` only the table `[tool.mlsnap]`."""
    gathering = _parse(text, Origin(source=Source.REPOSITORY, place=file), Level.REPOSITORY)
    return RepositoryLayer(
        source=Source.REPOSITORY, settings=gathering.settings, problems=tuple(gathering.problems)
    )


def read_site(file: Path) -> OperatorLayer:
    """Read the site file, which wins over all; it need not be there.

    Raises `ConfigInvalid` when it is there and cannot be read, since it may limit what others set, and when
    everybody may write to it.
    """
    text = read_file(file, private=True) or b""
    gathering = _parse(text, Origin(source=Source.SITE, place=str(file)), Level.OPERATOR)
    return OperatorLayer(source=Source.SITE, settings=gathering.settings, problems=tuple(gathering.problems))


def parse_environment(environ: Mapping[str, str]) -> OperatorLayer:
    """Take the variables `MLSNAP__TABLE__KEY`; a value is a TOML scalar or array, else a string."""
    ours = sorted((name, text) for name, text in environ.items() if name.startswith(PREFIX))
    values = [(_path_of_variable(name), text, name) for name, text in ours]
    return from_texts(Source.ENVIRONMENT, values)


def parse_git_config(values: Mapping[str, str]) -> OperatorLayer:
    """Take `mlsnap.*` of git's configuration, where `-` stands for the `_` that git does not allow."""
    ours = [(name, text) for name, text in values.items() if name.lower().startswith("mlsnap.")]
    return from_texts(Source.GIT_CONFIG, [(_path_of_git(name), text, f"git config {name}") for name, text in ours])


def parse_inputs(values: Iterable[tuple[str, str, str]]) -> OperatorLayer:
    """Take the CI's inputs: a key with dots, a text, and how messages name the input. `volumes.*` is the model
    volume, whatever its name."""
    return from_texts(Source.CI_INPUT, [(_path_of(key), text, name) for key, text, name in values])


def parse_flags(values: Mapping[str, object]) -> OperatorLayer:
    """Take the command line's values, by keys with dots; None sets nothing."""
    gathering = Gathering(level=Level.OPERATOR)
    for name, value in values.items():
        if value is not None:
            gathering.put(_path_of(name), value, Origin(source=Source.FLAG, place=f"--{name}"))
    return OperatorLayer(source=Source.FLAG, settings=gathering.settings, problems=tuple(gathering.problems))


def find_folder(start: Path, top: Path) -> Path:
    """Give the project's folder: the nearest one upwards that has settings, else the work tree's top."""
    for folder in (start, *start.parents):
        if not folder.is_relative_to(top):
            break
        if settings_file(folder) is not None:
            return folder
    return top


def settings_file(folder: Path) -> Path | None:
    """Give the file of a folder that has settings, or would have when it could be read; None where neither has."""
    own, shared = folder / PROJECT_FILE, folder / SHARED_FILE
    if os.path.lexists(own):
        return own
    return shared if _has_table(read_file(shared) or b"") else None


def folder_files(folder: Path) -> ReadFile:
    """Give the files of a folder of the work tree."""
    return lambda name: read_file(folder / name)


def read_file(file: Path, *, private: bool = False) -> bytes | None:
    """Read a small regular file; None when there is none.

    Raises `ConfigInvalid` for anything else: no rights, a folder, a FIFO (which is not waited for), too large,
    or, when `private`, writable by everybody.
    """
    try:
        with os.fdopen(_opened(file, private=private), "rb") as stream:
            text = stream.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigInvalid(
            f"{file} cannot be read", why=error.strerror or "", hint="give this user the right to read it"
        ) from None
    if len(text) > LARGEST:
        raise ConfigInvalid(f"{file} is larger than 1 MiB", hint="put only settings there")
    return text


def _opened(file: Path, *, private: bool) -> int:
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and not (private and mode & stat.S_IWOTH):
        return descriptor
    os.close(descriptor)
    if stat.S_ISREG(mode):
        raise ConfigInvalid(f"{file} may be changed by everybody", hint=f"chmod o-w {file}")
    raise ConfigInvalid(f"{file} is no regular file", hint="remove it, or put the settings there")


def _chosen(files: ReadFile) -> tuple[str, bytes]:
    own, shared = files(PROJECT_FILE), files(SHARED_FILE)
    has_shared = shared is not None and _has_table(shared)
    if own is not None and has_shared:
        raise ConfigInvalid(
            f"there are settings both in {PROJECT_FILE} and in [tool.mlsnap] of {SHARED_FILE}",
            why="it would not be clear which of them count",
            safe="nothing was done",
            hint="keep one of the two",
        )
    return (SHARED_FILE, shared or b"") if has_shared else (PROJECT_FILE, own or b"")


def _has_table(text: bytes) -> bool:
    """Tell whether a `pyproject.toml` has a table for us; a broken one has none that anybody could use."""
    try:
        return b"mlsnap" in text and "mlsnap" in tomllib.loads(text.decode()).get("tool", {})
    except (ValueError, RecursionError, AttributeError, TypeError):
        # Broken, and it speaks of us: parsing it for real tells the person what is wrong.
        return re.search(rb"^\s*\[\s*tool\s*\.\s*mlsnap\b", text, re.MULTILINE) is not None


def _parse(text: bytes, place: Origin, level: Level) -> Gathering:
    gathering = Gathering(level=level)
    try:
        decoded = text.decode("utf-8-sig").replace("\r\n", "\n") + "\n"
        table = tomllib.loads(decoded)
        lines = lines_of(decoded)
    except UnicodeDecodeError:
        gathering.problems.append(Problem(origin=place, key="", text="is not UTF-8"))
        return gathering
    except (ValueError, RecursionError) as error:
        gathering.problems.append(_not_toml(place, error))
        return gathering
    if Path(place.place).name == SHARED_FILE:
        tool = table.get("tool", {})
        table = tool.get("mlsnap", {}) if isinstance(tool, Mapping) else {}
        lines = {path[2:]: line for path, line in lines.items() if path[:2] == ("tool", "mlsnap")}
    if isinstance(table, Mapping):
        gathering.table(table, place, lines)
    else:
        gathering.problems.append(Problem(origin=place, key="tool.mlsnap", text="is not a table"))
    return gathering


def _not_toml(place: Origin, error: Exception) -> Problem:
    found = re.search(r"\(at line (\d+), column \d+\)", str(error))
    origin = Origin(source=place.source, place=place.place, line=int(found[1]) if found else 0)
    reason = (
        re.sub(r"\s*\(at .*\)$", "", str(error))[:200]
        if not isinstance(error, RecursionError)
        else "nested too deep"
    )
    return Problem(origin=origin, key="", text=f"is not valid TOML: {reason}")


def _path_of(name: str) -> KeyPath:
    """Split a key with dots; the name of a gate's metric may have dots of its own."""
    parts = name.split(".")
    if len(parts) > 3 and parts[0] in ("gates", "volumes"):
        return (parts[0], ".".join(parts[1:-1]), parts[-1])
    return tuple(parts)


def _path_of_variable(name: str) -> KeyPath:
    parts = name.removeprefix(PREFIX).split("__")
    named = len(parts) == 3 and parts[0].lower() in ("gates", "volumes")
    path = [part.lower() for part in parts]
    if named and path[0] == "volumes":
        path[1] = path[1].replace("_", "-")
    if named and path[0] == "gates" and parts[1] != parts[1].upper():
        # A metric's name keeps its case where it was written with one; `ACCURACY` is just how variables look.
        path[1] = parts[1]
    return tuple(path)


def _path_of_git(name: str) -> KeyPath:
    path = _path_of(name[len("mlsnap.") :])
    spelled = [(*path[:-1], path[-1].replace("-", "_"))]
    return spelled[0] if keys.find(spelled[0]) else path
