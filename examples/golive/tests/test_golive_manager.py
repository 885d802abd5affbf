"""The job queue manager: what the rest of the platform, written for Bull, calls."""

from datetime import UTC, datetime, timedelta

import pytest

from corral import JobNotFoundError, UnknownJobError
from corral.compat import BullJob
from corral.testing import FakeClock, drain
from examples.golive.build import Platform
from examples.golive.payloads import EmailJobType
from examples.golive.queues import JobPriority, QueueName
from examples.golive.service import JobQueueManager

from .conftest import NOON, fail_some

WELCOME = {"to": "user@example.com", "context": {"username": "John Doe"}}


@pytest.fixture
def manager(golive: Platform) -> JobQueueManager:
    return golive.service.manager


def explode(job: BullJob) -> None:
    raise ConnectionError("away")


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
        QueueName.EMAIL,
        "explodes",
        {},
        {"attempts": 5, "backoff": {"type": "exponential", "delay": 5_000, "jitter": 0}},
    )

    done = await drain(manager.app)

    assert (done.retried, done.failed) == (4, 1)
    assert (clock.now - NOON).total_seconds() == 5 + 10 + 20 + 40


@pytest.mark.mission("M-GL-87")
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


@pytest.mark.mission("M-GL-87")
async def test_how_many_failed_jobs_are_kept_is_a_jobs_own_word(manager: JobQueueManager) -> None:
    manager.process_jobs(QueueName.EMAIL, "explodes", explode)
    opts = {"attempts": 1, "removeOnComplete": 10, "removeOnFail": 50}
    await manager.queue(QueueName.EMAIL).add_bulk([{"name": "explodes", "data": {}, "opts": opts} for _ in range(60)])

    await drain(manager.app)

    stats = await manager.get_queue_stats(QueueName.EMAIL)
    assert (stats["failed"], stats["failedTotal"]) == (50, 60)


# -- looking and acting ------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-GL-57", "M-GL-48", "M-GL-83")
async def test_the_figures_of_a_queue(manager: JobQueueManager) -> None:
    await fail_some(manager, 3)
    await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)
    await manager.add_delayed_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME, 60_000)
    await manager.pause_queue(QueueName.EMAIL)

    stats = await manager.get_queue_stats(QueueName.EMAIL)

    assert stats == {
        "waiting": 1, "active": 0, "completed": 0, "failed": 3, "delayed": 1, "paused": 1,
        "completedTotal": 0, "failedTotal": 3, "isPaused": True,
    }  # fmt: skip


@pytest.mark.mission("M-GL-58")
async def test_the_figures_of_all_queues(manager: JobQueueManager) -> None:
    await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)

    stats = await manager.get_all_queue_stats()

    assert list(stats) == list(QueueName)
    assert {name: one["waiting"] for name, one in stats.items() if one["waiting"]} == {"email": 1}


@pytest.mark.mission("M-GL-59", "M-GL-51")
async def test_the_range_of_failed_jobs_includes_its_end(manager: JobQueueManager) -> None:
    await fail_some(manager, 15)

    assert len(await manager.get_failed_jobs(QueueName.EMAIL, 0, 10)) == 11
    assert len(await manager.get_failed_jobs(QueueName.EMAIL)) == 15


@pytest.mark.mission("M-GL-60")
async def test_one_job_is_found_or_it_is_none(manager: JobQueueManager) -> None:
    job = await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)

    found = await manager.get_job(QueueName.EMAIL, job.id)

    assert found is not None
    assert (found.data, found.progress(), found.name) == (WELCOME, 0, "welcome")
    assert await manager.get_job(QueueName.EMAIL, "job-id") is None


@pytest.mark.mission("M-GL-61", "M-GL-62")
async def test_a_job_is_retried_or_removed(manager: JobQueueManager) -> None:
    await fail_some(manager, 2)
    first, second = await manager.get_failed_jobs(QueueName.EMAIL, 0, 10)

    await manager.retry_job(QueueName.EMAIL, first.id)
    await manager.remove_job(QueueName.EMAIL, second.id)

    assert await first.get_state() == "waiting"
    assert await manager.get_job(QueueName.EMAIL, second.id) is None
    with pytest.raises(JobNotFoundError):
        await manager.remove_job(QueueName.EMAIL, second.id)


@pytest.mark.mission("M-GL-63", "M-GL-76", "M-GL-86")
@pytest.mark.parametrize(("days", "status"), [(7, "completed"), (30, "failed"), (1, "completed")])
async def test_a_job_goes_when_it_is_as_old_as_that_and_not_before(
    manager: JobQueueManager, clock: FakeClock, days: int, status: str
) -> None:
    grace = days * 24 * 60 * 60 * 1000

    def work(job: BullJob) -> None:
        if status == "failed":
            explode(job)

    manager.process_jobs(QueueName.EMAIL, "ends", work)

    async def end() -> str:
        job = await manager.add_job(QueueName.EMAIL, "ends", {}, {"attempts": 1})
        await drain(manager.app)
        return job.id

    first = await end()
    clock.advance(timedelta(days=days) - timedelta(hours=1))
    early = await manager.clean_queue(QueueName.EMAIL, grace, status)
    second = await end()
    clock.advance(timedelta(hours=1))
    late = await manager.clean_queue(QueueName.EMAIL, grace, status)

    assert (early, late) == ([], [first])
    assert await manager.get_job(QueueName.EMAIL, second) is not None


@pytest.mark.mission("M-GL-63", "M-GL-76", "M-GL-86")
async def test_old_jobs_are_cleaned_by_their_age(manager: JobQueueManager, clock: FakeClock) -> None:
    day = 24 * 60 * 60 * 1000
    await fail_some(manager, 1)
    for _ in range(2):
        await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)
        await drain(manager.app)
        clock.advance(timedelta(days=2))

    counts = [
        len(await manager.clean_queue(QueueName.EMAIL, grace, status))
        for grace, status in ((7 * day, "completed"), (3 * day, "completed"), (30 * day, "failed"), (day, "failed"))
    ]

    assert counts == [0, 1, 0, 1]
    stats = await manager.get_queue_stats(QueueName.EMAIL)
    assert (stats["completed"], stats["failed"]) == (1, 0)


@pytest.mark.mission("M-GL-64", "M-GL-83")
async def test_a_paused_queue_holds_its_jobs_until_it_is_resumed(manager: JobQueueManager) -> None:
    await manager.pause_queue(QueueName.EMAIL)
    await manager.add_job(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME)
    paused = await drain(manager.app)
    held = await manager.get_queue_stats(QueueName.EMAIL)

    await manager.resume_queue(QueueName.EMAIL)
    resumed = await drain(manager.app)

    assert (paused.completed, resumed.completed) == (0, 1)
    assert (held["paused"], held["isPaused"]) == (1, True)


def test_a_queue_that_is_none_of_the_platforms_is_refused(manager: JobQueueManager) -> None:
    with pytest.raises(ValueError, match="queue 'emails' does not exist; there are email, report"):
        manager.queue("emails")


async def test_the_spellings_of_javascript_are_the_same_methods(manager: JobQueueManager) -> None:
    job = await manager.addJob(QueueName.EMAIL, EmailJobType.WELCOME, WELCOME, {"priority": JobPriority.HIGH})
    stats = await manager.getQueueStats(QueueName.EMAIL)

    assert (job.name, stats["waiting"], stats["isPaused"]) == ("welcome", 1, False)
    with pytest.raises(UnknownJobError):
        await manager.addJob(QueueName.EMAIL, "run-pipeline", {})
    assert (await manager.getAllQueueStats())["email"] == stats
