"""Home: one API's parts, from the source it was given to the store it has open. Routes get at it by `deps.api`."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import Context
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib.util import find_spec
from typing import Protocol, Self, TypeAlias

from starlette.requests import Request

from corral.admin.admin import Admin
from corral.admin.objects import Actor, Token
from corral.admin.rights import Permission, Principal
from corral.alerts.settings import AlertSettings
from corral.alerts.watch import alerting
from corral.app.app import Corral
from corral.errors import StorageError, StorageUnavailableError
from corral.gauges import EVERY, Gauges
from corral.http.auth.login import Login
from corral.http.auth.recognise import Recogniser
from corral.http.limits import Limiter, Pace, Rate, pace
from corral.http.live.hub import Hub
from corral.http.live.seats import Seats
from corral.http.nodes import Nodes
from corral.http.settings import ApiSettings
from corral.listener import Endings
from corral.monitor.monitor import Monitor
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.observe.health import ApiHealth
from corral.storage.connect import check_url, connect, safe_url
from corral.storage.port import Storage
from corral.worker.upkeep import every

logger = logging.getLogger("corral.api")

#: The host application's own way to recognise who asks; None: it does not know them.
Authenticate: TypeAlias = Callable[[Request], Principal | None | Awaitable[Principal | None]]
#: The host application's own word on who may do what; it takes the place of the roles.
Authorize: TypeAlias = Callable[[Principal, Permission, str | None], bool | Awaitable[bool]]
Source: TypeAlias = "Corral | str | Storage"

#: A store that could not be opened is left alone for this long: whoever asks meanwhile is told at once.
AGAIN_S = 1.0
#: Queues whose gauges are recorded.
GAUGED = 1_000
#: A request that has taken so long has the store looked after.
SLOW_S = 2.0


class Metrics(Protocol):
    """What is counted for Prometheus, and the page of it."""

    def request(self, method: str, route: str, status: int, seconds: float) -> None: ...
    def streams(self, change: int) -> None: ...
    def limited(self, which: str) -> None: ...
    def denied(self, method: str) -> None: ...
    async def render(self, accept: str = "") -> tuple[str, str]: ...


class RequestSpan(Protocol):
    """The span of a request that is being served."""

    def end(self, route: str, status: int, *, told: bool = True) -> None: ...


class Spans(Protocol):
    """What has each request leave a span, and jobs carry its trace."""

    def begin(
        self, method: str, path: str, scheme: str, headers: Iterable[tuple[bytes, bytes]]
    ) -> RequestSpan | None: ...
    def dress(self, storage: Storage, url: str) -> Storage: ...


@dataclass(frozen=True)
class _Open:
    storage: Storage
    monitor: Monitor
    admin: Admin
    hub: Hub
    metrics: Metrics | None
    stack: AsyncExitStack


@dataclass(eq=False)
class Api:
    """What one API stands on. Its store is opened by `open`, and closed by `close` unless it was given open."""

    source: Source
    settings: ApiSettings
    authenticate: Authenticate | None = None
    authorize: Authorize | None = None
    sensitive: Sequence[str] = ()
    thresholds: Thresholds = DEFAULTS
    alerts: AlertSettings | None = None
    limiter: Limiter = field(default_factory=Limiter)
    endings: dict[str, Endings] = field(default_factory=dict)  #: one tail per queue for everybody who waits there
    seats: Seats = field(default_factory=Seats)  #: streams that are open
    closing: asyncio.Event = field(default_factory=asyncio.Event)  #: set when the server is about to stop
    front: str = "/api/docs"  #: the page to show first
    seconds: Callable[[], float] = time.monotonic
    spans: Spans | None = field(default_factory=lambda: _spans())  #: None without `corral[otel]`
    nodes: Nodes = field(init=False)
    recogniser: Recogniser = field(init=False)
    login: Login = field(init=False)
    health: ApiHealth = field(init=False)
    _live: _Open | None = None
    _begun: bool = False
    _away: bool = False
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _failed: tuple[float, str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            check_url(self.source)
        self.nodes = Nodes(self.seconds)
        self.health = ApiHealth(self.store)
        self.recogniser = Recogniser(
            self.settings, hook=self.authenticate, find_token=self._find_token, token_of=self._token_of,
            storage=self.store,
        )  # fmt: skip
        self.login = Login(self.recogniser, self.limiter, self.settings.pace(Rate.LOGIN))
        self._queue_paces = {glob: pace(text) for glob, text in self.settings.queue_rates.items()}

    async def _find_token(self, clear: str) -> Token | None:
        return await (await self.open()).admin.by(Actor(sub="corral", method="")).find_token(clear)

    async def _token_of(self, token_id: str) -> Token | None:
        return await (await self.open()).admin.by(Actor(sub="corral", method="")).token(token_id)

    async def store(self) -> Storage:
        """The store, which is opened if need be. Raises: StorageUnavailableError."""
        return (await self.open()).storage

    @property
    def local_only(self) -> bool:
        """Whether nobody but this machine is served, and hence only under its own names."""
        return self.recogniser.closed

    def queue_paces(self, queue: str) -> list[tuple[str, Pace]]:
        """How fast somebody may add to a queue, beside what holds for all: by pattern."""
        return [(glob, found) for glob, found in self._queue_paces.items() if fnmatchcase(queue, glob)]

    @property
    def metrics(self) -> Metrics | None:
        """What is counted for Prometheus; None before the store is open, and without `corral[metrics]`."""
        return None if self._live is None else self._live.metrics

    @property
    def app(self) -> Corral | None:
        """The application, when that is what the API was made of."""
        return self.source if isinstance(self.source, Corral) else None

    @property
    def url(self) -> str:
        """Where the store is, without a password; "" when it was given open."""
        source = self.source.url if isinstance(self.source, Corral) else self.source
        return safe_url(source) if isinstance(source, str) else ""

    @property
    def is_open(self) -> bool:
        """Whether the store is open. It may be out of reach nevertheless."""
        return self._live is not None

    @property
    def storage(self) -> Storage:
        """The open store. Raises: StorageUnavailableError."""
        return self._opened().storage

    @property
    def monitor(self) -> Monitor:
        """What reads. Raises: StorageUnavailableError."""
        return self._opened().monitor

    @property
    def admin(self) -> Admin:
        """What changes. Raises: StorageUnavailableError."""
        return self._opened().admin

    @property
    def hub(self) -> Hub:
        """What tells streams what happens. Raises: StorageUnavailableError."""
        return self._opened().hub

    def _opened(self) -> _Open:
        if self._live is None:
            raise StorageUnavailableError("the store is not open")
        return self._live

    async def begin(self) -> None:
        """Begin to look after the event loop. It needs no store, and may be called at every request."""
        if not self._begun:
            self._begun = True
            await self.health.__aenter__()

    async def open(self) -> Self:
        """Open the store, once. It may be called at every request: an API that is mounted has no start of its own.

        Raises:
            StorageUnavailableError: not now; the next call tries again. StorageError: what is there cannot be used.
        """
        if self._live is None:
            async with self._opening:
                if self._live is None:  # nothing that goes on for weeks belongs to the trace of one request
                    await asyncio.create_task(self._start(), name="corral open", context=Context())
        return self

    async def _start(self) -> None:
        if self._failed is not None and self.seconds() < self._failed[0]:
            raise StorageUnavailableError(self._failed[1])
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self.settings.read_timeout):
                    storage = await self._storage(stack)
            except (StorageError, TimeoutError) as error:
                self._failed = self.seconds() + AGAIN_S, "the store could not be opened"
                logger.warning(
                    "the store at %s cannot be opened: %s", self.url, error or "it does not answer",
                    extra={"event": "engine.lost"},
                )  # fmt: skip
                if isinstance(error, TimeoutError) and not isinstance(error, StorageError):
                    raise StorageUnavailableError("the store could not be opened in time") from None
                raise
            monitor = Monitor(storage, thresholds=self._thresholds(), sensitive=self.sensitive)
            metrics, counted = _metrics(monitor, storage, self.app)
            admin = Admin(await self._traced(counted), monitor, app=self.app)
            hub = Hub(monitor, admin.by(Actor(sub="corral")).operations)
            await stack.enter_async_context(admin.runner.run())
            await stack.enter_async_context(alerting(monitor, admin, self.app, self.alerts))
            await stack.enter_async_context(_gauging(storage))
            self._failed = None
            self._live = _Open(storage, monitor, admin, hub, metrics, stack.pop_all())

    async def _traced(self, storage: Storage) -> Storage:
        if self.spans is None:
            return storage
        url = self.url
        if not url:  # it was given open: what spans tell is its kind
            try:
                url = f"{(await storage.engine()).kind}:"
            except StorageError:  # who asks it next is told
                url = ""
        return self.spans.dress(storage, url)

    def _thresholds(self) -> Thresholds:
        return self.alerts.thresholds if self.alerts is not None and self.thresholds is DEFAULTS else self.thresholds

    async def _storage(self, stack: AsyncExitStack) -> Storage:
        if isinstance(self.source, str):
            return await stack.enter_async_context(connect(self.source))
        if isinstance(self.source, Corral):
            if not self.source.is_open:  # who opens it closes it: another's open application is left alone
                stack.push_async_callback(self.source.close)
            return await self.source.open()
        return self.source

    async def is_away(self) -> bool:
        """Whether the store does not answer: asked at most every 2 s, for 1 s, however many want to know.

        From then on requests are refused at once, until it answers again.
        """
        found = await self.health.answer("/readyz/store")
        self._away = found.status != 200
        return self._away

    async def check_there(self) -> None:
        """Refuse a request at once while the store is away. Raises: StorageUnavailableError."""
        if self._away and await self.is_away():
            raise StorageUnavailableError("the store does not answer")

    @asynccontextmanager
    async def patience(self, seconds: float | None) -> AsyncIterator[None]:
        """So long may what is inside take. Where the store is away it ends early: the store's own patience is longer.

        Raises:
            TimeoutError: it took longer, or the store is away.
        """
        loop = asyncio.get_running_loop()
        asking: list[asyncio.Task[None]] = []
        async with asyncio.timeout(seconds) as limit:

            async def ask() -> None:
                if await self.is_away() and not limit.expired():
                    limit.reschedule(loop.time())

            after = [
                loop.call_later(SLOW_S * number, lambda: asking.append(asyncio.ensure_future(ask())))
                for number in range(1, 4 if seconds is not None else 1)
            ]
            try:
                yield
            finally:
                for later in after:
                    later.cancel()
                for task in asking:
                    task.cancel()

    async def close(self) -> None:
        """Close what `open` has opened. It can be opened again."""
        live, self._live = self._live, None
        if live is not None:
            await live.stack.aclose()
        if self._begun:
            self._begun = False
            await self.health.__aexit__(None, None, None)


@asynccontextmanager
async def _gauging(storage: Storage) -> AsyncIterator[None]:
    """See to it that what waits is recorded, also of queues that no worker of corral serves."""

    async def queues() -> list[str]:
        return [one.name for one in (await storage.queues())[:GAUGED]]

    looking = asyncio.create_task(every(EVERY, Gauges(storage, queues), "gauges"), name="corral gauges")
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


def _spans() -> Spans | None:
    """What traces requests, where OpenTelemetry is installed and not switched off."""
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.trace") is None:  # an extra
        return None
    from corral.observe.server_spans import ServerSpans
    from corral.observe.tracing import switched_off

    return None if switched_off() else ServerSpans()


def _metrics(monitor: Monitor, storage: Storage, app: Corral | None) -> tuple[Metrics | None, Storage]:
    """What is counted, and the store through which jobs are added: where they are counted, unless others do."""
    if find_spec("prometheus_client") is None:  # an extra
        return None, storage
    from corral.observe.adds import AddMetrics, CountingStorage, counted_in
    from corral.observe.prometheus import ApiMetrics

    if counted_in(storage):  # the application counts what it adds; what comes by HTTP passes through the same store
        return ApiMetrics(monitor), storage
    names = [name for queue in app.queues.values() for name in queue.definitions] if app is not None else None
    adds = AddMetrics(names)
    return ApiMetrics(monitor, adds=adds), CountingStorage(storage, adds)
