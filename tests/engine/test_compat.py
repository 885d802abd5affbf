"""BullQueue and its managers do what the guides' code expects, on both engines."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from corral import ConfigError, Corral, JobFailedError, JobNotFoundError, PayloadError, RegistrationError, connect
from corral.compat import BullJob, BullQueue, BullQueues
from corral.errors import UnknownOptionError

from .helpers import GUARD, work_off, working


@pytest.fixture
async def queue(app: Corral) -> AsyncIterator[BullQueue]:
    """A queue of the guides, on an application."""
    async with BullQueue("ai-tasks", app) as queue:
        yield queue


@pytest.mark.mission("M-AI-08", "M-AI-10", "M-AI-19", "M-AI-60", "M-AI-51")
async def test_a_job_of_the_ai_backends_guide_from_add_to_result(app: Corral, queue: BullQueue) -> None:
    async def complete(job: BullJob) -> dict[str, Any]:
        await job.progress(10)  # type: ignore[misc]
        await job.log(f"Processing job {job.id}")  # type: ignore[misc]
        assert (job.attempts_made, job.opts["attempts"], job.is_last_attempt) == (0, 3, False)
        await job.update_progress(100)  # type: ignore[misc]
        return {"content": job.data["message"].upper()}  # type: ignore[index]

    queue.process("generate-completion", 2, complete)
    options = {"attempts": 3, "backoff": {"type": "exponential", "delay": 5000}, "removeOnComplete": 100}
    job = await queue.add("generate-completion", {"message": "hello"}, options)
    assert (await job.getState(), job.returnvalue) == ("waiting", None)
    async with working(app):
        assert await job.finished(GUARD * 1000) == {"content": "HELLO"}
    assert job.returnvalue == {"content": "HELLO"}
    found = await queue.getJob(job.id)
    assert found is not None
    assert (await found.getState(), found.progress(), found.attemptsMade) == ("completed", 100, 1)
    assert found.toJSON()["returnvalue"] == {"content": "HELLO"}
    assert await queue.getJob("nobody") is None


async def test_a_plain_function_may_process_too(app: Corral, queue: BullQueue) -> None:
    def embed(job: BullJob) -> int:
        job.progress(50)
        return len(str(job.data))

    queue.process("embed", embed)
    job = await queue.add("embed", {"a": 1})
    async with working(app):
        assert await job.waitUntilFinished(None, GUARD * 1000) == 8


@pytest.mark.mission("M-BI-20")
async def test_jobs_without_a_name_and_a_queue_on_a_store_alone(url: str) -> None:
    async with connect(url) as storage, BullQueue("data-sync", storage) as queue:

        async def sync(job: BullJob) -> str:
            return f"{job.name} {job.data}"

        queue.process(5, sync)
        queue.process("*", sync)
        job, other = await queue.add({"id": 1}), await queue.add("other", {"id": 2}, {"priority": 1})
        async with await queue.worker():
            assert await job.finished(GUARD * 1000) == "__default__ {'id': 1}"
            assert await other.finished(GUARD * 1000) == "other {'id': 2}"
    with pytest.raises(RegistrationError):
        queue.process(sync)
    with pytest.raises(RegistrationError):
        queue.process("a", "b", sync)


@pytest.mark.mission("M-AI-39", "M-AI-40", "M-AI-41", "M-AI-42", "M-AI-43", "M-BI-34", "M-BI-35", "M-BI-36")
async def test_counts_lists_and_cleaning(app: Corral, queue: BullQueue) -> None:
    async def work(job: BullJob) -> None:
        if job.data == {"fail": True}:
            raise ValueError("no")

    queue.process("work", work)
    await queue.add_bulk([{"name": "work", "data": {"n": 1}}, {"name": "work", "data": {"fail": True}, "opts": {}}])
    await work_off(app)
    await queue.add("work", {"n": 2})
    await queue.add("work", {"n": 3}, {"delay": 60_000})
    assert await queue.getJobCounts() == {
        "waiting": 1, "active": 0, "completed": 1, "failed": 1, "delayed": 1, "paused": 0,
    }  # fmt: skip
    assert await queue.getJobCounts("delayed", "wait") == {"delayed": 1, "wait": 1}
    [failed] = await queue.getFailed()
    assert (failed.failedReason, failed.data) == ("ValueError: no", {"fail": True})
    listed = [
        await queue.getWaiting(),
        await queue.getActive(),
        await queue.getCompleted(0, 0),
        await queue.getDelayed(),
    ]
    assert [len(some) for some in listed] == [1, 0, 1, 1]
    assert len(await queue.getJobs(["waiting", "delayed"])) == 2
    await queue.pause()
    assert (await queue.isPaused(), (await queue.getJobCounts())["paused"]) == (True, 1)
    await queue.resume()
    assert not await queue.isPaused()
    assert await queue.clean(86_400_000, "failed") == []
    assert await queue.clean(0, "failed") == [failed.id]
    assert len(await queue.clean(0, 10, "completed")) == 1
    await queue.empty()
    assert sum((await queue.getJobCounts()).values()) == 0
    for wrong in (queue.clean(0, "done"), queue.getJobCounts("wating")):
        with pytest.raises(UnknownOptionError):
            await wrong


async def test_a_waiting_job_is_removed_and_a_running_one_is_cancelled(app: Corral, queue: BullQueue) -> None:
    started = asyncio.Event()

    async def hang(job: BullJob) -> None:
        started.set()
        await asyncio.Event().wait()

    queue.process("hang", hang)
    waiting = await queue.add("hang", {}, {"delay": 60_000})
    await waiting.remove()
    assert await waiting.getState() == "unknown"
    with pytest.raises(JobNotFoundError):
        await waiting.remove()
    running = await queue.add("hang", {})
    async with working(app):
        await started.wait()
        await running.remove()
        with pytest.raises(JobFailedError, match="cancelled: removed"):
            await running.finished(GUARD * 1000)


@pytest.mark.mission("M-AI-25", "M-AI-26", "M-AI-27", "M-AI-29", "M-AI-32", "M-AI-33")
async def test_local_and_global_events_arrive_wherever_somebody_listens(app: Corral, queue: BullQueue) -> None:
    told: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
    queue.on("completed", lambda job, result: told.put_nowait(("completed", job.id, result)))
    queue.on("global:completed", lambda job_id, result: told.put_nowait(("global", job_id, result)))
    queue.on("progress", lambda job, progress: told.put_nowait(("progress", job.id, progress)))
    queue.on("drained", lambda: told.put_nowait(("drained",)))
    queue.on("error", lambda error: None)

    @queue.on("failed")  # type: ignore[untyped-decorator]  # it may also be called with the listener
    async def failed(job: BullJob, error: Exception) -> None:
        told.put_nowait(("failed", job.id, str(error)))
        raise RuntimeError("a listener that fails stops nobody")

    async def work(job: BullJob) -> int:
        await job.progress(50)  # type: ignore[misc]
        if job.data == {"fail": True}:
            raise ValueError("no")
        return 7

    queue.process("work", work)
    bad = await queue.add("work", {"fail": True})
    await work_off(app)
    good = await queue.add("work", {})
    await work_off(app)
    heard: list[tuple[object, ...]] = []
    async with asyncio.timeout(GUARD):
        while len(heard) < 7:
            heard.append(await told.get())
    assert ("failed", bad.id, f"job {bad.id!r} failed: ValueError: no") in heard
    assert {("completed", good.id, 7), ("global", good.id, 7), ("progress", good.id, 50), ("drained",)} <= set(heard)
    with pytest.raises(ConfigError, match="did you mean 'completed'"):
        queue.on("complete", print)


@pytest.mark.mission("M-AI-20", "M-AI-25", "M-AI-26")
async def test_listeners_get_id_name_and_outcome_of_a_job_that_is_gone(app: Corral, queue: BullQueue) -> None:
    told: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()
    queue.on("completed", lambda job, result: told.put_nowait((job.id, job.name, job.returnvalue, result)))
    queue.on("failed", lambda job, error: told.put_nowait((job.id, job.name, str(error))))

    async def work(job: BullJob) -> int:
        if job.data == {"fail": True}:
            raise ValueError("no")
        return 7

    queue.process("work", work)
    options = {"removeOnComplete": True, "removeOnFail": True}
    good, bad = await queue.add("work", {}, options), await queue.add("work", {"fail": True}, options)
    await work_off(app)
    async with asyncio.timeout(GUARD):
        heard = [await told.get(), await told.get()]
    assert [await queue.get_job(job.id) for job in (good, bad)] == [None, None]
    assert set(heard) == {(good.id, "work", 7, 7), (bad.id, "work", f"job {bad.id!r} failed: ValueError: no")}


@pytest.mark.mission("M-AI-34", "M-AI-36", "M-AI-38")
async def test_repeatable_jobs_are_schedules(app: Corral, queue: BullQueue) -> None:
    options = {"repeat": {"cron": "0 3 * * *", "tz": "America/New_York"}, "attempts": 4}
    first = await queue.add("daily-report", {"a": 1}, options)
    await queue.add("daily-report", {"a": 1}, options)  # adding it again changes nothing
    assert await first.getState() == "unknown"
    await queue.add("sync", {}, {"repeat": {"every": 3_600_000}})
    found = await queue.getRepeatableJobs()
    assert [(one["name"], one["cron"], one["every"], one["tz"]) for one in found] == [
        ("daily-report", "0 3 * * *", None, "America/New_York"), ("sync", None, 3_600_000, None),
    ]  # fmt: skip
    assert await queue.removeRepeatableByKey(str(found[0]["key"]))
    assert await queue.removeRepeatable("sync", {"every": 3_600_000})
    assert (await queue.getRepeatableJobs(), await queue.removeRepeatableByKey("gone")) == ([], False)
    await queue.upsertJobScheduler("weekly", {"pattern": "0 9 * * 1"}, {"name": "report", "data": {}, "opts": {}})
    assert [one["key"] for one in await queue.getJobSchedulers()] == ["weekly"]


async def test_what_is_no_option_or_too_large_adds_nothing(queue: BullQueue) -> None:
    with pytest.raises(UnknownOptionError, match="did you mean 'attempts'"):
        await queue.add("a", {}, {"atempts": 3})
    with pytest.raises(PayloadError, match="sizeLimit of 10"):
        await queue.add("a", {"text": "too long for that"}, {"sizeLimit": 10})
    with pytest.raises(ConfigError):
        await queue.add("a", {}, {}, {})
    assert sum((await queue.getJobCounts()).values()) == 0


async def test_a_queues_default_job_options_count_for_every_job(app: Corral) -> None:
    async with BullQueue("mail", app, {"defaultJobOptions": {"attempts": 4, "priority": 7}}) as queue:
        job = await queue.add("a", {}, {"priority": 2})
        stored = await (await queue.queue()).get(job.id)
    assert (stored.options.attempts, stored.priority) == (4, 2)


@pytest.mark.mission(
    "M-GL-34",
    "M-GL-36",
    "M-GL-37",
    "M-GL-38",
    "M-GL-40",
    "M-GL-57",
    "M-GL-58",
    "M-GL-59",
    "M-GL-60",
    "M-GL-61",
    "M-GL-62",
    "M-GL-63",
    "M-GL-64",
    "M-BI-02",
    "M-BI-20",
    "M-BI-24",
    "M-BI-29",
    "M-BI-35",
    "M-BI-36",
)
async def test_the_managers_of_golives_and_bizinsights_guides(app: Corral) -> None:
    manager = BullQueues(app)
    done: list[str] = []

    async def send(job: BullJob) -> None:
        if job.data == {"fail": True}:
            raise ConnectionError("SMTP connection timeout")
        done.append(job.name)

    manager.processJobs("email", "welcome", send, 5)
    manager.queue("email").process(send)
    job = await manager.addJob("email", "welcome", {"to": "a@example.com"}, {"priority": 1, "attempts": 5})
    assert (await manager.getJob("email", job.id)) is not None
    await manager.addJob("email", {"nameless": True})
    failing = await manager.addJob("email", "welcome", {"fail": True})
    await manager.addScheduledJob("email", "welcome", {}, "2025-10-24T10:00:00Z")
    later = await manager.addDelayedJob("email", "welcome", {}, 60 * 60 * 1000)
    await manager.addRepeatingJob("email", "welcome", {}, "0 9 * * 1")
    await manager.addRecurringJob("email", "weekly-report-org123", {}, "0 8 * * 1")
    await work_off(app)
    assert sorted(done) == ["__default__", "welcome", "welcome"]
    assert (await manager.getAllQueueStats())["email"] == await manager.getQueueStats("email") == {
        "waiting": 0, "active": 0, "completed": 3, "failed": 1, "delayed": 1, "paused": 0,
    }  # fmt: skip
    assert [one.failed_reason for one in await manager.getFailedJobs("email", 0, 10)] == [
        "ConnectionError: SMTP connection timeout"
    ]
    await manager.retryJob("email", failing.id)
    await work_off(app)
    assert await manager.retryAllFailedJobs("email") == 1
    await manager.removeJob("email", later.id)
    with pytest.raises(JobNotFoundError):
        await manager.removeJob("email", later.id)
    await manager.pauseQueue("email")
    await manager.resumeQueue("email")
    await manager.emptyQueue("email")
    assert len(await manager.cleanQueue("email", 0, "completed")) == 3
    await manager.close()


async def test_an_applications_handlers_have_names(queue: BullQueue) -> None:
    with pytest.raises(RegistrationError, match="needs a queue on a store"):
        queue.process("*", lambda job: None)
