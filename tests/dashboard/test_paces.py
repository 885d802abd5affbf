"""How often: a page is one reading, a question is not the deed, and who is too fast is told so on a page."""

from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from corral import Corral
from corral.http.app import Application
from tests.web.conftest import TOKENS

from .opening import coming, opened
from .surfing import Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


@pytest.fixture
async def counting(shop: Corral, ids: dict[str, str]) -> AsyncIterator[Application]:
    """The dashboard with its limits on, and a clock that stands still."""
    async with opened(
        shop, rate_limits=True, read_rate="10/min", write_rate="10/min", bulk_rate="2/min"
    ) as site:  # fmt: skip
        site.state.corral.limiter.seconds = lambda: 1_000.0
        yield site


@pytest.fixture
async def comer(counting: Application) -> AsyncIterator[tuple[Surfer, httpx.AsyncClient]]:
    """An admin there."""
    async with coming(counting, token=TOKENS["admin"]) as found:
        yield found


async def test_a_page_counts_as_one_reading_however_much_it_asks(comer: tuple[Surfer, httpx.AsyncClient]) -> None:
    surfer, client = comer
    statuses = [(await surfer.get(path)).status for path in ("/", "/queues", "/system", "/insights", "/jobs") * 2]
    assert statuses == [200] * 10
    assert (await client.get("/api/v1/me")).status_code == 429


async def test_who_is_too_fast_is_told_so_and_when_to_come_back(comer: tuple[Surfer, httpx.AsyncClient]) -> None:
    surfer, _ = comer
    for _ in range(10):
        await surfer.get("/queues")
    page = await surfer.get("/queues")
    assert page.status == 429
    assert "firewall" not in page.words
    assert "This page looks again in 6 s." in page.words
    assert int(page.answer.headers["retry-after"]) >= 6
    assert ("meta", {"http-equiv": "refresh", "content": "6"}) in page.tags


async def test_a_change_that_comes_too_soon_is_refused_within_the_page(
    comer: tuple[Surfer, httpx.AsyncClient], ids: dict[str, str]
) -> None:
    _, client = comer
    headers = {"Sec-Fetch-Site": "same-origin"}
    found = [await client.post("/do/queues/mail/resume", data={"_next": "/queues"}, headers=headers) for _ in range(11)]
    assert [one.status_code for one in found] == [303] * 10 + [429]
    assert "More than 10 in 60 s" in found[-1].text
    assert "http-equiv" not in found[-1].text
    assert "retry-after" in found[-1].headers


async def test_looking_first_costs_nothing_of_what_many_at_once_may(comer: tuple[Surfer, httpx.AsyncClient]) -> None:
    surfer, _ = comer
    form = await surfer.get(f"/jobs?q={quote('queue:mail state:failed')}")
    questions = [await surfer.press(form, "Retry", all="1") for _ in range(4)]
    assert [one.status for one in questions] == [200] * 4
    done = [(await surfer.press(questions[-1], "Retry 1")).status for _ in range(3)]
    assert done[0] == 200
    assert done[2] != 200


async def test_the_api_counts_the_deed_as_bulk_and_the_question_as_reading(
    comer: tuple[Surfer, httpx.AsyncClient],
) -> None:
    _, client = comer
    body = {"action": "retry", "select": {"q": "queue:nothing"}}
    asked = [await client.post("/api/v1/jobs/bulk", json={**body, "dry_run": True}) for _ in range(4)]
    assert [one.status_code for one in asked] == [200] * 4
    assert asked[0].headers["ratelimit-policy"].startswith('"read"')
    deeds = [await client.post("/api/v1/jobs/bulk", json=body) for _ in range(3)]
    assert [one.status_code for one in deeds] == [200, 200, 429]
    assert deeds[0].headers["ratelimit-policy"].startswith('"bulk"')


async def test_nobody_passes_for_a_page_by_what_they_send(comer: tuple[Surfer, httpx.AsyncClient]) -> None:
    _, client = comer
    sent = {"corral.page": "1", "Corral-Page": "1"}
    statuses = [(await client.get("/api/v1/me", headers=sent)).status_code for _ in range(11)]
    assert statuses == [200] * 10 + [429]
