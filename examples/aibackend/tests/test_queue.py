"""The queue `ai-tasks` as the guide uses it: options, events, what repeats, what is looked at and tidied up."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from corral import Corral, Job, JobContext, JobFailedError
from corral.compat import BullQueue
from corral.handlers.ai import ModelError
from corral.testing import drain
from examples.aibackend.ai_service import AiEvents, AiService, percent
from examples.aibackend.build import make_app
from examples.aibackend.payloads import QueueName
from examples.aibackend.settings import Settings
from tests.redis_server import RedisServer

from .conftest import ASKED, Place, build

HOUR = 3_600
#: What the payload has beside what was said.
DEFAULTS = {"temperature": 0.7, "system": None}


def asked(message: str, **changes: object) -> dict[str, object]:
    return {**ASKED, "message": message, **changes}


async def started(place: Place) -> list[str]:
    """The messages in the order in which they were asked."""
    await drain(place.app)
    return [question.messages[-1].content for question in place.model.asked]


# -- where it lives ----------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-01")
async def test_redis_of_the_environment_is_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with RedisServer("--requirepass", "not-a-secret") as server:
        monkeypatch.setenv("REDIS_HOST", "localhost")
        monkeypatch.setenv("REDIS_PORT", str(server.port))
        monkeypatch.setenv("REDIS_PASSWORD", "not-a-secret")
        app = make_app(Settings(aibackend_home=tmp_path))
        assert "not-a-secret" not in repr(app)
        async with app:
            queued = await AiService(app).queue_completion("user-1", "c-1", "Hello")
        assert queued == {"jobId": "1", "status": "queued"}
        assert (urlsplit(app.url).hostname, urlsplit(app.url).port) == ("localhost", server.port)


@pytest.mark.mission("M-AI-02")
async def test_all_queues_share_one_open_store(live: Place) -> None:
    stores = {id((await queue.open()).storage) for queue in live.app.queues.values()}
    assert len(stores) == 1


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-17", "M-AI-69")
async def test_lower_priorities_go_first_over_the_whole_range(place: Place) -> None:
    queue = place.bull()
    for priority in (1_000_000, 500, 1, 2):
        await queue.add("generate-completion", asked(f"{priority}"), {"priority": priority})
    assert await started(place) == ["1", "2", "500", "1000000"]


@pytest.mark.mission("M-AI-18")
async def test_a_delay_of_five_seconds_is_kept(place: Place) -> None:
    await place.bull().add("generate-completion", ASKED, {"delay": 5000})
    assert (await drain(place.app)).seconds == 5


@pytest.mark.mission("M-AI-19", "M-AI-22")
async def test_five_attempts_come_after_5_10_20_and_40_seconds(place: Place) -> None:
    place.model.trouble = [ModelError(f"{n}") for n in range(5)]
    at: list[float] = []

    @place.app.middleware
    async def note(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        at.append(place.clock() / 1000)
        return await call_next()

    options = {"attempts": 5, "backoff": {"type": "exponential", "delay": 5000}}
    await place.bull().add("generate-completion", ASKED, options)
    assert (await drain(place.app)).failed == 1
    waits = [later - earlier for earlier, later in pairwise(at[:5])]
    # Never earlier than said, and up to a tenth later, so that many do not come back at once.
    for wait, said in zip(waits, (5, 10, 20, 40), strict=True):
        assert said <= wait <= 1.1 * said


@pytest.mark.mission("M-AI-22")
async def test_a_fixed_backoff_waits_the_same_each_time(place: Place) -> None:
    place.model.trouble = [ModelError("1"), ModelError("2")]
    await place.bull().add("generate-completion", ASKED, {"attempts": 3, "backoff": {"type": "fixed", "delay": 5000}})
    drained = await drain(place.app)
    assert drained.completed == 1
    assert 10 <= drained.seconds <= 11


@pytest.mark.mission("M-AI-20", "M-AI-64")
async def test_completed_jobs_go_at_once_and_failed_ones_stay_as_they_were_told_to(place: Place) -> None:
    queue = place.bull()
    options = {"removeOnComplete": True, "removeOnFail": False}
    gone = await queue.add("generate-completion", ASKED, options)
    kept = await queue.add("generate-completion", {"userId": "user-1"}, {**options, "removeOnFail": False})
    await drain(place.app)
    place.clock.advance(8 * 24 * HOUR)  # failed jobs that say nothing go after seven days
    await drain(place.app)
    assert await queue.get_job(gone.id) is None
    assert [job.id for job in await queue.get_failed()] == [kept.id]


@pytest.mark.mission("M-AI-64")
async def test_of_51_failed_jobs_50_stay_when_so_many_were_asked_for(place: Place) -> None:
    queue = place.bull()
    options = {"removeOnComplete": True, "removeOnFail": 50}
    await queue.add_bulk([
        {"name": "generate-completion", "data": {"userId": "user-1"}, "opts": options} for _ in range(51)
    ])  # fmt: skip
    assert (await drain(place.app)).failed == 51
    counts = await queue.get_job_counts()
    assert (counts["failed"], counts["waiting"]) == (50, 0)


@pytest.mark.mission("M-AI-21")
async def test_a_job_that_runs_out_of_its_time_is_stopped_and_counted_as_failed(live: Place) -> None:
    live.model.gate = asyncio.Event()  # nobody will ever set it
    job = await live.bull().add("generate-completion", ASKED, {"timeout": 200, "attempts": 1})
    async with await live.worker():
        with pytest.raises(JobFailedError, match="JobTimeoutError"):
            await job.finished(30_000)
    found = await live.bull().get_job(job.id)
    assert found is not None
    assert (await found.get_state(), found.attempts_made) == ("failed", 1)


@pytest.mark.mission("M-AI-23")
async def test_a_limiter_on_jobs_limits_their_name_and_no_other(place: Place) -> None:
    queue = place.bull()
    for n in range(25):
        await queue.add("generate-completion", asked(f"{n}"), {"limiter": {"max": 10, "duration": 1000}})
    other = await queue.add("generate-embeddings", {"texts": ["free"]})
    starts: list[tuple[str, float]] = []

    @place.app.middleware
    async def note(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        starts.append((ctx.name, place.clock() / 1000))
        return await call_next()

    drained = await drain(place.app)
    limited = [at for name, at in starts if name == "generate-completion"]
    assert (drained.completed, len(limited)) == (26, 25)
    assert all(later - earlier >= 1 for earlier, later in zip(limited, limited[10:], strict=False))
    assert [at for name, at in starts if name == "generate-embeddings"] == [limited[0]]
    assert other.id


@pytest.mark.mission("M-AI-24")
async def test_a_job_that_is_not_started_within_its_lifespan_never_runs(place: Place) -> None:
    queue = place.bull()
    job = await queue.add("generate-completion", ASKED, {"lifespan": 3_600_000})
    await queue.pause()
    place.clock.advance(HOUR + 1)
    await queue.resume()
    await drain(place.app)
    found = await queue.get_job(job.id)
    assert found is not None
    assert (await found.get_state(), place.model.asked) == ("failed", [])
    assert "expired" in str(found.failed_reason)


# -- events ------------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-25", "M-AI-26", "M-AI-27", "M-AI-29", "M-AI-30", "M-AI-32", "M-AI-33")
async def test_who_adds_jobs_hears_of_them_although_another_application_runs_them(
    live: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aibackend")
    worker = build(tmp_path, live.url)
    worker.model.trouble = [ModelError("once")]
    told = asyncio.Event()
    async with AiEvents(live.app) as events, worker.database, worker.app:
        events.queue.on("drained", lambda: None)
        events.queue.on("global:failed", lambda id, error: told.set())
        fine = await live.tasks.definition("generate-completion").add(ASKED, attempts=2)
        async with await worker.worker():
            await fine.result(timeout=60)
            bad = await (await live.tasks.open()).add("generate-completion", {"userId": "user-1"})
            await asyncio.wait_for(told.wait(), 30)
    lines = [record.getMessage() for record in caplog.records if record.name == "aibackend"]
    for expected in (
        f"Job {fine.id} progress: 10%", f"Job {fine.id} progress: 100%", "Queue is empty",
        f"Global: Job {fine.id} completed", f"Global: Job {bad.id} failed",
    ):  # fmt: skip
        assert expected in lines
    assert any(line.startswith(f"Job {fine.id} completed: ") and "You said: Hello" in line for line in lines)
    assert any(line.startswith(f"Job {bad.id} failed: ") for line in lines)


@pytest.mark.mission("M-AI-20", "M-AI-25")
async def test_a_job_that_is_removed_when_it_is_done_is_told_of_as_well(
    live: Place, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "aibackend")
    done = asyncio.Event()
    async with AiEvents(live.app) as events:
        events.queue.on("drained", lambda: None)
        events.queue.on("completed", lambda job, result: done.set())
        job = await live.bull().add("generate-completion", ASKED, {"removeOnComplete": True})
        async with await live.worker():
            await asyncio.wait_for(done.wait(), 60)
        assert await events.queue.get_job(job.id) is None
    lines = [record.getMessage() for record in caplog.records if record.name == "aibackend"]
    assert any(line.startswith(f"Job {job.id} completed: ") and "You said: Hello" in line for line in lines)


@pytest.mark.mission("M-AI-28", "M-AI-63")
async def test_a_job_whose_worker_died_is_queued_again_and_not_deleted(place: Place) -> None:
    told = asyncio.Event()
    async with place.bull() as queue:
        queue.on("stalled", lambda job: told.set())
        job = await queue.add("generate-completion", ASKED)
        [run] = await (await place.tasks.open()).claim(lease=15)  # a worker that will not be heard of again
        assert run.id == job.id
        place.clock.advance(HOUR)
        assert await queue.clean(5000, "active") == [job.id]
        await asyncio.wait_for(told.wait(), 30)
    assert await started(place) == ["Hello"]


@pytest.mark.mission("M-AI-31")
async def test_drained_is_when_nothing_waits_and_idle_when_nothing_runs(live: Place) -> None:
    live.model.gate = asyncio.Event()
    live_queue = await live.tasks.open()
    await live.tasks.definition("generate-completion").add(ASKED)
    seen: list[str] = []
    async with await live.worker(), asyncio.timeout(60):
        async for event in live_queue.events(after=""):
            seen.append(str(event.type))
            if event.type == "drained":
                live.model.gate.set()  # the job that runs may end now
            if event.type == "idle":
                break
    assert seen.index("drained") < seen.index("completed") < seen.index("idle")


# -- looking and tidying up --------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-39")
async def test_a_paused_queue_hands_nothing_out(place: Place) -> None:
    queue = place.bull()
    await queue.pause()
    await queue.add("generate-completion", ASKED)
    assert (await queue.is_paused(), await started(place)) == (True, [])
    await queue.resume()
    assert (await queue.is_paused(), await started(place)) == (False, ["Hello"])


@pytest.mark.mission("M-AI-40")
async def test_empty_deletes_what_waits_and_what_is_due_later_and_nothing_else(place: Place) -> None:
    queue = place.bull()
    await queue.add("generate-completion", ASKED)
    await drain(place.app)
    await queue.add("generate-completion", ASKED)
    await queue.add("generate-completion", ASKED, {"delay": 60_000})
    await queue.empty()
    counts = await queue.get_job_counts()
    assert (counts["waiting"], counts["delayed"], counts["completed"]) == (0, 0, 1)


@pytest.mark.mission("M-AI-41")
async def test_cleaning_takes_what_ended_long_enough_ago(place: Place) -> None:
    queue = place.bull()
    await queue.add("generate-completion", ASKED)
    await queue.add("generate-completion", {"userId": "user-1"})
    await drain(place.app)
    assert len(await queue.clean(0, "completed")) == 1
    assert await queue.clean(86_400_000, "failed") == []
    place.clock.advance(86_401)
    assert len(await queue.clean(86_400_000, "failed")) == 1


@pytest.mark.mission("M-AI-42", "M-AI-43")
async def test_six_counts_and_four_lists(place: Place) -> None:
    queue = place.bull()
    await queue.add("generate-completion", ASKED)
    await queue.add("generate-completion", {"userId": "user-1"})
    await drain(place.app)
    await queue.add("generate-completion", ASKED, {"delay": 60_000})
    waiting = await queue.add("generate-completion", ASKED)
    assert await queue.get_job_counts() == {
        "waiting": 1, "active": 0, "completed": 1, "failed": 1, "delayed": 1, "paused": 0
    }  # fmt: skip
    assert [job.id for job in await queue.get_waiting()] == [waiting.id]
    assert [len(found) for found in (
        await queue.get_active(), await queue.get_completed(), await queue.get_failed()
    )] == [0, 1, 1]  # fmt: skip


@pytest.mark.mission("M-AI-42", "M-AI-43")
async def test_a_job_that_runs_is_counted_and_listed(live: Place) -> None:
    live.model.gate = asyncio.Event()
    queue = live.bull()
    job = await queue.add("generate-completion", ASKED)
    async with await live.worker():
        await asyncio.wait_for(live.model.begun.wait(), 60)
        counts = await queue.get_job_counts()
        assert (counts["active"], counts["waiting"]) == (1, 0)
        assert [one.id for one in await queue.get_active()] == [job.id]
        live.model.gate.set()
        await job.finished(60_000)


@pytest.mark.mission("M-AI-60")
async def test_a_result_is_answered_and_stands_on_the_job(live: Place) -> None:
    job = await live.bull().add("generate-completion", ASKED)
    assert job.id
    async with await live.worker():
        result = await job.finished(60_000)
    assert result == job.returnvalue == {"conversationId": "c-1", "content": "You said: Hello", "tokens": 6}


# -- the end -----------------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-AI-71")
async def test_a_worker_that_is_told_to_stop_finishes_what_it_has_begun(live: Place) -> None:
    live.model.gate = asyncio.Event()
    running = await live.tasks.definition("generate-completion").add(ASKED)
    worker = await live.worker(shutdown_timeout=60)
    working = asyncio.create_task(worker.run())
    await asyncio.wait_for(live.model.begun.wait(), 60)
    worker.stop()
    late = await live.tasks.definition("generate-completion").add(asked("too late"))
    live.model.gate.set()
    assert await asyncio.wait_for(working, 60) == 0
    assert (await running.get()).state == "completed"
    assert (await late.get()).state == "waiting"


async def test_two_applications_in_one_process_do_not_share_their_handlers(tmp_path: Path) -> None:
    first, second = (build(tmp_path / name, "sqlite:///:memory:") for name in ("a", "b"))
    assert isinstance(first.app, Corral)
    one = first.app.definition(QueueName.AI_TASKS, "generate-completion")
    other = second.app.definition(QueueName.AI_TASKS, "generate-completion")
    assert one is not other


def test_a_job_of_another_shape_has_no_progress_but_zero() -> None:
    shown = [
        percent(text) for text in (None, "30", "30.7", '{"percent": 55, "text": "…"}', '"half"', "-3", "300", "[]")
    ]
    assert shown == [0, 30, 30, 55, 0, 0, 100, 0]


async def test_bull_and_the_service_see_the_same_job(place: Place) -> None:
    queued = await AiService(place.app).queue_completion("user-1", "c-1", "Hello")
    job = await BullQueue(QueueName.AI_TASKS, place.app).get_job(queued["jobId"])
    assert job is not None
    assert isinstance(job.job, Job)
    assert (job.opts["attempts"], job.data) == (3, {**ASKED, "model": "gpt-4", "maxTokens": 4096} | DEFAULTS)
