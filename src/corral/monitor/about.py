"""What people say about queues: a description, and how long a job may wait there. Stored as entries, one a queue."""

import logging
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from corral.storage.port import Storage
from corral.storage.records import Entry
from corral.timing import Millis

logger = logging.getLogger("corral.monitor")

KIND = "about"
#: Queues of one store about which something may be said.
MOST = 10_000


class About(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is said about one queue."""

    description: str = ""
    slo_ms: Millis | None = None  #: the oldest waiting job shall not wait longer; instead of `Thresholds.oldest_ms`


_decode = msgspec.json.Decoder(About).decode


def read_about(entries: Sequence[Entry]) -> Mapping[str, About]:
    """What entries say, by queue. One that cannot be read, as another version may have written it, says nothing."""
    found = {}
    for entry in entries:
        try:
            found[entry.id] = _decode(entry.text)
        except msgspec.MsgspecError:
            logger.warning("what is said about queue %s cannot be read", entry.id)
    return found


def about_text(about: About) -> str:
    """An entry's text."""
    return msgspec.json.encode(about).decode()


async def all_about(storage: Storage, now: Millis | None) -> Mapping[str, About]:
    """What is said about any queue: one call, however many queues there are."""
    return read_about(await storage.entries(KIND, limit=MOST, newest_first=False, now=now))
