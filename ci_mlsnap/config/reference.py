"""The pages that are made from the table of keys: `python -m ci_mlsnap.config.reference [docs]`."""

from __future__ import annotations

import sys
from pathlib import Path

from ci_mlsnap.config.keys import KEYS, Key, shown
from ci_mlsnap.config.layers import git_name, variable
from ci_mlsnap.config.levels import Level
from ci_mlsnap.config.schema import encoded

_INTRODUCTION = """\
# Configuration

<!-- Made from the table of keys by `make docs`; a test holds both together. -->

Settings stand in `mlsnap.toml`, or in the table `[tool.mlsnap]` of `pyproject.toml`; having both is an error. The
file's folder is the project's folder: relative paths count from there. None is needed where `models/` exists and
the command line says how to train: `mlsnap run -- python train.py`.

```toml
train = "python train.py"
volume = "models"

[gates.accuracy]
min = 0.95
max_drop = 0.01
```

Reading is strict. An unknown key, a value of another type (`"0.95"` is no number), and a combination that cannot
work are errors; all of them are told at once, with file, line and what is accepted. For editors there is a JSON
Schema of the file: [`mlsnap.schema.json`](mlsnap.schema.json).

## Who may set what

| level | where it stands |
|---|---|
| operator | `/etc/mlsnap.toml` · command line · CI inputs · environment · `git config mlsnap.*`, by hand only |
| repository | the file at the pushed commit; for a change request, at the commit of its base branch |
| tested commit | the file at a change request's own commit |

Each key below names the least trusted level that may set it; the levels above may set it too. A key of the
operator in a repository's file is the error `config-level`. Of a change request's own file only the keys of the
level *tested commit* count. What else it changes is listed in the output and counts after the merge, so that
nobody loosens the gate that their own change has to pass.

Where several places set the same key, the first of these wins: `/etc/mlsnap.toml`, command line, CI inputs,
environment, `git config`, the file, the default. `/etc/mlsnap.toml` is first so that whoever runs a machine can
fix a value for all that runs on it; paths in it are absolute.

In the environment a key is `MLSNAP__` and its path with two underscores between the parts, in capitals:
`MLSNAP__TRAIN__TIMEOUT=2h`. A value is read as a TOML scalar or array where it is one (`0.9`, `["main"]`), else
as a string; an empty one sets nothing. The metric in a gate's variable is read in lower case, unless it is written
with lower-case letters: `MLSNAP__GATES__valF1__MIN`. In `git config` a hyphen stands for the underscore, which git
does not allow: `git config mlsnap.on-fork fail`.

Credentials are no settings and stand in none of these places. The forge's token comes from the environment
variable `MLSNAP_GITHUB_TOKEN` or `GITHUB_TOKEN`.

## Keys

Each example is one line of `mlsnap.toml`, above its first table; the same can be written with tables.
"""

_LEVELS = {Level.TESTED: "tested commit", Level.REPOSITORY: "repository", Level.OPERATOR: "operator"}


def reference() -> str:
    """Give the page of all keys."""
    return "\n".join([_INTRODUCTION, *(_section(key) for key in KEYS)])


def write(folder: Path) -> None:
    """Write the page and the JSON Schema into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configuration.md").write_text(reference(), encoding="utf-8")
    (folder / "mlsnap.schema.json").write_text(encoded(), encoding="utf-8")


def _section(key: Key) -> str:
    level = _LEVELS[key.level] + (", which may only make it less" if key.only_less else "")
    return "\n".join(
        [
            f"### `{written(key)}`",
            "",
            key.text,
            "",
            f"- accepted: {key.kind.accepts}",
            f"- default: {key.default}",
            f"- level: {level}",
            f"- example: `{key.example}`",
            f"- elsewhere: `{variable(_named(key))}`, `git config {git_name(_named(key))}`",
            "",
        ]
    )


def written(key: Key) -> str:
    """Write a key's path with a word for the name that is free."""
    return shown(key.path).replace("*", "<metric>" if key.path[0] == "gates" else "<name>")


def _named(key: Key) -> tuple[str, ...]:
    """Fill in the free name as the key's own example does."""
    example = key.example.split(" = ")[0].split(".")
    return tuple(given if part == "*" else part for part, given in zip(key.path, example, strict=True))


if __name__ == "__main__":
    write(Path(*sys.argv[1:2] or ["docs"]))
