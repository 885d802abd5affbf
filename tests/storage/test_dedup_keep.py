"""Deduplication that keeps the last: what came while the owner ran follows it."""

import pytest

from corral.event import EventType
from corral.job import JobState
from corral.options import Dedup, Keep
from corral.outcome import Completed, Crashed, Failed, Outcome, Released, Retried, Snoozed
from corral.storage.port import Storage

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    end,
    gone,
    run_through,
    served,
    start_one,
    tally,
    the,
    these,
)
from .test_dedup import (
    EXTEND,
    KEEP_LAST,
    TTL,
    TTL_MS,
    kept_out_by,
    offer,
    owner,
)


@pytest.mark.parametrize("outcome", [Completed(), Failed("no"), Completed(keep=Keep(count=0)), Crashed("oom", 1)])
async def test_the_newest_of_those_kept_out_while_it_ran_follows_the_owner(
    storage: Storage, tape: Tape, outcome: Outcome
) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    assert await offer(storage, "b", KEEP_LAST, data="1") == kept_out_by("a")
    assert await offer(storage, "c", KEEP_LAST, data="2") == kept_out_by("a")
    assert await gone(storage, "c")
    await tape.events()
    await end(storage, run, outcome, now=T0 + 50)
    assert await gone(storage, "b")
    follower = await the(storage, "c")
    assert (follower.state, follower.data, follower.created_at) == (JobState.WAITING, "2", T0 + 50)
    assert follower.dedup_id == "report"
    assert await owner(storage, now=T0 + 50) == "c"
    assert (EventType.ADDED, "c") in await tape.told()
    assert await served(storage, now=T0 + 50) == ["c"]


async def test_a_follower_may_run_in_the_call_that_settles_its_owner(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await end(storage, run, Completed())
    again = await start_one(storage)
    assert again.job.id == "b"
    await end(storage, again, Completed())
    assert await owner(storage) is None
    assert (await tally(storage)).completed == 2


async def test_a_followers_delay_begins_with_the_end_of_the_owner(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST, delay_ms=1_000)
    await end(storage, run, Completed(), now=T0 + 500)
    assert (await the(storage, "b")).run_at == T0 + 1_500


async def test_a_numbered_follower_gets_its_number(storage: Storage) -> None:
    await offer(storage, None, KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, None, KEEP_LAST, data="7")
    await end(storage, run, Completed())
    follower = await start_one(storage)
    assert follower.job.data == "7"
    assert follower.job.id != run.job.id


async def test_what_was_kept_waits_until_the_owner_has_ended_for_good(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await end(storage, run, Retried(0, "busy"))
    assert await gone(storage, "b")
    assert await offer(storage, "c", KEEP_LAST) == kept_out_by("a")
    await run_through(storage, Completed())
    assert await served(storage) == ["c"]


async def test_a_cancelled_owner_is_followed_too(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await end(storage, run, Released())
    await storage.cancel(QUEUE, these("a"), now=T0)
    assert await served(storage) == ["b"]


async def test_a_crashed_owner_is_followed_when_it_is_quarantined(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await storage.recover(QUEUE, max_crashes=1, now=T0 + LEASE + 1)
    assert await served(storage, now=T0 + LEASE + 1) == ["b"]


async def test_a_removed_owner_takes_along_what_was_kept(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await end(storage, run, Released())
    await storage.remove(QUEUE, these("a"), now=T0)
    assert (await offer(storage, "c", KEEP_LAST)).fresh
    await run_through(storage, Completed())
    assert await gone(storage, "b")
    assert (await tally(storage)).waiting == 0


async def test_keeping_the_last_ignores_the_time(storage: Storage) -> None:
    dedup = Dedup("report", ttl=TTL, keep_last=True)
    await offer(storage, "a", dedup)
    assert await offer(storage, "b", dedup, now=T0 + 2 * TTL_MS) == kept_out_by("a")
    await run_through(storage, Completed(), now=T0 + 2 * TTL_MS)
    assert await owner(storage, now=T0 + 2 * TTL_MS) is None


@pytest.mark.parametrize("outcome", [Released(), Retried(60_000, "busy"), Snoozed(60_000)])
async def test_the_newest_follows_although_the_owner_waits_again(storage: Storage, outcome: Outcome) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await end(storage, run, outcome)
    assert await offer(storage, "c", KEEP_LAST) == kept_out_by("a")
    await storage.cancel(QUEUE, these("a"), now=T0)
    assert await gone(storage, "b")
    assert await served(storage) == ["c"]


async def test_the_one_that_follows_has_no_end_although_the_owner_before_it_had_one(storage: Storage) -> None:
    await offer(storage, "a", KEEP_LAST)
    run = await start_one(storage)
    await offer(storage, "b", KEEP_LAST)
    await offer(storage, "c", EXTEND)  # from now on the id is the owner's for so long only
    await end(storage, run, Completed())
    assert await owner(storage, now=T0 + 2 * TTL_MS) == "b"
