"""Stream: what one viewer still has to be told. A slow one gets numbers together, and at last loses its connection."""

import asyncio
from collections import deque
from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import msgspec
from msgspec import Struct

from corral.event import EventCursor
from corral.http.live.topics import Topics

#: Messages that wait for a viewer.
ROOM = 256
#: Events that hold changes of things by name, so that two of them make one.
MERGED = frozenset({"counts", "rates", "worker", "schedule", "attention", "operation"})
#: What a queue name may have: nothing limits it here, but a header must hold all of an id.
ID_LENGTH = 8_000


class Message(Struct, frozen=True):
    """Something to tell."""

    event: str
    data: object
    queue: str = ""  #: of a followed queue: which one …
    cursor: EventCursor = ""  #: … and where to go on after it

    def text(self) -> str:
        """The data as it is sent."""
        return msgspec.json.encode(self.data).decode()


class Stream:
    """The messages of one viewer, in order. `sees` says whether it may hear of a queue."""

    def __init__(self, topics: Topics, sees: Callable[[str], bool], *, sees_operations: bool = True) -> None:
        self.topics = topics
        self.sees = sees
        self.sees_operations = sees_operations
        self.cursors: dict[str, EventCursor] = {}
        self.overrun = False  #: it was too slow: what follows is missing, so it must begin anew
        self._waiting: deque[Message] = deque()
        self._news = asyncio.Event()

    def put(self, message: Message) -> None:
        """Hand over a message; never waits."""
        if self.overrun:
            return
        if message.event in MERGED and self._merge(message):
            return
        if len(self._waiting) >= ROOM:
            self.overrun = True
            self._waiting.clear()
        else:
            self._waiting.append(message)
        self._news.set()

    def _merge(self, message: Message) -> bool:
        """Numbers that nobody has fetched yet are brought up to date in place: a slow viewer costs no more memory."""
        for place, waiting in enumerate(self._waiting):
            if waiting.event == message.event and isinstance(waiting.data, dict) and isinstance(message.data, dict):
                self._waiting[place] = Message(message.event, _merged(waiting.data, message.data))
                return True
        return False

    async def take(self, timeout: float) -> list[Message]:
        """All there is to be told, at least one message; after `timeout` seconds, or when it was too slow, none."""
        if not self._waiting and not self.overrun:
            try:
                async with asyncio.timeout(timeout):
                    await self._news.wait()
            except TimeoutError:
                return []
        self._news.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken

    def wake(self) -> None:
        """Let whoever waits for messages look up."""
        self._news.set()

    def mark(self, message: Message) -> str | None:
        """The id to send with a message, by which a viewer that comes back goes on; None: it needs none."""
        if message.cursor:
            self.cursors[message.queue] = message.cursor
        return urlencode(self.cursors) if self.cursors else None


def _merged(old: dict[str, object], new: dict[str, object]) -> dict[str, object]:
    merged = dict(old)
    for key, fact in new.items():
        known = merged.get(key)
        merged[key] = {**known, **fact} if isinstance(known, dict) and isinstance(fact, dict) else fact
    return merged


def marks_of(last_id: str) -> dict[str, EventCursor]:
    """The cursors in the id that a viewer comes back with; what makes no sense is left out."""
    return dict(parse_qsl(last_id)) if len(last_id) <= ID_LENGTH else {}
