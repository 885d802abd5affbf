"""The job queue manager: what the rest of the platform, written for Bull, calls."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from corral import Discard, JobContext, JobFailedError, JobNotFoundError, JobState, UnknownJobError
from corral.compat import BullJob
from corral.testing import FakeClock, drain
from examples.golive.build import Platform
from examples.golive.payloads import EmailJobType
from examples.golive.queues import JobPriority, QueueName
from examples.golive.service import JobQueueManager

from .conftest import NOON, PATIENCE

WELCOME = {"to": "user@example.com", "context": {"username": "John Doe"}}


class TransientError(Exception):
    """An error that says of itself that it will pass."""

    code = "TRANSIENT_ERROR"


@pytest.fixture
def manager(golive: Platform) -> JobQueueManager:
    return golive.service.manager


def explode(job: BullJob) -> None:
    raise ConnectionError(f"SMTP connection timeout for {job.name}")


async def fail_some(manager: JobQueueManager, count: int, name: str = "explodes") -> None:
    """Put failed jobs into the queue `email`."""
    if name not in manager.app.queues[QueueName.EMAIL].definitions:
        manager.process_jobs(QueueName.EMAIL, name, explode)
    queue = manager.queue(QueueName.EMAIL)
    await queue.add_bulk(
        [{"name": name, "data": {"number": number}, "opts": {"attempts": 1}} for number in range(count)]
    )
    await drain(manager.app)


# -- adding ------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-34")
async def test_an_added_job_has_an_id(manager: JobQueueManager, golive: Platform) -> None:
    job = await manager.add_job(
        QueueName.EMAIL, "custom-email", {"to": "user@example.com", "subject": "Hi", "body": "Hello World"},
        {"priority": 1, "attempts": 5},
    )  # fmt: skip

    stored = await (await golive.app.open_queue(QueueName.EMAIL)).get(job.id)
    assert f"Job added: {job.id}" == f"Job added: {stored.id}"
    assert (stored.priority, stored.options.attempts) == (1, 5)


@pytest.mark.mission("M-GL-36")
async def test_a_delayed_job_runs_after_its_hour(manager: JobQueueManager, clock: FakeClock) -> None:
    await manager.add_delayed_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME, 60 * 60 * 1000)

    assert (await manager.get_queue_stats(QueueName.EMAIL))["delayed"] == 1
    done = await drain(manager.app)

    assert (done.completed, clock.now) == (1, NOON + timedelta(hours=1))


@pytest.mark.mission("M-GL-37")
async def test_a_job_for_an_instant_waits_for_it_and_a_past_one_runs_at_once(idle: Platform) -> None:
    manager = idle.service.manager
    later = datetime.now(UTC) + timedelta(hours=2)
    alert = {"to": "ops@example.com", "context": {"message": "x"}}

    waits = await manager.add_scheduled_job(QueueName.EMAIL, EmailJobType.ALERT, alert, later)
    runs = await manager.add_scheduled_job(
        QueueName.EMAIL, EmailJobType.ALERT, alert, datetime(2025, 10, 24, 10, tzinfo=UTC)
    )

    assert [await job.get_state() for job in (waits, runs)] == ["delayed", "waiting"]
    stored = await (await idle.app.open_queue(QueueName.EMAIL)).get(waits.id)
    assert stored.run_at is not None
    assert abs(stored.run_at - later.timestamp() * 1000) < 5_000


@pytest.mark.mission("M-GL-38")
async def test_a_repeating_job_is_a_schedule(idle: Platform) -> None:
    data = {"period": "7d"}

    await idle.service.manager.add_repeating_job(QueueName.REPORT, "analytics", data, "0 9 * * 1")

    [schedule] = (await (await idle.app.open()).schedules(queue=QueueName.REPORT)).items
    assert schedule.name == "analytics"
    assert schedule.next_at is not None
    due = datetime.fromtimestamp(schedule.next_at / 1000, UTC)
    assert (due.weekday(), due.hour, due.minute) == (0, 9, 0)


@pytest.mark.mission("M-GL-68")
async def test_one_job_has_its_own_attempts_and_back_off(manager: JobQueueManager, clock: FakeClock) -> None:
    manager.process_jobs(QueueName.EMAIL, "explodes", explode)
    await manager.add_job(
        QueueName.EMAIL, "explodes", {}, {"attempts": 5, "backoff": {"type": "exponential", "delay": 5_000, "jitter": 0}}
    )

    done = await drain(manager.app)

    assert (done.retried, done.failed) == (4, 1)
    assert (clock.now - NOON).total_seconds() == 5 + 10 + 20 + 40


@pytest.mark.mission("M-GL-87", "M-GL-86")
async def test_how_many_finished_jobs_are_kept_is_a_jobs_own_word(manager: JobQueueManager) -> None:
    def work(job: BullJob) -> None:
        return

    manager.process_jobs(QueueName.EMAIL, "works", work)
    queue = manager.queue(QueueName.EMAIL)
    opts = {"removeOnComplete": 10, "removeOnFail": 50}
    await queue.add_bulk([{"name": "works", "data": {}, "opts": opts} for _ in range(30)])

    await drain(manager.app)

    stats = await manager.get_queue_stats(QueueName.EMAIL)
    assert (stats["completed"], stats["completedTotal"]) == (10, 30)


# -- processing --------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-40", "M-GL-43", "M-GL-44")
async def test_a_handler_for_one_name_reports_progress_and_returns_a_result(manager: JobQueueManager) -> None:
    async def custom(job: BullJob) -> dict[str, object]:
        for share in (25, 75, 100):
            told = job.progress(share)
            assert told is not None
            await told
        return {"got": job.data, "progress": job.progress()}

    manager.process_jobs(QueueName.ANALYTICS, "custom-job", custom, 5)
    job = await manager.add_job(QueueName.ANALYTICS, "custom-job", {"n": 1})

    await drain(manager.app)

    assert await job.finished(30_000) == {"got": {"n": 1}, "progress": 100}
    found = await manager.get_job(QueueName.ANALYTICS, job.id)
    assert found is not None
    assert (found.progress(), found.returnvalue) == (100, {"got": {"n": 1}, "progress": 100})


@pytest.mark.mission("M-GL-74")
async def test_progress_goes_from_0_over_33_and_66_to_100(running: Platform) -> None:
    seen: list[object] = []
    whole = asyncio.Event()

    async def listen() -> None:
        async for event in queue.events("progress"):
            seen.append(event.progress)
            if event.progress == 100:
                whole.set()
                return

    queue = await running.app.open_queue(QueueName.REPORT)
    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)
    handle = await running.service.add_report_job("audit-log", {"period": "7d", "formats": ["html"]})  # type: ignore[arg-type]
    await handle.result(timeout=PATIENCE)
    job = await queue.get(handle.id)
    listener.cancel()

    assert job.progress == "100"


@pytest.mark.mission("M-GL-41", "M-GL-81")
async def test_a_number_of_slots_is_the_cap_of_its_name(platform_url: str, golive_at: object) -> None:
    from .conftest import make

    platform = make(platform_url, golive_at)  # type: ignore[arg-type]
    manager = platform.service.manager
    most = {"push": 0, "sms": 0}
    now = {"push": 0, "sms": 0}
    full = asyncio.Event()

    async def work(job: BullJob) -> None:
        now[job.name] += 1
        most[job.name] = max(most[job.name], now[job.name])
        if now["push"] == 20:
            full.set()
        async with asyncio.timeout(PATIENCE):
            await full.wait()
        now[job.name] -= 1

    manager.process_jobs(QueueName.NOTIFICATION, "push", work, 20)
    manager.process_jobs(QueueName.NOTIFICATION, "sms", work, 3)
    async with platform.app, await platform.app.worker():
        queue = manager.queue(QueueName.NOTIFICATION)
        await queue.add_bulk([{"name": "push", "data": {}} for _ in range(30)])
        jobs = await queue.add_bulk([{"name": "sms", "data": {}} for _ in range(10)])
        for job in jobs:
            await job.finished(PATIENCE * 1000)

    assert most["push"] == 20
    assert most["sms"] <= 3
    assert platform.app.queues[QueueName.NOTIFICATION].concurrency == 20
