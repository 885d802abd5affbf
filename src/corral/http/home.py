"""Home: one API's parts, from the source it was given to the store it has open. Routes get at it by `deps.api`."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self, TypeAlias

from starlette.requests import Request

from corral.admin.admin import Actor, Admin
from corral.admin.rights import Permission, Principal
from corral.app.app import Corral
from corral.errors import StorageError, StorageUnavailableError
from corral.http.limits import Limiter
from corral.http.live.hub import Hub
from corral.http.live.seats import Seats
from corral.http.settings import ApiSettings
from corral.listener import Endings
from corral.monitor.monitor import Monitor
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.storage.connect import check_url, connect, safe_url
from corral.storage.port import Storage

logger = logging.getLogger("corral.http")

#: The host application's own way to recognise who asks; None: it does not know them.
Authenticate: TypeAlias = Callable[[Request], Principal | None | Awaitable[Principal | None]]
#: The host application's own word on who may do what; it takes the place of the roles.
Authorize: TypeAlias = Callable[[Principal, Permission, str | None], bool | Awaitable[bool]]
Source: TypeAlias = "Corral | str | Storage"

#: A store that could not be opened is left alone for this long: whoever asks meanwhile is told at once.
AGAIN_S = 1.0


@dataclass(frozen=True)
class _Open:
    storage: Storage
    monitor: Monitor
    admin: Admin
    hub: Hub
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
    limiter: Limiter = field(default_factory=Limiter)
    endings: dict[str, Endings] = field(default_factory=dict)  #: one tail per queue for everybody who waits there
    seats: Seats = field(default_factory=Seats)  #: streams that are open
    closing: asyncio.Event = field(default_factory=asyncio.Event)  #: set when the server is about to stop
    draining: bool = False
    seconds: Callable[[], float] = time.monotonic
    _live: _Open | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    _failed: tuple[float, str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.source, str):
            check_url(self.source)

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

    async def open(self) -> Self:
        """Open the store, once. It may be called at every request: an API that is mounted has no start of its own.

        Raises:
            StorageUnavailableError: not now; the next call tries again. StorageError: what is there cannot be used.
        """
        if self._live is None:
            async with self._opening:
                if self._live is None:
                    await self._start()
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
            monitor = Monitor(storage, thresholds=self.thresholds, sensitive=self.sensitive)
            admin = Admin(storage, monitor, app=self.app)
            hub = Hub(monitor, admin.by(Actor(sub="corral")).operations)
            self._failed = None
            self._live = _Open(storage, monitor, admin, hub, stack.pop_all())

    async def _storage(self, stack: AsyncExitStack) -> Storage:
        if isinstance(self.source, str):
            return await stack.enter_async_context(connect(self.source))
        if isinstance(self.source, Corral):
            if not self.source.is_open:  # who opens it closes it: another's open application is left alone
                stack.push_async_callback(self.source.close)
            return await self.source.open()
        return self.source

    async def close(self) -> None:
        """Close what `open` has opened. It can be opened again."""
        live, self._live = self._live, None
        if live is not None:
            await live.stack.aclose()
