"""Moments as somebody wants them told: how far away or in full, in a zone of their choice."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, expect

from corral.dashboard import words
from corral.dashboard.times import Times, chosen, zone_of
from corral.http.app import Application
from tests.web.conftest import TOKENS

from .browser import CHROMIUM, PATIENCE_MS, served, tab
from .surfing import Page, Surfer

AT = "2026-07-01T12:00:00.000Z"
NOW = datetime(2026, 7, 1, 12, 4, tzinfo=UTC)
OSLO = Times("iso", ZoneInfo("Europe/Oslo"), "Europe/Oslo")
one_engine = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
expect.set_options(timeout=PATIENCE_MS)


def test_a_moment_is_told_by_its_distance_unless_somebody_wants_another_form() -> None:
    assert words.time(AT, NOW) == (
        f'<time datetime="{AT}" data-form="ago" title="2026-07-01 12:00:00 UTC">4 min ago</time>'
    )
    assert words.time(AT, NOW, OSLO) == (
        f'<time datetime="{AT}" data-form="clock" title="CEST">2026-07-01 14:00:00</time>'
    )
    there = Times("relative", ZoneInfo("Europe/Oslo"), "Europe/Oslo")
    assert 'title="2026-07-01 14:00:00 CEST">4 min ago' in words.time(AT, NOW, there)
    assert ">2026-07-01 14:00:00.000<" in words.clock(AT, millis=True, times=there)
    assert words.time(None) == words.clock(None) == "–"


def test_cookies_that_cannot_be_meant_count_as_nothing() -> None:
    assert chosen({}) == chosen({"corral-tz": "Mars/Olympus", "corral-times": "sundial"}) == Times()
    local = chosen({"corral-tz": "local"})
    assert (local.name, local.chosen) == ("UTC", "local")
    assert chosen({"corral-tz": "local", "corral-here": "Asia/Tokyo"}).name == "Asia/Tokyo"
    assert chosen({"corral-tz": "Asia/Tokyo", "corral-here": "Europe/Oslo"}).name == "Asia/Tokyo"


@pytest.mark.parametrize("name", ["", "Europe", "../../etc/passwd", "/etc/passwd", "a\0b", "Mars/Olympus", "x" * 5_000])
def test_what_is_no_zone_is_none(name: str) -> None:
    assert zone_of(name) is None


def times_of(page: Page, form: str) -> list[dict[str, str]]:
    return [given for tag, given in page.tags if tag == "time" and given.get("data-form") == form]


@one_engine
async def test_times_change_with_a_form_on_every_page(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail")
    assert times_of(page, "ago")
    assert times_of(page, "ago")[0]["title"].endswith(" UTC")
    page = await admin.press(page, "Save", times="iso", zone="Asia/Tokyo")
    assert page.answer.url.path == "/queues/mail"
    assert times_of(page, "ago") == []
    assert {given["title"] for given in times_of(page, "clock")} == {"JST"}
    assert "date and time, Asia/Tokyo" in page.words
    assert "Time, Asia/Tokyo" in (await admin.get("/insights")).words


@one_engine
async def test_a_schedule_is_foretold_in_the_readers_zone(admin: Surfer, ids: dict[str, str]) -> None:
    await admin.press(await admin.get("/"), "Save", zone="Asia/Tokyo")
    page = await admin.get("/schedules/report/weekly-report")
    assert [given["value"] for tag, given in page.tags if given.get("id") == "zone"] == ["Asia/Tokyo"]


@one_engine
async def test_a_zone_that_is_not_there_is_refused_in_words(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get("/"), "Save", zone="Mars/Olympus")
    assert page.status == 400
    assert "There is no time zone 'Mars/Olympus'" in page.words
    assert times_of(await admin.get("/queues/mail"), "ago")[0]["title"].endswith(" UTC")


@one_engine
@pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed")
@pytest.mark.timeout(300)
async def test_a_browser_tells_its_zone_and_lets_distances_go_on(
    browser: Browser, site: Application, ids: dict[str, str]
) -> None:
    async with served(site) as address:
        watched = await tab(browser, token=TOKENS["admin"])
        page = watched.page
        there = await page.context.new_cdp_session(page)
        await there.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
        await page.clock.install()
        await watched.look(address + "/queues/mail")
        shown = page.locator("time[data-form=ago]").first
        await page.clock.run_for(10 * 60_000)
        await expect(shown).to_have_text("10 min ago")
        await page.locator(".times > summary").click()
        await page.locator("[name=zone]").fill("local")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".times > summary")).to_contain_text("local")
        await expect(page.locator("footer")).to_contain_text("JST")
        assert watched.complaints == []
