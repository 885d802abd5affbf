"""The eight queues: slots, priorities, defaults, and that each purpose has its own."""

import pytest

from corral import JobState, PayloadError, UnknownJobError
from corral.testing import FakeClock, drain
from examples.golive.build import Platform
from examples.golive.payloads import CleanupJobType, EmailJobType, ReportJobType
from examples.golive.queues import MAX_PAYLOAD, QUEUES, JobPriority, QueueName

from .conftest import NOON

TABLE = [
    ("email", 5, JobPriority.NORMAL),
    ("report", 2, JobPriority.NORMAL),
    ("pipeline", 10, JobPriority.HIGH),
    ("test", 5, JobPriority.NORMAL),
    ("deployment", 3, JobPriority.HIGH),
    ("notification", 10, JobPriority.NORMAL),
    ("cleanup", 1, JobPriority.LOW),
    ("analytics", 2, JobPriority.LOW),
]
PURPOSES = [
    "Send emails", "Generate reports", "Pipeline execution", "Test execution", "Deployments", "Push notifications",
    "Data cleanup", "Analytics processing",
]  # fmt: skip
MISSION = [f"M-GL-0{number}" for number in range(1, 9)]


@pytest.mark.parametrize(
    ("name", "concurrency", "priority"),
    [pytest.param(*row, marks=pytest.mark.mission(line)) for row, line in zip(TABLE, MISSION, strict=True)],
)
def test_each_queue_has_its_slots_and_its_priority(
    golive: Platform, name: str, concurrency: int, priority: JobPriority
) -> None:
    queue = golive.app.queues[name]

    assert (queue.name, queue.concurrency, queue.priority) == (name, concurrency, priority)


@pytest.mark.mission("M-GL-09")
async def test_a_job_that_says_nothing_else_has_the_priority_of_its_queue(golive: Platform) -> None:
    assert [row.purpose for row in QUEUES.values()] == PURPOSES

    for name, row in QUEUES.items():
        job = await golive.service.manager.add_job(name, "somebody-elses", {})
        stored = await (await golive.app.open_queue(name)).get(job.id)
        assert stored.priority == row.priority


@pytest.mark.mission("M-GL-10")
async def test_three_attempts_two_and_four_seconds_apart_for_every_queue(golive: Platform, clock: FakeClock) -> None:
    def fail(job: object) -> None:
        raise ConnectionError("away")

    for name in QueueName:
        golive.service.manager.process_jobs(name, "fails", fail)
        await golive.service.manager.add_job(name, "fails", {})

    done = await drain(golive.app)

    assert (done.failed, done.retried) == (8, 16)
    # A retry comes up to a tenth later than computed, never earlier.
    assert 6 <= (clock.now - NOON).total_seconds() <= 6.7


@pytest.mark.mission("M-GL-10")
async def test_a_hundred_completed_and_five_hundred_failed_jobs_are_kept(golive: Platform) -> None:
    def work(job: object) -> str:
        return "done"

    golive.service.manager.process_jobs(QueueName.NOTIFICATION, "push", work)
    queue = golive.service.manager.queue(QueueName.NOTIFICATION)
    await queue.add_bulk([{"name": "push", "data": {}} for _ in range(120)])
    await drain(golive.app)

    stats = await golive.service.manager.get_queue_stats(QueueName.NOTIFICATION)

    assert (stats["completed"], stats["completedTotal"]) == (100, 120)
    for name in QueueName:
        options = golive.app.queues[name].options
        assert options.keep_completed is not None
        assert options.keep_failed is not None
        assert (options.keep_completed.count, options.keep_failed.count) == (100, 500)


@pytest.mark.mission("M-GL-35")
async def test_critical_goes_before_high_before_ordinary_before_low(golive: Platform) -> None:
    order: list[object] = []

    def note(job: object) -> None:
        order.append(job.data["name"])  # type: ignore[attr-defined]  # a BullJob

    manager = golive.service.manager
    manager.process_jobs(QueueName.EMAIL, "note", note)
    for name in ("LOW", "NORMAL", "HIGH", "CRITICAL"):
        await manager.add_job(QueueName.EMAIL, "note", {"name": name}, {"priority": getattr(JobPriority, name)})
    await manager.add_job(QueueName.EMAIL, "note", {"name": "without"})

    await drain(golive.app)

    assert order == ["CRITICAL", "HIGH", "NORMAL", "without", "LOW"]


@pytest.mark.mission("M-GL-72")
@pytest.mark.parametrize(
    ("queue", "name", "home"),
    [
        (QueueName.EMAIL, ReportJobType.ANALYTICS, "report"),
        (QueueName.EMAIL, CleanupJobType.OLD_LOGS, "cleanup"),
        (QueueName.REPORT, EmailJobType.WELCOME, "email"),
        (QueueName.CLEANUP, "run-pipeline", "pipeline"),
    ],
)
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("add_job", ()),
        ("add_delayed_job", (60_000,)),
        ("add_scheduled_job", ("2027-10-24T10:00:00Z",)),
        ("add_repeating_job", ("0 9 * * 1",)),
        ("addRepeatingJob", ("0 9 * * 1",)),
    ],
)
async def test_a_job_in_the_wrong_queue_is_pointed_out(
    golive: Platform, queue: QueueName, name: str, home: str, method: str, rest: tuple[object, ...]
) -> None:
    with pytest.raises(UnknownJobError, match=f"belongs to {home}"):
        await getattr(golive.service.manager, method)(queue, name, {}, *rest)


@pytest.mark.mission("M-GL-73")
async def test_a_payload_has_a_limit_and_a_reference_gets_around_it(golive: Platform) -> None:
    manager = golive.service.manager
    large = {"allData": ["x" * 1_000] * 100}

    with pytest.raises(PayloadError, match=f"more than the {MAX_PAYLOAD:,} that queue 'report' takes"):
        await manager.add_job(QueueName.REPORT, "generate", large)

    job = await manager.add_job(QueueName.REPORT, "generate", {"reportId": "report-123", "userId": "user-456"})
    assert await job.get_state() == JobState.WAITING
