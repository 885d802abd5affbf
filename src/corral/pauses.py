"""Timed pauses: a paused queue that goes on by itself. Any process that keeps house may see to it, and several may."""

import logging
from collections.abc import Mapping

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from corral.options import QueueSettings
from corral.storage.port import Storage
from corral.storage.records import Entry, EntryChange
from corral.timing import Millis, now_ms

log = logging.getLogger("corral.pauses")

KIND = "pause"
#: Pauses that are looked at; a store with more paused queues gets them in turn, as earlier ones end.
MOST = 1_000


class Pause(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who paused a queue, when and why. `until`: when it goes on by itself; None: when somebody resumes it."""

    since: Millis
    until: Millis | None = None
    by: str = ""
    reason: str = ""
    ending: bool = False  #: it is being resumed

    def due(self, at: Millis) -> bool:
        """Whether its time is up."""
        return self.until is not None and self.until <= at


_decode = msgspec.json.Decoder(Pause).decode


async def note_pause(storage: Storage, queue: str, pause: Pause, *, now: Millis | None = None) -> None:
    """Note who paused a queue; instead of what was noted before."""
    await storage.write_entries(KIND, [EntryChange(id=queue, text=_text(pause))], now=now)


async def forget_pause(storage: Storage, queue: str, *, now: Millis | None = None) -> None:
    """Somebody has resumed the queue."""
    await storage.write_entries(KIND, [EntryChange(id=queue, text=None)], now=now)


async def pauses(storage: Storage, *, now: Millis | None = None) -> Mapping[str, Pause]:
    """What is noted of paused queues, by queue. One that was paused in code, or in Node, is not among them."""
    return {entry.id: pause for entry, pause in await _noted(storage, now)}


async def resume_due(storage: Storage, *, now: Millis | None = None) -> list[str]:
    """Resume the queues whose time is up; answers them. Cheap when there are none: call it every few seconds.

    A pause is marked as ending before its queue is resumed: whoever pauses the queue anew in the meantime writes over
    the mark, which is seen, and the queue is paused again. A process that dies in between leaves the mark, and the next
    one goes on.
    """
    at = now_ms() if now is None else now
    resumed = []
    for entry, pause in await _noted(storage, now):
        if pause.due(at) and await _end(storage, entry, pause, now):
            resumed.append(entry.id)
    return resumed


async def _noted(storage: Storage, now: Millis | None) -> list[tuple[Entry, Pause]]:
    found = []
    for entry in await storage.entries(KIND, limit=MOST, newest_first=False, now=now):
        try:
            found.append((entry, _decode(entry.text)))
        except msgspec.MsgspecError:
            log.warning("what is noted of paused queue %s cannot be read", entry.id)
    return found


async def _end(storage: Storage, entry: Entry, pause: Pause, now: Millis | None) -> bool:
    queue = entry.id
    info = await storage.configure(queue, QueueSettings(), now=now)
    mine = info.paused and info.pause_reason == pause.reason
    if not mine and not pause.ending:  # resumed in code or in Node since, or paused for another reason
        await _drop(storage, queue, entry.version, now)
        return False
    mark = EntryChange(id=queue, text=_text(replace(pause, ending=True)), version=entry.version)
    [version] = await storage.write_entries(KIND, [mark], now=now)
    if version is None:
        return False
    if mine:
        await storage.configure(queue, QueueSettings(paused=False, pause_reason=""), now=now)
    if await _drop(storage, queue, version, now):
        log.info("queue %s goes on: its pause is over", queue)
        return True
    return not await _paused_anew(storage, queue, now)


async def _paused_anew(storage: Storage, queue: str, now: Millis | None) -> bool:
    """Whether somebody paused the queue while it was being resumed; then it is paused again."""
    for entry in await storage.entries(KIND, ids=[queue], now=now):
        pause = _decode(entry.text)
        if not pause.ending:
            await storage.configure(queue, QueueSettings(paused=True, pause_reason=pause.reason), now=now)
            return True
    return False


async def _drop(storage: Storage, queue: str, version: int, now: Millis | None) -> bool:
    [dropped] = await storage.write_entries(KIND, [EntryChange(id=queue, text=None, version=version)], now=now)
    return dropped is not None


def _text(pause: Pause) -> str:
    return msgspec.json.encode(pause).decode()
