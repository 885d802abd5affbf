"""What people do with queues: its effect, its entry in the audit log, and what is refused."""

import asyncio

import pytest

from corral.admin.admin import Admin, Desk
from corral.admin.objects import Cleaned
from corral.app.app import Corral
from corral.errors import ConfigError, QueueBusyError, QueueNotFoundError
from corral.job import JobState
from corral.monitor.about import About
from corral.monitor.monitor import Monitor
from corral.options import GroupChange, GroupLimits, Keep, QueueSettings, RateLimit
from corral.pauses import pauses, resume_due
from corral.storage.port import QueueInfo, Storage
from tests.storage.helpers import MINUTE, QUEUE, SECOND, T0, Clock, add, add_ids, new_job, start_one, tally

from .helpers import ANA, completed_job, entries, failed_jobs, last_entry, states


async def info(storage: Storage, queue: str = QUEUE) -> QueueInfo:
    return await storage.configure(queue, QueueSettings())


async def test_a_queue_is_paused_with_a_reason_and_resumed(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    assert (await desk.pause(QUEUE)).paused
    paused = await info(storage)
    assert (paused.paused, paused.pause_reason) == (True, "because")
    noted = (await pauses(storage))[QUEUE]
    assert (noted.by, noted.since, noted.until, noted.reason) == ("ana", T0, None, "because")
    entry = await last_entry(desk)
    assert (entry.action, entry.target, entry.after) == (
        "queue.pause",
        {"queue": QUEUE},
        {"paused": True, "until": None},
    )
    assert not (await desk.resume(QUEUE)).paused
    assert await pauses(storage) == {}
    assert (await last_entry(desk)).action == "queue.resume"


async def test_a_timed_pause_ends_by_itself(desk: Desk, storage: Storage, clock: Clock) -> None:
    await add_ids(storage, "a")
    await desk.pause(QUEUE, for_s=60)
    assert (await pauses(storage))[QUEUE].until == T0 + MINUTE
    assert await resume_due(storage, now=T0 + MINUTE - 1) == []
    assert (await info(storage)).paused
    assert await resume_due(storage, now=T0 + MINUTE) == [QUEUE]
    assert not (await info(storage)).paused
    assert await resume_due(storage, now=T0 + MINUTE) == []


async def test_a_slip_of_the_finger_creates_no_queue(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    for call in (
        desk.pause("mial"), desk.resume("mial"), desk.change("mial", QueueSettings(concurrency=1)), desk.lift("mial"),
        desk.drain("mial"), desk.clean("mial", [JobState.FAILED]), desk.obliterate("mial"),
    ):  # fmt: skip
        with pytest.raises(QueueNotFoundError, match="did you mean 'mail'"):
            await call
    assert [one.name for one in await storage.queues()] == [QUEUE]
    assert {entry.problem for entry in await entries(desk)} == {"queue-not-found"}


async def test_a_queue_that_the_application_declares_can_be_paused_before_its_first_job(
    storage: Storage, monitor: Monitor, clock: Clock
) -> None:
    app = Corral("sqlite:///:memory:")
    app.queue("reports")
    desk = Admin(storage, monitor, app=app, clock=lambda: clock.now).by(ANA)
    assert (await desk.pause("reports")).paused


async def test_limits_are_changed_and_the_log_says_what_they_were(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    await desk.change(QUEUE, QueueSettings(concurrency=5))
    after = await desk.change(QUEUE, QueueSettings(concurrency=2, rate_limit=RateLimit(10), keep_failed=Keep(count=7)))
    assert (after.concurrency, after.rate_limit) == (2, RateLimit(10))
    entry = await last_entry(desk)
    assert entry.before == {"concurrency": 5, "rate_limit": None, "keep_failed": None}
    assert entry.after == {
        "concurrency": 2, "rate_limit": {"count": 10, "per": 1.0}, "keep_failed": {"age": None, "count": 7},
    }  # fmt: skip


async def test_what_a_group_is_told_stands_in_the_log(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    limits = GroupLimits(concurrency=2)
    await desk.change(QUEUE, QueueSettings(groups={"acme": GroupChange(paused=True, limits=limits)}))
    [group] = (await storage.groups(QUEUE)).items
    assert (group.paused, group.limits) == (True, limits)
    assert (await last_entry(desk)).after == {"groups": {"acme": {"limits": {"concurrency": 2}, "paused": True}}}


async def test_a_pause_is_no_setting(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    with pytest.raises(ConfigError, match="verbs of their own"):
        await desk.change(QUEUE, QueueSettings(paused=True))
    assert not (await info(storage)).paused


async def test_what_waits_is_drained_and_a_dry_run_only_counts(desk: Desk, storage: Storage) -> None:
    await add(storage, new_job("a"), new_job("b"), new_job("later", delay_ms=MINUTE))
    assert await desk.drain(QUEUE, dry_run=True) == 2
    assert await desk.drain(QUEUE, delayed=True, dry_run=True) == 3
    assert await entries(desk) == []
    assert await desk.drain(QUEUE) == 2
    assert await states(storage, "a", "b", "later") == [None, None, JobState.DELAYED]
    entry = await last_entry(desk)
    assert (entry.action, entry.count, entry.target["states"]) == ("queue.drain", 2, "waiting")


async def test_finished_jobs_are_cleaned_by_age_and_a_dry_run_names_the_same(
    desk: Desk, storage: Storage, clock: Clock
) -> None:
    for number in range(5):
        await failed_jobs(storage, f"f{number}", now=clock.now)
        clock.tick(SECOND)
    would = await desk.clean(QUEUE, [JobState.FAILED], older_ms=3 * SECOND, dry_run=True)
    assert (would.count, sorted(would.sample), would.exact) == (3, ["f0", "f1", "f2"], True)
    assert await entries(desk) == []
    did = await desk.clean(QUEUE, [JobState.FAILED], older_ms=3 * SECOND)
    assert (did.count, sorted(did.sample)) == (3, ["f0", "f1", "f2"])
    entry = await last_entry(desk)
    assert (entry.count, entry.after) == (3, {"older_ms": 3 * SECOND, "limit": 1_000})


async def test_a_clean_stops_at_its_limit_and_spares_what_runs(desk: Desk, storage: Storage) -> None:
    await completed_job(storage, "done")
    await add_ids(storage, *(f"w{number}" for number in range(5)))
    run = await start_one(storage)
    states_ = [JobState.WAITING, JobState.COMPLETED]
    would = await desk.clean(QUEUE, states_, limit=3, dry_run=True)
    assert (would.count, would.exact, run.job.id in would.sample) == (3, True, False)
    assert (await desk.clean(QUEUE, states_, limit=3)).count == 3
    counts = await tally(storage)
    assert (counts.active, counts.waiting + counts.completed) == (1, 2)


async def test_pending_jobs_are_cleaned_by_when_they_were_added(desk: Desk, storage: Storage, clock: Clock) -> None:
    await add(storage, new_job("old", delay_ms=MINUTE))
    await add(storage, new_job("young", delay_ms=MINUTE), now=clock.tick(10 * SECOND))
    would = await desk.clean(QUEUE, [JobState.DELAYED], older_ms=5 * SECOND, dry_run=True)
    assert would == Cleaned(count=1, sample=("old",))
    assert await desk.clean(QUEUE, [JobState.DELAYED], older_ms=5 * SECOND) == would


@pytest.mark.parametrize(
    ("states", "options"),
    [([], {}), ([JobState.ACTIVE], {}), ([JobState.FAILED], {"limit": 0}), ([JobState.FAILED], {"older_ms": -1})],
)
async def test_a_clean_that_cannot_be_meant_is_refused(
    desk: Desk, storage: Storage, states: list[JobState], options: dict[str, int]
) -> None:
    await add_ids(storage, "a")
    for dry_run in (True, False):
        with pytest.raises(ConfigError):
            await desk.clean(QUEUE, states, dry_run=dry_run, **options)
    assert [entry.problem for entry in await entries(desk)] == ["invalid-parameter"]


async def test_a_queue_is_obliterated_unless_jobs_of_it_run(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a", "b")
    await desk.pause(QUEUE, for_s=60)
    await desk.resume(QUEUE)
    await desk.pause(QUEUE, for_s=60)
    await storage.configure(QUEUE, QueueSettings(paused=False))
    await start_one(storage)
    with pytest.raises(QueueBusyError, match="1 active"):
        await desk.obliterate(QUEUE)
    assert (await last_entry(desk)).problem == "queue-has-active-jobs"
    await desk.obliterate(QUEUE, force=True)
    assert await storage.queues() == []
    assert await pauses(storage) == {}
    assert ((await last_entry(desk)).action, (await last_entry(desk)).count) == ("queue.obliterate", 2)
    with pytest.raises(QueueNotFoundError):
        await desk.pause(QUEUE)


async def test_a_queue_is_described_once_and_again(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    assert await desk.describe(QUEUE, description="letters", slo=30) == About(description="letters", slo_ms=30_000)
    assert await desk.describe(QUEUE, slo=None) == About(description="letters")
    entry = await last_entry(desk)
    assert (entry.action, entry.before, entry.after) == ("queue.describe", {"slo_ms": 30_000}, {"slo_ms": None})
    assert await desk.describe(QUEUE, description=None) == About()
    assert await storage.entries("about") == []
    with pytest.raises(ConfigError, match="at most 500"):
        await desk.describe(QUEUE, description="x" * 501)
    with pytest.raises(ConfigError, match="control characters"):
        await desk.describe(QUEUE, description="a\udc80b")
    with pytest.raises(QueueNotFoundError):
        await desk.describe("mial", slo=1)


async def test_two_who_describe_a_queue_at_once_are_both_heard(desk: Desk, storage: Storage) -> None:
    await add_ids(storage, "a")
    await asyncio.gather(desk.describe(QUEUE, description="letters"), desk.describe(QUEUE, slo=5))
    assert await desk.describe(QUEUE) == About(description="letters", slo_ms=5_000)
