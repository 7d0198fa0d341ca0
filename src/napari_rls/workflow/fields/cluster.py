"""Fields on Dask: processes of this computer, or workers of a scheduler that runs already."""

from __future__ import annotations

import logging
import signal
import threading
import uuid
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from napari_rls.errors import BundleError, InputError, SettingsError
from napari_rls.models.bundle import load_bundle
from napari_rls.models.catalogue import embedded_bundles
from napari_rls.search.settings import Settings
from napari_rls.training.interrupt import whole_step
from napari_rls.version import __version__
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.field_task import FieldsUpdate, FieldTask, Pace
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.super_resolve.resolver import SuperResolver

if TYPE_CHECKING:
    from distributed import Client, Future

CONNECT_SECONDS = 20
"""How long a scheduler may take to answer."""

_ANY_PORT = "127.0.0.1:0"

_ALONE = threading.Lock()
"""A search changes what belongs to its whole process, so that a worker does one at a time."""


@dataclass(frozen=True)
class Workers:
    """Where fields are worked on.

    Parameters
    ----------
    count
        Processes of this computer, one thread each; or 0.
    scheduler
        Address of a Dask scheduler that runs, as ``tcp://10.0.0.1:8786``; or "". Its
        workers need napari-rls, and the same folders under the same names.

    Raises
    ------
    SettingsError
        If it is neither or both, or the package ``distributed`` is not installed.

    Examples
    --------
    >>> Workers(2, "tcp://10.0.0.1:8786")
    Traceback (most recent call last):
    ...
    napari_rls.errors.SettingsError: Give either a number of workers or a scheduler's address.
    """

    count: int = 0
    scheduler: str = ""

    def __post_init__(self) -> None:
        if (self.count > 0) == bool(self.scheduler):
            raise SettingsError("Give either a number of workers or a scheduler's address.")
        if find_spec("distributed") is None:
            raise SettingsError(
                "Workers need Dask, which is not installed here: run "
                'pip install "napari-rls[cluster]".'
            )


@dataclass(frozen=True, eq=False)
class Recipe:
    """What a worker makes its resolver of: the bundle by file, name and hash, and settings."""

    file: str
    reference: str
    content_hash: str
    settings: Settings
    fields: FieldSettings
    version: str = __version__

    @classmethod
    def of(cls, resolver: FieldResolver) -> Self:
        """Return that of a resolver; without a number of threads, a worker computes with one.

        Raises
        ------
        SettingsError
            If the bundle is in no file.
        """
        bundle, settings = resolver.bundle, resolver.resolver.settings
        if not bundle.source:
            raise SettingsError("The bundle is in no file that workers could load; save it first.")
        embedded = bundle.source in embedded_bundles()
        return cls(
            bundle.source if embedded else str(Path(bundle.source).expanduser().absolute()),
            bundle.source,
            bundle.manifest.content_hash,
            settings.model_copy(update={"threads": settings.threads or 1}),
            resolver.settings,
        )

    def resolver(self) -> FieldResolver:
        """Return the resolver.

        Raises
        ------
        BundleError
            If the bundle cannot be loaded here, or is another one.
        SettingsError
            If this is another version of napari-rls.
        """
        if self.version != __version__:
            raise SettingsError(
                f"A worker has napari-rls {__version__} where the run was started with "
                f"{self.version}; install one version on all."
            )
        loaded = _loaded(self.file, self.reference, self.content_hash)
        return FieldResolver(loaded.with_settings(self.settings), self.fields)


@lru_cache(maxsize=1)
def _loaded(file: str, reference: str, content_hash: str) -> SuperResolver:
    bundle = load_bundle(file)
    if bundle.manifest.content_hash != content_hash:
        raise BundleError(
            f"The bundle {file} of a worker is not the one that the run was started with; start "
            "it again."
        )
    return SuperResolver(replace(bundle, source=reference))


def finish(task: FieldTask, recipe: Recipe) -> list[FieldsUpdate]:
    """Do all of a field; return what is to be told of it, without updates of its search."""
    with _ALONE:
        updates = list(task.updates(recipe.resolver()))
    told = [each for each in updates if each.message or each.measured is not None]
    # Not every error can be sent; its sentence says all.
    errors = [each.error and InputError(each.message) for each in told]
    return [replace(u, step=None, error=e) for u, e in zip(told, errors, strict=True)]


def run_tasks(
    tasks: Sequence[FieldTask], resolver: FieldResolver, workers: Workers
) -> Generator[tuple[int, FieldsUpdate], None, None]:
    """Do tasks as workers are free, and yield what is told of each, with its number.

    A task whose worker ends is done by another. When the iteration is closed, or ends by
    Ctrl-C, workers of this computer are ended and tasks that have not begun are taken back.

    Raises
    ------
    InputError
        If the scheduler does not answer, or is lost.
    BundleError, SettingsError
        If the workers cannot do any of it.
    """
    from distributed import as_completed

    recipe = Recipe.of(resolver)
    # Workers need not be in the folder that this process is in.
    sent = [
        replace(
            task,
            field=replace(task.field, path=task.field.path.absolute()),
            out=task.out.absolute(),
        )
        for task in tasks
    ]
    run = uuid.uuid4().hex
    with _client(workers, len(sent)) as client:
        yield 0, FieldsUpdate(_where(workers, client))
        pace = Pace(len(tasks))
        waiting = {
            client.submit(finish, task, recipe, key=f"field-{run}-{k}", pure=False): k
            for k, task in enumerate(sent)
        }
        for done, future in enumerate(as_completed(list(waiting), loop=client.loop)):
            index = waiting.pop(future)
            *before, last = _outcome(future, tasks[index].field.name)
            for update in before:
                yield index, replace(update, done=done)
            yield index, pace.tell(last)
            future.release()


def _outcome(future: Future, name: str) -> list[FieldsUpdate]:
    from distributed import KilledWorker

    try:
        told: list[FieldsUpdate] = future.result()
    except KilledWorker:
        sentence = (
            f"{name}: every worker that began it ended; look for too little memory, then start "
            "again."
        )
        return [FieldsUpdate(sentence, name, error=InputError(sentence))]
    except CancelledError:
        raise InputError(
            "The Dask scheduler is lost; what is finished stays, and the same start goes on."
        ) from None
    return told


@contextmanager
def _client(workers: Workers, tasks: int) -> Iterator[Client]:
    """Give a client of the workers; what was started for it ends with the block."""
    with ExitStack() as started:
        # Ctrl-C while Dask starts or ends its processes would leave some.
        try:
            with whole_step():
                client = started.enter_context(_connected(workers, tasks, started))
            yield client
        finally:
            with whole_step():
                started.close()


def _connected(workers: Workers, tasks: int, started: ExitStack) -> Client:
    from distributed import Client, LocalCluster

    if workers.scheduler:
        try:
            return Client(workers.scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(
                f"No Dask scheduler answers at {workers.scheduler}; start one there, or give its "
                "address as it prints it, as tcp://10.0.0.1:8786."
            ) from error
    # Memory is for the system to divide: results are small, and there is nothing to spill. Pages
    # about the cluster, which Dask would show to the whole network, stay on this computer.
    options: dict[str, Any] = {
        "memory_limit": 0,
        "dashboard_address": _ANY_PORT,
        "worker_dashboard_address": _ANY_PORT,
    }
    with _children_without_interrupt():
        cluster = started.enter_context(
            LocalCluster(
                n_workers=min(workers.count, tasks),
                threads_per_worker=1,
                processes=True,
                silence_logs=logging.CRITICAL,
                **options,
            )
        )
    return Client(cluster, set_as_default=False)


@contextmanager
def _children_without_interrupt() -> Iterator[None]:
    """Let processes that are started not hear of Ctrl-C in their terminal: this one ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    # Python's own helper lets the signal in as it starts.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _where(workers: Workers, client: Client) -> str:
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    if not workers.scheduler:
        return f"Fields are worked on in {count} process{'es' if count > 1 else ''}."
    until = "" if count else ", so that nothing is done until one comes"
    return (
        f"The Dask scheduler {workers.scheduler} has {count} worker{'s' if count != 1 else ''}"
        f"{until}."
    )
