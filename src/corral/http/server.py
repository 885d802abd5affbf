"""Serving: uvicorn, which ends streams when it ends, says first that it will, and leaves with exit code 0."""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Sequence
from ipaddress import ip_address
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from corral.errors import ConfigError
from corral.http.home import Api
from corral.http.settings import ApiSettings

logger = logging.getLogger("corral.api")

#: What requests that are under way may still take at the end. Streams have ended by then.
PATIENCE = 10
#: The head of a request: a URL of 8 KB, and as much again of headers.
HEAD = 16_384 + 8_192
CONNECTIONS = 2_000
#: A terminal, or a supervisor, signals the process and its group: that is one order, not two.
ECHO = 0.5


class Server(uvicorn.Server):
    """Told to stop, it says by `/readyz` that it will, serves on for a while, ends its streams, and then stops.

    Told so again, it stops at once. On its own, uvicorn waits for streams, which do not end, and then kills itself by
    the signal it was sent.
    """

    def __init__(self, app: ASGIApp, home: Api) -> None:
        settings = home.settings
        super().__init__(
            uvicorn.Config(
                app, loop="none", http="h11", ws="none", lifespan="on", log_config=None, access_log=False,
                proxy_headers=False, server_header=False, root_path=settings.root_path,
                timeout_graceful_shutdown=PATIENCE, limit_concurrency=CONNECTIONS, h11_max_incomplete_event_size=HEAD,
            )
        )  # fmt: skip
        self._home = home
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told_at = float("-inf")
        self._told = 0

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal has come. It is not kept: uvicorn would raise it again when all is done."""
        # A person at a terminal does not wait for a load balancer.
        delay = self._home.settings.drain_delay if sig == signal.SIGTERM else 0.0
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.stop, delay)

    def stop(self, delay: float | None = None) -> None:
        """Stop: the first time after `delay` seconds (those of the settings), the second time at once."""
        now = time.monotonic()
        if now - self._told_at < ECHO:
            return
        self._told_at = now
        self._told += 1
        self._home.health.draining = True
        wait = self._home.settings.drain_delay if delay is None else delay
        if self._told > 2:
            self.force_exit = True
        if self._told > 1 or not wait:
            self._end()
        elif self._loop is not None:
            logger.info("stopping in %g s; not ready any more", wait, extra={"event": "api.stopping"})
            self._loop.call_later(wait, self._end)

    def _end(self) -> None:
        self._home.closing.set()
        self.should_exit = True


def is_local(host: str) -> bool:
    """Whether an address is reached from this machine only."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_exposed(settings: ApiSettings, *, hook: bool = False) -> None:
    """Refuse to serve others where nobody has said who may come in.

    Args:
        hook: whether the application recognises people itself.

    Raises:
        ConfigError: says how to go on.
    """
    if settings.configured or settings.insecure_no_auth or hook or is_local(settings.host):
        return
    raise ConfigError(
        f"{settings.host} is reached from other machines, and nobody has said who may come in: configure tokens, users "
        "or JWT (docs/guides/auth.md), keep to --host 127.0.0.1, or say --insecure-no-auth",
        key="host",
    )


def listen(settings: ApiSettings, *, shared: bool = False) -> socket.socket:
    """The socket to serve. `shared`: several processes have one each on the same port.

    Raises:
        ConfigError: the address cannot be had.
    """
    host = settings.host.strip("[]")
    try:
        family = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, settings.port), family=family, reuse_port=shared, backlog=2_048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"cannot listen on {settings.host}:{settings.port}: {reason}", key="port") from None


def url_of(settings: ApiSettings, sock: socket.socket) -> str:
    """Where the API is, as people type it."""
    host = f"[{settings.host.strip('[]')}]" if sock.family == socket.AF_INET6 else settings.host
    return f"http://{host}:{sock.getsockname()[1]}{settings.root_path.rstrip('/')}"


def hush() -> None:
    """Keep uvicorn from telling of every start and stop: ours say it already."""
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).setLevel(logging.WARNING)


async def serve(server: Server, sockets: Sequence[socket.socket]) -> None:
    """Serve until a signal or `server.stop()` ends it. For a process that ends then: its signals stay the server's."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn puts back what it has found; a late signal would then kill a process that has done all it had to.
        signal.signal(number, server.handle_exit)
    hush()
    try:
        await server.serve(list(sockets))
    finally:  # all is done: an impatient second Ctrl-C must not make a failure of it
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
