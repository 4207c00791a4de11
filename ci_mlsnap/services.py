"""Put concrete adapters together: from a folder and an environment to what flows are given."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import urlsplit

import msgspec

from ci_mlsnap.ci.detect import detect
from ci_mlsnap.ci.inputs import given_settings
from ci_mlsnap.config.layering import settle
from ci_mlsnap.config.layers import Layer
from ci_mlsnap.config.levels import Source
from ci_mlsnap.config.read import (
    SITE_FILE,
    ReadFile,
    find_folder,
    folder_files,
    load_layers,
    parse_environment,
    parse_git_config,
    parse_inputs,
    read_site,
)
from ci_mlsnap.config.settings import DataSettings, Defaults, OntapSettings, Settings, VolumeSettings, resolved
from ci_mlsnap.domain.event import Event
from ci_mlsnap.domain.names import label_from
from ci_mlsnap.domain.pins import DataPlan
from ci_mlsnap.domain.plan import Plan, VolumePlan
from ci_mlsnap.errors import ConfigInvalid, ConfigLevel, NotARepository, UsageError
from ci_mlsnap.flows.context import Announcer, Hands, Project, Timing
from ci_mlsnap.flows.run_report import RunReport
from ci_mlsnap.git.repository import GitRepository
from ci_mlsnap.ports import Build, Driver, Progress
from ci_mlsnap.report.comment import ALL_TEMPLATES
from ci_mlsnap.report.rendering import load_markdown
from ci_mlsnap.storage.layout import OWN
from ci_mlsnap.storage.registry import open_data_driver, open_driver, together
from ci_mlsnap.training.harden import forbid_reading_this_process
from ci_mlsnap.training.isolation import Isolation, choose_isolation

if TYPE_CHECKING:
    from ci_mlsnap.ci.jenkins_api import Server
    from ci_mlsnap.storage.ontap_endpoint import Endpoint

_LOGIN = ("host", "port", "svm", "user", "certificate", "key", "ca", "fingerprint")
TOKEN_VARIABLES = ("MLSNAP_GITHUB_TOKEN", "GITHUB_TOKEN")
ProgressFor = Callable[[Build], Progress]


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """What the process was started with: the folder that is meant, the environment, how progress is shown, and
    the `log` that the CI reads (None: stdout). `moved`: a person says that a volume may be elsewhere by now.
    """

    progress_for: ProgressFor
    project: str = ""
    environ: Mapping[str, str]
    ephemeral: bool = False
    moved: bool = False
    insecure: bool = False
    log: TextIO | None = None


def open_project(site: Site) -> Project:
    """Open the checkout, its settings and its volume. Changes nothing.

    Raises `NotARepository`, `NoCommit`, `ConfigInvalid`, `ConfigLevel`, and what a build's event raises.
    """
    repository, folder = find_place(site.project)
    build = detect(site.environ, stdout=site.log, repository=repository)
    event = build.event()
    origin = repository.origin()
    settings = read_settings(site, repository, folder, build, event, origin)
    return _project(site, repository, folder, build, settings)


def open_hands(site: Site, *, secrets: bool) -> Hands:
    """Open what a phase needs that goes on with a run; reads no file of the checkout.

    Without `secrets` the forge stays closed, whatever the environment has.
    """
    build = detect(site.environ, stdout=site.log)
    inputs = parse_inputs(given_settings(site.environ, "conclude"))
    layers: tuple[Layer, ...] = (parse_environment(site.environ), inputs, read_site(SITE_FILE))
    settings = settle(layers, defaults=Defaults(model="model", forge_url=_forge_url(site.environ)))
    announcer = _announcer(site.environ, settings) if secrets else Announcer(forge=None, silence="no secrets here")
    if not secrets:
        settings = msgspec.structs.replace(settings, ontap=OntapSettings())
    hands = _hands(site, build, announcer, pointers_folder(site.environ), settings)
    return _reporting(hands, settings, Path(site.project).absolute())


def open_jenkins(site: Site) -> Server:
    """Open the Jenkins server that the operator names. Needs no repository. Raises `ConfigInvalid`."""
    from ci_mlsnap.ci.jenkins_api import Server
    from ci_mlsnap.ci.jenkins_facts import TOKEN, USER, Endpoint

    layers: list[Layer] = [parse_environment(site.environ), read_site(SITE_FILE)]
    if not detect(site.environ, stdout=site.log).name:
        with suppress(NotARepository):
            repository, _folder = find_place(site.project)
            layers.append(parse_git_config(repository.config_values()))
    settings = settle(layers, defaults=Defaults(model="model")).jenkins
    with suppress(OSError):  # as for the forge's token
        forbid_reading_this_process()
    user, token = site.environ.get(USER, ""), site.environ.get(TOKEN, "")
    return Server(Endpoint(url=settings.url, user=user, token=token, ca=settings.ca))


def isolate_training(hands: Hands, *, trusted: bool) -> Isolation | None:
    """Prepare this process to have training beside it, see `choose_isolation`. Raises `TrainingUnisolated`.

    Training may be able to write where this program is installed: with secrets here, what is needed after it is
    loaded before it.
    """
    isolation = choose_isolation(hands.environ, trusted=trusted)
    if isolation is not None:
        import concurrent.futures.thread  # noqa: F401 - what copies a tree wants it, elsewhere at the last moment

        import ci_mlsnap.storage.copy
        import ci_mlsnap.storage.restoring  # noqa: F401 - what moves the live tree afterwards

        if hands.build.name:
            for template in ALL_TEMPLATES:
                load_markdown(template)
        hands.report.load()
    return isolation


def close(hands: Hands) -> None:
    """Close the connections to the forge."""
    for forge in (hands.announcer.forge, hands.announcer.hasty):
        if isinstance(forge, AbstractContextManager):
            forge.__exit__(None, None, None)


def driver_of(hands: Hands, plan: Plan) -> Driver:
    """Open the driver of a plan's model volumes."""
    return hands.open_volumes(plan.volumes)


def find_place(project: str) -> tuple[GitRepository, Path]:
    """Find the work tree and the project's folder in it. Raises `NotARepository`."""
    start = Path(project or ".").absolute()
    repository = GitRepository.find(start)
    start = Path(os.path.realpath(start))
    return repository, start if project else find_folder(start, repository.top)


def read_settings(
    site: Site, repository: GitRepository, folder: Path, build: Build, event: Event, origin: str
) -> Settings:
    """Read the settings at the level of trust that the event has.

    By hand the work tree's file counts; in a CI that of the pushed commit, and for a change request that of
    its base, with the tested commit's own only where that may decide.
    """
    in_ci = bool(build.name)
    below = folder.relative_to(repository.top).as_posix()
    files, tested = _files_that_count(repository, folder, build, event)
    layers = load_layers(
        repository=files,
        tested=tested,
        environ=site.environ,
        in_ci=in_ci,
        git_config={} if in_ci else repository.config_values(),
        inputs=given_settings(site.environ),
        flags={},
    )
    name = origin.rpartition("/")[2] or repository.top.name
    defaults = Defaults(
        model=label_from(name if folder == repository.top else folder.name),
        project=origin,
        forge_url=_forge_url(site.environ),
        forge_repository=event.repository or (origin if _is_there(repository, site) else ""),
    )
    try:
        return settle(layers, defaults=defaults)
    except (ConfigInvalid, ConfigLevel) as error:  # a CI shows them in the repository's files
        error.remarks = tuple(
            it._replace(file=os.path.normpath(f"{below}/{it.file}")) if it.file else it for it in error.remarks
        )
        raise


def _files_that_count(
    repository: GitRepository, folder: Path, build: Build, event: Event
) -> tuple[ReadFile, ReadFile | None]:
    """Give the files that decide, and those of a change request's own commit, which decide little."""
    below = folder.relative_to(repository.top).as_posix()
    if not (build.name and event.sha):
        return folder_files(folder), None
    own = _at(repository, event.sha, below)
    if not event.is_change_request:
        return own, None
    return _at(repository, event.base_sha or repository.resolve(f"origin/{event.base_ref}"), below), own


def pointers_folder(environ: Mapping[str, str], repository: GitRepository | None = None) -> Path:
    """Where the phases of one build find their run: the CI's folder for this job, else the git folder."""
    for variable in ("RUNNER_TEMP", "WORKSPACE_TMP"):
        if environ.get(variable):
            return Path(environ[variable]) / "mlsnap"
    repository = repository or GitRepository.find(Path.cwd())
    return repository.common_folder / "mlsnap" / ".runs"


def _project(
    site: Site,
    repository: GitRepository,
    folder: Path,
    build: Build,
    settings: Settings,
) -> Project:
    volume, *others = (_volume(repository, folder, it) for it in (settings.volume, *settings.others))
    others = [msgspec.structs.replace(other, isolation=volume.isolation) for other in others]
    _require_apart([volume, *others])
    announcer = _announcer(site.environ, settings)
    hands = _hands(site, build, announcer, pointers_folder(site.environ, repository), settings)
    files = _files_that_count(repository, folder, build, build.event())[0] if settings.report.templates else None
    hands = _reporting(hands, settings, folder, files)
    driver = hands.open_volumes([volume, *others])
    if volume.private and not settings.volume.store:
        settings = _as_bound(settings, driver)
    if not settings.project:  # asked for last: a shallow clone does not know its first commit
        settings = msgspec.structs.replace(settings, project=repository.root_commit())
    return Project(
        hands=hands,
        repository=repository,
        settings=settings,
        folder=folder,
        volume=volume,
        project_id=settings.project,
        repository_name=settings.forge.repository,
        driver=driver,
        others=tuple(others),
        data=tuple(_data(repository, folder, data, [volume, *others]) for data in settings.data),
    )


def _volume(repository: GitRepository, folder: Path, volume: VolumeSettings) -> VolumePlan:
    path = Path(os.path.normpath(resolved(volume.path, folder)))
    private = path.is_relative_to(repository.top)
    on_ontap = volume.driver == "ontap"
    store = volume.store or volume.state or _store(repository, folder, path, volume.name, private)
    if on_ontap and not volume.state:
        store = path / OWN / "state"
    return VolumePlan(
        name=volume.name,
        path=str(path),
        driver=volume.driver,
        store=str(resolved(str(store), folder)),
        view=str(resolved(volume.view, folder)) if volume.view else "",
        private=private,
        isolation=volume.isolation or ("in-place" if private or on_ontap else "workspace"),
        native=volume.volume,
    )


def _require_apart(volumes: Sequence[VolumePlan]) -> None:
    """Refuse model volumes that share a folder, a store or a view, or of which git commands move only some."""
    for one, other in combinations(volumes, 2):
        for key in ("path", "store", "view"):
            some, more = getattr(one, key), getattr(other, key)
            if some and more and (Path(some).is_relative_to(more) or Path(more).is_relative_to(some)):
                raise ConfigInvalid(
                    f"volumes.{other.name}.{key}: {more} and {some} of volume {one.name} are not apart",
                    safe="nothing was done",
                    hint="put the two into folders of their own",
                )
        if one.private != other.private:
            raise ConfigInvalid(
                f"volumes.{other.name}.path: of {one.name} and {other.name} one volume is inside the work tree",
                why="git commands move the live tree of a volume inside it, and only the view of another",
                safe="nothing was done",
                hint="put all model volumes inside the work tree, or all elsewhere",
            )


def _data(repository: GitRepository, folder: Path, data: DataSettings, models: Sequence[VolumePlan]) -> DataPlan:
    """Say where a data volume is. Links are followed: data is often reached by one, and never replaced."""
    path = Path(os.path.realpath(resolved(data.path, folder)))
    if not str(path).isprintable():
        raise ConfigInvalid(
            f"volumes.{data.name}.path: it leads to {str(path)!a}, which no record could name",
            safe="nothing was done",
            hint="give the data a folder whose name is plain UTF-8",
        )
    for model in models:
        real = Path(os.path.realpath(model.path))
        if path.is_relative_to(real) or real.is_relative_to(path):
            raise ConfigInvalid(
                f"volumes.{data.name}.path: {path} and the model volume {model.path} are not apart",
                why="training writes its model to one, and nothing is ever written to the other",
                safe="nothing was done",
                hint="put the two into folders of their own",
            )
    private = path.is_relative_to(repository.top)
    store = resolved(data.store, folder) if data.store else _store(repository, folder, path, data.name, private)
    return DataPlan(name=data.name, path=str(path), driver=data.driver, store=str(store), pin=data.pin)


def _as_bound(settings: Settings, driver: Driver) -> Settings:
    """Keep the names that a store in the git folder was made with, where no source sets others.

    They came from the origin and the folder's name; a remote that is added later, or a checkout that moves,
    makes it no other project.
    """
    bound = driver.bound()
    if bound is None:
        return settings
    found = dict(zip(("project", "model"), bound, strict=True))
    kept = {key: name for key, name in found.items() if settings.origins[key].source is Source.DEFAULT}
    return msgspec.structs.replace(settings, **kept)


def _store(repository: GitRepository, folder: Path, path: Path, name: str, private: bool) -> Path:
    """Where a volume's store is when nobody says: in the git folder for a private one, else beside the volume.

    Several projects of one repository may name their volumes alike, so a project in a sub-folder is part of it.
    """
    if not private:
        return path.parent / ".mlsnap" / path.name
    below = folder.relative_to(repository.top)
    label = name if folder == repository.top else f"{label_from(below.as_posix())}-{name}"
    return repository.common_folder / "mlsnap" / label


def _at(repository: GitRepository, revision: str, below: str) -> ReadFile:
    if not repository.has(revision):
        repository.fetch(revision)
    prefix = "" if below == "." else f"{below}/"
    return lambda name: repository.file_at(revision, prefix + name)


def _hands(site: Site, build: Build, announcer: Announcer, pointers: Path, settings: Settings) -> Hands:
    def open_volume(it: VolumePlan) -> Driver:
        place, store = Path(it.path), Path(it.store)
        given: dict[str, Any] = {"ephemeral": site.ephemeral, "environ": site.environ}
        if it.driver == "ontap":
            given |= {"native": it.native, "moved": site.moved, **_on_ontap(site, build, settings)}
        return open_driver(it.driver, place, store, it.name, **given)

    def open_volumes(volumes: Sequence[VolumePlan]) -> Driver:
        return together(volumes, [open_volume(it) for it in volumes])

    def open_data(data: DataPlan) -> Driver:
        return open_data_driver(data, ephemeral=site.ephemeral, environ=site.environ)

    on_jenkins = build.name == "Jenkins"  # whose URL the administrator need not have set
    return Hands(
        build=build,
        progress=site.progress_for(build),
        announcer=announcer,
        open_volumes=open_volumes,
        open_data=open_data,
        pointers=pointers,
        environ=site.environ,
        # Jenkins signals the leaves of the process tree first, some seconds before it signals us.
        timing=Timing(own_signal_wait=10.0 if on_jenkins else 0.0),
    )


def _reporting(hands: Hands, settings: Settings, folder: Path, files: ReadFile | None = None) -> Hands:
    """Say where and how reports are written. A relative path counts from `folder`; templates that a repository
    names are read from its `files` that decide, never from a change request's own."""
    output, templates = settings.report.output, settings.report.templates
    read = folder_files(resolved(templates, folder)) if templates else None
    if templates and files is not None and settings.origins["report.templates"].source is Source.REPOSITORY:
        top, decisive = PurePosixPath(templates), files
        read = lambda name: decisive(str(top / name))  # noqa: E731 - read when pages are made, if ever
    report = RunReport(resolved(output, folder) if output else None, read)
    return msgspec.structs.replace(hands, report=report)


def _on_ontap(site: Site, build: Build, settings: Settings) -> dict[str, Any]:
    """Give what a driver for ONTAP is told by the operator; only whoever opens one loads what that is made of."""
    from ci_mlsnap.storage.ontap_endpoint import Wishes

    ontap = settings.ontap
    lock, label, by_server = settings.snapshot_lock, ontap.snapmirror_label, ontap.readback == "server"
    wishes = Wishes(clones=ontap.clones, lock=lock, label=label, by_server=by_server)
    return {"endpoint": _endpoint(site, build, ontap), "wishes": wishes}


def _endpoint(site: Site, build: Build, ontap: OntapSettings) -> Endpoint | None:
    """Put the cluster's address and its one credential together; None where the operator gives either not.

    Raises `ConfigInvalid` for two credentials, `UsageError` for `insecure` in a CI.
    """
    if site.insecure and (build.name or site.environ.get("CI")):
        raise UsageError(
            "--insecure is for trying things out by hand, and this is a CI",
            safe="nothing was sent",
            hint="set ontap.fingerprint, or ontap.ca: docs/ontap.md says how to find the certificate's",
        )
    from ci_mlsnap.storage.ontap_endpoint import PASSWORD, TOKEN, Endpoint

    password, token = site.environ.get(PASSWORD, ""), site.environ.get(TOKEN, "")
    if not ontap.host or not (password or token or ontap.certificate):
        return None
    with suppress(OSError):  # as for the forge's token
        forbid_reading_this_process()
    login = {key: getattr(ontap, key) for key in _LOGIN}
    return Endpoint(password=password, token=token, insecure=site.insecure, **login)


def _announcer(environ: Mapping[str, str], settings: Settings) -> Announcer:
    token = next((environ[name] for name in TOKEN_VARIABLES if environ.get(name)), "")
    if not token:
        return Announcer(forge=None, silence=f"no token: set {TOKEN_VARIABLES[0]}")
    # Whatever runs as this user from here on, training above all, could read the token in this process.
    with suppress(OSError):
        forbid_reading_this_process()
    from ci_mlsnap.forge.github import LAST_WORDS, GitHub, patience_with

    ca = Path(settings.forge.ca) if settings.forge.ca else None
    forge, hasty = (
        GitHub(token=token, api_url=settings.forge.url, ca=ca, patience=patience)
        for patience in (patience_with(settings.forge.pause), LAST_WORDS)
    )
    return Announcer(forge=forge, hasty=hasty)


def _is_there(repository: GitRepository, site: Site) -> bool:
    """Tell whether the origin is on the forge that statuses go to; a namesake on another one is somebody else's.

    A host without a dot is an alias of ssh's configuration, and is taken as meant.
    """
    host = repository.origin_host()
    said = (site.environ.get(name) for name in ("MLSNAP_INPUT_GITHUB_URL", "MLSNAP__FORGE__URL"))
    api = urlsplit(next(filter(None, said), _forge_url(site.environ))).hostname or ""
    return "." not in host or api in (host, f"api.{host}")


def _forge_url(environ: Mapping[str, str]) -> str:
    return environ.get("GITHUB_API_URL") or "https://api.github.com"
