"""TeamSpark's own words: queues, job types, payloads, defaults. Its other lines are tested where the behaviour is."""

import asyncio
import json
import logging
from enum import Enum, StrEnum
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from corral import Corral, Every, Exponential, JobContext, JobHandle, JobState, Keep, RateLimit
from corral.errors import PayloadError
from corral.testing import FakeClock, assert_added, drain
from corral.worker.run import current_job
from tests.engine.helpers import GUARD, on_clock, reason, work_off, working


class JobType(StrEnum):
    SEND_EMAIL = "send-email"
    SYNC_SLACK = "sync-slack"
    GENERATE_REPORT = "generate-report"
    CLEANUP_OLD_DATA = "cleanup-old-data"
    SEND_KUDOS_NOTIFICATION = "send-kudos-notification"
    PROCESS_CHECKIN = "process-checkin"
    CALCULATE_METRICS = "calculate-metrics"


class OldJobType(str, Enum):  # noqa: UP042  # how many code bases write it
    SEND_EMAIL = "send-email"
    WELCOME = "welcome-email"


def teamspark(url: str, **options: Any) -> Corral:
    """The guide's queues with its default job options."""
    app = Corral(url, name="teamspark")
    for job_type in JobType:
        app.queue(job_type, attempts=3, backoff=Exponential(2), keep_failed=Keep(age=24 * 3600), **options)
    return app


#: Payloads that are told from the others.
URGENT, SCHEDULED = 1_000, 2_000

# -- queues and job types ----------------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-01", "M-TS-60")
async def test_m_ts_01_retries_schedules_priorities_progress_and_many_workers_work_together(url: str) -> None:
    begun: list[int] = []
    done: list[tuple[str, int]] = []
    worked: set[int] = set()
    both, fired = asyncio.Event(), asyncio.Event()

    def instance(number: int) -> Corral:
        app = Corral(url)
        queue = app.queue("send-email", attempts=3, backoff=0, concurrency=2)

        @queue.job("reminder")
        async def reminder(ctx: JobContext, data: int) -> int:
            begun.append(data)
            worked.add(number)
            if len(worked) == 2:
                both.set()
            await both.wait()  # nobody does it all alone
            await ctx.progress(50)
            if data % 3 == 0 and ctx.attempt == 1:
                raise ConnectionError("SMTP server is busy")
            done.append((ctx.id, ctx.attempt))
            if data == SCHEDULED:
                fired.set()
            return data

        app.schedule("soon", Every(0.1), reminder, SCHEDULED, limit=1)
        return app

    one, two = instance(1), instance(2)
    async with one, two:
        handles = await one.definition("send-email", "reminder").add_bulk(list(range(30)))
        handles.append(await two.definition("send-email", "reminder").add(30, delay=0.05))
        handles.append(await two.definition("send-email", "reminder").add(URGENT, priority=1))
        async with asyncio.timeout(GUARD), working(one), working(two):
            assert [await handle.result(timeout=GUARD) for handle in handles] == [*range(31), URGENT]
            await fired.wait()
        assert {(await handle.get()).progress for handle in handles} == {"50"}
    assert URGENT in begun[:4]  # of the first in the four slots
    assert worked == {1, 2}
    assert len({job_id for job_id, _ in done}) == len(done) == 33
    assert sum(attempt == 2 for _, attempt in done) == 11


@pytest.mark.parametrize("number", [f"{number:02}" for number in range(2, 9)])
async def test_m_ts_02_to_08_each_of_the_seven_queues_takes_and_runs_its_jobs(local_url: str, number: str) -> None:
    job_type = list(JobType)[int(number) - 2]
    app = teamspark(local_url)

    @app.queues[job_type].job("work")
    async def work(data: dict[str, str]) -> str:
        return data["from"]

    async with app:
        handle = await work.add({"from": job_type})
        await work_off(app)
        assert await handle.result(timeout=GUARD) == job_type.value


@pytest.mark.parametrize(("queue_name", "job_name"), [
    (JobType.SEND_EMAIL, JobType.SEND_EMAIL), (OldJobType.SEND_EMAIL, OldJobType.WELCOME),
])  # fmt: skip
@pytest.mark.mission("M-TS-09")
async def test_m_ts_09_members_of_an_enum_are_names_of_queues_and_handlers(
    local_url: str, queue_name: Any, job_name: Any
) -> None:
    app = Corral(local_url)
    queue = app.queue(queue_name)

    @queue.job(job_name)
    async def work(ctx: JobContext) -> list[str]:
        return [ctx.queue, ctx.name]

    async with app:
        live = await app.open_queue(queue_name)
        handles: list[JobHandle[Any]] = [await work.add(), await live.add(job_name), await live.add(job_name.value)]
        async with working(app):
            for handle in handles:
                assert await handle.result(timeout=GUARD) == [queue_name.value, job_name.value]
        assert (await (await app.open_queue("send-email")).counts()).completed == 3


@pytest.mark.mission("M-TS-23")
async def test_m_ts_23_the_guides_job_names_are_job_names(local_url: str) -> None:
    names = ["welcome-email", "reminder", "urgent", "team-update", "sync-users", "monthly-report", "engagement-metrics"]
    app = teamspark(local_url)
    ran: list[str] = []

    async def work(ctx: JobContext) -> None:
        ran.append(ctx.name)

    for name in names:
        app.queues["send-email"].job(name)(work)
    async with on_clock(app):
        for name in names:
            await app.definition("send-email", name).add()
            await assert_added(app, name, count=1, queue="send-email")
        await drain(app)
    assert ran == names


# -- payloads ----------------------------------------------------------------------------------------------------------


class SendEmail(BaseModel):
    to: str
    subject: str
    template: str
    data: dict[str, Any] = {}


class SyncSlack(BaseModel):
    workspaceId: str  # noqa: N815  # the guide's spelling
    syncType: Literal["users", "channels", "messages"]  # noqa: N815


class GenerateReport(BaseModel):
    organizationId: str  # noqa: N815
    reportType: Literal["weekly", "monthly", "quarterly"]  # noqa: N815
    recipientIds: list[str]  # noqa: N815


class CalculateMetrics(BaseModel):
    organizationId: str  # noqa: N815
    metricType: Literal["engagement", "performance", "satisfaction"]  # noqa: N815
    period: Literal["daily", "weekly", "monthly"]


GUIDE: dict[str, tuple[type[BaseModel], dict[str, Any], dict[str, Any], int]] = {
    "m_ts_38": (
        SendEmail,
        {"to": "ann@example.com", "subject": "Kudos", "template": "team-update",
         "data": {"kudosCount": 25, "topPerformers": ["ann", "bob"]}},
        {"to": "ann@example.com", "data": "none"}, 3,
    ),
    "m_ts_39": (SyncSlack, {"workspaceId": "T1", "syncType": "users"}, {"workspaceId": "T1", "syncType": "emoji"}, 1),
    "m_ts_40": (
        GenerateReport, {"organizationId": "o", "reportType": "weekly", "recipientIds": ["1", "2"]},
        {"organizationId": "o", "reportType": "yearly", "recipientIds": "1"}, 2,
    ),
    "m_ts_41": (
        CalculateMetrics, {"organizationId": "o", "metricType": "engagement", "period": "daily"},
        {"metricType": "mood", "period": "hourly"}, 3,
    ),
}  # fmt: skip


@pytest.mark.parametrize("line", GUIDE)
@pytest.mark.mission("M-TS-38", "M-TS-39", "M-TS-40", "M-TS-41")
async def test_m_ts_38_to_41_the_guides_payloads_are_checked_and_arrive_typed(local_url: str, line: str) -> None:
    model, good, bad, complaints = GUIDE[line]
    app = Corral(local_url)
    seen: list[object] = []

    async def work(data: Any) -> None:
        seen.append(data)

    work.__annotations__["data"] = model
    job: Any = app.queue("work").job("work")(work)
    async with app:
        with pytest.raises(PayloadError) as caught:
            await job.add(bad)
        assert len(caught.value.errors) == complaints
        handle = await job.add(model(**good))
        assert json.loads((await handle.get()).data) == good
        await work_off(app)
    assert seen == [model(**good)]


# -- defaults, errors and logs -----------------------------------------------------------------------------------------


@pytest.mark.mission("M-TS-44")
async def test_m_ts_44_the_default_options_of_the_queues_can_be_overridden_for_one_job(local_url: str) -> None:
    app = teamspark(local_url)

    @app.queues["send-email"].job("welcome-email")
    async def welcome() -> None:
        raise ConnectionError("SMTP server is busy")

    async with on_clock(app, clock=FakeClock()):
        usual, once = await welcome.add(), await welcome.add(attempts=1, backoff=60)
        done = await drain(app)
        jobs = [await usual.get(), await once.get()]
    assert [(job.state, job.attempts_made) for job in jobs] == [(JobState.FAILED, 3), (JobState.FAILED, 1)]
    assert 6 <= done.seconds <= 6.6


@pytest.mark.mission("M-TS-46", "M-GL-75", "M-AI-57")
async def test_m_ts_46_a_handler_that_throws_is_logged_and_tried_again(
    local_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = teamspark(local_url)

    @app.queues["send-email"].job("welcome-email")
    async def welcome() -> None:
        raise ConnectionError("SMTP server is busy")

    async with on_clock(app, clock=FakeClock()):
        handle = await welcome.add()
        with caplog.at_level(logging.WARNING, "corral.worker"):
            await drain(app)
    records = [
        (record.levelname, record.message, vars(record)["jobId"], vars(record)["error"]) for record in caplog.records
    ]
    said = "ConnectionError: SMTP server is busy"
    assert records == [
        ("WARNING", "job retrying", handle.id, said), ("WARNING", "job retrying", handle.id, said),
        ("ERROR", "Job failed", handle.id, said),
    ]  # fmt: skip
    assert "in welcome" in vars(caplog.records[-1])["stack"]


@pytest.mark.mission("M-TS-33", "M-TS-34")
async def test_m_ts_33_and_34_what_a_handler_logs_can_be_told_apart_by_job(
    local_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = teamspark(local_url)
    log = logging.getLogger("teamspark.mail")
    ids: list[str | None] = []

    class Remember(logging.Filter):
        def filter(self, record: logging.LogRecord) -> bool:
            job = current_job.get()
            ids.append(None if job is None else job.id)
            return True

    @app.queues["send-email"].job("welcome-email")
    async def welcome(data: dict[str, str]) -> None:
        log.info("Processing email job", extra={"to": data["to"]})
        await asyncio.sleep(0)
        log.info("Email sent successfully")

    log.addFilter(Remember())
    async with on_clock(app):
        await welcome.add_bulk([{"to": "ann"}, {"to": "bob"}])
        with caplog.at_level(logging.INFO, "teamspark.mail"):
            async with working(app, burst=True) as worker:
                await worker.wait()
    assert sorted(str(job_id) for job_id in ids) == ["1", "1", "2", "2"]
    assert [record.message for record in caplog.records if record.name == "teamspark.mail"].count(
        "Processing email job"
    ) == 2


@pytest.mark.mission("M-TS-39")
async def test_m_ts_39_a_refused_payload_does_not_reach_its_handler_however_it_was_added(local_url: str) -> None:
    app = teamspark(local_url)
    ran: list[object] = []

    @app.queues["sync-slack"].job("sync-users")
    async def sync(data: SyncSlack) -> None:
        ran.append(data)

    async with app, working(app):
        live = await app.open_queue("sync-slack")
        handle = await live.add("sync-users", {"workspaceId": 7, "syncType": "all"}, attempts=3)
        said = await reason(handle)
        assert (await handle.get()).attempts_made == 1
    assert "workspaceId" in said
    assert "syncType" in said
    assert ran == []


@pytest.mark.mission("M-TS-29", "M-TS-30")
async def test_m_ts_29_and_30_the_six_counts_are_there_and_paused_means_held(local_url: str) -> None:
    app = teamspark(local_url, rate_limit=RateLimit(10, per=1))
    queue = app.queues["send-email"]

    @queue.job("work")
    async def work(data: str) -> None:
        if data == "bad":
            raise ValueError

    async with on_clock(app):
        live = await queue.open()
        await work.add_bulk(["good", "good"])
        await work.add("bad", attempts=1)
        await drain(app)
        await work.add("good", delay=60)
        await live.pause()
        await work.add_bulk(["good"] * 4)
        counts = await live.counts()
    assert (counts.waiting, counts.active, counts.completed, counts.failed, counts.delayed, counts.paused) == (
        4, 0, 2, 1, 1, 4,
    )  # fmt: skip
