"""Feed: a stream as it goes over the wire, `text/event-stream` (WHATWG HTML, 9.2)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from corral.event import EventCursor
from corral.http.live.hub import Hub
from corral.http.live.seats import Seats
from corral.http.live.stream import Message, Stream

#: Seconds between two signs of life, and how long a viewer waits before it comes back (milliseconds).
PING, AGAIN_MS = 15.0, 3_000
#: Seconds between two looks at whether the viewer may still look.
CHECK = 5.0


class Feed(StreamingResponse):
    """The answer that does not end until the viewer leaves, is too slow, or the server stops.

    Making it takes a seat, calling it gives that back.

    Raises:
        Problem: too many streams are open (503).
    """

    def __init__(
        self, hub: Hub, stream: Stream, marks: Mapping[str, EventCursor], *, closing: asyncio.Event, seats: Seats,
        who: str, still: Callable[[], Awaitable[bool]],
    ) -> None:  # fmt: skip
        super().__init__(
            self._text(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )
        self._hub = hub
        self._stream = stream
        self._marks = marks
        self._closing = closing
        self._still = still
        self._over = asyncio.Event()
        self._seats = seats
        self._who = who
        seats.take(who)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # Before the first byte: a store that does not answer is a problem, and no stream that ends at once.
            async with self._hub.joined(self._stream, self._marks), self._watched():
                await super().__call__(scope, receive, send)
        finally:
            self._seats.leave(self._who)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """End the stream when its viewer may not look any more: a token was revoked, or has run out."""
        watching = asyncio.create_task(self._watch(), name="corral-viewer")
        try:
            yield
        finally:
            watching.cancel()  # not waited for: the seat is to be free at once

    async def _watch(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(CHECK)
            if not await self._still():
                self._over.set()
                self._stream.wake()

    async def _text(self) -> AsyncIterator[bytes]:
        yield format_sse_event(retry=AGAIN_MS)
        while not self._closing.is_set() and not self._over.is_set():
            for message in await self._next():
                yield self._line(message)
            if self._stream.overrun:
                yield format_sse_event(event="overrun", data_str="{}")
                return
        yield format_sse_event(event="bye", data_str="{}")

    async def _next(self) -> list[Message]:
        """What comes next; an empty list when the server stops."""
        taking = asyncio.ensure_future(self._stream.take(PING))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({taking, closing}, return_when=asyncio.FIRST_COMPLETED)
            if not taking.done():
                return []
            return taking.result() or [_PING]
        finally:
            for task in (taking, closing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    def _line(self, message: Message) -> bytes:
        if message is _PING:
            return KEEPALIVE_COMMENT
        return format_sse_event(event=message.event, data_str=message.text(), id=self._stream.mark(message))


_PING = Message("ping", None)
