from __future__ import annotations

import tomllib

from hypothesis import given
from hypothesis import strategies as st

from ci_mlsnap.config.lines import LONGEST_STATEMENT, lines_of

LONG = '''\
# a comment
model = "digits"   # [not.a.table]
train.command = [
  "python",
  "model = 1",
]

[volumes."models"]
path = """
[gates.fake]
min = 1
"""
driver = 'local'
[gates.accuracy]
min = 0.9
max_drop.x = 1
inline = { a = 1 }
'''


def test_each_key_and_table_has_the_line_it_starts_on() -> None:
    found = lines_of(LONG)
    assert found == {
        ("model",): 2,
        ("train",): 3,
        ("train", "command"): 3,
        ("volumes",): 8,
        ("volumes", "models"): 8,
        ("volumes", "models", "path"): 9,
        ("volumes", "models", "driver"): 13,
        ("gates",): 14,
        ("gates", "accuracy"): 14,
        ("gates", "accuracy", "min"): 15,
        ("gates", "accuracy", "max_drop"): 16,
        ("gates", "accuracy", "max_drop", "x"): 16,
        ("gates", "accuracy", "inline"): 17,
        ("gates", "accuracy", "inline", "a"): 17,
    }


def test_a_statement_too_long_to_follow_costs_only_lines() -> None:
    found = lines_of("a = 1\nb = [\n" + "1,\n" * LONGEST_STATEMENT + "]\nc = 1\n")
    assert found == {("a",): 1}


def test_tables_nested_thousands_deep_are_no_trouble() -> None:
    assert lines_of(".".join("a" * 3000) + " = 1\n")[("a",)] == 1


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.integers(), max_size=8))
def test_keys_without_tables_stand_on_the_line_they_were_written_on(values: dict[str, int]) -> None:
    text = "\n\n".join(f"{name} = {value}" for name, value in values.items())
    assert tomllib.loads(text) == values
    assert lines_of(text) == {(name,): 1 + 2 * place for place, name in enumerate(values)}
