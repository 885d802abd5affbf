"""Hub: one per process. It looks at the store only while somebody looks at it, and once for all of them."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from corral.admin.objects import Operation
from corral.errors import StorageError
from corral.event import EventCursor
from corral.http.live.board import Board
from corral.http.live.stream import Message, Stream
from corral.http.live.tail import Tail
from corral.monitor.monitor import Monitor

logger = logging.getLogger("corral.api")

#: Seconds between two rounds.
ROUND = 1.0


class Hub:
    """Tells streams what happens. Without a stream nothing runs."""

    def __init__(self, monitor: Monitor, running: Callable[[], Awaitable[Sequence[Operation]]]) -> None:
        self.instance = secrets.token_hex(4)
        self._monitor = monitor
        self._board = Board(monitor, running)
        self._streams: set[Stream] = set()
        self._tails: dict[str, Tail] = {}
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = None

    @asynccontextmanager
    async def joined(self, stream: Stream, marks: Mapping[str, EventCursor]) -> AsyncIterator[None]:
        """Tell this stream what it wants to hear of, from where `marks` say that it was.

        Raises:
            StorageError: the store does not answer.
        """
        try:
            await self._join(stream, marks)
            yield
        finally:
            self._streams.discard(stream)
            for queue in stream.topics.followed():
                tail = self._tails.get(queue)
                if tail is not None and tail.leave(stream):
                    del self._tails[queue]
            if not self._streams and self._task is not None:
                self._task.cancel()
                self._task = None
                self._board.forget()

    async def _join(self, stream: Stream, marks: Mapping[str, EventCursor]) -> None:
        followed = sorted(stream.topics.followed())
        known = {queue: marks[queue] for queue in followed if queue in marks}
        hello = {"server_time_ms": self._monitor.at(), "instance": self.instance, "mode": "live"}
        whole = bool(known) or not marks
        told: list[Message] = []
        for queue in followed:
            tail = self._tails.setdefault(queue, Tail(self._monitor, queue, self._troubled))
            whole = await tail.join(stream, known.get(queue)) and whole
        told += await stream.take(0.0)  # what it missed comes after the greeting
        stream.put(Message("hello", {**hello, "resume": bool(marks) and whole}))
        if self._trouble is not None:
            stream.put(Message("degraded", {"at_ms": self._monitor.at()}))
        for message in told:
            stream.put(message)
        self._streams.add(stream)
        self._board.greet(stream)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._rounds(), name="corral-hub")

    async def _rounds(self) -> None:
        while True:
            try:
                await self._board.look(self._streams)
            except StorageError as error:
                self._troubled(type(error).__name__)
            else:
                if self._trouble is not None and not self._tails:
                    self._troubled(None)
            await asyncio.sleep(ROUND)

    def _troubled(self, what: str | None) -> None:
        """The store does not answer, or does again: said once to everybody."""
        if (what is None) == (self._trouble is None):
            return
        self._trouble = what
        if what is not None:
            logger.warning("live events wait for the store: %s", what)
            self._board.forget()
        for stream in self._streams:
            stream.put(Message("degraded" if what else "recovered", {"at_ms": self._monitor.at()}))
