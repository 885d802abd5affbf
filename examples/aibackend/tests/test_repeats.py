"""What repeats: the table of schedules, zones, slots, and repeatable jobs in Bull's words."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from corral import JobContext
from corral.testing import FakeClock, drain, fire_schedules
from corral.testing.app import lent

from .conftest import Place, build
from .test_queue import HOUR


@pytest.mark.mission("M-AI-34", "M-AI-35", "M-AI-36")
async def test_the_table_of_schedules_is_the_guide_s_and_the_house_s(place: Place) -> None:
    timings = {one.key: str(one.timing) for one in place.app.schedules.declared()}
    assert list(timings) == [
        "daily-report", "cleanup", "sync", "expired-tokens", "daily-backup", "verify-backups", "health-check"
    ]  # fmt: skip
    assert "0 3 * * *" in timings["daily-report"]
    assert "America/New_York" in timings["daily-report"]
    assert "*/5 * * * *" in timings["cleanup"]
    assert "3600" in timings["sync"]


@pytest.mark.mission("M-AI-34")
@pytest.mark.parametrize(
    ("now", "due"),
    [
        (datetime(2026, 11, 23, 7, 59, 59, tzinfo=UTC), datetime(2026, 11, 23, 8, tzinfo=UTC)),  # winter: UTC-5
        (datetime(2026, 7, 1, 6, 59, 59, tzinfo=UTC), datetime(2026, 7, 1, 7, tzinfo=UTC)),  # summer: UTC-4
        (datetime(2026, 11, 1, 7, 59, 59, tzinfo=UTC), datetime(2026, 11, 1, 8, tzinfo=UTC)),  # the clocks went back
    ],
)
async def test_the_report_comes_at_three_in_new_york(
    tmp_path: Path, platform_url: str, now: datetime, due: datetime
) -> None:
    place, clock = build(tmp_path, platform_url), FakeClock(now)
    async with place.database, lent(place.app, platform_url, clock):
        clock.advance(1)
        report = {job.schedule: job for job in await fire_schedules(place.app)}["daily-report"]
        assert report.scheduled_for == due.timestamp() * 1000


@pytest.mark.mission("M-AI-35", "M-AI-36", "M-AI-67")
async def test_the_clean_up_comes_every_five_minutes_and_the_search_every_hour(place: Place) -> None:
    fired: list[str | None] = []
    for _ in range(12):
        place.clock.advance(300)
        fired += [job.schedule for job in await fire_schedules(place.app)]
    assert fired.count("cleanup") == 12
    assert fired.count("sync") == 1


@pytest.mark.mission("M-AI-37")
async def test_a_report_s_date_is_made_when_it_is_due_and_the_job_knows_its_slot(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    class Later(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Later":
            made.append("asked")
            return cls(2030, 1, 2, 12, tzinfo=UTC)

    slots: list[datetime | None] = []

    @place.app.middleware
    async def note(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        if ctx.name == "daily-report":
            slots.append(ctx.scheduled_for)
        return await call_next()

    assert made == []  # the table has been declared, and no date has been asked for
    monkeypatch.setattr("examples.aibackend.schedules.datetime", Later)
    place.clock.advance(24 * HOUR)
    jobs = await fire_schedules(place.app)
    [report] = [job for job in jobs if job.schedule == "daily-report"]
    assert '"date":"2030-01-02"' in report.data
    await drain(place.app)
    assert slots == [datetime(2026, 11, 24, 8, tzinfo=UTC)]
    # What the clock says when a late worker makes the payload does not matter: it is about the day before its slot.
    assert await place.data.report("2026-11-23") is not None
    assert await place.data.report("2030-01-01") is None


@pytest.mark.mission("M-AI-38")
async def test_what_repeats_is_listed_and_removed_by_key(place: Place) -> None:
    queue = place.bull()
    await queue.add(
        "generate-embeddings", {"texts": ["x"]}, {"repeat": {"cron": "0 3 * * *", "tz": "America/New_York"}}
    )
    await queue.add("generate-embeddings", {"texts": ["x"]}, {"repeat": {"pattern": "*/5 * * * *"}})
    await queue.add("generate-embeddings", {"texts": ["x"]}, {"repeat": {"every": 3_600_000}})
    repeatable = await queue.get_repeatable_jobs()
    assert sorted(str(one.get("pattern") or one.get("cron") or one.get("every")) for one in repeatable) == [
        "*/5 * * * *", "0 3 * * *", "3600000"
    ]  # fmt: skip
    assert await queue.remove_repeatable_by_key(str(repeatable[0]["key"]))
    assert len(await queue.get_repeatable_jobs()) == 2
    assert not await queue.remove_repeatable_by_key("no such key")
