"""`corral doctor`, M-TS-61: one command answers why jobs do not run, with the fix."""

import json
import re
from pathlib import Path

import pytest

from corral.job import NewJob
from corral.schedule import Every, Schedule
from corral.scheduler import Scheduler
from corral.storage.port import Storage
from corral.timing import now_ms

from .helpers import FAILED, HOUR, call, finish, put, succeed, told, with_store
from .test_queues import beat


def finding(url: str, check: str) -> dict[str, object]:
    """The one finding of a check, on a store where it fails."""
    result = call("doctor", "--url", url)
    assert result.exit_code == 8
    [found] = [row for row in _rows(url) if row["check"] == check and row["verdict"] != "ok"]
    return found


def _rows(url: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in call("doctor", "--url", url, "-o", "ndjson").stdout.splitlines()]


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_a_healthy_store_passes(url: str) -> None:
    finish(url, "send-email", 30)
    put(url, NewJob(queue="send-email", name="waits"))
    beat(url, "send-email")
    assert {row["verdict"] for row in told("doctor", "--url", url)} == {"ok"}


@pytest.mark.mission("M-TS-61", "M-BI-41")
def test_m_ts_61_a_store_that_is_not_there_is_found(folder: Path) -> None:
    found = finding(f"sqlite:///{folder}/nothing.db", "store")
    assert "there is no store" in str(found["message"])
    assert "CORRAL_URL" in str(found["fix"])


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_a_store_that_is_no_store_is_found(folder: Path) -> None:
    (folder / "letter.db").write_text("dear mother\n" * 100)
    assert "letter.db" in str(finding(f"sqlite:///{folder}/letter.db", "store")["message"])


@pytest.mark.mission("M-TS-61", "M-BI-41")
def test_m_ts_61_a_queue_without_a_worker_is_found(url: str) -> None:
    put(url, *[NewJob(queue="send-email", name="waits")] * 3, NewJob(queue="other", name="waits"))
    beat(url, "other")
    found = finding(url, "worker")
    assert str(found["message"]).startswith("send-email: 3 waiting")
    assert found["fix"] == "corral worker APP --queues send-email"


@pytest.mark.mission("M-TS-61", "M-BI-41")
def test_m_ts_61_a_paused_queue_with_jobs_is_found(url: str) -> None:
    put(url, NewJob(queue="send-email", name="waits"))
    beat(url, "send-email")
    succeed("queues", "pause", "send-email", "--reason", "migration", "--url", url)
    found = finding(url, "paused")
    assert found["message"] == 'send-email is paused ("migration") while 1 job waits'
    assert found["fix"] == "corral queues resume send-email"


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_many_failures_are_found_with_the_last_reason(url: str) -> None:
    finish(url, "send-email", 18)
    failed = finish(url, "send-email", 2, FAILED)
    found = finding(url, "errors")
    assert "10 % of 20 jobs failed in 15 min; last: RuntimeError: 550 no such mailbox" in str(found["message"])
    newest = re.match(r"corral jobs show (\d+) --queue send-email; .*: corral jobs retry --queue", str(found["fix"]))
    assert newest is not None
    assert newest[1] in failed


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_a_few_failures_are_a_warning(url: str) -> None:
    finish(url, "send-email", 1, FAILED)
    [found] = [row for row in told("doctor", "--url", url) if row["check"] == "errors"]
    assert found["verdict"] == "warning"


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_old_failures_are_no_news(url: str) -> None:
    finish(url, "send-email", 30, FAILED, ago=HOUR)
    assert {row["verdict"] for row in told("doctor", "--url", url)} == {"ok"}


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_a_schedule_without_a_next_run_is_found(url: str) -> None:
    lost = Schedule(key="daily", queue="send-email", name="x", timing=Every(3600))

    async def work(storage: Storage) -> None:
        await storage.put_schedules([lost])

    with_store(url, work)
    found = finding(url, "schedules")
    assert "daily of send-email has no next run" in str(found["message"])
    assert found["fix"] == "corral schedules repair daily; a worker's scheduler arms it within 30 s"


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_a_schedule_that_nobody_serves_is_found(url: str) -> None:
    late = Schedule(key="daily", queue="send-email", name="x", timing=Every(3600), next_at=now_ms() - 10 * 60_000)

    async def work(storage: Storage) -> None:
        await storage.put_schedules([late])

    with_store(url, work)
    found = finding(url, "schedules")
    assert "daily of send-email was due 10 min" in str(found["message"])
    assert "--no-scheduler" in str(found["fix"])


@pytest.mark.mission("M-TS-61")
def test_m_ts_61_a_paused_or_ended_schedule_is_nothing_to_worry_about(url: str) -> None:
    async def work(storage: Storage) -> None:
        await Scheduler(storage).put(Schedule(key="over", queue="q", name="x", timing=Every(60), end_at=1_000))
        await Scheduler(storage).put(Schedule(key="rests", queue="q", name="x", timing=Every(60)))
        await Scheduler(storage).pause("q", "rests")

    with_store(url, work)
    assert {row["verdict"] for row in told("doctor", "--url", url)} == {"ok"}


@pytest.mark.mission("M-TS-53")
def test_m_ts_53_failing_jobs_end_the_check_with_8_so_that_a_monitor_raises_the_alarm(url: str) -> None:
    finish(url, "send-email", 18)
    finish(url, "send-email", 2, FAILED)
    assert call("doctor", "--url", url).exit_code == 8
