"""Ending what holds a queue or keeps a job out."""

from corral.admin.admin import Desk
from corral.options import Dedup, Hold, QueueSettings, RateLimit
from corral.storage.port import Storage
from tests.storage.helpers import MINUTE, QUEUE, T0, Clock, add, add_ids, new_job, served

from .helpers import last_entry


async def test_a_hold_is_lifted(desk: Desk, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    hold = Hold(for_ms=MINUTE, reason="asked to slow down")
    await storage.configure(QUEUE, QueueSettings(hold=hold), now=clock.now)
    assert await served(storage) == []
    await desk.lift(QUEUE)
    assert await served(storage) == ["a"]
    entry = await last_entry(desk)
    assert entry.before == {"held_until": T0 + MINUTE, "hold_reason": "asked to slow down"}


async def test_the_window_of_a_rate_limit_begins_anew_and_the_limit_stays(desk: Desk, storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(2, per=60)), now=T0)
    await add_ids(storage, "a", "b", "c", "d", "e")
    assert await served(storage) == ["a", "b"]
    assert await served(storage) == []
    assert (await desk.lift(QUEUE)).rate_limit == RateLimit(2, per=60)
    assert await served(storage) == ["c", "d"]
    assert await served(storage) == []


async def test_a_queue_that_nothing_holds_stays_as_it_is(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    before = await storage.configure(QUEUE, QueueSettings())
    assert await desk.lift(QUEUE) == before
    assert await storage.configure(QUEUE, QueueSettings()) == before


async def test_a_deduplication_id_is_given_free(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a", dedup=Dedup("report-7")))
    assert await desk.release(QUEUE, "report-7") == "a"
    [added] = await storage.add([new_job("b", dedup=Dedup("report-7"))], now=T0)
    assert added.fresh
    assert await desk.release(QUEUE, "nothing") is None
    entry = await last_entry(desk)
    assert (entry.action, entry.target, entry.count) == ("dedup.release", {"queue": QUEUE, "dedup": "nothing"}, 0)
