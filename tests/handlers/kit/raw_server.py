"""A server that answers with the bytes it is given, however wrong, and a network in which every name leads to it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager

import httpcore2

from corral.handlers.kit.web import Web

Talk = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
PUBLIC = "93.184.215.14"


class RawServer:
    """What was asked, and where it listens."""

    def __init__(self) -> None:
        self.port = 0
        self.asked: list[str] = []
        self.connections = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def first_lines(self) -> list[str]:
        return [request.splitlines()[0] for request in self.asked]


@asynccontextmanager
async def raw_server(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Serve requests on a free port of this machine: `talk` gets the head of each and writes what it likes."""
    server = RawServer()
    busy: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        server.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(x[15:]) for x in head.lower().split(b"\r\n") if x.startswith(b"content-length:")), 0)
                server.asked.append((head + await reader.readexactly(length)).decode("utf-8", "replace"))
                await talk(head, writer)
                await writer.drain()
                if b"connection: close" in head.lower():
                    break
        writer.close()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        busy.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in list(busy):
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        await listener.wait_closed()


def answering(*answers: bytes) -> Talk:
    """One answer after another; the last one again and again."""
    left = list(answers)

    async def talk(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return talk


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    """An answer as it goes over the wire."""
    fields = {"content-length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    lines = [f"HTTP/1.1 {status} Any", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Dialled(httpcore2.AnyIOBackend):
    """A network in which every public address is one server of the test."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.addresses: list[tuple[str, int]] = []
        self.dead: set[str] = set()  #: nobody is there
        self.silent: set[str] = set()  #: nobody says so either
        self.shares: list[float | None] = []

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:  # fmt: skip
        self.addresses.append((host, port))
        if host in self.dead:
            raise httpcore2.ConnectError("no route")
        self.shares.append(timeout)
        if host in self.silent:
            raise httpcore2.ConnectTimeout("no answer")
        return await super().connect_tcp("127.0.0.1", self.port, timeout, local_address, socket_options)


class Names:
    """A resolver with a list of answers for each name, given one after another, the last again and again."""

    def __init__(self, **names: Sequence[Sequence[str]]) -> None:
        self.names = {name.replace("__", "-").replace("_", "."): list(answers) for name, answers in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.names.get(host, [[PUBLIC]])
        return answers.pop(0) if len(answers) > 1 else answers[0]


def outside(web: Web, port: int) -> Dialled:
    """Let this Web's public addresses lead to the test's server: everything else about them stays as it is."""
    dialled = Dialled(port)
    web._guarded._inner = dialled
    return dialled
