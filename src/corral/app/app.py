"""The application: one object that knows the queues, handlers and schedules, and opens the store when it is needed."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from corral.alert import AlertOptions
from corral.app.bundle import Bundle
from corral.app.definition import JobDefinition
from corral.app.flows import AppFlow
from corral.app.hosting import Hosting
from corral.app.inside import at_once
from corral.app.place import configured_url
from corral.app.queues import AppQueue, QueueKeywords
from corral.app.schedules import ScheduleKeywords, Schedules
from corral.codec.chain import Chain, Codec
from corral.errors import ConfigError, QueueNotFoundError, RegistrationError, closest
from corral.event import EventType
from corral.job import NewJob, check_name
from corral.keywords import AddKeywords
from corral.plurals import plural
from corral.queue import Queue
from corral.schedule import Cron, Every
from corral.scheduler import Scheduler
from corral.storage.connect import check_url, connect, safe_url
from corral.storage.inside import add_inside
from corral.storage.port import Added, Storage
from corral.storage.reseal import Resealed, reseal
from corral.storage.sealed import SealedStorage, Seals, sealed_in
from corral.sync import Portal
from corral.worker.hooks import Hook, Hooks
from corral.worker.lane import Lane
from corral.worker.worker import BaseWorker, WorkerOptions

D = TypeVar("D")
R = TypeVar("R")
H = TypeVar("H", bound=Hook)
Lifespan = Callable[["Corral"], AbstractAsyncContextManager[None]]


class Corral(Hosting):
    """An application. Making one does no I/O; the store is opened by `async with`, or by the first `add`.

    Args:
        url: `sqlite:///path/to/file.db`, `sqlite:///:memory:` for tests, or `redis://host:6379/0`. Without one:
            `CORRAL_URL`, `REDIS_URL` or `REDIS_HOST` of the environment or of `.env`, else `url` in `corral.toml`,
            else `sqlite:///corral.db`.
        name: names the application among others on the same store; schedules declared in code belong to it.
        lifespan: an async context manager entered before a worker takes its first job and left after its last one.
        codecs: what payloads and results of every queue go through on their way into the store, unless the queue says
            otherwise: `[Compressed(), Encrypted(keys)]`.
        alerts: what is worth an alert, and where alert jobs go; what `[alerts]` of `corral.toml` says goes before.

    Raises:
        ConfigError: a URL that cannot be meant.
    """

    def __init__(
        self, url: str | None = None, *, name: str = "app", lifespan: Lifespan | None = None,
        codecs: Sequence[Codec] = (), alerts: AlertOptions | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.alerts = alerts
        self.url = configured_url() if url is None else url
        self.names_store = url is not None  #: the code says where it is, so variables for anybody do not move it
        check_url(self.url)
        self.name = check_name(name, "application name")
        self.providers.provide(Corral, self)
        self.lifespan = lifespan
        self.seals = Seals(self._chain, self._payload_limit)
        self._codecs = Chain(codecs)
        self.queues: dict[str, AppQueue] = {}
        self.schedules = Schedules(self.name)
        self.hooks = Hooks()
        self.flow = AppFlow(self)  #: chains, trees and graphs of jobs
        self._storage: Storage | None = None
        self._live: dict[str, Queue] = {}
        self._opening: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._portal: Portal | None = None
        self._portal_lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<Corral {self.name} on {safe_url(self.url)}: {plural(len(self.queues), 'queue')}>"

    # -- declaring -----------------------------------------------------------------------------------------------

    def queue(self, name: str, **keywords: Unpack[QueueKeywords]) -> AppQueue:
        """Declare a queue, with limits and defaults for its jobs.

        Raises:
            RegistrationError: declared twice. ConfigError: a bad name or option.
        """
        if name in self.queues:
            raise RegistrationError(f"queue {name!r} is declared already")
        queue = AppQueue(self, name, keywords)
        if (queue.chain or queue.max_payload) and self._storage and not sealed_in(self._storage):
            raise RegistrationError(f"queue {name!r} has codecs or max_payload: declare it before the store is opened")
        self.queues[queue.name] = queue  # not `name`, which may be an enum's member and prints as such
        return queue

    def include(
        self, bundle: Bundle | type, *, queue: str | None = None, **keywords: Unpack[QueueKeywords]
    ) -> AppQueue:
        """Take in a bundle's handlers, on its own queue or another; declares the queue when it is new.

        What a bundle says about its jobs goes before the queue's defaults, which fill in the rest. A class of handlers
        is taken in on the `queue` that is named.

        Raises:
            RegistrationError: a name that is taken, keywords for a queue that is declared already, or a class without a
                queue.
        """
        name = queue or (bundle.queue if isinstance(bundle, Bundle) else None)
        if name is None:
            raise RegistrationError(f"name the queue that {bundle!r} serves: app.include(…, queue=…)")
        if keywords and name in self.queues:
            raise RegistrationError(f"queue {name!r} is declared already: give {', '.join(keywords)} there")
        target = self.queues.get(name) or self.queue(name, **keywords)
        if isinstance(bundle, Bundle):
            for definition in bundle:
                bound = target.register(definition.bind(self, target.name))
                if bound.name not in bundle.prioritized:
                    bound.priority = target.priority
        else:
            target.handlers(bundle)
        return target

    def schedule(
        self, key: str, timing: Cron | Every, job: JobDefinition[Any, Any], data: object = None, /,
        **keywords: Unpack[ScheduleKeywords],
    ) -> None:  # fmt: skip
        """Declare that `job` runs by `timing`. `data` is the payload, or a function called at each run to make it.

        Raises:
            RegistrationError: the key is taken. ConfigError, PayloadError: as for `add`.
        """
        self.schedules.declare(key, timing, job, data, keywords)

    def on(self, *types: str) -> Callable[[H], H]:
        """Call the decorated function `(event, job)` when one of this worker's jobs gets there: `@app.on("failed")`."""
        kinds = tuple(_event_type(kind) for kind in types)

        def declare(hook: H) -> H:
            self.hooks.add(kinds, hook)
            return hook

        return declare

    def definition(self, queue: str, name: str) -> JobDefinition[Any, Any]:
        """A declared job. Raises: QueueNotFoundError, UnknownJobError."""
        if queue not in self.queues:
            raise QueueNotFoundError(queue, self.queues)
        return self.queues[queue].definition(name)

    # -- the store -----------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether the store is open: who finds it so leaves closing it to whoever opened it."""
        return self._storage is not None

    async def open(self) -> Storage:
        """The open store; opens it on the first call."""
        async with self._alone():
            if self._storage is None:
                storage = self._connect()
                await storage.__aenter__()
                self._storage = storage
        return self._storage

    async def close(self) -> None:
        """Close the store. The application can be opened again."""
        async with self._alone():
            storage, self._storage = self._storage, None
            if storage is not None:
                await storage.__aexit__(None, None, None)
        portal, self._portal = self._portal, None
        if portal is not None:
            portal.close()

    def _alone(self) -> asyncio.Lock:
        """Opening and closing, one at a time. A lock belongs to one event loop, and an application may see several."""
        loop = asyncio.get_running_loop()
        if self._opening is None or self._opening[0] is not loop:
            self._opening = (loop, asyncio.Lock())
        return self._opening[1]

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open_queue(self, name: str) -> Queue:
        """The live queue of this name. Raises: QueueNotFoundError."""
        if name not in self.queues:
            raise QueueNotFoundError(name, self.queues)
        live = self._live.get(name)
        if live is None or live.storage is not self._storage:
            live = self._live[name] = Queue(
                name, await self.open(), intake=self.intake, patience=self.queues[name].patience
            )
        return live

    async def reseal(self, queue: str) -> Resealed:
        """Seal anew, with the current keys, what waits in a queue: then an old key can be taken away.

        Run it until it answers that nothing changed. Raises: QueueNotFoundError.
        """
        if queue not in self.queues:
            raise QueueNotFoundError(queue, self.queues)
        storage = sealed_in(await self.open())
        return Resealed() if storage is None else await reseal(storage, queue)

    # -- producing in a transaction of the application's own ---------------------------------------------------------

    def add_in(
        self, connection: object, job: JobDefinition[D, Any], data: D | None = None, /, **options: Unpack[AddKeywords]
    ) -> str:
        """Add a job that is there if and only if the transaction of `connection` commits; answers its id.

        Args:
            connection: of sqlite3, apsw or SQLAlchemy (or its session), in a transaction on the store's own SQLite
                file. For asynchronous ones: `await session.run_sync(app.add_in, job, data)`.

        Raises:
            ConfigError: another file or server, or a connection that commits every statement by itself.
            StorageVersionError: the file has no store of this version. PayloadError, QueueFullError: as for `add`.
        """
        return self.add_jobs_in(connection, [job.new(data, **options)])[0].id

    def add_jobs_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Added]:
        """`add_in` for many jobs (of `definition.new`): all of them, or none when one is refused."""
        admitted = self.stamped(at_once(self.intake.admit(jobs)))
        return add_inside(self.url, connection, [self.seals.job(job) for job in admitted])

    # -- producing from code without an event loop -----------------------------------------------------------------

    def portal(self) -> Portal:
        """The background loop that serves `add_sync`; started on first use, again after a fork."""
        with self._portal_lock:  # threads of a web server come all at once
            if self._portal is None or not self._portal.alive:
                self._portal = Portal(self._another)
            return self._portal

    def _another(self) -> Storage:
        """A handle for another event loop: onto the open store, which may live in memory only, or a new one."""
        return self._connect() if self._storage is None else self._storage.sibling()

    def _connect(self) -> Storage:
        return self.sealed(connect(self.url))

    def sealed(self, storage: Storage) -> Storage:
        """A store behind the application's codecs and all that `dress` put in front, as it opens its own."""
        if self._codecs or any(queue.chain or queue.max_payload for queue in self.queues.values()):
            storage = SealedStorage(storage, self.seals)
        return self.dressed(storage)

    def _chain(self, queue: str) -> Chain | None:
        declared = self.queues.get(queue)
        return (self._codecs if declared is None or declared.chain is None else declared.chain) or None

    def _payload_limit(self, queue: str) -> int | None:
        declared = self.queues.get(queue)
        return None if declared is None else declared.max_payload

    def open_queue_sync(self, name: str) -> Callable[[], Awaitable[Queue]]:
        """How the portal's loop gets at a queue. Raises: QueueNotFoundError."""
        if name not in self.queues:
            raise QueueNotFoundError(name, self.queues)
        portal = self.portal()

        async def open_queue() -> Queue:
            return Queue(name, await portal.storage(), intake=self.intake, patience=self.queues[name].patience)

        return open_queue

    # -- working -------------------------------------------------------------------------------------------------

    def scheduler(self, storage: Storage) -> Scheduler:
        """A scheduler for this application's schedules."""
        return Scheduler(storage, self.schedules.payloads, owner=self.name, intake=self.intake)

    async def sync_schedules(self, *, prune: bool = True) -> None:
        """Bring the stored schedules in line with the declared ones: idempotent, so every process may do it."""
        storage = await self.open()
        await self.scheduler(storage).reconcile(self.schedules.declared(), prune=prune)

    async def worker(
        self, *, queues: Mapping[str, int | None] | None = None, options: WorkerOptions | None = None
    ) -> BaseWorker:
        """A worker for these queues (name -> slots, None for the declared number), or for all of them.

        Use it as a context manager, or `await worker.run()` until it is stopped.

        Raises:
            QueueNotFoundError: a queue that is not declared. ConfigError: nothing to work on.
        """
        wanted = dict.fromkeys(self.served()) if queues is None else queues
        if not wanted:
            raise ConfigError("the application declares no queues: nothing to work on", key="queues")
        lanes = []
        for name, slots in wanted.items():
            if name not in self.queues:
                raise QueueNotFoundError(name, self.queues)
            queue = self.queues[name]
            lanes.append(
                Lane(
                    queue=queue.name,
                    slots=queue.concurrency if slots is None else slots,
                    find=queue.handler,
                    settings=queue.settings(),
                    breaker=queue.breaker,
                    known=queue.known_names,
                    handlers=queue.known_handlers,
                    middlewares=tuple(queue.middlewares),
                    width=queue.batch_size,
                )
            )
        storage = await self.open()
        return BaseWorker(
            storage, lanes, options=options or WorkerOptions(), hooks=self.hooks, middlewares=tuple(self.middlewares),
            scheduler=self.scheduler(storage), prepare=self.sync_schedules if self.schedules else None,
            lifespan=self.hosting, intake=self.intake, providers=self.providers, ready=self.ready_hooks,
            stopping=self.stopping_hooks, watchers=self.watchers,
        )  # fmt: skip

    def served(self) -> list[str]:
        """Every queue but those that only collect dead letters: no handler of theirs is missing, people read them."""
        options = [queue.options for queue in self.queues.values()]
        options += [one.handler.options for queue in self.queues.values() for one in queue.definitions.values()]
        letters = {one.dead_letter for one in options}
        return [name for name, queue in self.queues.items() if queue.definitions or name not in letters]

    async def work(
        self, *, queues: Mapping[str, int | None] | None = None, options: WorkerOptions | None = None
    ) -> None:
        """Run a worker until SIGTERM or SIGINT: what `corral worker` does."""
        await (await self.worker(queues=queues, options=options)).run()

    def hosting(self) -> AbstractAsyncContextManager[None]:
        """What is around a worker's jobs: the lifespan, start-ups and shut-downs."""
        return self.hosted(lambda: self.lifespan(self) if self.lifespan is not None else _nothing())


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def _event_type(value: str) -> EventType:
    try:
        return EventType(value)
    except ValueError:
        near = closest(value, [kind.value for kind in EventType])
        hint = f"; did you mean {near!r}?" if near else ""
        raise ConfigError(f"event {value!r} does not exist{hint}", key="event") from None
