"""Handlers of one's own: slots, progress, results, errors and what comes of them."""

import asyncio
from pathlib import Path

import pytest

from corral import Discard, JobContext, JobState
from corral.compat import BullJob
from corral.testing import FakeClock, drain
from examples.golive.build import Platform
from examples.golive.payloads import EmailJobType
from examples.golive.queues import QueueName

from .conftest import NOON, PATIENCE, fail_some, make


class TransientError(Exception):
    """An error that says of itself that it will pass."""

    code = "TRANSIENT_ERROR"


@pytest.mark.mission("M-GL-40", "M-GL-43", "M-GL-44")
async def test_a_handler_for_one_name_reports_progress_and_returns_a_result(golive: Platform) -> None:
    manager = golive.service.manager

    async def custom(job: BullJob) -> dict[str, object]:
        for share in (25, 75, 100):
            told = job.progress(share)
            assert told is not None
            await told
        return {"got": job.data, "progress": job.progress()}

    manager.process_jobs(QueueName.ANALYTICS, "custom-job", custom, 5)
    job = await manager.add_job(QueueName.ANALYTICS, "custom-job", {"n": 1})

    await drain(manager.app)

    found = await manager.get_job(QueueName.ANALYTICS, job.id)
    assert found is not None
    assert (found.progress(), found.returnvalue) == (100, {"got": {"n": 1}, "progress": 100})


@pytest.mark.mission("M-GL-74")
async def test_progress_goes_from_0_over_33_and_66_to_100(golive: Platform) -> None:
    manager = golive.service.manager
    seen: list[object] = []

    async def long(job: BullJob) -> None:
        for share in (0, 33, 66, 100):
            told = job.progress(share)
            assert told is not None
            await told
            stored = await manager.get_job(QueueName.REPORT, job.id)
            assert stored is not None
            seen.append(stored.progress())

    manager.process_jobs(QueueName.REPORT, "long", long)
    await manager.add_job(QueueName.REPORT, "long", {})

    await drain(golive.app)

    assert seen == [0, 33, 66, 100]


@pytest.mark.mission("M-GL-41", "M-GL-81")
async def test_a_number_of_slots_is_the_cap_of_its_name(platform_url: str, tmp_path: Path) -> None:
    platform = make(platform_url, tmp_path)
    manager = platform.service.manager
    most, now = {"push": 0, "sms": 0}, {"push": 0, "sms": 0}
    full = asyncio.Event()

    async def work(job: BullJob) -> None:
        now[job.name] += 1
        most[job.name] = max(most[job.name], now[job.name])
        if now == {"push": 20, "sms": 3}:
            full.set()
        async with asyncio.timeout(PATIENCE):
            await full.wait()
        now[job.name] -= 1

    manager.process_jobs(QueueName.NOTIFICATION, "push", work, 20)
    manager.process_jobs(QueueName.NOTIFICATION, "sms", work, 3)
    async with platform.app, await platform.app.worker():
        queue = manager.queue(QueueName.NOTIFICATION)
        jobs = await queue.add_bulk([{"name": "push", "data": {}} for _ in range(30)])
        jobs += await queue.add_bulk([{"name": "sms", "data": {}} for _ in range(10)])
        for job in jobs:
            await job.finished(PATIENCE * 1000)

    assert most == {"push": 20, "sms": 3}


@pytest.mark.mission("M-GL-82")
async def test_heavy_reports_run_one_at_a_time(platform_url: str, tmp_path: Path) -> None:
    platform = make(platform_url, tmp_path)
    manager = platform.service.manager
    now = most = 0

    async def heavy(job: BullJob) -> None:
        nonlocal now, most
        now, most = now + 1, max(most, now + 1)
        await asyncio.sleep(0.02)  # so that another one could come meanwhile
        now -= 1

    manager.process_jobs(QueueName.REPORT, "heavy-report", heavy, 1)
    async with platform.app, await platform.app.worker():
        jobs = await manager.queue(QueueName.REPORT).add_bulk([{"name": "heavy-report", "data": {}} for _ in range(8)])
        for job in jobs:
            await job.finished(PATIENCE * 1000)

    assert (most, platform.app.queues[QueueName.REPORT].concurrency) == (1, 2)


@pytest.mark.mission("M-GL-42")
async def test_a_job_without_a_handler_fails_and_says_so(golive: Platform) -> None:
    job = await golive.service.manager.add_job(QueueName.EMAIL, "nobodys", {})

    done = await drain(golive.app)

    assert done.failed == 1
    found = await golive.service.manager.get_job(QueueName.EMAIL, job.id)
    assert found is not None
    assert "no handler named 'nobodys'" in str(found.failed_reason)


# -- errors and retries ------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-67")
async def test_the_second_attempt_comes_after_two_seconds_and_the_third_after_four(
    golive: Platform, clock: FakeClock
) -> None:
    begun: list[float] = []

    def fail(job: BullJob) -> None:
        begun.append((clock.now - NOON).total_seconds())
        raise ConnectionError("away")

    golive.service.manager.process_jobs(QueueName.EMAIL, "fails", fail)
    job = await golive.service.manager.add_job(QueueName.EMAIL, "fails", {})
    await drain(golive.app)

    assert begun[0] == 0
    assert 2 <= begun[1] <= 2.2
    assert 4 <= begun[2] - begun[1] <= 4.4
    found = await golive.service.manager.get_job(QueueName.EMAIL, job.id)
    assert found is not None
    assert found.attempts_made == 3


@pytest.mark.mission("M-GL-69")
async def test_do_not_retry_is_a_failure_at_once(golive: Platform) -> None:
    @golive.app.queues[QueueName.ANALYTICS].job("risky")
    async def risky(ctx: JobContext) -> None:
        raise Discard("Permanent failure")

    handle = await risky.add()
    done = await drain(golive.app)

    assert (done.failed, done.retried) == (1, 0)
    job = await handle.queue.get(handle.id)
    assert (job.state, job.failed_reason) == (JobState.FAILED, "Permanent failure")


@pytest.mark.mission("M-GL-70")
@pytest.mark.parametrize(("error", "attempts"), [(TransientError("try again"), 3), (ValueError("never"), 1)])
async def test_only_what_is_transient_is_tried_again(golive: Platform, error: Exception, attempts: int) -> None:
    runs = 0

    @golive.app.queues[QueueName.ANALYTICS].job(
        "risky", retry_if=lambda error: getattr(error, "code", "") == "TRANSIENT_ERROR"
    )
    async def risky() -> None:
        nonlocal runs
        runs += 1
        raise error

    await risky.add()
    done = await drain(golive.app)

    assert (runs, done.failed) == (attempts, 1)


@pytest.mark.mission("M-GL-71", "M-GL-84")
async def test_failed_jobs_are_looked_at_one_by_one_and_retried_or_removed(golive: Platform) -> None:
    manager = golive.service.manager
    await fail_some(manager, 12)

    failed = await manager.get_failed_jobs(QueueName.EMAIL, 0, 50)
    for number, job in enumerate(failed):
        assert job.failed_reason == "ConnectionError: SMTP connection timeout for explodes"
        assert job.attempts_made == 1
        if number % 2:
            await manager.retry_job(QueueName.EMAIL, job.id)
        else:
            await manager.remove_job(QueueName.EMAIL, job.id)

    stats = await manager.get_queue_stats(QueueName.EMAIL)
    assert (len(failed), stats["failed"], stats["waiting"]) == (12, 0, 6)


@pytest.mark.mission("M-GL-71")
async def test_many_failed_jobs_are_retried_by_their_name(golive: Platform) -> None:
    manager = golive.service.manager
    await fail_some(manager, 5)
    await fail_some(manager, 4, "also-explodes")
    queue = await golive.app.open_queue(QueueName.EMAIL)

    retried = await queue.retry(states=[JobState.FAILED], name="explodes")

    assert len(retried) == 5
    assert (await manager.get_queue_stats(QueueName.EMAIL))["failed"] == 4
    assert await manager.retry_all_failed_jobs(QueueName.EMAIL) == 4


@pytest.mark.mission("M-GL-84")
async def test_the_last_ten_failures_tell_their_reasons_and_their_data(golive: Platform, clock: FakeClock) -> None:
    await fail_some(golive.service.manager, 5)
    clock.advance(1)
    await fail_some(golive.service.manager, 10, "also-explodes")

    last = await golive.service.manager.get_failed_jobs(QueueName.EMAIL, 0, 9)

    assert len(last) == 10
    assert all(isinstance(job.data, dict) and "number" in job.data for job in last)
    assert {job.failed_reason for job in last} == {"ConnectionError: SMTP connection timeout for also-explodes"}


@pytest.mark.mission("M-GL-85")
async def test_failed_jobs_are_grouped_by_their_cause(golive: Platform) -> None:
    manager = golive.service.manager
    await fail_some(manager, 3)  # an external service is down
    for _ in range(2):  # as somebody may add them who does not know the payload's type
        bad = {"to": "not an address", "subject": "x", "body": "y"}
        await manager.add_job(QueueName.EMAIL, "custom-email", bad)
    await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, {"to": "a@example.com", "context": {}})
    await drain(golive.app)

    kinds = (await (await golive.app.open_queue(QueueName.EMAIL)).failures()).items

    found = sorted((kind.jobs, kind.type.rpartition(".")[2]) for kind in kinds)
    assert found == [(1, "PayloadError"), (2, "PayloadError"), (3, "ConnectionError")]
    assert any("username or name" in kind.message for kind in kinds)


@pytest.mark.mission("M-GL-78")
async def test_a_handler_that_runs_twice_creates_once(golive: Platform) -> None:
    created: list[str] = []

    async def create(order: str) -> str:
        created.append(order)
        return f"result of {order}"

    @golive.app.queues[QueueName.ANALYTICS].job("process-order")
    async def process(ctx: JobContext, data: dict[str, str]) -> str:
        result = await ctx.once(f"order-{data['orderId']}", create, data["orderId"])
        if ctx.attempt == 1:
            raise ConnectionError("the worker had no luck")
        return result

    handles = [await process.add({"orderId": "order-1"}) for _ in range(2)]
    await drain(golive.app)

    assert [await handle.result(timeout=30) for handle in handles] == ["result of order-1"] * 2
    assert created == ["order-1"]
