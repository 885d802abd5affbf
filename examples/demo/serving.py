"""A platform's API and the dashboard beside its worker, in the same loop, on a port of this machine."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from corral import Corral
from corral.dashboard import create_dashboard
from corral.http import ApiSettings

from .stage import Web

#: Where the dashboard is; a platform may have one of its own elsewhere, behind its own login.
DASHBOARD = "/dashboard"


class _Server(uvicorn.Server):
    """Signals are for the worker: when it has stopped, so does this."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def listening(port: int) -> socket.socket:
    """A socket on this machine, on a free port for 0. Raises: OSError."""
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
    except OSError:
        sock.close()
        raise
    return sock


class Site:
    """What is served until the end of the block; requests that run then may take two more seconds."""

    def __init__(self, app: Corral, api: Web | None, sock: socket.socket) -> None:
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self._sock = sock
        # Nobody is configured who may come in: so only this machine may, with a token that is good for one login.
        self._dashboard = create_dashboard(app, settings=ApiSettings(env_label="demo"))
        self._home = self._dashboard.state.corral
        routes = [Mount(DASHBOARD, self._dashboard), *([] if api is None else [Mount("/", api)])]
        # The demo opens and closes the application itself; its log goes where everybody's does.
        config = uvicorn.Config(
            Starlette(routes=routes), loop="none", ws="none", lifespan="off", log_config=None, access_log=False
        )
        config.timeout_graceful_shutdown = 2
        self._server = _Server(config)
        self._serving: asyncio.Task[None] | None = None

    @property
    def login(self) -> str:
        """Where the dashboard lets one in."""
        token = self._home.recogniser.once()
        return f"{self.url}{DASHBOARD}/" + ("" if token is None else f"login?token={token}")

    async def __aenter__(self) -> Self:
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._sock]))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.should_exit = True
        if self._serving is not None:
            await self._serving
        await self._home.close()
