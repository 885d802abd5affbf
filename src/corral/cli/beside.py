"""The dashboard beside a worker, in the same process: what `corral dev` has more than `corral worker`."""

import asyncio
import logging
import socket
import webbrowser
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import click

from corral.alerts.settings import read_alerts
from corral.app.app import Corral
from corral.cli.text import visible
from corral.dashboard.app import create_dashboard
from corral.errors import ConfigError
from corral.http.home import Api
from corral.http.server import Server, check_exposed, hush, listen, url_of
from corral.http.settings import ApiSettings

logger = logging.getLogger("corral.cli")

#: Ports that are tried after the usual one when it is taken; then any.
NEXT_PORTS = 20


class Guest(Server):
    """A server in somebody else's process: the signals are the worker's, and when it has ended the server ends too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def seat(port: int | None) -> socket.socket:
    """Where the API is to be served. Without a port it is the settings', or a free one near it.

    Raises:
        ConfigError: the port that was asked for cannot be had, or settings that cannot be meant.
    """
    settings = _settings(port)
    check_exposed(settings)
    if port is not None:
        return listen(settings)
    for number in range(settings.port, min(settings.port + NEXT_PORTS, 65_536)):
        try:
            return listen(_settings(number))
        except ConfigError:  # taken: somebody else develops here, or the same person twice
            continue
    return listen(_settings(0))


def _settings(port: int | None) -> ApiSettings:
    # Nobody behind a load balancer waits for a developer's server.
    return ApiSettings(drain_delay=0.0, **({} if port is None else {"port": port}))


@asynccontextmanager
async def beside(app: Corral, sock: socket.socket, *, show: bool) -> AsyncIterator[None]:
    """Serve the dashboard of an open application for as long as its worker works, and say where.

    Args:
        show: whether to open the address in a browser.
    """
    settings = _settings(sock.getsockname()[1])
    api = create_dashboard(app, settings=settings, alerts=read_alerts(declared=app.alerts))
    home: Api = api.state.corral
    server = Guest(api, home)
    hush()
    serving = asyncio.create_task(server.serve([sock]), name="corral-api")
    serving.add_done_callback(_tell_when_broken)
    address = address_of(home, url_of(settings, sock))
    click.echo(visible(f"Dashboard: {address}"))
    if show:
        await asyncio.to_thread(webbrowser.open, address)
    try:
        yield
    finally:
        server.stop(0.0)
        await asyncio.wait([serving])


def address_of(home: Api, base: str) -> str:
    """What to open: where nobody is configured, an address that logs its first visitor in."""
    once = home.recogniser.once()
    return f"{base}{home.front}" if once is None else f"{base}/api/v1/login?token={once}"


def _tell_when_broken(serving: "asyncio.Task[None]") -> None:
    """The worker goes on, but somebody waits for the API."""
    if not serving.cancelled() and serving.exception() is not None:
        logger.error("the HTTP API has ended: %s", serving.exception(), exc_info=serving.exception())
