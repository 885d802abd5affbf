"""Serving an ASGI application beside the worker, in the same loop, on a port of this machine."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn

from .stage import Web


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


def site_of(sock: socket.socket) -> str:
    """The address people type."""
    return f"http://127.0.0.1:{sock.getsockname()[1]}"


@contextlib.asynccontextmanager
async def served(web: Web, sock: socket.socket) -> AsyncIterator[None]:
    """Serve until the end of the block; requests that run may take two more seconds."""
    # The demo opens and closes the application itself; its log goes where everybody's does.
    config = uvicorn.Config(web, loop="none", ws="none", lifespan="off", log_config=None, access_log=False)
    config.timeout_graceful_shutdown = 2
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
