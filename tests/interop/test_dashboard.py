"""The dashboard over queues that only Node uses."""

from collections.abc import AsyncIterator

import httpx
import pytest

from corral.dashboard import create_dashboard
from corral.http import ApiSettings
from corral.storage.checkup import clients
from corral.storage.port import Storage
from tests.dashboard.surfing import Surfer

from .node import Bull

TOKEN = "of-the-interop-tests"


@pytest.fixture
async def surfer(storage: Storage) -> AsyncIterator[Surfer]:
    """An admin without scripts before the pages of the test's keys."""
    settings = ApiSettings(
        tokens=f"admin:admin:{TOKEN}", rate_limits=False, read_timeout=60.0, write_timeout=60.0, body_timeout=60.0
    )
    app = create_dashboard(storage, settings=settings)
    await app.state.corral.open()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://pages.test", timeout=60,
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:  # fmt: skip
        yield Surfer(client)
    await app.state.corral.close()


async def test_jobs_of_node_are_shown_and_retried_and_run_there(bull: Bull, surfer: Surfer, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("welcome", {"to": "ana", "token": "hunter2"}, attempts=1, priority=4)
    hand = await bull.hand(major=major)
    await (await hand.take()).fail("connect to 10.0.0.1 failed", unrecoverable=True)
    assert "mail" in (await surfer.get("/queues")).words
    found = await surfer.get("/jobs?q=state:failed")
    [address] = [address for address, text in found.links if text.startswith("welcome")]
    page = await surfer.get(address)
    assert "connect to 10.0.0.1 failed" in page.words
    assert "Retried." in (await surfer.press(page, "Retry")).words
    await (await hand.take()).complete({"sent": True})
    assert "completed" in (await surfer.get(address)).headings[0]


@pytest.mark.parametrize(
    "path", ["/", "/failures", "/schedules", "/flows", "/workers", "/insights", "/system", "/queues/mail"]
)
async def test_each_page_is_there_for_queues_of_node(bull: Bull, surfer: Surfer, path: str) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"to": "ana"})
    hand = await bull.hand()
    await (await hand.take()).fail("no", unrecoverable=True)
    assert (await surfer.get(path)).status == 200


async def test_workers_of_node_are_known_by_the_names_of_their_connections(
    bull: Bull, store_url: str, major: int
) -> None:
    named = await bull.worker(major=major, worker_name="node-7")
    await bull.worker(major=major)
    await bull.events(major=major)
    await named.call("waitUntilReady")

    async def listed() -> list[tuple[str, str]]:
        return sorted((one.queue, one.name) for one in await clients(store_url) or ())

    while len(await listed()) < 2:  # a worker names its connection a moment after it is ready
        pass
    assert await listed() == [("mail", ""), ("mail", "node-7")]


async def test_a_queue_that_is_paused_here_stands_still_in_node(bull: Bull, surfer: Surfer) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"to": "ana"})
    await surfer.press(await surfer.get("/queues/mail/ask/pause"), "Pause", reason="moving house")
    assert await queue.call("isPaused") is True
    await surfer.press(await surfer.get("/queues/mail"), "Resume")
    assert await queue.call("isPaused") is False
