"""What people come for, done in a browser by somebody who is here for the first time, in few clicks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from playwright.async_api import Locator, Page, expect

from corral import Corral
from corral.http.app import Application
from tests.web.conftest import TOKENS

from .browser import CHROMIUM, PATIENCE_MS, browsing, served, tab

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: the pages cannot be looked at"),
    pytest.mark.timeout(300),
    pytest.mark.parametrize("shop", ["redis"], indirect=True),
]


class Visitor:
    """Somebody at the first page, whose clicks are counted. Enter in a form is one."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    async def click(self, place: Locator) -> None:
        await place.click()
        self.clicks += 1

    async def search(self, text: str) -> None:
        await self.page.locator("#find").fill(text)
        await self.page.locator("#find").press("Enter")
        self.clicks += 1

    def link(self, name: str) -> Locator:
        return self.page.get_by_role("link", name=name).first

    def button(self, name: str) -> Locator:
        return self.page.get_by_role("button", name=name).first


@pytest.fixture
async def somebody(site: Application, ids: dict[str, str]) -> AsyncIterator[Visitor]:
    """At the first page, as an administrator."""
    expect.set_options(timeout=PATIENCE_MS)
    async with AsyncExitStack() as stack:
        browser = await stack.enter_async_context(browsing())
        url = await stack.enter_async_context(served(site))
        watched = await tab(browser, token=TOKENS["admin"])
        await watched.look(url)
        yield Visitor(watched.page)
        assert watched.complaints == []


async def test_find_the_job_of_customer_42_that_failed_and_see_why(somebody: Visitor) -> None:
    await somebody.search("state:failed data.user.id:42 finished:<1d")
    await somebody.click(somebody.page.locator("form.jobs tbody a").first)
    await expect(somebody.page.locator(".error h3").first).to_contain_text("ConnectionError")
    assert somebody.clicks <= 3 + 1


async def test_fix_its_payload_and_run_it_again(somebody: Visitor, ids: dict[str, str]) -> None:
    await somebody.page.goto(f"{somebody.page.url}queues/mail/jobs/{ids['failed']}")
    await somebody.click(somebody.link("Edit & run again"))
    pane = somebody.page.locator("[data-after]")
    await pane.fill('{"to": "right@example.com"}')
    await somebody.click(somebody.button("Run again"))
    await expect(somebody.page.get_by_role("status")).to_have_text("Added anew.")
    await expect(somebody.page.locator(".json")).to_contain_text("right@example.com")
    assert somebody.clicks <= 4


async def test_retry_all_failures_of_one_cause(somebody: Visitor, shop: Corral) -> None:
    await somebody.click(somebody.link("Failures"))
    await somebody.click(somebody.link("Retry all"))
    await somebody.click(somebody.page.get_by_role("dialog").get_by_role("button", name="Retry 1"))
    await somebody.page.wait_for_url("**/operations/*")
    assert somebody.clicks <= 3


async def test_find_out_why_a_queue_is_late_and_pause_it_with_a_reason(somebody: Visitor) -> None:
    await somebody.click(somebody.page.get_by_role("table").get_by_role("link", name="mail"))
    await expect(somebody.page.locator(".facts")).to_contain_text("0 · 0/0 slots")
    assert somebody.clicks <= 2
    somebody.clicks = 0
    await somebody.click(somebody.link("Pause"))
    dialog = somebody.page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("moving house")
    await somebody.click(dialog.get_by_role("button", name="Pause"))
    await expect(somebody.page.get_by_text("“moving house”")).to_be_visible()
    assert somebody.clicks <= 2


async def test_run_a_schedule_now(somebody: Visitor, shop: Corral) -> None:
    await somebody.click(somebody.link("Schedules"))
    await somebody.click(somebody.button("Run now"))
    await expect(somebody.page.get_by_role("status")).to_contain_text("Running")
    assert somebody.clicks <= 2


async def test_stop_a_worker_gracefully(somebody: Visitor, shop: Corral) -> None:
    worker = await shop.worker()
    async with worker:
        await somebody.click(somebody.link("Workers"))
        await somebody.click(somebody.link("Stop"))
        await somebody.click(somebody.page.get_by_role("dialog").get_by_role("button", name="Stop"))
        await expect(somebody.page.get_by_role("status")).to_contain_text("to stop.")
        assert somebody.clicks <= 3
