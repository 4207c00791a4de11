"""What the tests of the steps cannot see, since only a real Jenkins stumbles over it: read off the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jenkins_library.steps import LIBRARY

SOURCES = sorted([*LIBRARY.glob("vars/*.groovy"), *LIBRARY.glob("src/**/*.groovy")])
STEPS = (
    r"sh|echo|error|dir|deleteDir|readFile|writeFile|fileExists|withEnv|withCredentials|catchError|unstable|isUnix"
)

RULES = {
    "the text of a shell is one constant in single quotes": (
        r"(?<![./\w])sh\b\s*(?:\(\s*)?[\"/$]|"
        r"\bscript:\s*(?!'[^'\n]*'\s*\)|this\b)\S"
    ),
    "a shell hands its process on, so that a signal reaches it": r"\bscript: '(?!exec )",
    "a Matcher does not survive a step": r"=~|==~|\bMatcher\b|\bPattern\b|\.matcher\(",
    "a sort does not wait for a step": (
        rf"\b(?:sort|toSorted|unique|max|min)\s*(?:\([^)]*\)\s*)?\{{[^}}]*\b(?:{STEPS})\b"
    ),
    "the sandbox refuses it": (
        r"\bJsonSlurper\w*|\bhasProperty\b|\bmetaClass\b|\bClass\.forName\b|@Grab\b|\bJenkins\.|\bHudson\.|"
        r"\bSystem\.|\bRuntime\b|\.execute\(|\bnew (?:File|URL|Thread|Date|IllegalArgumentException)\b|\bEval\.|"
        r"\bcurrentBuild\.raw|\bevaluate\(|\bGroovyShell\b|\brawBuild\b"
    ),
    "a class keeps no state between builds": r"^\s+static (?!final\b)\w+ \w+\s*(?:=|$)",
    "a build's result is never made better": r"\bcurrentBuild\.result\b|\bmanager\.",
    "an abort is not swallowed": r"catch \((?:Throwable|Exception|InterruptedException|err|e|ex|\w+ all)\b",
}
WRONG = {
    "the text of a shell is one constant in single quotes": (
        'sh "echo ${x}"',
        'sh(script: "a")',
        "sh(script: a + 'b')",
    ),
    "a shell hands its process on, so that a signal reaches it": ("sh(script: 'mlsnap begin')",),
    "a Matcher does not survive a step": ("def m = (a =~ /b/)",),
    "a sort does not wait for a step": ("list.sort { sh 'x' }", "list.toSorted { a, b -> echo(a); a <=> b }"),
    "the sandbox refuses it": ("new groovy.json.JsonSlurperClassic()", "it.hasProperty('x')", "new File('x')"),
    "a class keeps no state between builds": ("class A {\n    static Map known = [:]\n}",),
    "a build's result is never made better": ("currentBuild.result = 'SUCCESS'",),
    "an abort is not swallowed": ("try { x() } catch (Exception gone) { }",),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_library_keeps_the_rule(source: Path, rule: str) -> None:
    assert list(breaches(source.read_text(encoding="utf-8"), rule)) == []


@pytest.mark.parametrize(("rule", "text"), [(rule, text) for rule, texts in WRONG.items() for text in texts])
def test_a_breach_of_the_rule_is_found(rule: str, text: str) -> None:
    assert list(breaches(text, rule)) != []


@pytest.mark.parametrize("source", [path for path in SOURCES if "src" in path.parts], ids=lambda path: path.stem)
def test_every_class_can_be_saved_by_the_controller(source: Path) -> None:
    classes = re.findall(r"^class \w+(.*)\{$", source.read_text(encoding="utf-8"), re.MULTILINE)
    assert classes
    assert all("implements Serializable" in one for one in classes)
    assert "serialVersionUID = 1" in source.read_text(encoding="utf-8")


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_what_is_not_in_continuation_passing_form_calls_no_step(source: Path) -> None:
    for body in re.findall(
        r"@NonCPS\n(.*?)^(?:    )?\}", source.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        assert re.findall(rf"(?<![.\w])(?:{STEPS}|script\.\w+)\s*\(", body) == []


def test_there_is_no_python_in_the_library() -> None:
    assert [path for path in LIBRARY.rglob("*") if path.suffix == ".py"] == []


def breaches(text: str, rule: str) -> Iterator[str]:
    """Give what breaks the rule, comments aside."""
    code = re.sub(r"/\*.*?\*/|(?<!['\w:])//[^\n]*", "", text, flags=re.DOTALL)
    for found in re.finditer(RULES[rule], code, re.MULTILINE):
        yield found[0]
