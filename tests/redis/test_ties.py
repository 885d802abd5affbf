"""Keys of deduplication, of jobs that come after others, of failures and figures: where they are, and that they go."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from corral.job import After, JobState, NewJob, ParentRef
from corral.options import Dedup
from corral.outcome import Completed, Failed, Failure
from corral.storage.connect import connect
from corral.storage.insight import Sample
from corral.storage.port import JobPatch, Lease, Storage
from tests.redis_server import fresh_prefix, with_prefix
from tests.storage.helpers import QUEUE, T0, add, all_in, end, new_job, served, start, start_one, these

HOUR = 3_600
KIND = Failure("f1", "builtins.ValueError", "no")


class Look:
    """The keys of one prefix as they stand."""

    def __init__(self, client: redis.asyncio.Redis, prefix: str) -> None:
        self.client: Any = client
        self.bull = f"{prefix}:{QUEUE}:"
        self.own = f"corral:{prefix}:{QUEUE}:"

    async def names(self) -> set[str]:
        """corral's own keys of the queue, but for what calls remember for a minute."""
        keys = [key async for key in self.client.scan_iter(f"{self.own}*", count=1000)]
        return {key.removeprefix(self.own) for key in keys if ":op:" not in key}

    async def shared(self) -> set[str]:
        keys = [key async for key in self.client.scan_iter(f"{self.bull}*", count=1000)]
        return {key.removeprefix(self.bull) for key in keys}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[Storage, Look]]:
    prefix = fresh_prefix()
    async with (
        connect(with_prefix(url, prefix)) as store,
        redis.asyncio.Redis.from_url(url, decode_responses=True) as client,
    ):
        yield store, Look(client, prefix)


def after(id: str, *others: str, **fields: Any) -> NewJob:
    return new_job(id, after=tuple(After(QUEUE, other) for other in others), **fields)


async def test_an_owner_with_a_time_has_it_as_its_keys_expiry(redis_url: str) -> None:
    async with opened(redis_url) as (store, look):
        await store.add([new_job("a", dedup=Dedup("d", ttl=HOUR)), new_job("b", dedup=Dedup("e"))])
        assert 0 < await look.client.pttl(f"{look.bull}de:d") <= HOUR * 1000
        assert await look.client.pttl(f"{look.bull}de:e") == -1
        assert await look.client.get(f"{look.bull}de:e") == "b"


async def test_a_kept_back_job_stands_in_the_fields_that_node_reads(redis_url: str) -> None:
    async with opened(redis_url) as (store, look):
        mode = Dedup("d", keep_last=True)
        await add(store, new_job("a", dedup=mode))
        await start(store)
        await add(store, new_job("b", data='{"n":[]}', dedup=mode, delay_ms=5))
        stored = await look.client.hgetall(f"{look.bull}dn:d")
        assert {name: stored[name] for name in ("name", "data", "jid")} == {
            "name": "welcome", "data": '{"n":[]}', "jid": "b",
        }  # fmt: skip
        assert '"de":{"id":"d","keepLastIfActive":true}' in stored["opts"]


async def test_nothing_is_left_of_ended_ties(redis_url: str) -> None:
    async with opened(redis_url) as (store, look):
        await store.add([new_job("a", dedup=Dedup("d")), after("b", "a"), after("c", "a")], now=T0)
        assert {"edges", "followed", "then:a"} <= await look.names()
        await end(store, await start_one(store), Completed())
        assert "edges" not in await look.names()
        assert not any(name.startswith(("de:", "dn:")) for name in await look.shared())
        await store.remove(QUEUE, these("a"))
        assert not {"edges", "followed", "then:a"} & await look.names()


async def test_followers_of_a_job_that_node_deleted_are_forgotten(redis_url: str) -> None:
    async with opened(redis_url) as (store, look):
        await store.add([new_job("a"), after("b", "a")], now=T0)
        await end(store, await start_one(store), Completed())
        await look.client.delete(f"{look.bull}a")
        await look.client.zrem(f"{look.bull}completed", "a")
        await store.recover(QUEUE, now=T0)
        assert not {"edges", "followed", "then:a"} & await look.names()


async def test_obliterate_leaves_nothing_of_any_of_it(redis_url: str) -> None:
    async with opened(redis_url) as (store, look):
        jobs = [
            new_job("a", dedup=Dedup("d", ttl=HOUR)), after("b", "a"), new_job("p", children=1),
            new_job("k", parent=ParentRef(QUEUE, "p")), new_job("x"),
        ]  # fmt: skip
        await store.add(jobs, now=T0)
        run = await start_one(store)
        await end(store, run, Failed("no", failure=KIND))
        await store.record(QUEUE, [Sample(at=T0, name="welcome", completed=1, run={3: 1})], now=T0)
        await store.remember(QUEUE, "sent", "1")
        await store.obliterate(QUEUE, force=True)
        assert await look.names() == set()
        assert await look.shared() <= {"id", "events"}


async def test_what_comes_after_jobs_of_an_obliterated_queue_waits_no_longer(redis_url: str) -> None:
    async with opened(redis_url) as (store, _):
        await store.add([NewJob(queue="other", name="x", id="x"), NewJob(queue="other", name="y", id="y")], now=T0)
        waits = new_job("b", after=(After("other", "x"), After("other", "y")))
        await store.add([waits], now=T0)
        await store.obliterate("other")
        assert await served(store) == ["b"]


@pytest.mark.parametrize("count", [20_000])
async def test_a_call_may_bring_twenty_thousand_jobs(redis_url: str, count: int) -> None:
    async with opened(redis_url) as (store, _):
        jobs = [new_job("top", children=count - 1)]
        jobs += [NewJob(queue=QUEUE, name="part", parent=ParentRef(QUEUE, "top")) for _ in range(count - 1)]
        assert len({one.id for one in await store.add(jobs)}) == count
        [counts] = await store.counts([QUEUE])
        assert (counts.waiting, counts.waiting_children) == (count - 1, 1)


async def test_a_job_that_leaves_its_parent_has_none_of_its_fields(redis_url: str) -> None:
    async with opened(redis_url) as (store, look):
        await store.add([new_job("p", children=1), new_job("k", parent=ParentRef(QUEUE, "p"))], now=T0)
        assert await store.update(QUEUE, [JobPatch(job_id="k", detach=True)], now=T0) == ["k"]
        assert await look.client.hmget(f"{look.bull}k", "parent", "parentKey") == [None, None]
        assert sorted(await served(store)) == ["k", "p"]


async def test_a_lost_lease_is_looked_up_in_the_jobs_own_queue(redis_url: str) -> None:
    async with opened(redis_url) as (store, _):
        await add(store, new_job("a"))
        run = await start_one(store)
        lease = Lease(queue=QUEUE, job_id="a", token=run.token)
        assert await store.remember("ledger", "sent", "1", lease=lease) is None
        assert await store.remember("ledger", "sent") == "1"


async def test_a_selection_by_kind_looks_through_all_the_failed(redis_url: str) -> None:
    async with opened(redis_url) as (store, _):
        for number in range(30):
            await add(store, new_job(f"j{number}"))
            kind = Failure(f"f{number % 3}", "E", "m")
            await end(store, await start_one(store), Failed("no", failure=kind))
        which = all_in(JobState.FAILED, fingerprint="f1")
        assert await store.retry(QUEUE, which, now=T0) == [f"j{number}" for number in range(1, 30, 3)]
