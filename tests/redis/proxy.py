"""A TCP proxy that fails on purpose: loses replies or requests, cuts, stalls, drips. For tests and for the torture.

async with Proxy("127.0.0.1", server.port) as proxy:
    proxy.decide = lose_at_random(Random(7), reply=0.1)     # or proxy.next(Fault.LOSE_REPLY)
    ... redis://127.0.0.1:{proxy.port} ...
    proxy.stall(); proxy.flow(); proxy.cut()
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from enum import Enum
from random import Random
from typing import Self, TypeAlias


class Fault(Enum):
    """What may become of a request."""

    LOSE_REPLY = "lose reply"  #: it arrives and is done, the connection ends before the answer
    LOSE_REQUEST = "lose request"  #: it never arrives, the connection ends
    HALF_REQUEST = "half request"  #: its first half arrives, then the connection ends


#: Called with each piece that a client sends.
Decision: TypeAlias = Callable[[bytes], Fault | None]


def lose_at_random(
    random: Random, *, reply: float = 0.0, request: float = 0.0, half: float = 0.0, only: bytes = b"EVALSHA"
) -> Decision:
    """Faults with these chances, for pieces that contain `only`."""

    def decide(data: bytes) -> Fault | None:
        if only not in data:
            return None
        draw = random.random()
        for chance, fault in (
            (reply, Fault.LOSE_REPLY), (request, Fault.LOSE_REQUEST), (half, Fault.HALF_REQUEST),
        ):  # fmt: skip
            if draw < chance:
                return fault
            draw -= chance
        return None

    return decide


class Proxy:
    """Listens on a free port of this machine. `faults` counts what was done; `accepted` the connections."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.upstream = (host, port)
        self.port = 0
        self.faults = 0
        self.accepted = 0
        self.decide: Decision = self._as_ordered
        self.drip = False  #: hand replies over byte by byte
        self._tls = tls
        self._orders: deque[tuple[bytes, Fault]] = deque()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._refusing = False
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self._flowing.set()
        self.cut()
        tasks = set(self._tasks)
        if tasks:
            await asyncio.wait(tasks)

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._tasks)

    # -- what can be done to it ----------------------------------------------------------------------------------------

    def next(self, fault: Fault, *, only: bytes = b"EVALSHA", times: int = 1) -> None:
        """Do this to the next pieces that contain `only`. Not together with a `decide` of your own."""
        self._orders.extend([(only, fault)] * times)

    def cut(self) -> None:
        """End all connections."""
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """Say nothing any more, in either direction, and keep the connections: a peer that vanished without a word."""
        self._flowing.clear()

    def flow(self) -> None:
        """End a stall."""
        self._flowing.set()

    def refuse(self, refusing: bool = True) -> None:
        """Hang up on whoever connects."""
        self._refusing = refusing

    # -- inside --------------------------------------------------------------------------------------------------------

    def _as_ordered(self, data: bytes) -> Fault | None:
        if self._orders and self._orders[0][0] in data:
            return self._orders.popleft()[1]
        return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.accepted += 1
        try:
            if self._refusing:
                writer.transport.abort()
                return
            await self._relay(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.upstream)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, up_writer}
        self._writers |= ends
        doomed = asyncio.Event()
        try:
            ways = [
                asyncio.create_task(self._requests(reader, up_writer, doomed)),
                asyncio.create_task(self._replies(up_reader, writer, doomed)),
            ]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        finally:
            self._writers -= ends
            for end in ends:
                end.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, up: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                fault = self.decide(data)
                if fault is not None:
                    self.faults += 1
                if fault is Fault.LOSE_REQUEST:
                    return
                if fault is Fault.HALF_REQUEST:
                    up.write(data[: len(data) // 2])
                    await up.drain()
                    return
                if fault is Fault.LOSE_REPLY:
                    doomed.set()
                up.write(data)
                await up.drain()

    async def _replies(self, up: asyncio.StreamReader, writer: asyncio.StreamWriter, doomed: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await up.read(65_536):
                await self._flowing.wait()
                if doomed.is_set():
                    return
                for piece in (data[n : n + 1] for n in range(len(data))) if self.drip else (data,):
                    writer.write(piece)
                    await writer.drain()
                    if self.drip:
                        await asyncio.sleep(0)
