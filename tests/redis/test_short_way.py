"""The short way through add, claim and settle: it leaves what the long one leaves, or is left for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.asyncio

from corral.errors import QueueFullError
from corral.job import Job, JobState
from corral.options import Dedup, Keep, QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Outcome, Released, Retried
from corral.storage.connect import connect
from corral.storage.port import Claim, Settled, Settlement, Storage, Token
from tests.redis_server import fresh_prefix, with_prefix
from tests.storage.helpers import LEASE, QUEUE, T0, add, ids_of, new_job, wish

#: Settings that make every call go the long way and change nothing else.
AROUND = QueueSettings(name_concurrency={"nobody": 1}, add_limit=RateLimit(1_000_000, 60_000))
#: What differs because of them, and what calls remember for a minute.
ASIDE = {"meta", "settings", "state"}


class Seen:
    """A queue, and all that stands in Redis about it."""

    def __init__(self, store: Storage, client: redis.asyncio.Redis, prefix: str) -> None:
        self.store = store
        self.client: Any = client
        self.bases = (f"{prefix}:{QUEUE}:", f"corral:{prefix}:{QUEUE}:")
        self.answers: list[object] = []
        self.turns = 0

    async def stored(self) -> dict[str, object]:
        """Every key but those aside, by its end."""
        found: dict[str, object] = {}
        for base in self.bases:
            async for key in self.client.scan_iter(f"{base}*", count=1000):
                end = key.removeprefix(base)
                if end not in ASIDE and not end.startswith("op:"):
                    found[end] = await self.content(key)
        return found

    async def content(self, key: str) -> object:
        match await self.client.type(key):
            case "hash":
                return await self.client.hgetall(key)
            case "list":
                return await self.client.lrange(key, 0, -1)
            case "zset":
                return await self.client.zrange(key, 0, -1, withscores=True)
            case "set":
                return await self.client.smembers(key)
            case "stream":
                return [fields for _, fields in await self.client.xrange(key)]
            case _:
                return await self.client.get(key)

    async def turn(self, jobs: Sequence[Job], outcome: Outcome, count: int, *, now: int = T0) -> tuple[Job, ...]:
        """Settle these of the last turn, and claim so many."""
        ended, token = Token(f"t{self.turns}"), Token(f"t{self.turns + 1}")
        self.turns += 1
        settlements = [Settlement(job_id=job.id, token=ended, outcome=outcome) for job in jobs]
        claim = Claim(count=count, token=token, lease_ms=LEASE, worker="w")
        settled: Settled = await self.store.settle(QUEUE, settlements, then=claim, now=now)
        self.answers.append(settled)
        return settled.claimed.jobs


@asynccontextmanager
async def seen(url: str, settings: QueueSettings | None = None) -> AsyncIterator[Seen]:
    prefix = fresh_prefix()
    async with (
        connect(with_prefix(url, prefix)) as store,
        redis.asyncio.Redis.from_url(url, decode_responses=True) as client,
    ):
        if settings is not None:
            await store.configure(QUEUE, settings)
            await client.delete(f"{prefix}:{QUEUE}:events")
        yield Seen(store, client, prefix)


def plain(count: int, name: str = "welcome") -> list[Any]:
    return [new_job(name=name, data=f'{{"i":{number}}}') for number in range(count)]


async def adding(it: Seen) -> None:
    for number in range(3):
        it.answers.append(await it.store.add(plain(1), now=T0 + number))
    it.answers.append(await it.store.add(plain(120), now=T0 + 5))
    it.answers.append(await it.store.add(plain(2, "other") + plain(2), now=T0 + 5))


async def adding_with_no_room_to_run(it: Seen) -> None:
    await it.store.configure(QUEUE, QueueSettings(concurrency=1))
    for _ in range(2):
        await it.store.add(plain(2), now=T0)
        await it.client.delete(it.bases[0] + "marker")
        it.answers.append(ids_of(await it.store.claim(QUEUE, wish(token=Token("t")), now=T0)))


async def adding_while_paused(it: Seen) -> None:
    await it.store.configure(QUEUE, QueueSettings(paused=True))
    it.answers.append(await it.store.add(plain(2), now=T0))


async def turns(it: Seen) -> None:
    await it.store.add(plain(3, "a") + plain(2, "b"), now=T0)
    jobs = await it.turn([], Completed(), 2)
    jobs = await it.turn(jobs, Completed("1"), 2, now=T0 + 3)
    jobs = await it.turn(jobs, Completed("2"), 2, now=T0 + 3)
    jobs = await it.turn(jobs, Completed("3"), 2, now=T0 + 70_000)
    await it.turn(jobs, Completed(), 2, now=T0 + 70_001)


async def lone_claims(it: Seen) -> None:
    await it.store.add(plain(3), now=T0)
    for number in range(4):
        it.answers.append(await it.store.claim(QUEUE, wish(token=Token(f"c{number}")), now=T0 + number))


async def runs_that_were_tried_before(it: Seen) -> None:
    await it.store.add(plain(4), now=T0)
    jobs = await it.turn([], Completed(), 2)
    jobs = await it.turn(jobs, Retried(0, "busy"), 4, now=T0 + 1)
    jobs = await it.turn(jobs[:3], Completed("1"), 2, now=T0 + 2)
    await it.turn(jobs, Completed("2"), 2, now=T0 + 3)


async def few_are_kept(it: Seen) -> None:
    await it.store.add(plain(9), now=T0)
    jobs = await it.turn([], Completed(), 3)
    jobs = await it.turn(jobs, Completed(keep=Keep(count=1)), 3, now=T0 + 1)
    jobs = await it.turn(jobs, Completed(keep=Keep(count=0)), 3, now=T0 + 2)
    await it.turn(jobs, Completed(keep=Keep(age=0.001)), 3, now=T0 + 9)


async def some_of_many_end(it: Seen) -> None:
    await it.store.add(plain(30), now=T0)
    jobs = await it.turn([], Completed(), 30)
    token = Token("t1")
    for some in (jobs[3:4], jobs[10:12], jobs[20:30], jobs[:3]):
        settlements = [Settlement(job_id=job.id, token=token, outcome=Completed("1")) for job in some]
        it.answers.append(await it.store.settle(QUEUE, settlements, now=T0 + 1))


async def verdicts_that_do_not_hold(it: Seen) -> None:
    await it.store.add(plain(4), now=T0)
    jobs = await it.turn([], Completed(), 3)
    await it.client.lrem(it.bases[0] + "active", 1, jobs[2].id)
    it.answers.append(
        await it.store.settle(
            QUEUE,
            [
                *(Settlement(job_id=id, token=Token("t1"), outcome=Completed()) for id in ("1", "1", "3", "ghost")),
                Settlement(job_id="2", token=Token("another"), outcome=Completed()),
            ],
            now=T0,
        )
    )
    it.answers.append(
        await it.store.settle(QUEUE, [Settlement(job_id="3", token=Token("t1"), outcome=Completed())], now=T0)
    )


async def jobs_with_more_to_them(it: Seen) -> None:
    await add(it.store, new_job("first", dedup=Dedup("d")), new_job("urgent", priority=1), new_job("late", delay_ms=9))
    await it.store.add(plain(2), now=T0)
    jobs = await it.turn([], Completed(), 2)
    jobs = await it.turn(jobs, Completed(), 2, now=T0 + 8)
    jobs = await it.turn(jobs, Completed(), 2, now=T0 + 9)
    await it.turn(jobs, Completed(), 2, now=T0 + 10)


async def jobs_that_do_not_run(it: Seen) -> None:
    await add(it.store, new_job("a"), new_job("b"), new_job("c"), new_job("d"))
    await it.client.hset(f"{it.bases[0]}b", "exp", T0 - 1)
    await it.client.delete(f"{it.bases[0]}c")
    jobs = await it.turn([], Completed(), 1)
    await it.turn(jobs, Completed(), 3, now=T0 + 1)


async def other_verdicts(it: Seen) -> None:
    await it.store.add(plain(4), now=T0)
    jobs = await it.turn([], Completed(), 2)
    jobs = await it.turn(jobs, Failed("no"), 1, now=T0 + 1)
    jobs = await it.turn(jobs, Released(), 2, now=T0 + 2)
    await it.turn(jobs, Completed(), 2, now=T0 + 3)


HISTORIES = [
    adding, adding_with_no_room_to_run, adding_while_paused, turns, lone_claims, runs_that_were_tried_before,
    few_are_kept, some_of_many_end, verdicts_that_do_not_hold, jobs_with_more_to_them, jobs_that_do_not_run,
    other_verdicts,
]  # fmt: skip


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.__name__)
async def test_both_ways_leave_the_same(redis_url: str, history: Callable[[Seen], Awaitable[None]]) -> None:
    async with seen(redis_url) as short, seen(redis_url, AROUND) as long:
        await add(short.store, new_job("founder"))  # the first job of a queue goes the long way
        await add(long.store, new_job("founder"))
        for it in (short, long):
            await it.store.settle(QUEUE, [], then=wish(token=Token("found")), now=T0)
            await it.store.settle(
                QUEUE, [Settlement(job_id="founder", token=Token("found"), outcome=Completed())], now=T0
            )
            await history(it)
        assert short.answers == long.answers
        assert await short.stored() == await long.stored()


async def test_callers_that_share_a_call_are_let_in_one_by_one_where_producers_have_a_limit(redis_url: str) -> None:
    async with seen(redis_url, QueueSettings(add_limit=RateLimit(2, 60_000))) as it:
        calls = [it.store.add(plain(1)) for _ in range(4)]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert [isinstance(answer, QueueFullError) for answer in answers] == [False, False, True, True]
        assert [counts.waiting for counts in await it.store.counts([QUEUE])] == [2]


async def test_callers_that_share_a_call_get_numbers_of_their_own(redis_url: str) -> None:
    async with seen(redis_url) as it:
        await it.store.add(plain(1))
        some = [plain(1), plain(2, "other"), plain(3), [new_job("named")], plain(1)]
        answers = await asyncio.gather(*(it.store.add(jobs) for jobs in some))
        given = [answer.id for each in answers for answer in each]
        assert len(set(given)) == 8
        for jobs, each in zip(some, answers, strict=True):
            for job, answer in zip(jobs, each, strict=True):
                [stored] = await it.store.get(QUEUE, [answer.id])
                assert stored is not None
                assert (stored.name, stored.data) == (job.name, job.data)


async def test_one_that_is_no_text_does_not_spoil_those_beside_it(redis_url: str) -> None:
    async with seen(redis_url) as it:
        await it.store.add(plain(3), now=T0)
        await it.client.hset(f"{it.bases[0]}2", "data", b"\xff\xfe")
        claimed = await it.store.claim(QUEUE, wish(5), now=T0)
        assert ids_of(claimed) == ["1", "3"]
        failed = await it.store.page(QUEUE, [JobState.FAILED])
        assert [job.id for job in failed.items] == ["2"]


async def test_caps_and_limits_hold_again_after_a_node_program_has_obliterated_the_queue(redis_url: str) -> None:
    async with seen(redis_url, QueueSettings(name_concurrency={"welcome": 1})) as it:
        meta = it.bases[0] + "meta"
        await it.client.delete(meta)
        await it.client.hset(meta, mapping={"opts.maxLenEvents": 10000, "version": "bullmq:6.0.0"})
        await it.store.recover(QUEUE, now=T0)
        await it.store.add(plain(2), now=T0)
        assert ids_of(await it.store.claim(QUEUE, wish(2), now=T0)) == ["1"]
