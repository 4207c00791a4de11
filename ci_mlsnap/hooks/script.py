"""The hook that git runs, as text.

It is shell, since git starts it at each checkout, and most of these change no version: a hint, written when that
was last found out, then answers without starting Python. Times decide whether a hint still counts: it must be
newer than all that it rests on, and older than the checkout that asks.
"""

from __future__ import annotations

import shlex

import msgspec

NAMES = ("post-checkout", "post-merge", "post-rewrite")
"""The hooks that are installed: git calls them at its end, when it has moved the work tree."""

EARLIER = ".before-mlsnap"
"""What is added to the name of a hook that was there before; in the same folder, where it may look for its own."""

HINTS = "mlsnap-hints"
"""The folder, in the git folder of one work tree, with a file for each commit that needs nothing done."""

_MARK = "# mlsnap hook, format 1: `mlsnap hooks uninstall` puts back what was here before."
_USER = "# for: "

_TEXT = """\
#!/bin/sh
{mark}
{users}
python={python}
root={root}
name={name}
code=0
earlier="${{0%/*}}/$name{earlier}"
if [ -x "$earlier" ]; then
    "$earlier" "$@" || code=$?
fi

busy() {{
    for mark in rebase-apply CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG; do
        [ ! -e "$git/$mark" ] || return 0
    done
    return 1
}}

# A hint's lines: "<" must be older than the hint, "!" not be there, "=" and "&" be one file; ">" is said.
hinted() {{
    hint="$git/{hints}/$1"
    [ "$git/HEAD" -nt "$hint" ] || return 1
    while IFS= read -r line; do
        fact="${{line#??}}"
        case "$line" in
            "< "*) [ -e "$fact" ] && [ "$hint" -nt "$fact" ] || return 1 ;;
            "! "*) [ ! -e "$fact" ] || return 1 ;;
            "= "*) first="$fact" ;;
            "& "*) [ "$first" -ef "$fact" ] || return 1 ;;
            "> "*) printf '%s\\n' "$fact" >&2 ;;
            *) return 1 ;;
        esac
    done <"$hint"
}}

# A commit may bring files where mlsnap is installed, if that is inside a work tree; git then tracks them.
unreplaced() {{
    {unreplaced}
}}

follow() {{
    [ -z "$CI$GITHUB_ACTIONS$JENKINS_URL" ] || return 0
    git=.git
    if [ -f .git ]; then
        IFS= read -r git <.git
        git="${{git#gitdir: }}"
    fi
    [ -e mlsnap.toml ] || [ -e pyproject.toml ] || [ -d "$git/mlsnap" ] || [ -e "$git/commondir" ] || return 0
    if [ "$name" = post-checkout ]; then
        [ "$3" = 1 ] && [ "$1" != "$2" ] || return 0
        ! busy || return 0
        [ -e "$git/rebase-merge" ] || ! hinted "$2" || return 0
    fi
    [ -x "$python" ] && [ -f "$root/ci_mlsnap/hooks/entry.py" ] && unreplaced || return 0
    "$python" -I -S -c 'import sys
sys.path.append(sys.argv[1])
from ci_mlsnap.hooks.entry import main
main(*sys.argv[1:])' "$root" "$name" "$@"
}}

# Whatever comes of it, git goes on; only the earlier hook's answer counts.
follow "$@" </dev/null || :
exit $code
"""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The mlsnap that a hook runs: the interpreter, and the folder that the package is in. `inside` are the parts
    of it that stand in a work tree, each behind that work tree's top, and that git must not track there."""

    python: str
    root: str
    inside: tuple[tuple[str, str], ...] = ()


def text_of(name: str, program: Program, users: tuple[str, ...]) -> str:
    """Write the hook `name`, which serves the git folders `users`."""
    return _TEXT.format(
        mark=_MARK,
        users="\n".join(_USER + user for user in sorted(set(users))),
        python=shlex.quote(program.python),
        root=shlex.quote(program.root),
        unreplaced=_unreplaced(program),
        name=name,
        earlier=EARLIER,
        hints=HINTS,
    )


def _unreplaced(program: Program) -> str:
    asked = [
        shlex.join(("git", "-C", top, "-c", "core.fsmonitor=false", "ls-files", "--", place))
        for top, place in program.inside
    ]
    tests = [f'[ -z "$(unset GIT_DIR GIT_INDEX_FILE GIT_WORK_TREE; {ask} | head -n 1)" ]' for ask in asked]
    return " && ".join(tests) or ":"


def is_ours(text: str) -> bool:
    """Tell whether a hook was written by mlsnap."""
    return _MARK in text.splitlines()[:3]


def users_of(text: str) -> tuple[str, ...]:
    """Say for which git folders a hook of ours was written."""
    return tuple(line.removeprefix(_USER) for line in text.splitlines() if line.startswith(_USER))


def python_of(text: str) -> str:
    """Give the interpreter that a hook of ours runs."""
    line = next((line for line in text.splitlines() if line.startswith("python=")), "")
    return "".join(shlex.split(line.removeprefix("python=")))
