"""Bull Board in a real browser, over jobs that corral has added and run."""

import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright, expect

from corral.job import JobState
from corral.outcome import Failed
from corral.queue import Queue
from corral.storage.port import Claim, Settlement, Storage, Token
from corral.timing import now_ms
from corral.worker.context import JobContext

from .node import Bull
from .work import GUARD, until, working

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: Bull Board cannot be looked at"),
    pytest.mark.timeout(300),
]
#: Milliseconds until what should be on the page is missing; a browser beside a busy test run is slow.
PATIENCE_MS = GUARD * 1000
OFFLINE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A tab of a headless Chromium."""
    async with async_playwright() as playwright:
        # For containers: root, no GPU, little /dev/shm. No name is looked up: the board asks for its newest version.
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", OFFLINE]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=arguments, timeout=PATIENCE_MS)
        tab = await browser.new_page(viewport={"width": 1400, "height": 1000})
        tab.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield tab
        await browser.close()


async def act(ctx: JobContext, data: Any) -> object:
    """`good` completes with progress and a log, everything else fails."""
    await ctx.progress(62)
    await ctx.log("read the address book")
    if ctx.name != "good":
        raise RuntimeError("550 mailbox unavailable")
    return {"sent": "indeed"}


async def history(mail: Queue) -> None:
    """One completed job, two failed ones and a delayed one, all corral's."""
    await mail.add_bulk([("good", {"to": "ada@example.org"}), ("bad", {"n": 2}), ("bad", {"n": 3})])
    await mail.add("later", {"n": 4}, delay=3600)
    async with working(mail, act):

        async def ended() -> bool:
            counts = await mail.counts()
            return (counts.completed, counts.failed) == (1, 2)

        await until(ended)


@pytest.fixture
async def address(bull: Bull, mail: Queue) -> str:
    """Where the board shows a queue with a history."""
    await history(mail)
    return await bull.board({6: await bull.queue()})


async def confirm(page: Page, button: str) -> None:
    """Press a button and say yes to the question it asks."""
    await page.get_by_role("button", name=button).click()
    await page.get_by_role("button", name="Confirm").click()


async def test_it_shows_data_result_progress_and_logs_of_a_completed_job(page: Page, address: str) -> None:
    await page.goto(f"{address}queue/mail/1")
    for text in ("good", "ada@example.org", "indeed", "62%"):
        await expect(page.get_by_text(text).first).to_be_visible()
    await page.get_by_text("Logs", exact=True).click()
    await expect(page.get_by_text("read the address book")).to_be_visible()


@pytest.mark.mission("M-GL-88")
async def test_it_lists_failed_jobs_with_their_reasons(page: Page, address: str) -> None:
    await page.goto(f"{address}queue/mail?status=failed")
    await expect(page.get_by_text("550 mailbox unavailable").first).to_be_visible()
    for job_id in ("#2", "#3"):
        await expect(page.get_by_text(job_id, exact=True)).to_be_visible()


@pytest.mark.mission("M-GL-88")
async def test_it_retries_failed_jobs_which_then_run_here(page: Page, address: str, mail: Queue) -> None:
    await page.goto(f"{address}queue/mail?status=failed")
    await confirm(page, "Retry all")

    async def waiting() -> bool:
        return (await mail.counts()).waiting == 2

    await until(waiting)
    async with working(mail) as notes:
        await notes.begun(2)
        assert await mail.result("2", timeout=GUARD) is None


async def test_it_promotes_a_delayed_job(page: Page, address: str, mail: Queue) -> None:
    await page.goto(f"{address}queue/mail?status=delayed")
    await expect(page.get_by_text("#4", exact=True)).to_be_visible()
    await confirm(page, "Promote all")

    async def promoted() -> bool:
        return (await mail.get("4")).state is JobState.WAITING

    await until(promoted)


async def test_it_cleans_failed_jobs(page: Page, mail: Queue, storage: Storage, bull: Bull) -> None:
    then = now_ms() - 3_600_000  # the board leaves alone what has ended in the last five seconds
    handles = await mail.add_bulk([("bad", {"n": number}) for number in range(3)])
    token = Token("an-hour-ago")
    await storage.claim("mail", Claim(count=3, token=token, lease_ms=60_000), now=then)
    verdicts = [Settlement(job_id=handle.id, token=token, outcome=Failed("boom")) for handle in handles]
    await storage.settle("mail", verdicts, now=then)
    address = await bull.board({6: await bull.queue()})
    await page.goto(f"{address}queue/mail?status=failed")
    await confirm(page, "Clean all")

    async def cleaned() -> bool:
        return (await mail.counts()).failed == 0

    await until(cleaned)
    assert await bull.keys.faults("mail", idle=True) == []
