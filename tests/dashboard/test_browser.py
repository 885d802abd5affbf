"""The dashboard in a real browser: nothing is complained of, nothing sticks out, nothing foreign runs."""

import asyncio

import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, expect

from corral import Corral
from corral.dashboard.app import create_dashboard
from tests.interop.npm import install, missing_program
from tests.web.conftest import TOKENS, make_settings

from .browser import AXE, CHROMIUM, PATIENCE_MS, served, stripping, tab, wider_than
from .test_pages import PAGES, TABS

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: the pages cannot be looked at"),
    pytest.mark.timeout(300),
]
expect.set_options(timeout=PATIENCE_MS)
ADMIN = TOKENS["admin"]
#: What a page looks like does not depend on the engine, and a browser takes its time.
one_engine = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


def all_pages(ids: dict[str, str]) -> list[str]:
    jobs = [f"/queues/mail/jobs/{ids['failed']}?tab={one}" for one in TABS]
    jobs += [f"/queues/mail/jobs/{ids['waiting']}", f"/flows/report/{ids['flow']}"]
    jobs += [f"/queues/mail/jobs/{ids['done']}/ask/{what}" for what in ("rerun", "remove")]
    return [*PAGES, *jobs, "/login"]


@one_engine
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)], ids=["wide and light", "narrow and dark"])
async def test_no_page_complains_or_sticks_out(
    browser: Browser, address: str, ids: dict[str, str], width: int, dark: bool
) -> None:
    watched = await tab(browser, token=ADMIN, width=width, dark=dark)
    for path in all_pages(ids):
        await watched.look(address + path)
        assert await wider_than(watched.page, width) == [], path
    assert watched.complaints == []


@one_engine
async def test_no_page_has_a_serious_fault_that_axe_finds(browser: Browser, address: str, ids: dict[str, str]) -> None:
    if (lacking := missing_program()) is not None:
        pytest.skip(lacking)
    await asyncio.to_thread(install)
    script = AXE.read_text()
    for dark in (False, True):
        watched = await tab(browser, token=ADMIN, dark=dark)
        for path in all_pages(ids):
            await watched.look(address + path)
            await watched.page.evaluate(script)  # the debugger may, where the page's policy lets no script in
            # Only the colours are others in the dark.
            only = "runOnly: ['color-contrast'], " if dark else ""
            found = await watched.page.evaluate(f"axe.run({{{only}resultTypes: ['violations']}})")
            serious = [
                (one["id"], one["nodes"][0]["html"][:160], one["nodes"][0].get("failureSummary", "")[:200])
                for one in found["violations"]
                if one["impact"] in ("serious", "critical")
            ]
            assert serious == [], path


async def test_a_number_changes_without_a_reload_and_rows_stay_where_they_are(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral
) -> None:
    watched = await tab(browser, token=ADMIN)
    await watched.look(f"{address}/queues/mail")
    await expect(watched.page.locator("[data-live]")).to_have_attribute("data-state", "live")
    first = watched.page.locator("form.jobs tbody tr").first
    before = await first.get_attribute("data-job")
    counter = watched.page.locator('[data-bind="counts:mail:waiting"]')
    was = int(await counter.inner_text())
    await (await shop.open_queue("mail")).add("welcome", {"to": "late@example.com"})
    await expect(counter).to_have_text(str(was + 1))
    await expect(watched.page.locator("[data-more]")).to_be_visible()
    assert await first.get_attribute("data-job") == before
    assert watched.complaints == []


@one_engine
async def test_a_worker_comes_into_the_list_by_itself_and_the_focus_stays(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(f"{address}/workers")
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    async with await shop.worker() as first:
        await expect(page.locator("tbody tr")).to_have_count(1)
        stop = page.get_by_role("link", name="Stop").first
        await stop.focus()
        async with await shop.worker():
            await expect(page.locator("tbody tr")).to_have_count(2)
            await expect(page.locator("a:focus")).to_have_attribute("href", f"/workers/{first.id}/ask/stop")
    assert watched.complaints == []


@one_engine
async def test_how_long_jobs_wait_and_that_a_queue_is_paused_come_up_to_date(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(address)
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    oldest = page.locator('[data-bind="rates:mail:oldest_waiting_ms"]')
    was = await oldest.inner_text()
    await expect(oldest).not_to_have_text(was)
    await (await shop.open_queue("mail")).pause(reason="the post is on strike")
    await expect(page.get_by_role("rowheader", name="mail")).to_contain_text("paused")
    assert watched.complaints == []


@one_engine
async def test_a_question_opens_above_the_page_and_gives_the_focus_back(
    browser: Browser, address: str, ids: dict[str, str]
) -> None:
    watched = await tab(browser, token=ADMIN)
    await watched.look(f"{address}/queues/mail")
    pause = watched.page.get_by_role("link", name="Pause")
    await pause.click()
    dialog = watched.page.get_by_role("dialog")
    await expect(dialog).to_be_visible()
    await watched.page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(pause).to_be_focused()
    await pause.click()
    await dialog.get_by_label("Reason").fill("moving house")
    await dialog.get_by_role("button", name="Pause").click()
    await expect(watched.page.get_by_text("“moving house”")).to_be_visible()
    assert watched.complaints == []


@one_engine
async def test_somebody_without_a_mouse_searches_opens_and_retries(
    browser: Browser, address: str, ids: dict[str, str]
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(address)
    await page.keyboard.press("/")
    await expect(page.locator("#find")).to_be_focused()
    await page.keyboard.type("state:failed")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/jobs?q=*")
    await expect(page.locator("form.jobs tbody tr")).to_have_count(1)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/jobs/{ids['failed']}*")
    await page.keyboard.press("r")
    await expect(page.get_by_role("status")).to_have_text("Retried.")


@one_engine
async def test_a_diff_shows_what_will_change(browser: Browser, address: str, ids: dict[str, str]) -> None:
    watched = await tab(browser, token=ADMIN)
    await watched.look(f"{address}/queues/mail/jobs/{ids['done']}/ask/rerun")
    pane = watched.page.locator("[data-after]")
    await pane.fill((await pane.input_value()).replace("ann@example.com", "bob@example.com"))
    await expect(watched.page.locator(".diff ins")).to_contain_text("bob@example.com")
    await expect(watched.page.locator(".diff del")).to_contain_text("ann@example.com")


@one_engine
@pytest.mark.parametrize("prefix", ["/admin/queues"])
async def test_mounted_below_a_prefix_nothing_is_asked_for_outside_of_it(
    browser: Browser, shop: Corral, ids: dict[str, str], prefix: str
) -> None:
    host, inner = FastAPI(), create_dashboard(shop, settings=make_settings())
    host.mount(prefix, inner)
    async with served(host) as url:
        watched = await tab(browser, token=ADMIN)
        asked: list[str] = []
        failed: list[str] = []
        watched.page.on("request", lambda request: asked.append(request.url.removeprefix(url)))
        watched.page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        for path in all_pages(ids):
            await watched.look(f"{url}{prefix}{path}")
        await watched.page.goto(f"{url}{prefix}/queues/mail")
        await watched.page.get_by_role("link", name="Failures").click()
        await watched.page.wait_for_url(f"**{prefix}/failures")
        assert [path for path in asked if not path.startswith(prefix)] == []
        assert failed == []
        assert watched.complaints == []
    await inner.state.corral.close()


@one_engine
async def test_behind_a_proxy_that_takes_a_prefix_away_nothing_is_asked_for_outside_of_it(
    browser: Browser, shop: Corral, ids: dict[str, str]
) -> None:
    inner = create_dashboard(shop, settings=make_settings())
    await inner.state.corral.open()
    async with served(inner, root_path="/queues") as behind, stripping(behind, "/queues") as url:
        watched = await tab(browser, token=ADMIN)
        failed: list[str] = []
        watched.page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        for path in all_pages(ids):
            await watched.look(f"{url}/queues{path}")
        await watched.page.goto(f"{url}/queues/queues/mail")
        await watched.page.get_by_role("link", name="Failures").click()
        await watched.page.wait_for_url("**/queues/failures")
        assert failed == []
        assert watched.complaints == []
    await inner.state.corral.close()


@one_engine
async def test_a_search_is_completed(browser: Browser, address: str, ids: dict[str, str]) -> None:
    watched = await tab(browser, token=ADMIN)
    await watched.look(f"{address}/jobs")
    await watched.page.locator("#find").press_sequentially("sta")
    await expect(watched.page.locator("#find-words option")).not_to_have_count(0)
    offered = await watched.page.locator("#find-words option").evaluate_all("all => all.map((one) => one.value)")
    assert "state:" in offered
    assert watched.complaints == []


@one_engine
async def test_without_scripts_a_job_is_found_and_retried(browser: Browser, address: str, ids: dict[str, str]) -> None:
    watched = await tab(browser, token=ADMIN, scripts=False)
    page = watched.page
    await page.goto(address)
    await page.locator("#find").fill("state:failed")
    await page.locator("#find").press("Enter")
    await page.locator("form.jobs tbody a").first.click()
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("status")).to_have_text("Retried.")


@one_engine
async def test_when_the_stream_breaks_off_the_page_recovers_by_itself(
    browser: Browser, shop: Corral, ids: dict[str, str]
) -> None:
    site = create_dashboard(shop, settings=make_settings())
    await site.state.corral.open()
    watched = await tab(browser, token=ADMIN)
    async with served(site) as url:
        await watched.look(f"{url}/queues/mail")
        live = watched.page.locator("[data-live]")
        await expect(live).to_have_attribute("data-state", "live")
        site.state.corral.closing.set()  # the server is about to stop, and says so
        await expect(live).to_have_attribute("data-state", "lost")
    await site.state.corral.close()
    again = create_dashboard(shop, settings=make_settings())
    await again.state.corral.open()
    async with served(again, int(url.rpartition(":")[2])):
        await expect(live).to_have_attribute("data-state", "live")
    await again.state.corral.close()
