"""A call whose reply is lost is made again: deduplication, ties, failures and figures are written once all the same."""

from collections.abc import AsyncIterator

import pytest

from corral.job import After, JobState, NewJob
from corral.options import Dedup
from corral.outcome import Completed, Failed, Failure
from corral.storage.connect import connect
from corral.storage.insight import Sample, Tier
from corral.storage.port import Added, Claim, Lease, Settlement, Storage, Token
from corral.storage.records import EntryChange
from tests.redis.helpers import PATIENCE
from tests.redis.proxy import Fault, Proxy
from tests.redis_server import RedisServer, fresh_prefix
from tests.storage.helpers import T0, all_in

WARM, QUEUE = "warm", "mail"
KIND = Failure("f1", "builtins.ValueError", "no")
TOKEN = Token("t")


@pytest.fixture
async def proxy(own: RedisServer) -> AsyncIterator[Proxy]:
    async with Proxy("127.0.0.1", own.port) as one:
        yield one


@pytest.fixture
async def storage(proxy: Proxy) -> AsyncIterator[Storage]:
    url = f"redis://127.0.0.1:{proxy.port}?prefix={fresh_prefix()}&timeout={PATIENCE}"
    async with connect(url) as store:
        yield store


def job(queue: str, id: str | None, dedup: Dedup | None = None, *others: str) -> NewJob:
    after = tuple(After(queue, other) for other in others)
    return NewJob(queue=queue, name="welcome", id=id, dedup=dedup, after=after)


async def begin(storage: Storage, queue: str) -> list[str]:
    claimed = await storage.claim(queue, Claim(count=9, token=TOKEN, lease_ms=60_000), now=T0)
    return [one.id for one in claimed.jobs]


@pytest.mark.parametrize("dedup", [Dedup("d"), Dedup("d", ttl=600), Dedup("d", replace=True, ttl=600, extend=True)])
async def test_a_new_owner_is_not_kept_out_by_itself(proxy: Proxy, storage: Storage, dedup: Dedup) -> None:
    await storage.add([job(WARM, None, dedup)], now=T0)
    proxy.next(Fault.LOSE_REPLY)
    [added] = await storage.add([job(QUEUE, None, dedup)], now=T0)
    assert (added.fresh, added.deduplicated, proxy.faults) == (True, False, 1)
    assert await storage.deduplication(QUEUE, "d", now=T0) == added.id
    assert await storage.deduplication(WARM, "d", remove=True, now=T0) is not None
    proxy.next(Fault.LOSE_REPLY)
    assert await storage.deduplication(QUEUE, "d", remove=True, now=T0) == added.id
    assert await storage.deduplication(QUEUE, "d", now=T0) is None


async def test_a_job_that_comes_after_another_is_tied_once(proxy: Proxy, storage: Storage) -> None:
    await storage.add([job(WARM, "a"), job(WARM, "b", None, "a")], now=T0)
    proxy.next(Fault.LOSE_REPLY)
    added = await storage.add([job(QUEUE, "a"), job(QUEUE, "b", None, "a")], now=T0)
    assert (added, proxy.faults) == ([Added("a", True), Added("b", True)], 1)
    assert (await storage.children(QUEUE, "b")).pending == ((QUEUE, "a"),)


async def test_a_verdict_with_more_to_it_counts_and_adds_once(proxy: Proxy, storage: Storage) -> None:
    for queue in (WARM, QUEUE):
        await storage.add([job(queue, "a"), job(queue, "b")], now=T0)
        assert await begin(storage, queue) == ["a", "b"]
        if queue == QUEUE:
            proxy.next(Fault.LOSE_REPLY)
        settled = await storage.settle(
            queue,
            [
                Settlement(job_id="a", token=TOKEN, outcome=Completed(adds=(job(queue, None), job(queue, "next")))),
                Settlement(job_id="b", token=TOKEN, outcome=Failed("no", failure=KIND)),
            ],
            now=T0,
        )
        assert settled.refused == {}
    assert proxy.faults == 1
    [kind] = (await storage.failures(QUEUE)).items
    [counts] = await storage.counts([QUEUE])
    assert (kind.attempts, kind.jobs, counts.waiting) == (1, 1, 2)


async def test_figures_are_added_once(proxy: Proxy, storage: Storage) -> None:
    sample = Sample(at=T0, name="welcome", completed=2, wait={3: 2})
    await storage.record(WARM, [sample], now=T0)
    proxy.next(Fault.LOSE_REPLY)
    await storage.record(QUEUE, [sample], now=T0)
    [told] = await storage.series(QUEUE, Tier.DAY, since=0, until=T0 + 1)
    assert (told.completed, told.wait, proxy.faults) == (2, {3: 2}, 1)


async def test_spaced_retries_happen_once(proxy: Proxy, storage: Storage) -> None:
    failed = all_in(JobState.FAILED)
    for queue in (WARM, QUEUE):
        await storage.add([job(queue, "a"), job(queue, "b")], now=T0)
        await begin(storage, queue)
        verdicts = [Settlement(job_id=one, token=TOKEN, outcome=Failed("no")) for one in ("a", "b")]
        await storage.settle(queue, verdicts, now=T0)
        if queue == QUEUE:
            proxy.next(Fault.LOSE_REPLY)
        assert await storage.retry(queue, failed, after_ms=1_000, every_ms=500, now=T0) == ["a", "b"]
    dues = [one.run_at for one in await storage.get(QUEUE, ["a", "b"]) if one is not None]
    assert (dues, proxy.faults) == ([T0 + 1_000, T0 + 1_500], 1)


async def test_a_note_under_a_lease_is_answered_as_it_was_before(proxy: Proxy, storage: Storage) -> None:
    await storage.remember(WARM, "sent", "1", now=T0)
    await storage.add([job(QUEUE, "a")], now=T0)
    await begin(storage, QUEUE)
    proxy.next(Fault.LOSE_REPLY)
    lease = Lease(queue=QUEUE, job_id="a", token=TOKEN)
    assert await storage.remember(QUEUE, "sent", "1", lease=lease, now=T0) is None
    assert (await storage.remember(QUEUE, "sent", now=T0), proxy.faults) == ("1", 1)


async def test_an_entry_is_written_once(proxy: Proxy, storage: Storage) -> None:
    await storage.write_entries("warm", [EntryChange(id="a", text="x")], now=T0)
    proxy.next(Fault.LOSE_REPLY)
    assert await storage.write_entries("mark", [EntryChange(id="a", text="x", version=0)], now=T0) == [1]
    [entry] = await storage.entries("mark", now=T0)
    assert (entry.version, proxy.faults) == (1, 1)
