"""doctor: what would go wrong, found before it does. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from ci_mlsnap.domain.texts import counted, size
from ci_mlsnap.errors import MlsnapError, NotARepository, TrainingUnisolated
from ci_mlsnap.flows import hooks, pinning
from ci_mlsnap.flows.announce import waiting_in
from ci_mlsnap.flows.context import Project
from ci_mlsnap.flows.live import look
from ci_mlsnap.flows.planning import dirty_paths
from ci_mlsnap.ports import Examinable, Finding
from ci_mlsnap.state.journal import open_runs
from ci_mlsnap.training.isolation import Isolation, choose_isolation

SCARCE = 0.1
"""The part of a file system that should stay free."""


def examine(open_project: Callable[[], Project]) -> list[Finding]:
    """Look at git, the event, the settings, the volume and the token; a fault is a finding and stops no other."""
    try:
        project = open_project()
    except MlsnapError as error:
        topic = "git" if isinstance(error, NotARepository) else error.slug
        return [Finding(topic=topic, state="bad", text=error.what, hint=error.hint or error.why)]
    checks = (
        *(_git, _event, _settings, _training),
        *(_storage, _volume, _live, _data),
        *(_token, _isolation, _hooks, _unfinished),
    )
    found: dict[str, Finding] = {}
    for check in checks:
        for finding in _guarded(check, project):
            # What two of them find, which has one way out, is said once.
            found.setdefault(finding.hint if finding.state == "bad" and finding.hint else finding.text, finding)
    return list(found.values())


def _guarded(check: Callable[[Project], Iterator[Finding]], project: Project) -> list[Finding]:
    try:
        return list(check(project))
    except MlsnapError as error:
        text = f"{error.what}: {error.why}" if error.why else error.what
        return [Finding(topic=check.__name__.strip("_"), state="bad", text=text, hint=error.hint)]


def _git(project: Project) -> Iterator[Finding]:
    repository = project.repository
    yield Finding(topic="git", state="ok", text=f"{repository.top}, at {repository.head()[:7]}")
    if repository.is_shallow():
        yield Finding(
            topic="history",
            state="note",
            text="a shallow clone: parents, baselines and equal trees beyond its edge are not seen",
            hint="check out with `fetch-depth: 0`, or `git fetch --unshallow`",
        )
    dirty = sum(1 for _path in dirty_paths(project))
    if dirty:
        yield Finding(
            topic="work tree",
            state="note",
            text=f"{counted(dirty, 'change')} in no commit: a run is refused until there is none",
            hint="commit them, or use --allow-dirty",
        )


def _event(project: Project) -> Iterator[Finding]:
    event = project.hands.build.event()
    name = project.hands.build.name or "no CI"
    if event.untrusted or event.nothing_to_do:
        yield Finding(topic="event", state="note", text=f"{name}: {event.untrusted or event.nothing_to_do}")
    else:
        yield Finding(topic="event", state="ok", text=f"{name}: {event.kind} of {event.sha[:7] or 'HEAD'}")


def _settings(project: Project) -> Iterator[Finding]:
    settings = project.settings
    yield Finding(topic="settings", state="ok", text=f"model {settings.model} of project {project.project_id}")
    for note in settings.notes:
        yield Finding(topic="settings", state="note", text=note)


def _training(project: Project) -> Iterator[Finding]:
    if not project.settings.train.command:
        yield Finding(
            topic="training",
            state="note",
            text="no command is set",
            hint='set `train = "python train.py"` in mlsnap.toml, or give it after `mlsnap run --`',
        )


def _storage(project: Project) -> Iterator[Finding]:
    if isinstance(project.driver, Examinable):
        yield from project.driver.examine()


def _volume(project: Project) -> Iterator[Finding]:
    probe = project.driver.probe()
    yield Finding(topic="volume", state="ok", text=f"{project.volume_path}, its store in {project.store}")
    yield Finding(
        topic="way", state="ok", text=f"{probe.way} on {probe.file_system}: {probe.why}", hint=probe.faster
    )
    free = f"{size(probe.free_bytes)} of {size(probe.total_bytes)} free"
    scarce = probe.free_bytes < SCARCE * probe.total_bytes
    yield Finding(topic="space", state="note" if scarce else "ok", text=free)
    most = f", of {probe.most_snapshots} that it can have" if probe.most_snapshots else ""
    yield Finding(topic="snapshots", state="ok", text=f"{probe.snapshots} of ours, {probe.foreign} foreign{most}")
    for text, hint in probe.notes:
        yield Finding(topic="volume", state="note", text=text, hint=hint)


def _live(project: Project) -> Iterator[Finding]:
    if not project.private or not project.volume_path.is_dir():
        return
    tree = look(project.driver, project.volume_path)
    if tree.version and not tree.equal:
        yield Finding(
            topic="live tree",
            state="note",
            text=f"differs from {tree.version[:12]}: a run in place is refused until it does not",
            hint="`mlsnap recover` goes back to the version and keeps what differs",
        )


def _data(project: Project) -> Iterator[Finding]:
    for volume in project.data:
        try:
            pinning.require_possible(project.hands, [volume])
            (pin,) = pinning.see(project.hands, [volume])
        except MlsnapError as error:
            text = f"{error.what}: {error.why}" if error.why else error.what
            yield Finding(topic="data", state="bad", text=text, hint=error.hint)
            continue
        text = f"{volume.name} at {pin.path}, pin = {volume.pin}"
        weak = "only written down: what training reads can change" if pin.kind == "record" else ""
        yield Finding(topic="data", state="note" if weak else "ok", text=text, hint=weak)


def _token(project: Project) -> Iterator[Finding]:
    announcer = project.hands.announcer
    if announcer.forge is None or not project.repository_name:
        why = announcer.silence or "the repository has no origin on a forge"
        yield Finding(topic="status", state="note", text=f"none will be posted: {why}")
        return
    obstacle = announcer.forge.may_post(project.repository_name)
    if obstacle:
        yield Finding(topic="status", state="bad", text=obstacle)
    else:
        yield Finding(topic="status", state="ok", text=f"the token may post to {project.repository_name}")


def _isolation(project: Project) -> Iterator[Finding]:
    try:
        isolation = choose_isolation(project.hands.environ, trusted=False)
    except TrainingUnisolated as error:
        text = f"`mlsnap run` is refused here, its phases are not: {error.why}"
        hint = "give the token to `mlsnap begin` and `conclude` only, or run as an ordinary user"
        yield Finding(topic="isolation", state="note", text=text, hint=hint)
        return
    if isolation is not None:
        state: Literal["ok", "note"] = "ok" if isolation is Isolation.NAMESPACE else "note"
        yield Finding(topic="isolation", state=state, text=f"of training in `mlsnap run`: {isolation}")


def _hooks(project: Project) -> Iterator[Finding]:
    if project.hands.build.name:
        return
    found = hooks.standing(project)
    if found.installed:
        yield Finding(topic="hooks", state="ok", text="installed: the models follow `git checkout` and `git pull`")
    else:
        text = "not installed: the models stay where they are at `git checkout` and `git pull`"
        yield Finding(topic="hooks", state="ok", text=text, hint="`mlsnap hooks install`")


def _unfinished(project: Project) -> Iterator[Finding]:
    for run in open_runs(project.state):
        text = f"1 unfinished run: {run.plan.event.run_url or run.run_id}"
        yield Finding(topic="runs", state="note", text=text, hint="`mlsnap finish` ends what is left over")
    waiting = waiting_in(project.state)
    if waiting:
        text = f"{waiting} statuses or comments wait"
        yield Finding(topic="outbox", state="note", text=text, hint="`mlsnap publish` sends them")
