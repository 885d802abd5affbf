"""Tickets: a minute's way into the event stream, once, for clients that cannot send headers (`EventSource`)."""

import hashlib
import secrets

import msgspec
from msgspec import Struct

from corral.admin.rights import Principal
from corral.http.live.topics import topics_of
from corral.storage.port import Storage
from corral.storage.records import EntryChange
from corral.timing import Millis

KIND = "ticket"
LIFE_MS: Millis = 60_000
_USED = "used"


class Ticket(Struct, frozen=True):
    """Who may come in, and to hear of what."""

    who: Principal
    topics: str


async def issue(storage: Storage, who: Principal, topics: str) -> str:
    """A ticket for this stream; the store keeps its hash only. Raises: ConfigError, the topics are none."""
    topics_of(topics)
    clear = secrets.token_urlsafe(32)
    text = msgspec.json.encode(Ticket(who, topics)).decode()
    await storage.write_entries(KIND, [EntryChange(id=_hash(clear), text=text, version=0, ttl_ms=LIFE_MS)])
    return clear


async def redeem(storage: Storage, clear: str) -> Ticket | None:
    """What a ticket is good for; None when it was used, is too old, or was never issued."""
    place = _hash(clear)
    found = await storage.entries(KIND, ids=[place])
    if not found or found[0].text == _USED:
        return None
    # Of two that come at once, one writes over this version.
    change = EntryChange(id=place, text=_USED, version=found[0].version, ttl_ms=LIFE_MS)
    if await storage.write_entries(KIND, [change]) == [None]:
        return None
    return msgspec.json.decode(found[0].text, type=Ticket)


def _hash(clear: str) -> str:
    return hashlib.sha256(clear.encode()).hexdigest()
