"""Batch handlers: one call, many jobs, each with a fate of its own."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corral import (
    Batch,
    BatchContext,
    BatchJob,
    Corral,
    EventType,
    JobContext,
    JobDefinition,
    JobState,
    Retry,
    SyncBatchJob,
    WorkerOptions,
)
from corral.errors import ConfigError, JobStateError, RegistrationError
from tests.engine.helpers import GUARD, chosen, ending, next_event, reason, work_off, working

#: A wait that no test may sit out: calls are made because the minimum is there.
LONG = 60.0


def sizes_of(app: Corral, batch: Batch, **keywords: Any) -> tuple[JobDefinition[int, object], list[list[int]]]:
    """A batch job whose calls are noted."""
    queue = app.queue("work", **keywords)
    calls: list[list[int]] = []

    @queue.job("index", batch=batch)
    async def index(ctx: BatchContext, jobs: list[BatchJob[int]]) -> None:
        assert ctx.size == len(jobs)
        calls.append([job.data for job in jobs])

    return index, calls


# -- collecting --------------------------------------------------------------------------------------------------------


async def test_one_call_gets_all_jobs_that_are_there(app: Corral) -> None:
    index, calls = sizes_of(app, Batch(50))
    await index.add_bulk(range(20))
    await work_off(app)
    assert calls == [list(range(20))]


async def test_a_batch_is_never_larger_than_its_size(app: Corral) -> None:
    index, calls = sizes_of(app, Batch(8), concurrency=1)
    await index.add_bulk(range(20))
    worker = await work_off(app)
    batches = worker.fetchers[0]._batches
    assert batches is not None
    assert not batches._permitted
    assert max(len(call) for call in calls) == 8
    assert sorted(number for call in calls for number in call) == list(range(20))


async def test_a_call_waits_for_the_minimum(app: Corral) -> None:
    index, calls = sizes_of(app, Batch(10, minimum=3, wait=LONG))
    async with working(app):
        handles = [await index.add(1), await index.add(2)]
        await next_event(handles[1].queue, EventType.ACTIVE, job_id=handles[1].id)
        assert calls == []
        handles.append(await index.add(3))
        for handle in handles:
            await handle.result(timeout=GUARD)
    assert sorted(number for call in calls for number in call) == [1, 2, 3]
    assert len(calls) == 1


async def test_after_the_wait_a_call_goes_with_what_is_there(app: Corral) -> None:
    index, calls = sizes_of(app, Batch(10, minimum=3, wait=0.05))
    async with working(app):
        await (await index.add(1)).result(timeout=GUARD)
    assert calls == [[1]]


async def test_by_group_a_batch_has_jobs_of_one_group_only(app: Corral) -> None:
    queue = app.queue("work")
    calls: list[tuple[str | None, list[int]]] = []

    @queue.job("index", batch=Batch(10, by_group=True))
    async def index(ctx: BatchContext, jobs: list[BatchJob[int]]) -> None:
        calls.append((ctx.group, [job.data for job in jobs]))

    for number in range(6):
        await index.add(number, group=["a", "b"][number % 2])
    worker = await work_off(app)
    batches = worker.fetchers[0]._batches
    assert batches is not None
    assert batches._gatherings == {}
    assert sorted((group, sorted(numbers)) for group, numbers in calls if group) == [("a", [0, 2, 4]), ("b", [1, 3, 5])]


async def test_the_worker_leases_enough_jobs_for_as_many_batches_as_it_has_slots(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)
    both, release = asyncio.Event(), asyncio.Event()
    calls: list[int] = []

    @queue.job("index", batch=Batch(5, minimum=5, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> None:
        calls.append(len(jobs))
        if len(calls) == 2:
            both.set()
        await release.wait()

    live = await queue.open()
    await index.add_bulk(range(12))
    async with working(app):
        async with asyncio.timeout(GUARD):
            await both.wait()
        assert calls == [5, 5]
        assert (await live.counts()).active == 10
        assert (await live.counts()).waiting == 2
        release.set()


async def test_single_jobs_beside_batches_keep_to_the_concurrency(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)
    now, most = 0, 0

    @queue.job("index", batch=Batch(10))
    async def index(jobs: list[BatchJob[int]]) -> None: ...

    @queue.job("single")
    async def single(data: int) -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        now -= 1

    await single.add_bulk(range(30))
    await work_off(app)
    assert most == 2


# -- verdicts ----------------------------------------------------------------------------------------------------------


async def test_each_job_has_its_own_verdict_and_the_rest_completes_with_the_return_value(app: Corral) -> None:
    queue = app.queue("work", attempts=2)
    release = asyncio.Event()

    @queue.job("index", batch=Batch(10, minimum=6, wait=LONG))
    async def index(ctx: BatchContext, jobs: list[BatchJob[str]]) -> str:
        for job in jobs:
            match job.data:
                case "complete":
                    job.complete({"by": job.id})
                case "fail":
                    job.fail(ValueError("not this one"))
                case "discard":
                    job.discard("hopeless")
                case "retry" if job.ctx.attempt == 1:
                    job.retry("later", after=3600)
                case "snooze":
                    job.snooze(3600)
        return "the rest"

    handles = {data: await index.add(data) for data in ("complete", "fail", "discard", "retry", "snooze", "open")}
    async with working(app):
        assert await handles["open"].result(timeout=GUARD) == "the rest"
        assert await handles["complete"].result(timeout=GUARD) == {"by": handles["complete"].id}
        assert await reason(handles["discard"]) == "hopeless"
        await next_event(handles["snooze"].queue, EventType.SNOOZED, job_id=handles["snooze"].id)
        await next_event(handles["retry"].queue, EventType.RETRYING, job_id=handles["retry"].id)
        await next_event(handles["fail"].queue, EventType.RETRYING, job_id=handles["fail"].id)
        release.set()
    assert (await handles["retry"].get()).state is JobState.DELAYED
    assert (await handles["retry"].get()).attempts_made == 1
    assert (await handles["snooze"].get()).attempts_made == 0
    assert (await handles["fail"].get()).failed_reason == "ValueError: not this one"


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_what_the_handler_raises_is_the_failure_of_the_jobs_it_left_open(app: Corral, mode: str) -> None:
    queue = app.queue("work")

    async def index(jobs: list[BatchJob[int]]) -> None:
        jobs[0].complete("saved")
        raise ValueError("the rest is lost")

    def blocking_index(jobs: list[SyncBatchJob[int]]) -> None:
        jobs[0].complete("saved")
        raise ValueError("the rest is lost")

    job: Any = queue.job("index", batch=Batch(10, minimum=3, wait=LONG))(chosen(mode, index, blocking_index))
    handles = await job.add_bulk([1, 2, 3])
    async with working(app):
        jobs = [await ending(handle) for handle in handles]
    assert sorted(str(job.result or job.failed_reason) for job in jobs) == [
        '"saved"', "ValueError: the rest is lost", "ValueError: the rest is lost",
    ]  # fmt: skip
    assert all("the rest is lost" in job.traces[0] for job in jobs if job.traces)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()], ids=repr)
async def test_nothing_that_a_batch_handler_raises_harms_the_worker(app: Corral, error: BaseException) -> None:
    queue = app.queue("work")

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    async def index(jobs: list[BatchJob[bool]]) -> None:
        if jobs[0].data:
            raise error

    async with working(app):
        bad = [await ending(handle) for handle in await index.add_bulk([True, True])]
        good = [await ending(handle) for handle in await index.add_bulk([False, False])]
    assert [job.state for job in bad] == [JobState.FAILED] * 2
    assert [job.state for job in good] == [JobState.COMPLETED] * 2


async def test_a_job_that_was_completed_ends_at_once_and_not_with_the_batch(app: Corral) -> None:
    queue = app.queue("work")
    release = asyncio.Event()

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> str:
        next(job for job in jobs if job.data == 1).complete("early")
        await release.wait()
        return "late"

    first, second = await index.add_bulk([1, 2])
    async with working(app):
        assert await first.result(timeout=GUARD) == "early"
        assert (await second.get()).state is JobState.ACTIVE
        release.set()
        assert await second.result(timeout=GUARD) == "late"


async def test_a_second_verdict_on_one_job_is_refused(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("index", batch=Batch(1))
    async def index(jobs: list[BatchJob[int]]) -> None:
        jobs[0].complete(1)
        with pytest.raises(JobStateError, match="is completed, not open"):
            jobs[0].fail("after all")

    handle = await index.add(1)
    await work_off(app)
    assert await handle.result(timeout=GUARD) == 1


async def test_a_result_that_is_not_json_fails_its_job_alone(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> None:
        next(job for job in jobs if job.data == 1).complete(object())

    first, second = await index.add_bulk([1, 2])
    async with working(app):
        assert "ResultError" in await reason(first)
        assert await second.result(timeout=GUARD) is None


async def test_a_refused_payload_fails_its_job_and_never_enters_a_batch(app: Corral) -> None:
    index, calls = sizes_of(app, Batch(10))
    live = await app.queues["work"].open()
    bad = await live.add("index", "not a number")
    good = await index.add(7)
    async with working(app):
        assert "PayloadError" in await reason(bad)
        await good.result(timeout=GUARD)
    assert calls == [[7]]


async def test_a_threads_verdicts_progress_and_log_lines_arrive(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    def index(ctx: BatchContext, jobs: list[SyncBatchJob[int]]) -> None:
        assert threading.current_thread() is not threading.main_thread()
        ctx.check()
        for job in jobs:
            job.progress(50)
            job.log(f"indexed {job.data}")
            job.complete(job.data * 2)

    handles = await index.add_bulk([1, 2])
    async with working(app):
        assert [await handle.result(timeout=GUARD) for handle in handles] == [2, 4]
    assert [(await handle.get()).progress for handle in handles] == ["50", "50"]
    assert (await handles[0].queue.logs(handles[0].id)).items == ("indexed 1",)


async def test_each_job_goes_through_the_middleware_with_its_own_context(app: Corral) -> None:
    queue = app.queue("work")
    seen: list[tuple[str, object]] = []

    @app.middleware
    async def note(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        result = await call_next()
        seen.append((ctx.id, result))
        return result

    @queue.job("index", batch=Batch(2, minimum=2, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> None:
        for job in jobs:
            job.complete(job.data)

    handles = await index.add_bulk([5, 6])
    async with working(app):
        for handle in handles:
            await handle.result(timeout=GUARD)
    assert sorted(seen, key=lambda one: one[0]) == [(handles[0].id, 5), (handles[1].id, 6)]


# -- declaring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 1001}, {"size": 5, "minimum": 6}, {"size": 5, "wait": -1},
                                     {"size": True}])  # fmt: skip
def test_a_batch_that_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Batch(**options)


async def takes_nothing(ctx: BatchContext) -> None: ...
async def takes_one(ctx: BatchContext, job: int) -> None: ...
async def takes_the_other_kind(jobs: list[SyncBatchJob[int]]) -> None: ...
async def takes_a_dict(jobs: dict[str, int]) -> None: ...


@pytest.mark.parametrize("function", [takes_nothing, takes_one, takes_the_other_kind, takes_a_dict])
def test_a_batch_handler_must_take_a_list_of_jobs(function: Any) -> None:
    with pytest.raises(RegistrationError):
        Corral().queue("work").job("index", batch=Batch(5))(function)


def test_batches_do_not_go_into_child_processes() -> None:
    async def index(jobs: list[BatchJob[int]]) -> None: ...

    with pytest.raises(ConfigError, match="process=True"):
        Corral().queue("work").job("index", batch=Batch(5), process=True)(index)


async def test_an_untyped_batch_handler_gets_plain_json(app: Corral) -> None:
    queue = app.queue("work")
    seen: list[object] = []

    @queue.job("index", batch=Batch(5))
    async def index(ctx, jobs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # as people write them
        seen.extend(job.data for job in jobs)

    await index.add({"a": 1})
    await work_off(app)
    assert seen == [{"a": 1}]


async def test_steering_signals_raised_by_the_handler_count_for_every_open_job(app: Corral) -> None:
    queue = app.queue("work", attempts=2)
    calls: list[int] = []

    @queue.job("index", batch=Batch(3, minimum=3, wait=LONG))
    async def index(jobs: list[BatchJob[int]]) -> str:
        calls.append(len(jobs))
        if len(calls) == 1:
            raise Retry("once more", after=0)
        return "done"

    handles = await index.add_bulk([1, 2, 3])
    async with await app.worker(options=WorkerOptions(stats_interval=0)):
        assert [await handle.result(timeout=GUARD) for handle in handles] == ["done"] * 3
    assert calls == [3, 3]
