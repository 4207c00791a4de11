"""Templates that somebody put in place of ours: what they can reach, and what is said when they fail."""

from __future__ import annotations

import pytest

from ci_mlsnap.errors import ConfigInvalid
from ci_mlsnap.report.pages import Look, file_name, look_of, render_page


def look_with(template: str, name: str = "badge.svg.j2") -> Look:
    return look_of(lambda asked: template.encode() if asked == name else None)


def test_without_a_folder_all_files_are_ours() -> None:
    assert look_of() == look_of(lambda _name: None)
    assert look_of().own == ()


def test_another_file_makes_another_look() -> None:
    assert look_with("x").digest != look_of().digest
    assert look_with("x").own == ("badge.svg.j2",)


def test_values_are_shown_literally_also_by_templates_that_are_not_ours() -> None:
    look = look_with('<p title="{{ value }}">{{ value }}</p>')
    made = render_page(look, "badge.svg.j2", {"value": '<b>"\x1b[31m\u202e\n&'})
    assert made == b'<p title="&lt;b&gt;&#34;?[31m? &amp;">&lt;b&gt;&#34;?[31m? &amp;</p>'


@pytest.mark.parametrize(
    "template",
    [
        "{{ value.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''.__class__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.system('touch canary') }}",
        "{{ value.append(1) }}",
        "{% include '/etc/passwd' %}",
        "{% include '../secrets' %}",
        "{{ lipsum.__globals__ }}",
        "{% for i in range(10000000) %}x{% endfor %}",
        "{{ missing }}",
        "{{ value | nothing }}",
        "{% block x %}",
    ],
)
def test_a_template_reaches_nothing_but_values(template: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        render_page(look_with(template), "badge.svg.j2", {"value": [1]})
    assert "badge.svg.j2" in caught.value.what
    assert caught.value.hint


def test_a_file_that_is_not_utf8_is_named() -> None:
    with pytest.raises(ConfigInvalid, match=r"style\.css"):
        look_of(lambda name: b"\xff" if name == "style.css" else None)


def test_names_of_pages_are_plain_and_differ_whatever_is_named() -> None:
    names = ["main", "Main", "a/b", "a-b", "a b", "..", "", "ä", "x" * 300, "x" * 301, "\ud800"]
    made = [file_name("branch", name) for name in names]
    assert len(set(made)) == len(names)
    assert made[0] == "branch-main.html"
    assert all(name.isascii() and "/" not in name and len(name) < 70 for name in made)
