"""A small HTTP server in threads of its own, for probes and scrapes: it answers while the event loop does not."""

import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from msgspec import Struct

from corral.errors import ConfigError
from corral.observe.checks import TEXT, Answer

#: Connections at once: probes and scrapes are few, and each one is a thread.
MOST = 32
#: A client that has not sent its request by then (seconds) is hung up on.
PATIENCE = 5.0


class Ask(Struct, frozen=True):
    """A request, as far as anybody here looks at it."""

    path: str
    query: str
    accept: str
    local: bool  #: from this machine


#: As the standard library calls it.
Connection: TypeAlias = socket.socket | tuple[bytes, socket.socket]
#: None: not mine.
Route: TypeAlias = Callable[[Ask], Answer | None]


class Listener:
    """Serves routes, the first that answers, on a TCP port (0: a free one) or on a Unix socket.

    Raises:
        ConfigError: the address is taken or not this machine's.
    """

    def __init__(self, *routes: Route, host: str = "127.0.0.1", port: int = 0, path: str | None = None) -> None:
        self._routes = routes
        self._path = path
        handler = type("Handler", (_Handler,), {"answer": staticmethod(self._answer)})
        try:
            self._server = _UnixServer((path, 0), handler) if path is not None else _server(host, port, handler)
        except OSError as error:
            where = path or f"{host}:{port}"
            raise ConfigError(f"cannot listen on {where}: {error.strerror or error}", key="listen") from None
        self._thread = threading.Thread(target=self._server.serve_forever, name="corral-probes", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        address = self._server.server_address
        return int(address[1]) if isinstance(address, tuple) else 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. Answers under way are not waited for."""
        if self._thread.ident is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        if self._path is not None and os.path.exists(self._path):
            os.unlink(self._path)

    def _answer(self, ask: Ask) -> Answer:
        for route in self._routes:
            found = route(ask)
            if found is not None:
                return found
        return Answer(404, TEXT, "there is nothing here\n")


class _Handler(BaseHTTPRequestHandler):
    timeout = PATIENCE
    answer: Callable[[Ask], Answer]

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        ask = Ask(parts.path, parts.query, self.headers.get("Accept", ""), is_local(self.client_address))
        found = self.answer(ask)
        body = found.body.encode()
        self.send_response(found.status)
        self.send_header("Content-Type", found.type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name; probes are no news
        return

    def version_string(self) -> str:  # and nobody needs to know the version of Python
        return "corral"


class _Bounded(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def server_activate(self) -> None:
        self._places = threading.BoundedSemaphore(MOST)
        super().server_activate()

    def process_request(self, request: Connection, client_address: object) -> None:
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Connection, client_address: object) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Connection, client_address: object) -> None:  # a client that went away
        return


class _UnixServer(_Bounded):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(self.server_address[0])
        self.server_name, self.server_port = "localhost", 0

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        request, _ = self.socket.accept()
        return request, ("127.0.0.1", 0)


class _SixServer(_Bounded):
    address_family = socket.AF_INET6


def _server(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> _Bounded:
    return (_SixServer if ":" in host else _Bounded)((host, port), handler)


def is_local(address: object) -> bool:
    """Whether a client's address is this machine's own."""
    host = address[0] if isinstance(address, tuple) and address else ""
    try:
        known = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(known, "ipv4_mapped", None)
    return (mapped or known).is_loopback
