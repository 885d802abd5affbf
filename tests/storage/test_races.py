"""Many at once over several handles: whatever the order, each job has one owner and one end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from corral.event import EventType
from corral.job import FINISHED, JobId, JobState
from corral.options import QueueSettings, RateLimit
from corral.outcome import Completed, Failed
from corral.storage.connect import connect
from corral.storage.port import Storage

from .helpers import (
    QUEUE,
    T0,
    Run,
    Tape,
    add_ids,
    ids_of,
    new_job,
    run_through,
    start,
    start_one,
    tally,
    the,
    these,
    wish,
)

HANDLES = 4


@pytest.fixture
async def handles(storage: Storage, storage_url: str) -> AsyncIterator[list[Storage]]:
    """Several handles onto one store: two that share what they can, two as if of other processes."""
    others = (storage.sibling(), connect(storage_url), connect(storage_url))
    async with AsyncExitStack() as stack:
        yield [storage, *[await stack.enter_async_context(other) for other in others]]


async def drain(storage: Storage, size: int) -> list[Run]:
    """Claim until there is nothing left."""
    runs: list[Run] = []
    while batch := await start(storage, size):
        runs += batch
    return runs


async def test_no_job_is_claimed_twice(handles: list[Storage]) -> None:
    await handles[0].add([new_job(f"j{n}") for n in range(400)], now=T0)
    drained = await asyncio.gather(*(drain(handle, 1 + n % 5) for n, handle in enumerate(handles * 3)))
    claimed = [run.job.id for runs in drained for run in runs]
    assert sorted(claimed) == sorted(f"j{n}" for n in range(400))
    assert (await tally(handles[0])).active == 400


async def test_each_claimer_gets_jobs_in_order(handles: list[Storage]) -> None:
    await handles[0].add([new_job(f"{n:03}-j") for n in range(200)], now=T0)
    for runs in await asyncio.gather(*(drain(handle, 3) for handle in handles)):
        ids = [run.job.id for run in runs]
        assert ids == sorted(ids)


async def test_adding_while_claiming_loses_nothing(handles: list[Storage]) -> None:
    producer, *workers = handles
    all_done = asyncio.Event()

    async def work(storage: Storage) -> list[JobId]:
        done: list[JobId] = []
        while not all_done.is_set():
            runs = await start(storage, 4)
            await storage.settle(QUEUE, [run.ends(Completed()) for run in runs], now=T0)
            done += [run.job.id for run in runs]
        return done

    working = [asyncio.create_task(work(handle)) for handle in workers]
    for n in range(50):
        await producer.add([new_job(f"j{n}a"), new_job(f"j{n}b")], now=T0)
    async with asyncio.timeout(60):
        while (await tally(producer)).completed_total < 100:
            await producer.wait([QUEUE], timeout=0.01)
    all_done.set()
    done = [job_id for ids in await asyncio.gather(*working) for job_id in ids]
    assert sorted(done) == sorted(f"j{n}{letter}" for n in range(50) for letter in "ab")


async def test_caps_hold_over_all_claimers(handles: list[Storage]) -> None:
    settings = QueueSettings(concurrency=7, name_concurrency={"slow": 2}, rate_limit=RateLimit(9, per=60))
    await handles[0].configure(QUEUE, settings, now=T0)
    await handles[0].add([new_job(name=("slow", "fast")[n % 2]) for n in range(60)], now=T0)
    batches = await asyncio.gather(*(start(handle, 3) for handle in handles * 3))
    names = [run.job.name for runs in batches for run in runs]
    assert (len(names), names.count("slow")) == (7, 2)


async def test_a_rate_limit_holds_over_all_claimers(handles: list[Storage]) -> None:
    await handles[0].configure(QUEUE, QueueSettings(rate_limit=RateLimit(9, per=60)), now=T0)
    await handles[0].add([new_job() for _ in range(60)], now=T0)
    batches = await asyncio.gather(*(start(handle, 2, now=T0 + n) for n, handle in enumerate(handles * 3)))
    assert sum(map(len, batches)) == 9


async def test_one_of_many_verdicts_counts(handles: list[Storage], tape: Tape) -> None:
    await add_ids(handles[0], "a")
    run = await start_one(handles[0])
    outcomes = [Completed(result=str(n)) if n % 2 else Failed(reason=str(n)) for n in range(12)]
    answers = await asyncio.gather(
        *(handles[n % HANDLES].settle(QUEUE, [run.ends(outcome)], now=T0) for n, outcome in enumerate(outcomes))
    )
    assert sum(not answer.refused for answer in answers) == 1
    counts = await tally(handles[0])
    assert counts.completed_total + counts.failed_total == 1
    assert sum(entry[0] in (EventType.COMPLETED, EventType.FAILED) for entry in await tape.told()) == 1


async def test_cancelling_and_settling_have_one_winner(handles: list[Storage], tape: Tape) -> None:
    ids = [f"j{n}" for n in range(20)]
    await add_ids(handles[0], *ids)
    runs = await start(handles[0], 20)
    settling = (handles[1].settle(QUEUE, [run.ends(Completed())], now=T0) for run in runs)
    cancelling = (handles[2].cancel(QUEUE, these(id), now=T0) for id in ids)
    await asyncio.gather(*(call for pair in zip(settling, cancelling, strict=True) for call in pair))
    counts = await tally(handles[0])
    assert (counts.completed, counts.failed, counts.active) == (20, 0, 0)
    told = await tape.told()
    for id in ids:
        story = [entry[0] for entry in told if entry[1] == id]
        assert story[:2] == [EventType.ADDED, EventType.ACTIVE]
        assert story[2:] in ([EventType.COMPLETED], [EventType.CANCELLED, EventType.COMPLETED])


async def test_cancelling_and_claiming_agree_about_each_job(handles: list[Storage]) -> None:
    ids = [f"j{n}" for n in range(40)]
    await add_ids(handles[0], *ids)
    claiming = (handles[n % 2].claim(QUEUE, wish(), now=T0) for n in range(40))
    cancelling = (handles[2 + n % 2].cancel(QUEUE, these(id), now=T0) for n, id in enumerate(reversed(ids)))
    answers = await asyncio.gather(*(call for pair in zip(claiming, cancelling, strict=True) for call in pair))
    claimed = {id for answer in answers[::2] for id in ids_of(answer)}  # type: ignore[arg-type]  # even: claims
    for id in ids:
        assert (await the(handles[0], id)).state is (JobState.ACTIVE if id in claimed else JobState.FAILED)
    counts = await tally(handles[0])
    assert (counts.active, counts.failed, counts.waiting) == (len(claimed), 40 - len(claimed), 0)


async def test_recovering_from_everywhere_charges_one_crash(handles: list[Storage]) -> None:
    await add_ids(handles[0], "a", "b", "c")
    await start(handles[0], 3, lease_ms=10)
    answers = await asyncio.gather(*(handle.recover(QUEUE, now=T0 + 11) for handle in handles * 3))
    assert sorted(id for answer in answers for id in answer.requeued) == ["a", "b", "c"]
    assert [(await the(handles[0], id)).crashes for id in "abc"] == [1, 1, 1]


async def test_recovering_and_settling_have_one_winner(handles: list[Storage]) -> None:
    await add_ids(handles[0], *(f"j{n}" for n in range(20)))
    runs = await start(handles[0], 20, lease_ms=10)
    recovering = asyncio.create_task(handles[1].recover(QUEUE, now=T0 + 11))
    settled = await asyncio.gather(
        *(handles[n % HANDLES].settle(QUEUE, [run.ends(Completed())], now=T0 + 11) for n, run in enumerate(runs))
    )
    requeued = set((await recovering).requeued)
    refused = {id for answer in settled for id in answer.refused}
    assert refused == requeued
    counts = await tally(handles[0])
    assert (counts.completed, counts.waiting, counts.active) == (20 - len(refused), len(refused), 0)


async def test_retrying_from_everywhere_retries_once(handles: list[Storage]) -> None:
    await add_ids(handles[0], "a")
    await run_through(handles[0], Failed(reason="no"))
    answers = await asyncio.gather(*(handle.retry(QUEUE, these("a"), now=T0) for handle in handles * 3))
    assert sorted(map(len, answers), reverse=True) == [1] + [0] * 11
    assert (await tally(handles[0])).waiting == 1


async def test_removing_and_claiming_agree_about_each_job(handles: list[Storage]) -> None:
    ids = [f"j{n}" for n in range(40)]
    await add_ids(handles[0], *ids)
    removing = asyncio.gather(*(handles[n % 2].remove(QUEUE, these(id), now=T0) for n, id in enumerate(reversed(ids))))
    drained = await asyncio.gather(*(drain(handle, 2) for handle in handles[2:]))
    removed = {id for answer in await removing for id in answer}
    claimed = {run.job.id for runs in drained for run in runs}
    assert (removed | claimed, removed & claimed) == (set(ids), set())
    counts = await tally(handles[0])
    assert (counts.active, counts.waiting) == (len(claimed), 0)
    assert not sum(getattr(counts, state) for state in FINISHED)
