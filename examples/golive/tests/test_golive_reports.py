"""The five reports, made of the platform's own data and of what builds and scanners leave behind."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from corral import Cron, Figures, JobHandle, PayloadError
from corral.handlers.reports import EXPECTED_SECONDS
from corral.testing import drain
from examples.golive.build import Platform
from examples.golive.payloads import ReportJobType
from examples.golive.queues import QueueName

from .conftest import PATIENCE, fill, mails, make, text_of

PAYLOADS: dict[ReportJobType, dict[str, object]] = {
    ReportJobType.PIPELINE_REPORT: {"pipelineId": "shop-main"},
    ReportJobType.TEST_COVERAGE: {"projectId": "shop"},
    ReportJobType.SECURITY_SCAN: {"projectId": "billing"},
    ReportJobType.ANALYTICS: {},
    ReportJobType.AUDIT_LOG: {},
}
KINDS = [
    pytest.param(ReportJobType.PIPELINE_REPORT, "Shop main", 30, marks=pytest.mark.mission("M-GL-20", "M-GL-46")),
    pytest.param(ReportJobType.TEST_COVERAGE, "orders.py", 20, marks=pytest.mark.mission("M-GL-21", "M-GL-46")),
    pytest.param(ReportJobType.SECURITY_SCAN, "weak-hash", 15, marks=pytest.mark.mission("M-GL-22", "M-GL-46")),
    pytest.param(ReportJobType.ANALYTICS, "Build minutes", 60, marks=pytest.mark.mission("M-GL-23", "M-GL-46")),
    pytest.param(ReportJobType.AUDIT_LOG, "Ann Lee", 45, marks=pytest.mark.mission("M-GL-24", "M-GL-46")),
]


async def result_of(handle: JobHandle[object]) -> dict[str, object]:
    """What a job that has completed returned."""
    result = await handle.result(timeout=PATIENCE)
    assert isinstance(result, dict)
    return result


async def page_of(platform: Platform, result: dict[str, object]) -> str:
    """The HTML document of a report."""
    documents = result["documents"]
    assert isinstance(documents, list)
    [id] = [one["id"] for one in documents if one["format"] == "html"]
    async with platform.golive.database:
        stored = await platform.shelf.find(id)
        assert stored is not None
        body = await platform.shelf.read(stored)
    assert body is not None
    return body.decode()


@pytest.mark.parametrize(("kind", "says", "seconds"), KINDS)
async def test_each_report_is_made_of_what_there_is(
    golive: Platform, kind: ReportJobType, says: str, seconds: int
) -> None:
    await fill(golive)
    data = {**PAYLOADS[kind], "period": "30d", "formats": ["html"], "userId": "user-1"}
    handle = await golive.service.add_report_job(kind, data)

    done = await drain(golive.app, queues=[QueueName.REPORT])

    assert (done.completed, done.reasons) == (1, ())
    result = await result_of(handle)
    assert says in await page_of(golive, result)
    assert (result["expectedSeconds"], EXPECTED_SECONDS[kind]) == (seconds, seconds)
    assert (await handle.queue.get(handle.id)).progress == "100"


@pytest.mark.mission("M-GL-20", "M-GL-32")
async def test_a_report_is_asked_for_as_it_always_was_and_mailed_to_who_asked(golive: Platform, tmp_path: Path) -> None:
    await fill(golive)
    handle = await golive.service.add_report_job(
        ReportJobType.PIPELINE_REPORT,
        {"pipelineId": "shop-main", "startDate": "2025-10-01", "endDate": "2025-10-23", "userId": "user-1"},
    )

    done = await drain(golive.app)

    assert (done.completed, done.reasons) == (2, ())
    assert (await result_of(handle))["period"] == "1–23 Oct 2025"
    [mail] = mails(tmp_path)
    assert "user-1@example.com" in mail["To"]
    assert "Pipeline report" in text_of(mail)


@pytest.mark.mission("M-GL-25")
async def test_how_long_reports_take_is_known_by_their_names_and_slow_ones_are_marked(
    platform_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(EXPECTED_SECONDS, ReportJobType.AUDIT_LOG, -1)  # nothing is as fast as that
    platform = make(platform_url, tmp_path)
    await fill(platform, days=7)
    kinds = (ReportJobType.AUDIT_LOG, ReportJobType.ANALYTICS)
    async with platform.app:
        async with await platform.app.worker():
            handles = [
                await platform.service.add_report_job(kind, {"period": "7d", "formats": ["html"]}) for kind in kinds
            ]
            results = [await result_of(handle) for handle in handles]
        samples = await (await platform.app.open_queue(QueueName.REPORT)).series("hour")

    assert [(result["slow"], result["expectedSeconds"]) for result in results] == [(True, -1), (False, 60)]
    warned = [record.getMessage() for record in caplog.records if "more than the expected" in record.getMessage()]
    assert len(warned) == 1
    assert warned[0].startswith(f"report of job {handles[0].id} took ")
    figures = Figures.by_name(samples)
    assert [figures[kind].completed for kind in kinds] == [1, 1]
    assert [figures[kind].run.p50 is not None for kind in kinds] == [True, True]


@pytest.mark.parametrize(
    ("kind", "data", "complaint"),
    [
        (ReportJobType.PIPELINE_REPORT, {}, "pipelineId"),
        (ReportJobType.TEST_COVERAGE, {"pipelineId": "x"}, "projectId"),
        (ReportJobType.ANALYTICS, {"startDate": "2025-10-23", "endDate": "2025-10-01"}, "is before startDate"),
        (ReportJobType.ANALYTICS, {"formats": ["docx"]}, "formats"),
    ],
)
async def test_what_no_report_can_be_made_of_is_refused_when_it_is_added(
    golive: Platform, kind: ReportJobType, data: dict[str, object], complaint: str
) -> None:
    with pytest.raises(PayloadError) as caught:
        await golive.service.add_report_job(kind, data)

    assert complaint in str(caught.value)


@pytest.mark.mission("M-GL-38", "M-GL-39")
@pytest.mark.parametrize(
    ("cron", "month", "day", "hour", "minute"),
    [
        ("0 * * * *", 10, 24, 10, 0),
        ("0 0 * * *", 10, 25, 0, 0),
        ("0 9 * * 1-5", 10, 27, 9, 0),  # the next day is a Saturday
        ("*/15 * * * *", 10, 24, 9, 15),
        ("0 0 1 * *", 11, 1, 0, 0),
        ("0 9 * * 1", 10, 27, 9, 0),
    ],
)
async def test_reports_come_again_by_the_forms_of_cron_lines(
    idle: Platform, cron: str, month: int, day: int, hour: int, minute: int
) -> None:
    data = {"period": "7d"}

    job = await idle.service.manager.add_repeating_job(QueueName.REPORT, ReportJobType.ANALYTICS, data, cron)

    [schedule] = (await (await idle.app.open()).schedules(queue=QueueName.REPORT)).items
    assert isinstance(schedule.timing, Cron)
    assert (schedule.timing.expression, schedule.name) == (cron, ReportJobType.ANALYTICS)
    assert (job.name, job.data) == (ReportJobType.ANALYTICS, data)
    friday = datetime(2025, 10, 24, 9, tzinfo=UTC)
    following = schedule.timing.next_after(int(friday.timestamp() * 1000))
    assert datetime.fromtimestamp(following / 1000, UTC) == datetime(2025, month, day, hour, minute, tzinfo=UTC)
