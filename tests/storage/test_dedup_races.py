"""Many producers at once: one of them adds, and no deduplication id stays taken."""

import asyncio
from contextlib import AsyncExitStack

from corral.job import ParentRef
from corral.options import Dedup
from corral.outcome import Completed, Crashed, Failed, Outcome, Released, Retried
from corral.storage.connect import connect
from corral.storage.port import Storage

from .helpers import LEASE, QUEUE, T0, add, end, new_job, served, start, start_one, tally
from .test_dedup import REPLACE, every_mode, job, lasting_mode, offer, owner


@every_mode
async def test_of_a_hundred_producers_at_once_one_adds(storage: Storage, storage_url: str, dedup: Dedup) -> None:
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(connect(storage_url)) for _ in range(3)]
        handles = [storage, *others]
        answers = await asyncio.gather(*(offer(handles[n % 4], f"j{n}", dedup) for n in range(100)))
    [winner] = [answer.id for answer in answers if answer.fresh]
    assert {answer.id for answer in answers} == {winner}
    assert (await tally(storage)).waiting == 1
    assert await owner(storage) == winner


@lasting_mode
async def test_no_id_stays_taken_after_all_its_jobs_have_ended(storage: Storage, dedup: Dedup) -> None:
    """Producers, a worker that fails, retries and dies, and a person who removes: at the end the id is free."""
    outcomes: list[Outcome] = [
        Completed(),
        Retried(0, "busy"),
        Failed("no"),
        Released(),
        Crashed("oom", 1),
        Completed(),
    ]
    for turn in range(30):
        now = T0 + turn * 100_000
        await asyncio.gather(*(offer(storage, f"j{turn}-{n}", dedup, now=now) for n in range(4)))
        run = await start_one(storage, now=now)
        await asyncio.gather(
            offer(storage, f"late-{turn}", dedup, now=now + 1),
            end(storage, run, outcomes[turn % len(outcomes)], now=now + 1),
        )
        await start(storage, now=now + 2)  # left alone: dead by the next turn
        await storage.recover(QUEUE, max_crashes=2, now=now + LEASE + 10)
    now = T0 + 10_000_000
    while runs := await start(storage, now=now):
        await end(storage, runs[0], Completed(), now=now)
    assert (await tally(storage)).waiting == 0
    assert await owner(storage, now=now) is None
    assert await add(storage, job("last", dedup), now=now) == ["last"]


async def test_jobs_of_the_same_call_stand_before_a_parent_that_a_replacement_lets_go(storage: Storage) -> None:
    parent = ParentRef(QUEUE, "parent")
    await storage.add([new_job("parent", children=1), job("old", REPLACE, delay_ms=5_000, parent=parent)], now=T0)
    await storage.add([new_job("p1"), new_job("p2"), job("new", REPLACE, delay_ms=5_000), new_job("p3")], now=T0 + 1)
    assert await served(storage, now=T0 + 2) == ["p1", "p2", "parent", "p3"]
