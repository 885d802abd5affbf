"""Live pages in a real browser: when no stream lasts, when the store is away, and what keys and screen readers get."""

import re

import pytest
from playwright.async_api import Browser, expect

from corral import Corral
from corral.errors import StorageError
from corral.http.app import Application
from corral.job import NewJob
from tests.web.conftest import TOKENS

from .browser import CHROMIUM, PATIENCE_MS, tab

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: the pages cannot be looked at"),
    pytest.mark.timeout(300),
    pytest.mark.parametrize("shop", ["sqlite"], indirect=True),
]
expect.set_options(timeout=PATIENCE_MS)
ADMIN = TOKENS["admin"]


async def test_where_no_stream_lasts_the_page_is_asked_and_lists_stay_as_they_are(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await page.route("**/api/v1/events?**", lambda route: route.fulfill(status=503))
    await watched.look(f"{address}/queues/mail")
    live = page.locator("[data-live]")
    await expect(live).to_have_attribute("data-state", "polling")
    await expect(live).to_have_text("polling")
    first = await page.locator("form.jobs tbody tr").first.get_attribute("data-job")
    counter = page.locator('[data-bind="counts:mail:waiting"]')
    was = int(await counter.inner_text())
    await (await shop.open_queue("mail")).add("welcome", {"to": "late@example.com"})
    await expect(counter).to_have_text(str(was + 1))
    assert await page.locator("form.jobs tbody tr").first.get_attribute("data-job") == first
    # Somebody whose session is over is led to the login, and not asked for ever.
    await page.context.set_extra_http_headers({})
    await expect(page).to_have_url(re.compile("/login"))


async def test_while_the_store_is_away_it_is_said_and_nothing_can_be_pressed(
    browser: Browser, address: str, ids: dict[str, str], site: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(f"{address}/schedules/report/often")
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    button = page.get_by_role("button", name="Run now")
    await expect(button).to_be_enabled()

    async def away(streams: object) -> None:
        raise StorageError("the store is away")

    monkeypatch.setattr(site.state.corral.hub._board, "look", away)
    await expect(page.get_by_role("alert")).to_contain_text("The store does not answer")
    await expect(button).to_be_disabled()
    monkeypatch.undo()
    await expect(page.locator(".outage")).to_have_count(0)
    await expect(button).to_be_enabled()
    assert watched.complaints == []


async def test_totals_chosen_rows_and_screen_readers_follow_the_numbers(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await page.clock.install()
    await watched.look(f"{address}/queues")
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    await expect(page.get_by_role("button", name="Pause", exact=True)).to_be_disabled()
    await page.get_by_label("Select mail").check()
    await expect(page.locator("[data-bulk] [data-chosen]")).to_have_text("1 selected:")
    total = page.locator('[data-total="waiting"]')
    was = int(await total.inner_text())
    await (await shop.open_queue("mail")).add("welcome", {"to": "late@example.com"})
    await expect(total).to_have_text(str(was + 1))
    await page.clock.fast_forward(11_000)
    await expect(page.locator("[data-announcer]")).to_contain_text(f"{was + 1} waiting")
    await expect(page.get_by_label("Select mail")).to_be_checked()
    assert watched.complaints == []


async def test_keys_can_be_turned_off_and_lists_are_walked_from_where_one_is(
    browser: Browser, address: str, ids: dict[str, str]
) -> None:
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(f"{address}/queues?sort=name")
    await page.get_by_role("link", name="report", exact=True).focus()
    await page.keyboard.press("k")
    await expect(page.locator("a:focus")).to_have_text("mail")
    await watched.look(f"{address}/queues/mail/jobs/{ids['failed']}")
    await page.keyboard.press(".")
    await expect(page.locator(".tools :focus")).to_have_count(1)
    await page.locator("h1 [data-copy]").press("Enter")
    await expect(page.locator("[data-announcer]")).to_have_text("Copied")
    await page.get_by_role("button", name="Keys").click()
    await page.get_by_label("Keys do this in this browser").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(page.locator("#find")).not_to_be_focused()
    assert watched.complaints == []


async def test_lines_that_arrive_look_like_those_of_the_server_and_go_on_when_the_log_is_full(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral, site: Application
) -> None:
    storage = site.state.corral.storage
    said = '{"level": 40, "msg": "late \\u001b[31mnow", "time": "2026-11-23T10:00:00.120Z", "user": {"of": [1, "x"]}}'
    plain = ("{no json", '{"level": "shout", "msg": "x"}', "[1]", "\u001b[1mbold", '{"levelname": "ERROR", "event": 5}')
    await storage.log("mail", ids["waiting"], ["first"], keep=10)
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(f"{address}/queues/mail/jobs/{ids['waiting']}?tab=logs")
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    lines = page.locator(".log li")
    await expect(lines).to_have_count(1)
    await storage.log("mail", ids["waiting"], [said, *plain], keep=10)
    await expect(lines).to_have_count(7)
    live = await lines.evaluate_all("all => all.map((one) => [one.className, one.innerText])")
    for number in range(7):
        await storage.log("mail", ids["waiting"], [f"line {number}"], keep=10)
    await expect(lines.last).to_contain_text("line 6")
    await expect(page.locator("[data-log-total]")).to_have_text("14")
    await storage.log("mail", ids["done"], ["first", said, *plain], keep=10)
    await watched.look(f"{address}/queues/mail/jobs/{ids['done']}?tab=logs")
    server = await lines.evaluate_all("all => all.slice(-7).map((one) => [one.className, one.innerText])")
    first = len(await lines.all()) - 7
    assert [[kind, text.removeprefix(str(number + 1 + first))] for number, (kind, text) in enumerate(server)] == [
        [kind, text.removeprefix(str(number + 1))] for number, (kind, text) in enumerate(live)
    ]
    assert watched.complaints == []


async def test_a_graph_that_is_larger_than_its_frame_is_moved_and_zoomed_by_mouse_and_keys(
    browser: Browser, address: str, ids: dict[str, str], shop: Corral
) -> None:
    welcome, weekly = shop.queues["mail"].definition("welcome"), shop.queues["report"].definition("weekly")
    root = weekly.node({"week": 9}, children=[welcome.node({"to": str(one)}) for one in range(60)])
    flow = (await shop.flow.add(root)).job(root).id
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await watched.look(f"{address}/flows/report/{flow}")
    frame, picture = page.locator(".drawn"), page.locator(".drawn svg")
    natural = float(await picture.get_attribute("height") or 0)

    async def height() -> float:
        return float(await picture.get_attribute("height") or 0)

    async def top() -> float:
        return float(await frame.evaluate("one => one.scrollTop"))

    box = await frame.bounding_box()
    assert box is not None
    assert natural > box["height"]
    begin = await top()
    assert begin > 0  # the first job is in sight
    await page.mouse.move(box["x"] + 60, box["y"] + 300)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 60, box["y"] + 100, steps=4)
    await page.mouse.up()
    assert await top() == pytest.approx(begin + 200, abs=1)
    await expect(page).to_have_url(re.compile("/flows/"))  # no job was opened by that
    await frame.focus()
    await page.keyboard.press("+")
    assert await height() == pytest.approx(natural * 1.25)
    moved = (begin + 200) * 1.25 + box["height"] / 8  # the middle has stayed
    assert await top() == pytest.approx(moved, abs=30)
    await page.keyboard.press("0")
    assert await height() < box["height"]
    await page.get_by_role("button", name="Larger").click()
    await page.keyboard.down("Control")
    await page.mouse.move(box["x"] + 60, box["y"] + 100)
    before = await height()
    await page.mouse.wheel(0, -300)
    await page.wait_for_function("was => document.querySelector('.drawn svg').height.baseVal.value > was", arg=before)
    await page.keyboard.up("Control")
    small = weekly.node({"week": 9}, children=[welcome.node({"to": "one"})])
    flow = (await shop.flow.add(small)).job(small).id
    await watched.look(f"{address}/flows/report/{flow}")
    await expect(page.locator("svg.graph")).to_be_visible()
    await expect(page.get_by_role("button", name="Larger")).not_to_be_visible()
    assert watched.complaints == []


async def test_a_folded_group_sums_up_live_and_stays_as_it_was_left(
    browser: Browser, address: str, ids: dict[str, str], site: Application
) -> None:
    storage = site.state.corral.storage
    await storage.add([NewJob(queue=name, name="x", data="{}", delay_ms=60_000) for name in ("pay.bill", "pay.refund")])
    watched = await tab(browser, token=ADMIN)
    page = watched.page
    await page.context.add_cookies([{"name": "corral-fold", "value": "prefix", "url": address}])
    await watched.look(f"{address}/queues")
    await expect(page.locator("[data-live]")).to_have_attribute("data-state", "live")
    group, member = page.locator(".group", has_text="pay"), page.get_by_role("link", name="pay.bill")
    await expect(member).not_to_be_visible()
    total = group.locator('[data-total="delayed"]')
    await expect(total).to_have_text("2")
    await storage.add([NewJob(queue="pay.bill", name="x", data="{}", delay_ms=60_000)])
    await expect(total).to_have_text("3")
    await group.get_by_role("checkbox").check()
    await expect(member).to_be_visible()
    await group.evaluate("one => (one.dataset.old = 'yes')")
    await page.evaluate("document.dispatchEvent(new CustomEvent('corral:stale'))")
    await expect(page.locator(".group[data-old]")).to_have_count(0)  # the page was put in place anew
    await expect(member).to_be_visible()
    assert watched.complaints == []
