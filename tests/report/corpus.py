"""What strangers may write into a metric's name, a gate's text, a reason, a subject or a branch."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

HTML = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    '"><b>bold</b>',
    "</code><h1>large</h1>",
    "</td></tr></table><p>out",
    "<!-- hidden",
    "-->",
    "<![CDATA[x]]>",
    "<?php x ?>",
    "<details open><summary>x</summary>",
    "<style>*{display:none}</style>",
    "<iframe srcdoc='<p>x'>",
    "&lt;b&gt;",
    "&#60;b&#62;",
    "&amp;lt;",
    "&nbsp;&copy;&#0;",
    "&",
    "{{ 7*7 }}",
    "{% raw %}",
    "{# comment #}",
    "${{ secrets.GITHUB_TOKEN }}",
)
MARKDOWN = (
    *("# heading", "###### heading", "* item", "- item", "+ item", "1. item", "999999999) item", "> quote"),
    *("---", "***", "___", "===", "- - -", ":---:", "|---|---|", "| a | b |", "a|b|c", "\\|", "\\\\|", "|"),
    *("`code`", "``` fence", "~~~", "~~struck~~", "**bold**", "__bold__", "*em*", "_em_", "***both***"),
    *(
        "[text](https://evil.example)",
        "[text][ref]",
        "[ref]: https://evil.example",
        "![i](https://evil.example/x)",
    ),
    *("<https://evil.example>", "<me@evil.example>", "[^1]", "[^1]: note", "- [ ] task", "$x^2$", "$$x$$"),
    *("\\*not\\*", "\\", "\\\\", "a  \nb", "a\\\nb", "    indented", "\tindented", ":tada:", "==marked=="),
    *(
        "[link](javascript:alert(1))",
        "[link](data:text/html,x)",
        "!",
        "[",
        "]",
        "(",
        ")",
        "`",
        "``",
        "*",
        "_",
        "~",
    ),
)
LINKS = (
    *("@octocat", "@org/team", "hello @octocat, hello", "(@octocat)", "&#64;octocat", "&commat;octocat"),
    *("#1", "GH #42", "octo/digits#7", "https://evil.example/x?y=1", "http://evil.example", "ftp://evil.example"),
    *("www.evil.example", "see www.evil.example/a", "WWW.evil.example", "mailto:me@evil.example"),
    *("me@evil.example", "xmpp:me@evil.example", "//evil.example", "javascript:alert(1)", "evil.example"),
)
LOGS = (
    *("::set-output name=x::y", "::error::forged", "::stop-commands::x", "::add-mask::a", "::endgroup::"),
    *("##[error]forged", "##[command]x", "###[error]x", "#\\#[error]", "::group::x", "%0A::error::x", "%25"),
    *("\n::error::forged", "\r::error::forged", "\r\n##[error]forged", "x\u2028::error::y", "x\u0085::error::y"),
    *("EOF\nname=value", "name<<EOF\nx\nEOF", "ghadelimiter_0\nsecret=1"),
)
TERMINAL = (
    *(
        "\x1b[31mred\x1b[0m",
        "\x1b]0;title\x07",
        "\x1b[2J\x1b[H",
        "\x1bP+q\x1b\\",
        "\x9b31m",
        "\x08\x08\x08",
        "\x7f",
    ),
    *("null\0byte", "bell\a", "\v\f", "\u202egnp.exe", "\u2066x\u2069", "zero\u200bwidth", "\ufeffbom", "\u00ad"),
    *(
        "\ud800",
        "half \udc80 pair",
        "\U000e0041tag",
        "\ue000private",
        "\uffff",
        "e\u0301" * 60,
        "😀" * 120,
        "字" * 300,
    ),
)
SHELL = (
    *(
        "$(touch canary)",
        "`touch canary`",
        "; touch canary",
        "| touch canary",
        "&& touch canary",
        "' touch canary '",
    ),
    *("-rf", "--help", "--upload-pack=touch canary", "../../etc/passwd", "%s%n", "a" * 5000, "🙂", "naïve", "NaN"),
)

KINDS = {"html": HTML, "markdown": MARKDOWN, "links": LINKS, "logs": LOGS, "terminal": TERMINAL, "shell": SHELL}


def in_all_places(texts: Iterable[str]) -> tuple[str, ...]:
    """Give each text alone, amid a line, and at the begin of one."""
    return tuple(chain.from_iterable((text, f"before {text} after", f"first\n{text}") for text in texts))


HOSTILE = in_all_places(dict.fromkeys(chain.from_iterable(KINDS.values())))
