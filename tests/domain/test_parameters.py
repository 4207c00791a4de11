"""Parameters as tools leave them: read as texts, within bounds, and never a secret shown."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.domain.parameters import MAX_BYTES, MAX_NAMES, looks_secret, read_parameters

YAML = b"""\
---
# what dvc reads
model: &base
  hidden: [64,
     32]   # two layers
  name: "a # b: c"
  'quoted key': x
layers:
- 64
- 32
stages:
  - name: fit
    lr: 1e-3
  - name: tune
    optimizer:
      kind: adam
note: |
  two
  lines: here

url: http://example.org/a
copy: *base
long: this is
  continued
"""


def test_yaml_is_read_as_texts_by_dotted_names() -> None:
    assert read_parameters("params.yaml", YAML).values == {
        "model.hidden": "[64, 32]",
        "model.name": "a # b: c",
        "model.quoted key": "x",
        "layers": "[64, 32]",
        "stages.0.name": "fit",
        "stages.0.lr": "1e-3",
        "stages.1.name": "tune",
        "stages.1.optimizer.kind": "adam",
        "note": "two\nlines: here",
        "url": "http://example.org/a",
        "copy": "*base",
        "long": "this is continued",
    }


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("params.json", b'{"train": {"lr": 0.1, "layers": [64, 32], "on": true}, "x": null}'),
        ("params.toml", b"x = 'null'\n[train]\nlr = 0.1\nlayers = [64, 32]\non = true\n"),
        ("params.yaml", b"train:\n  lr: 0.1\n  layers:\n    - 64\n    - 32\n  'on': true\nx: null\n"),
    ],
)
def test_the_same_parameters_are_the_same_in_every_form(name: str, content: bytes) -> None:
    expected = {"train.lr": "0.1", "train.layers": "[64, 32]", "train.on": "true", "x": "null"}
    assert read_parameters(name, content).values == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.yaml", b"a: 1\n\tb: 2"),
        ("p.yaml", b"just text"),
        ("p.yaml", b"a: [1"),
        ("p.yaml", b"a: 1\n  b: 2\n"),
        ("p.yaml", b"a: 1\n---\nb: 2"),
        ("p.yaml", b"? x\n: y"),
        ("p.yaml", b"- a\n- b"),
        ("p.yaml", b"\xff"),
        ("p.json", b"[1]"),
        ("p.json", b"{"),
        ("p.json", b'{"a": ' * 50_000),
        ("p.toml", b"a = 1\na = 2"),
        ("p.toml", b"a." * 60_000 + b"a = 1"),
        ("p.yaml", b"- " * 100_000),
        ("p.yaml", b"a: 1\n" + b"  x\n" * 60_000),
        ("p.yaml", b"".join(b"k%d: 1\n" % number for number in range(MAX_NAMES + 1))),
        ("p.json", b'{"%s": {"a": 1}}' % (b"x" * 5000)),
        ("p.yaml", b" " * (MAX_BYTES + 1)),
    ],
)
def test_what_cannot_be_read_is_said_and_nothing_is_guessed(name: str, content: bytes) -> None:
    found = read_parameters(name, content)
    assert found.problem
    assert found.values == {}


def test_what_no_utf_8_can_hold_is_shown_escaped() -> None:
    assert read_parameters("p.json", b'{"a": "\\udc80"}').values == {"a": "\\udc80"}


@pytest.mark.parametrize("name", ["p.yaml", "p.json", "p.toml"])
def test_an_empty_file_has_no_parameters(name: str) -> None:
    assert read_parameters(name, b"{}" if name == "p.json" else b"").values == {}


@given(st.text(max_size=300) | st.text("a:-[]{}\"'#&*|> \n", max_size=120))
def test_no_text_of_any_kind_raises(text: str) -> None:
    for name in ("p.yaml", "p.json", "p.toml"):
        read_parameters(name, text.encode(errors="surrogatepass"))


_SCALARS = st.integers() | st.booleans() | st.from_regex(r"[a-z][a-z0-9_/.]{0,8}", fullmatch=True)
_NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,6}", fullmatch=True)
_TREES = st.recursive(
    _SCALARS, lambda inner: st.dictionaries(_NAMES, inner, min_size=1, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


def _as_yaml(tree: object, indent: int = 0) -> str:
    if not isinstance(tree, dict):
        return f" {json.dumps(tree) if not isinstance(tree, str) else tree}\n"
    lines = [f"{' ' * indent}{name}:{_as_yaml(value, indent + 2)}" for name, value in tree.items()]
    return ("\n" if indent else "") + "".join(lines)


@given(_TREES)
def test_plain_yaml_says_the_same_as_json(tree: dict[str, object]) -> None:
    yaml, as_json = _as_yaml(tree).encode(), json.dumps(tree).encode()
    assert read_parameters("p.yaml", yaml) == read_parameters("p.json", as_json)


@pytest.mark.parametrize(
    "name",
    [
        *("token", "hf_token", "api_key", "apiKey", "auth", "password", "db.passwd", "client_secret"),
        *("accessKey", "tokens.hub", "private-key", "auth.user", "credentials"),
    ],
)
def test_a_name_like_a_secrets_hides_its_value(name: str) -> None:
    assert looks_secret(name, "x")


@pytest.mark.parametrize(
    "name",
    [
        *("tokenizer", "max_tokens", "max_new_tokens", "tokenizer.pad_token", "eos_token", "num_tokens"),
        *("key_dim", "num_key_value_heads", "author", "lr", "monkey", "hidden"),
    ],
)
def test_parameters_of_models_are_no_secrets(name: str) -> None:
    assert not looks_secret(name, "0.1")


@pytest.mark.parametrize(
    "value",
    [
        "ghp_" + "a1" * 18,
        "hf_" + "b2" * 17,
        "AKIA" + "ABCDEFGH12345678",
        "postgres://me:secret@db/x",
        "-----BEGIN " + "PRIVATE KEY-----",
    ],
)
def test_a_value_like_a_secret_is_hidden_under_any_name(value: str) -> None:
    assert looks_secret("note", f"see {value}")
