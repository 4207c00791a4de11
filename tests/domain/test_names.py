from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ci_mlsnap.domain.names import MARKER_LIMIT, Marker, SnapshotName, is_label, is_project, is_sha, label_from
from ci_mlsnap.errors import UsageError
from tests.domain.strategies import digests, labels, projects, shas, snapshot_names

SHA = "0123456789abcdef0123456789abcdef01234567"


@given(snapshot_names)
def test_every_name_is_read_back_as_itself(name: SnapshotName) -> None:
    assert SnapshotName.parse(str(name)) == name


@given(snapshot_names)
def test_a_name_is_harmless_as_path_and_as_option(name: SnapshotName) -> None:
    assert re.fullmatch(r"[0-9a-f]{40}[0-9a-f.a-z-]*", str(name))
    assert len(str(name)) <= 80
    assert "/" not in str(name)


@given(st.text())
def test_any_other_text_is_no_name(text: str) -> None:
    assume(re.match(r"[0-9a-f]{40}", text) is None)
    assert SnapshotName.parse_or_none(text) is None
    with pytest.raises(UsageError):
        SnapshotName.parse(text)


@given(snapshot_names, st.data())
def test_a_name_with_one_character_changed_is_another_name_or_none(
    name: SnapshotName, data: st.DataObject
) -> None:
    text = str(name)
    place = data.draw(st.integers(0, len(text)))
    width = data.draw(st.integers(0, 1))
    changed = text[:place] + data.draw(st.characters()) + text[place + width :]
    assume(changed != text)
    parsed = SnapshotName.parse_or_none(changed)
    assert parsed is None or (str(parsed) == changed and parsed != name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly.2024-01-01_0005",
        SHA[:39],
        SHA + "0",
        SHA.upper(),
        SHA + "\n",
        " " + SHA,
        SHA + ".1",
        SHA + ".02",
        SHA + ".0",
        SHA + ".-2",
        SHA + ".1000000",
        SHA + ".٢",
        SHA + "-dirty-1234567",
        SHA + "-dirty-1234567G",
        SHA + "-keep-0",
        SHA + "-keep-",
        SHA + ".2-keep-1",
        SHA + "/..",
        "../" + SHA,
        ".partial-" + SHA,
    ],
)
def test_near_misses_are_no_names(text: str) -> None:
    assert SnapshotName.parse_or_none(text) is None


@pytest.mark.parametrize(
    ("attempt", "dirty", "keep"), [(2, "12345678", 0), (2, "", 1), (1, "12345678", 1), (0, "", 0), (-1, "", 0)]
)
def test_parts_that_do_not_go_together_make_no_name(attempt: int, dirty: str, keep: int) -> None:
    with pytest.raises(UsageError):
        SnapshotName(sha=SHA, attempt=attempt, dirty=dirty, keep=keep)


def test_the_first_attempt_has_the_bare_sha_as_its_name() -> None:
    assert str(SnapshotName(sha=SHA)) == SHA
    assert str(SnapshotName(sha=SHA, attempt=2)) == SHA + ".2"
    assert SnapshotName(sha=SHA, attempt=12).short == "0123456.12"


@given(shas)
def test_only_whole_lower_case_shas_are_shas(sha: str) -> None:
    assert is_sha(sha)
    assert not is_sha(sha[:-1])
    assert not is_sha(sha + "\n")
    assert not is_sha(sha[:-1] + "G")


@given(projects, st.one_of(st.just(""), labels), snapshot_names, digests)
def test_a_marker_is_read_back_and_fits(project: str, model: str, name: SnapshotName, digest: str) -> None:
    marker = Marker(project=project, model=model, name=name, digest=digest)
    parsed = Marker.parse(str(marker))
    assert len(str(marker)) <= MARKER_LIMIT
    assert parsed is not None
    assert (parsed.model, parsed.name, parsed.digest) == (model, name, digest)
    assert parsed.is_of(project, model)
    assert str(parsed) == str(marker)


@given(projects, projects, labels, snapshot_names, digests)
def test_a_marker_is_of_its_own_project_and_model_only(
    project: str, other: str, model: str, name: SnapshotName, digest: str
) -> None:
    parsed = Marker.parse(str(Marker(project=project, model=model, name=name, digest=digest)))
    assert parsed is not None
    assert not parsed.is_of(project, model + "x")
    assert not parsed.is_of(project, "")
    assert parsed.is_of(other, model) == (other == project)


def test_the_longest_marker_still_fits() -> None:
    name = SnapshotName(sha="f" * 64, dirty="12345678")
    marker = Marker(project="o" * 39 + "/" + "r" * 100, model="m" * 63, name=name, digest="d" * 64)
    assert len(str(marker)) <= MARKER_LIMIT
    parsed = Marker.parse(str(marker))
    assert parsed is not None
    assert parsed.project.startswith("~")
    assert parsed.is_of(marker.project, marker.model)


@given(st.text())
def test_any_other_text_is_no_marker(text: str) -> None:
    assume(not text.startswith("mlsnap/1 p="))
    assert Marker.parse(text) is None


@pytest.mark.parametrize(
    "text",
    [
        f"mlsnap/2 p=a/b model=m sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=a/b model=m sha={SHA} m={'0' * 63}",
        f"mlsnap/1 p=a/b model=m sha={SHA} m={'0' * 64} ",
        f"mlsnap/1 p=a/b model=m sha={SHA} m={'0' * 64}\n",
        f"mlsnap/1 p=a/b model=m sha={SHA[:-1]} m={'0' * 64}",
        f"mlsnap/1 p= model=m sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=a/b model= sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=a/b  model=m sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=a/b model=m extra=1 sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=a/b model=../x sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=a/b;rm model=m sha={SHA} m={'0' * 64}",
        f"mlsnap/1 p=~123 model=m sha={SHA} m={'0' * 64}",
    ],
)
def test_near_misses_are_no_markers(text: str) -> None:
    assert Marker.parse(text) is None


@given(st.text())
def test_a_label_can_be_made_of_any_folder_name(text: str) -> None:
    assert is_label(label_from(text))


@given(labels)
def test_labels_are_plain(label: str) -> None:
    assert is_label(label)
    assert not is_label("-" + label[:62])
    assert not is_label(label + "\n")
    assert not is_label("x" + label + "y" * 63)


@pytest.mark.parametrize("text", ["", "/", "a//b", "../b", "a b/c", "-a/b", "a/b\n", "a/" + "b" * 254, "a/../b"])
def test_what_is_no_project(text: str) -> None:
    assert not is_project(text)
