"""What the platform says: lines about every job, and warnings about its queues."""

import asyncio
import logging
from pathlib import Path

import pytest

from corral.testing import drain
from examples.golive.build import Platform, make_platform
from examples.golive.health import MAX_FAILED, MAX_WAITING, check_queues
from examples.golive.payloads import EmailJobType
from examples.golive.queues import QueueName
from examples.golive.settings import Settings

from .conftest import PATIENCE, explode, fail_some

WELCOME = {"to": "user@example.com", "context": {"username": "John Doe"}}


def lines(caplog: pytest.LogCaptureFixture, logger: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == logger]


@pytest.mark.mission("M-GL-75")
async def test_a_job_is_logged_when_it_starts_and_when_it_has_completed(
    golive: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    handle = await golive.service.add_email_job(EmailJobType.WELCOME, WELCOME)

    await drain(golive.app)

    started, completed = lines(caplog, "golive.jobs")
    assert (started.getMessage(), completed.getMessage()) == ("Job started", "Job completed")
    assert (vars(started)["jobId"], vars(started)["type"]) == (handle.id, "welcome")
    assert "user@example.com" in str(vars(started)["data"])
    assert vars(completed)["jobId"] == handle.id
    assert vars(completed)["result"] == await handle.result(timeout=PATIENCE)


@pytest.mark.mission("M-GL-75")
async def test_a_job_that_fails_is_logged_with_its_error_and_its_stack(
    golive: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    golive.service.manager.process_jobs(QueueName.EMAIL, "explodes", explode)
    job = await golive.service.manager.add_job(QueueName.EMAIL, "explodes", {}, {"attempts": 1})

    await drain(golive.app)

    [failed] = lines(caplog, "golive.jobs")
    assert (failed.getMessage(), failed.levelno) == ("Job failed", logging.ERROR)
    assert (vars(failed)["jobId"], vars(failed)["error"]) == (job.id, "SMTP connection timeout for explodes")
    assert failed.exc_info is not None
    assert "explode" in str(failed.exc_text or logging.Formatter().formatException(failed.exc_info))


async def test_secrets_in_a_payload_are_not_logged(golive: Platform, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    golive.service.manager.process_jobs(QueueName.EMAIL, "log-in", lambda job: None)
    await golive.service.manager.add_job(QueueName.EMAIL, "log-in", {"password": "hunter2"})

    await drain(golive.app)

    assert "hunter2" not in str([vars(record) for record in caplog.records])


@pytest.mark.mission("M-GL-77")
async def test_too_many_failures_and_a_long_queue_are_warned_of(
    golive: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    manager = golive.service.manager
    await fail_some(manager, MAX_FAILED + 1)
    queue = manager.queue(QueueName.NOTIFICATION)
    await queue.add_bulk([{"name": "push", "data": {}} for _ in range(MAX_WAITING + 1)])

    await check_queues(manager)

    warnings = lines(caplog, "golive.health")
    assert [record.levelno for record in warnings] == [logging.WARNING] * 2
    told = [(record.getMessage(), vars(record)["queue"]) for record in warnings]
    assert told == [("High failure rate", "email"), ("Queue backing up", "notification")]
    assert (vars(warnings[0])["failed"], vars(warnings[1])["waiting"]) == (101, 1_001)


@pytest.mark.mission("M-GL-77")
async def test_at_the_threshold_nothing_is_said(golive: Platform, caplog: pytest.LogCaptureFixture) -> None:
    manager = golive.service.manager
    await fail_some(manager, MAX_FAILED)
    queue = manager.queue(QueueName.NOTIFICATION)
    await queue.add_bulk([{"name": "push", "data": {}} for _ in range(MAX_WAITING)])

    await check_queues(manager)

    assert lines(caplog, "golive.health") == []


@pytest.mark.mission("M-GL-77")
async def test_a_worker_looks_at_the_queues_again_and_again(
    platform_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    enough = asyncio.Event()

    async def look(manager: object) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            enough.set()

    monkeypatch.setattr("examples.golive.health.check_queues", look)
    platform = make_platform(Settings(url=platform_url, golive_home=tmp_path, health_interval=0.05))

    async with platform.app, await platform.app.worker(), asyncio.timeout(PATIENCE):
        await enough.wait()

    assert Settings().health_interval == 60
