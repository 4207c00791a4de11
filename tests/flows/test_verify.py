"""verify: what it reaches, what it finds, and that it writes nothing."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

import msgspec
import pytest

from ci_mlsnap.cli.printing import Lines
from ci_mlsnap.domain.announcing import digest_said
from ci_mlsnap.domain.names import SnapshotName
from ci_mlsnap.domain.notices import Notice
from ci_mlsnap.domain.status import CommitStatus, status
from ci_mlsnap.errors import ForgeUnavailable, IntegrityDamage, NoSuchVersion
from ci_mlsnap.flows.context import Announcer
from ci_mlsnap.flows.verify import Verified, require_whole, resembling, verify
from ci_mlsnap.forge.github import GitHub
from ci_mlsnap.ports import Forge, Sent
from ci_mlsnap.services import Site, open_project
from tests.conftest import GitRepository
from tests.flows.conftest import MLSNAP, QUIET, REPOSITORY, TOKEN, Place

LEDGER = "matches ledger"
STATUS = "matches the digest in the commit status"


class Kept:
    """A checkout whose two commits have their versions; looked at within this process."""

    def __init__(self, top: Path, first: str, second: str) -> None:
        self.top, self.first, self.second = top, first, second
        self.snapshots = top / ".git/mlsnap/models/snapshots"
        self.ledger = top / ".git/mlsnap/models/state/ledger"

    def verify(
        self, *revisions: str, everything: bool = False, read: bool = False, forge: Forge | None = None
    ) -> list[Verified]:
        project = open_project(Site(progress_for=Lines, project=str(self.top), environ=os.environ))
        if forge is not None:
            hands = msgspec.structs.replace(project.hands, announcer=Announcer(forge=forge))
            project = msgspec.structs.replace(project, hands=hands)
        return list(verify(project, revisions, everything=everything, read=read))

    def damage(self, *revisions: str, everything: bool = False, read: bool = False) -> list[str]:
        return [text for it in self.verify(*revisions, everything=everything, read=read) for text in it.damage]

    def file(self, name: str, path: str = "weights.txt") -> Path:
        """Give a file of a snapshot, which can be written to, as its owner can where nothing is enforced."""
        file = self.snapshots / name / path
        for place in (file.parent, file):
            place.chmod(stat.S_IMODE(place.stat().st_mode) | 0o200)
        return file


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """Make the versions once; each test gets a copy."""
    top = tmp_path_factory.mktemp("made") / "checkout"
    (top / "models").mkdir(parents=True)
    (top / "mlsnap.toml").write_text('train = "true"\nvolume = "models"\nproject = "octo/digits"\n')
    (top / ".gitignore").write_text("/models\n")
    repository = GitRepository(path=top)
    repository.git("init", "--quiet")
    repository.git("remote", "add", "origin", f"https://github.com/{REPOSITORY}.git")
    shas = []
    for text in ("first\n", "second\n"):
        (top / "models" / "weights.txt").write_text(text)
        shas.append(repository.commit(text))
        subprocess.run((MLSNAP, "snapshot"), cwd=top, check=True, capture_output=True)
    return Kept(top, *shas)


@pytest.fixture
def kept(made: Kept, tmp_path: Path) -> Kept:
    """Give a checkout of one's own, to do harm to."""
    subprocess.run(("cp", "-a", made.top, tmp_path / "checkout"), check=True)
    return Kept(tmp_path / "checkout", made.first, made.second)


def _other_content_alone(file: Path) -> None:
    before = file.stat()
    file.write_bytes(bytes(byte ^ 1 for byte in file.read_bytes()))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


# -- levels --------------------------------------------------------------------------------------------


def test_without_a_token_a_version_matches_the_ledger_and_the_reason_for_no_more_is_said(kept: Kept) -> None:
    (found,) = kept.verify()
    assert (found.name, found.level, found.damage) == (kept.second, LEDGER, ())
    assert found.next_level.startswith("the commit status was not asked for: no token")


class Wall:
    """A forge that has one status; without one it is away."""

    def __init__(self, said: CommitStatus | None = None) -> None:
        self._said = said
        self.asked = 0

    def post_status(self, repository: str, status: CommitStatus) -> Sent:
        raise AssertionError("verifying posts nothing")

    def may_post(self, repository: str) -> str:
        return ""

    def statuses_of(self, repository: str, sha: str) -> list[CommitStatus]:
        self.asked += 1
        if self._said is None:
            raise ForgeUnavailable("nobody is there")
        return [self._said] if self._said.sha == sha else []

    def newest_statuses(self, repository: str, sha: str) -> list[CommitStatus]:
        return self.statuses_of(repository, sha)

    def tell(self, repository: str, notice: Notice) -> Sent:
        raise AssertionError("verifying posts nothing")


def _success(kept: Kept, digest: str, *, context: str = "mlsnap/digits") -> Wall:
    text = f"Snapshot {kept.second[:7]} ready: 1 file 7 B, manifest {digest}"
    return Wall(status(kept.second, context, "success", text))


def _digest(kept: Kept) -> str:
    return hashlib.sha256((kept.snapshots / kept.second / ".mlsnap/manifest.jsonl").read_bytes()).hexdigest()


def test_the_digest_in_the_commit_status_is_the_highest_level(kept: Kept) -> None:
    (found,) = kept.verify(forge=_success(kept, _digest(kept)[:12]))
    assert (found.level, found.next_level) == (STATUS, "")


def test_a_status_that_names_another_digest_is_damage(kept: Kept) -> None:
    (found,) = kept.verify(forge=_success(kept, "0123456789ab"))
    assert found.level == "damaged"
    assert found.damage[0].startswith("the commit status names the manifest 0123456789ab, and it is ")


def test_a_status_of_another_context_counts_for_nothing(kept: Kept) -> None:
    (found,) = kept.verify(forge=_success(kept, "0123456789ab", context="mlsnap/of-somebody-else"))
    assert (found.level, found.next_level) == (LEDGER, "no commit status names its digest")


def test_a_forge_that_is_away_costs_the_highest_level_alone_and_is_asked_once(kept: Kept) -> None:
    away = Wall()
    found = kept.verify(everything=True, forge=away)
    assert [(it.level, it.next_level) for it in found] == [
        (LEDGER, "the commit status could not be read: nobody is there")
    ] * 2
    assert away.asked == 1


def test_a_run_and_the_real_client_reach_the_highest_level(place: Place) -> None:
    place.mlsnap("run")
    assert f"ok  {place.repository.head()[:7]}  {STATUS}, 1 file" in place.mlsnap("verify").stdout


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Snapshot aaaaaaa ready: accuracy 0.9, 1 file 3 B, manifest 0123456789ab", "0123456789ab"),
        ("Snapshot bbbbbbb ready: 1 file 3 B, manifest 0123456789ab", ""),
        ("Snapshot aaaaaaa ready: 1 file 3 B, manifest 0123", ""),
        ("Snapshot aaaaaaa.2 ready: 1 file 3 B, manifest 0123456789ab", ""),
        ("manifest 0123456789ab", ""),
    ],
)
def test_only_a_success_text_of_this_very_snapshot_names_its_digest(text: str, found: str) -> None:
    assert digest_said(text, SnapshotName(sha="a" * 40)) == found


# -- damage --------------------------------------------------------------------------------------------


def test_every_damaged_version_is_named_and_the_others_still_looked_at(kept: Kept) -> None:
    _other_content_alone(kept.file(kept.first))
    assert kept.damage(everything=True) == []
    found = kept.verify(everything=True, read=True)
    assert {it.name: it.damage for it in found} == {
        kept.first: ("'weights.txt': its content is another",),
        kept.second: (),
    }
    with pytest.raises(IntegrityDamage, match=rf"{kept.first} is damaged: 'weights.txt'"):
        require_whole(found)


def test_damage_ends_the_command_with_its_exit_code_and_names_the_file(trained: Place) -> None:
    weights = trained.store / "snapshots" / trained.repository.head() / "weights.txt"
    weights.parent.chmod(0o755)
    weights.unlink()
    said = trained.refused("integrity", 60, "verify", env=QUIET)
    assert "    'weights.txt': it is missing" in said.stdout.splitlines()
    assert said.error[0].endswith("is damaged: 'weights.txt': it is missing")


def test_each_flipped_bit_of_a_manifest_is_found(kept: Kept) -> None:
    file = kept.file(kept.second, ".mlsnap/manifest.jsonl")
    content = file.read_bytes()
    for place in range(0, len(content), 41):
        file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        assert kept.damage(), f"bit 2 of byte {place}"
    file.write_bytes(content)
    assert kept.damage() == []


def test_the_valid_manifest_of_another_commit_is_found(kept: Kept) -> None:
    other = kept.snapshots / kept.first / ".mlsnap/manifest.jsonl"
    kept.file(kept.second, ".mlsnap/manifest.jsonl").write_bytes(other.read_bytes())
    assert "its digest is not the one that was published" in kept.damage(kept.second)[0]


@pytest.mark.parametrize("everything", [False, True])
def test_a_snapshot_that_somebody_removed_is_damage(kept: Kept, everything: bool) -> None:
    kept.file(kept.second)
    shutil.rmtree(kept.snapshots / kept.second)
    assert kept.damage(everything=everything) == ["the snapshot is not there, and nobody pruned it"]


def test_a_publication_that_was_cut_short_is_no_damage(kept: Kept) -> None:
    """Its ledger line is written before the snapshot gets its name; nobody ever saw it."""
    lines = kept.ledger.read_bytes().splitlines(keepends=True)
    seen = max(number for number, line in enumerate(lines) if b'"op":"seen"' in line)
    kept.ledger.write_bytes(b"".join(lines[:seen]))
    kept.file(kept.second)
    shutil.rmtree(kept.snapshots / kept.second)
    assert [it.name for it in kept.verify(everything=True)] == [kept.first]


def test_a_damaged_ledger_is_told_with_its_line(kept: Kept) -> None:
    kept.ledger.write_bytes(kept.ledger.read_bytes().replace(b'"op":"publish"', b'"op":"publism"', 1))
    with pytest.raises(IntegrityDamage, match=r"line \d of .*ledger"):
        kept.verify(everything=True)


def test_a_copied_snapshot_resembles_ours_and_is_in_no_ledger(kept: Kept) -> None:
    shutil.copytree(kept.snapshots / kept.first, kept.snapshots / f"{kept.first}.2")
    driver = open_project(Site(progress_for=Lines, project=str(kept.top), environ=os.environ)).driver
    assert resembling(driver) == [f"{kept.first}.2"]


# -- what it is asked ----------------------------------------------------------------------------------


def test_a_commit_without_a_version_is_not_damage(kept: Kept) -> None:
    GitRepository(path=kept.top).commit("third", {"code.py": "x"})
    with pytest.raises(NoSuchVersion):
        kept.verify()


def test_all_and_a_revision_do_not_go_together(place: Place) -> None:
    place.refused("usage", 2, "verify", "--all", "HEAD")


def test_verifying_writes_nothing(kept: Kept) -> None:
    before = _everything(kept.top)
    kept.verify(everything=True, read=True)
    assert _everything(kept.top) == before


def _everything(root: Path) -> dict[str, tuple[int, int, int]]:
    return {str(it): (it.lstat().st_ino, it.lstat().st_mtime_ns, it.lstat().st_size) for it in root.rglob("*")}


# -- the forge -----------------------------------------------------------------------------------------


def test_the_statuses_of_a_commit_are_read_newest_first(place: Place) -> None:
    sha = "a" * 40
    with GitHub(token=TOKEN, api_url=place.server.url) as forge:
        for state, text in (("pending", "Training started"), ("success", "Snapshot \u202eready")):
            place.server.board.post(REPOSITORY, sha, {"state": state, "description": text, "context": "c"})
        assert list(forge.statuses_of(REPOSITORY, sha)) == [
            status(sha, "c", "success", "Snapshot ?ready"),
            status(sha, "c", "pending", "Training started"),
        ]
