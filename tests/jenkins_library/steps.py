"""The steps of the shared library as their own text says, and the page that is made of it.

`python -m tests.jenkins_library.steps` writes docs/jenkins-steps.md again.
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "jenkins"
PAGE = ROOT / "docs" / "jenkins-steps.md"
INTERNAL = ("mlsnapTool",)
"""Steps that only other steps call."""
GROUPS = {
    "place": "Where the model is",
    "posts": "What is posted",
    "servers": "Servers",
    "secrets": "Credentials",
    "tool": "How mlsnap comes to the agent",
}
"""The groups of arguments that several steps take, with their titles."""

_ARGUMENT = re.compile(r"^ +(\w+): (.+?),  // (.+)$", re.MULTILINE)
_METHOD = re.compile(r"static Map (\w+)\(\) \{\n(.*?)^    \}", re.MULTILINE | re.DOTALL)
_DEFAULTS = re.compile(r"^Map defaults\(\) \{\n(.*?)^\}", re.MULTILINE | re.DOTALL)
_PROMISE = re.compile(r"/\*\* ([^/]+?) \*/\n(?:Map|void|String) call\(")
_SHELL = re.compile(r"script: '([^']*)'")
_GROUP = re.compile(r"Defaults\.(\w+)\(\)")
_REMOVED = re.compile(r"known\.remove\('(\w+)'\)")
_OF_OTHERS = re.compile(r"(\w+)\.defaults\(\)")


class Argument(msgspec.Struct, frozen=True, kw_only=True):
    """What a step takes: its name, its default as Groovy, and what it is."""

    name: str
    default: str
    text: str


def steps() -> list[str]:
    """Give the names of the steps that people call: first the one that does all."""
    return sorted(path.stem for path in (LIBRARY / "vars").glob("*.groovy") if path.stem not in INTERNAL)


def source(step: str) -> str:
    """Give a step's text."""
    return (LIBRARY / "vars" / f"{step}.groovy").read_text(encoding="utf-8")


def promise(step: str) -> str:
    """Give the sentence that a step's text promises."""
    found = _PROMISE.search(source(step))
    assert found, f"{step} says nothing of itself"
    return found[1]


def shells(step: str) -> list[str]:
    """Give the texts that a step has a shell run."""
    return _SHELL.findall(source(step))


def arguments(step: str) -> list[Argument]:
    """Give what a step takes, its own first."""
    return [*own_arguments(step), *(one for group in groups(step) for one in shared(group))]


def own_arguments(step: str) -> list[Argument]:
    """Give what a step takes that is not of a group, as its map of commented defaults says."""
    text = _defaults(step)
    every = {one.name: one for other in _OF_OTHERS.findall(text) for one in own_arguments(other)}
    every |= {one.name: one for one in _read(text)}
    return [one for one in every.values() if one.name not in _REMOVED.findall(text)]


def groups(step: str) -> list[str]:
    """Give the names of the groups of arguments that a step takes."""
    text = _defaults(step)
    found = [group for other in _OF_OTHERS.findall(text) for group in groups(other)] + _GROUP.findall(text)
    return [group for group in GROUPS if group in found]


def shared(group: str) -> list[Argument]:
    """Give the arguments of a group."""
    text = (LIBRARY / "src" / "org" / "mlsnap" / "Defaults.groovy").read_text(encoding="utf-8")
    return _read(dict(_METHOD.findall(text))[group])


def _defaults(step: str) -> str:
    found = _DEFAULTS.search(source(step))
    assert found, f"{step} has no defaults"
    return found[1]


def _read(text: str) -> list[Argument]:
    return [Argument(name=name, default=default, text=what) for name, default, what in _ARGUMENT.findall(text)]


def page() -> str:
    """Give the reference of all steps, in Markdown."""
    shared_ones = [f"### {title}\n\n{_table(shared(group))}" for group, title in GROUPS.items()]
    return "\n".join([_HEAD, *map(_section, steps()), "## What several steps take\n", *shared_ones])


def _section(step: str) -> str:
    more = ", ".join(f"[{GROUPS[group]}](#{GROUPS[group].lower().replace(' ', '-')})" for group in groups(step))
    return f"## {step}\n\n{promise(step)}\n\n{_table(own_arguments(step))}\nBesides: {more}.\n"


def _table(rows: list[Argument]) -> str:
    lines = [f"| `{one.name}` | `{one.default}` | {one.text.replace('|', chr(92) + '|')} |\n" for one in rows]
    return f"| argument | default | is |\n|---|---|---|\n{''.join(lines)}"


_HEAD = """\
# The steps on Jenkins

Made from the steps' own text. [jenkins.md](jenkins.md) says how to install the library, and which step to take
when.

All arguments are named: `mlsnap(train: 'python train.py', volume: '/srv/ml/digits')`. An unknown one is an error
that lists those that there are. What is empty is as if it had not been given.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
