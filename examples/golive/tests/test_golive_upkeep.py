"""What runs by the clock: clean-ups, the backup, the health check, the figures of a day."""

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from corral import Cron, JobState
from corral.testing import FakeClock, drain, fire_schedules
from examples.golive.build import Platform
from examples.golive.payloads import CleanupJobType
from examples.golive.queues import JobPriority, QueueName
from examples.golive.schedules import CLEANUP, SCHEDULES
from examples.golive.tables import daily_figures, refresh_tokens

from .conftest import NOON, fill

FOUR = {
    "expired-tokens": "0 2 * * *",
    "old-logs": "0 3 * * *",
    "temp-files": "0 4 * * *",
    "old-artifacts": "0 4 * * 0",
}


def old_file(path: Path, days: float, text: str = "x") -> Path:
    """A file that was last changed so many days ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = datetime.now(UTC).timestamp() - days * 86_400
    os.utime(path, (then, then))
    return path


async def scheduled(platform: Platform) -> dict[str, str]:
    """The stored schedules: key and cron line."""
    page = await (await platform.app.open()).schedules()
    return {entry.key: entry.timing.expression for entry in page.items if isinstance(entry.timing, Cron)}


@pytest.mark.mission("M-GL-26", "M-GL-33")
async def test_expired_tokens_are_removed(golive: Platform) -> None:
    await fill(golive, days=1)
    handle = await golive.service.add_cleanup_job(CleanupJobType.EXPIRED_TOKENS)

    await drain(golive.app)

    async with golive.golive.database, golive.golive.database.connect() as connection:
        left = (await connection.execute(sa.select(refresh_tokens.c.expires_at))).scalars().all()
    result = await handle.result(timeout=30)
    assert isinstance(result, dict)
    assert (result["removed"], len(left)) == (40, 20)


@pytest.mark.mission("M-GL-27")
async def test_logs_older_than_thirty_days_are_archived(golive: Platform) -> None:
    old = old_file(golive.home / "logs" / "system-old.log", 31, "a line\n")
    young = old_file(golive.home / "logs" / "system-young.log", 29)
    await golive.service.add_cleanup_job(CleanupJobType.OLD_LOGS, {}, JobPriority.LOW)

    done = await drain(golive.app)

    assert (done.completed, old.exists(), young.exists()) == (1, False, True)
    [archived] = [path for path in (golive.home / "archive").rglob("*.gz") if path.is_file()]
    assert gzip.decompress(archived.read_bytes()) == b"a line\n"


@pytest.mark.mission("M-GL-28")
async def test_old_temporary_files_are_removed(golive: Platform) -> None:
    old = old_file(golive.home / "tmp" / "old.part", 2)
    young = old_file(golive.home / "tmp" / "young.part", 0.5)
    await golive.service.add_cleanup_job(CleanupJobType.TEMP_FILES)

    await drain(golive.app)

    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.mission("M-GL-29")
async def test_artifacts_older_than_seven_days_are_removed(golive: Platform) -> None:
    folder = golive.home / "pipelines" / "artifacts"
    old, young = old_file(folder / "a" / "app.bin", 8), old_file(folder / "b" / "app.bin", 6)
    await golive.service.add_cleanup_job(CleanupJobType.OLD_ARTIFACTS)

    await drain(golive.app)

    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.mission("M-GL-33")
async def test_a_cleanup_is_low_unless_somebody_says_otherwise(idle: Platform) -> None:
    low = await idle.service.add_cleanup_job(CleanupJobType.OLD_LOGS)
    high = await idle.service.add_cleanup_job(CleanupJobType.OLD_LOGS, {"dryRun": True}, JobPriority.HIGH)

    priorities = [(await handle.queue.get(handle.id)).priority for handle in (low, high)]
    assert priorities == [JobPriority.LOW, JobPriority.HIGH]


@pytest.mark.mission("M-GL-26", "M-GL-27", "M-GL-28", "M-GL-29", "M-GL-30")
async def test_one_call_makes_all_four_schedules_and_a_second_one_none(idle: Platform) -> None:
    first = await idle.service.schedule_daily_cleanup()
    second = await idle.service.schedule_daily_cleanup()

    assert first == second == list(FOUR)
    assert await scheduled(idle) == FOUR
    assert {key: line.cron for key, line in CLEANUP.items()} == FOUR


@pytest.mark.mission("M-GL-26", "M-GL-27", "M-GL-28", "M-GL-29", "M-GL-65", "M-GL-66")
async def test_a_night_from_saturday_to_sunday(golive: Platform, clock: FakeClock) -> None:
    clock.advance_to(datetime(2025, 10, 26, 0, 15, tzinfo=UTC))  # Sunday
    await fire_schedules(golive.app)
    await drain(golive.app)
    ran: list[tuple[str, str]] = []
    for _ in range(5 * 4):
        clock.advance(900)
        ran += [(f"{clock.now:%H:%M}", job.name) for job in await fire_schedules(golive.app)]
        await drain(golive.app)

    assert sorted(one for one in ran if one[1] != "health-check") == [
        ("00:30", "daily-figures"),
        ("01:00", "daily-backup"),
        ("02:00", "expired-tokens"),
        ("03:00", "old-logs"),
        ("04:00", "old-artifacts"),
        ("04:00", "temp-files"),
        ("05:00", "expired-reports"),
    ]
    assert [time for time, name in ran if name == "health-check"] == ["01:00", "02:00", "03:00", "04:00", "05:00"]


@pytest.mark.mission("M-GL-65")
async def test_the_nightly_backup_is_a_full_one_that_can_be_restored(golive: Platform) -> None:
    await fill(golive, days=1)
    line = SCHEDULES["daily-backup"]
    assert (line.queue, line.cron, line.data) == (QueueName.ANALYTICS, "0 1 * * *", {"type": "full"})
    handle = await golive.app.definition(QueueName.ANALYTICS, "daily-backup").add(line.data)

    done = await drain(golive.app)

    assert (done.completed, done.reasons) == (1, ())
    result = await handle.result(timeout=30)
    [backup] = result["backups"]
    assert (backup["source"], backup["type"]) == ("golive", "full")
    [file] = (golive.home / "backups").rglob(backup["file"])
    assert gzip.decompress(file.read_bytes()).startswith(b"SQLite format 3")


@pytest.mark.mission("M-GL-66")
async def test_the_hourly_health_check_looks_at_everything(golive: Platform) -> None:
    line = SCHEDULES["health-check"]
    assert (line.queue, line.cron, line.data) == (QueueName.ANALYTICS, "0 * * * *", {})
    handle = await golive.app.definition(QueueName.ANALYTICS, "health-check").add(line.data)

    await drain(golive.app)

    result = await handle.result(timeout=30)
    names = [check["name"] for check in result["checks"]]
    assert names[:2] == ["database", "store"]
    assert [f"queue {name}" for name in QueueName] == names[3:]


@pytest.mark.mission("M-GL-65", "M-GL-66", "M-GL-38")
async def test_custom_schedules_are_added_as_they_always_were(idle: Platform) -> None:
    manager = idle.service.manager

    backup = await manager.add_repeating_job(QueueName.ANALYTICS, "daily-backup", {"type": "full"}, "0 1 * * *")
    for _ in range(2):  # a second time is once
        await manager.addRepeatingJob(QueueName.ANALYTICS, "health-check", {}, "0 * * * *")

    assert (backup.name, backup.job.schedule) == ("daily-backup", "daily-backup")
    assert await scheduled(idle) == {"daily-backup": "0 1 * * *", "health-check": "0 * * * *"}


@pytest.mark.mission("M-GL-65", "M-GL-66", "M-GL-38")
async def test_a_schedule_of_the_table_is_not_doubled_and_one_of_ones_own_stands_beside_it(idle: Platform) -> None:
    manager = idle.service.manager
    await idle.app.sync_schedules()
    table = await scheduled(idle)

    await manager.add_repeating_job(QueueName.ANALYTICS, "daily-backup", {"type": "full"}, "0 1 * * *")
    await manager.add_repeating_job(QueueName.ANALYTICS, "health-check", {}, "0 * * * *")
    assert await scheduled(idle) == table

    await manager.add_repeating_job(QueueName.ANALYTICS, "daily-backup", {"type": "full"}, "0 13 * * *")
    assert sorted((await scheduled(idle)).values()) == sorted([*table.values(), "0 13 * * *"])


async def test_a_days_figures_are_calculated_once(golive: Platform) -> None:
    await fill(golive, days=3)
    day = (datetime.now(UTC) - timedelta(1)).date()
    handles = [
        await golive.app.definition(QueueName.ANALYTICS, "daily-figures").add({"day": day.isoformat()})
        for _ in range(2)
    ]

    await drain(golive.app)

    results = [await handle.result(timeout=30) for handle in handles]
    assert results[0] == results[1]
    assert results[0]["figures"]["Pipeline runs"] > 0
    async with golive.golive.database, golive.golive.database.connect() as connection:
        query = sa.select(sa.func.count()).where(daily_figures.c.day == day)
        assert (await connection.execute(query)).scalar() == 6


async def test_without_a_day_the_figures_are_those_of_the_day_before_the_schedules_slot(
    golive: Platform, clock: FakeClock
) -> None:
    clock.advance_to(NOON + timedelta(hours=12, minutes=31))  # Friday, half past midnight
    added = [job for job in await fire_schedules(golive.app) if job.name == "daily-figures"]

    await drain(golive.app)

    queue = await golive.app.open_queue(QueueName.ANALYTICS)
    job = await queue.get(added[0].id)
    assert job.state is JobState.COMPLETED
    result = await queue.result(job.id, timeout=30)
    assert isinstance(result, dict)
    assert result["day"] == "2025-10-23"
