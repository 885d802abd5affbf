"""Sixty texts that would be scripts, in every field that anybody can write into: none of them ever runs."""

from contextlib import suppress

import httpx
import pytest

from corral import Corral, JobFailedError
from corral.http.app import Application
from tests.web.conftest import TOKENS

from .browser import CHROMIUM, browsing, served, tab
from .corpus import CORPUS
from .surfing import Surfer

pytestmark = [pytest.mark.timeout(300), pytest.mark.parametrize("shop", ["sqlite"], indirect=True)]
#: What the pages themselves are made of. Anything else came from a text.
OWN = {
    "a", "article", "b", "body", "br", "button", "caption", "circle", "code", "datalist", "dd", "details", "div", "dl",
    "dt", "em", "figcaption", "figure", "footer", "form", "g", "h1", "h2", "h3", "head", "header", "html", "i",
    "input", "kbd", "label", "li", "line", "link", "main", "meta", "meter", "nav", "ol", "option", "p", "path",
    "polygon",
    "polyline", "pre", "progress", "rect", "script", "section", "select", "span", "summary", "svg", "table", "tbody",
    "fieldset", "legend", "td", "text", "textarea", "tfoot", "th", "thead", "time", "title", "tr", "ul",
}  # fmt: skip
PAGES = (
    "/", "/queues", "/queues/mail", "/jobs", "/jobs?q=state:failed", "/failures", "/flows", "/workers", "/audit",
    "/system", "/insights", "/schedules", "/operations", "/queues/mail?tab=settings", "/queues/mail?tab=workers",
)  # fmt: skip


@pytest.fixture
async def full(shop: Corral, site: Application) -> list[str]:
    """Every text is in a payload, a tag, a failure, a log, a reason, a description, a worker; answers the jobs' ids."""
    welcome = shop.queues["mail"].definition("welcome")
    handles = [
        await welcome.add(
            {"to": text, text: [text, {text: text}], "fails": text}, tags=(text.replace("\t", " ")[:90],), attempts=1
        )
        for text in CORPUS
    ]
    async with await shop.worker():
        for handle in handles:
            with suppress(JobFailedError):
                await handle.result(timeout=60)
    return [handle.id for handle in handles]


async def test_nothing_but_the_pages_own_elements_is_on_any_page(admin: Surfer, full: list[str], shop: Corral) -> None:
    for text in CORPUS:
        page = await admin.press(await admin.get("/queues/mail/ask/pause"), "Pause", reason=text)
        found = {tag for tag, _ in page.tags}
        assert found <= OWN, (text, found - OWN)
    paths = [*PAGES, *(f"/queues/mail/jobs/{id}" for id in full)]
    for path in paths:
        page = await admin.get(path)
        assert {tag for tag, _ in page.tags} <= OWN, path
        for tag, given in page.tags:
            assert not [name for name in given if name.startswith("on") or name in ("style", "srcdoc")], (
                path,
                tag,
                given,
            )
            assert not given.get("href", "").lower().strip().startswith(("javascript", "data", "vbscript")), path
            assert tag != "script" or given.get("src", "").startswith("/static/")


async def test_a_search_for_each_of_them_shows_it_as_text(admin: Surfer, full: list[str]) -> None:
    for text in CORPUS:
        page = await admin.get(str(httpx.URL("/jobs", params={"q": text})))
        assert page.status in (200, 400)  # some are no searches
        assert {tag for tag, _ in page.tags} <= OWN, text


@pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: the pages cannot be looked at")
async def test_in_a_browser_none_of_them_runs(full: list[str], site: Application, admin: Surfer, shop: Corral) -> None:
    await admin.press(await admin.get("/queues/mail/ask/pause"), "Pause", reason=CORPUS[0])
    async with browsing() as browser, served(site) as url:
        watched = await tab(browser, token=TOKENS["admin"])
        for path in (*PAGES, *(f"/queues/mail/jobs/{id}" for id in full)):
            await watched.look(url + path)
        assert watched.complaints == []
