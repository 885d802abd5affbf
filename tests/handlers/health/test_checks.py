"""What each check finds."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from corral.app.app import Corral
from corral.handlers.health import DatabaseCheck, DiskCheck, Found, FunctionCheck, QueueCheck, StoreCheck, UrlCheck
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import BlockedAddressError, Web
from corral.testing import app_in_memory
from corral.timing import now_ms
from corral.worker.worker import WorkerOptions

HOUR = 3_600_000


@pytest.fixture
async def app() -> AsyncIterator[Corral]:
    app = Corral("sqlite:///:memory:")

    @app.queue("mail").job("send")
    async def send(data: str) -> str:
        return data

    async with app_in_memory(app):
        yield app


async def test_a_database_that_answers_is_well(app_database: str) -> None:
    async with Database(app_database) as database:
        assert (await DatabaseCheck(database, slow=30).look()).status == "ok"
        slow = await DatabaseCheck(database, slow=0).look()
    assert slow.status == "warn"
    assert slow.text.endswith("slower than 0")


async def test_a_store_that_answers_is_well(app: Corral) -> None:
    found = await StoreCheck(app, slow=30).look()
    assert found.status == "ok"
    assert found.text.startswith("answered in ")


async def test_a_queue_that_nobody_serves_is_in_trouble_once_a_job_waits(app: Corral) -> None:
    check = QueueCheck(app, "mail")
    assert await check.look() == Found("warn", "no worker serves it")
    await app.definition("mail", "send").add("x")
    assert await check.look() == Found("fail", "no worker serves it")


async def test_a_queue_that_is_served_is_well(app: Corral) -> None:
    async with await app.worker(options=WorkerOptions(stats_interval=0)):
        handle = await app.definition("mail", "send").add("x")
        await handle.result(timeout=30)
        assert await QueueCheck(app, "mail").look() == Found("ok", "0 waiting, 0 failed")


async def test_jobs_that_wait_long_are_trouble_and_many_are_worth_a_warning(app: Corral) -> None:
    for _ in range(3):
        await app.definition("mail", "send").add("x")
    long = await QueueCheck(app, "mail", clock=lambda: now_ms() + 2 * HOUR).look()
    assert long == Found("fail", "no worker serves it; a job has been waiting for 120 minutes")
    many = await QueueCheck(app, "mail", max_waiting=2).look()
    assert many == Found("fail", "no worker serves it; 3 jobs are waiting, more than 2")


async def test_failed_jobs_are_worth_a_warning(app: Corral) -> None:
    handles = [await app.definition("mail", "send").add("x") for _ in range(3)]
    for handle in handles:
        await handle.cancel()
    assert await QueueCheck(app, "mail", max_failed=2).look() == Found(
        "warn", "no worker serves it; 3 jobs are failed, more than 2"
    )


async def test_a_paused_queue_is_worth_a_warning_however_long_its_jobs_wait(app: Corral) -> None:
    await app.definition("mail", "send").add("x")
    queue = await app.queues["mail"].open()
    await queue.pause()
    found = await QueueCheck(app, "mail", clock=lambda: now_ms() + 9 * HOUR).look()
    assert found == Found("fail", "no worker serves it; it is paused with 1 job waiting")


async def test_an_address_must_answer_what_is_expected(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/ok").respond_with_data("all is well")
    httpserver.expect_request("/bad").respond_with_data("secret trace", status=500)
    web = Web(trusted=[httpserver.url_for("/")])
    assert (await UrlCheck(httpserver.url_for("/ok"), web, slow=30).look()).status == "ok"
    assert (await UrlCheck(httpserver.url_for("/ok"), web, contains="is well", slow=30).look()).status == "ok"
    assert await UrlCheck(httpserver.url_for("/bad"), web).look() == Found("fail", "answered 500")
    assert (await UrlCheck(httpserver.url_for("/bad"), web, expect=500, slow=30).look()).status == "ok"
    missing = await UrlCheck(httpserver.url_for("/ok"), web, contains="online").look()
    assert missing == Found("fail", "answered 200 without 'online'")
    assert (await UrlCheck(httpserver.url_for("/ok"), web, slow=0).look()).status == "warn"


def test_an_address_inside_is_not_asked_unless_it_is_trusted() -> None:
    with pytest.raises(BlockedAddressError):
        UrlCheck("http://169.254.169.254/latest", Web())


async def test_a_disk_must_have_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def usage(free: int) -> None:
        answer = type("Usage", (), {"total": 100 * 2**30, "free": free * 2**30})()
        monkeypatch.setattr("shutil.disk_usage", lambda _: answer)

    found = []
    for free in (50, 15, 5):
        usage(free)
        found.append(await DiskCheck(tmp_path, free=10).look())
    assert found == [
        Found("ok", "50.0 % free (50.0 GiB)"), Found("warn", "15.0 % free (15.0 GiB)"),
        Found("fail", "5.0 % free (5.0 GiB)"),
    ]  # fmt: skip


async def test_the_real_disk_is_looked_at(tmp_path: Path) -> None:
    assert "% free" in (await DiskCheck(tmp_path, free=0).look()).text


async def test_any_function_is_a_check() -> None:
    async def look() -> Found:
        await asyncio.sleep(0)
        return Found("warn", "low tide")

    assert await FunctionCheck("sea", look).look() == Found("warn", "low tide")
