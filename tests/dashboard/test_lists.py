"""Lists of many pages: on and back again, without a script."""

import pytest

from corral.admin.objects import Actor
from corral.dashboard import visit
from corral.http.app import Application
from corral.job import NewJob

from .surfing import Page, Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
NEWER, OLDER, NEWEST = "\u2039 newer", "older \u203a", "\u2039 newest"


def jobs_of(page: Page) -> list[str]:
    """The ids that are listed."""
    return [given["data-job"] for tag, given in page.tags if tag == "tr" and "data-job" in given]


@pytest.fixture
async def many(site: Application) -> None:
    """Jobs for more than four pages."""
    await site.state.corral.storage.add([NewJob(queue="many", name="x", data="{}") for _ in range(230)])


@pytest.mark.usefixtures("many")
@pytest.mark.parametrize("path", ["/queues/many?state=waiting", "/jobs?q=queue:many"])
async def test_a_list_of_jobs_goes_on_and_back_again(admin: Surfer, path: str) -> None:
    pages = [await admin.get(path)]
    while OLDER in [said for _, said in pages[-1].links]:
        pages.append(await admin.follow(pages[-1], OLDER))
    assert [len(jobs_of(page)) for page in pages] == [50, 50, 50, 50, 30]
    assert len({job for page in pages for job in jobs_of(page)}) == 230
    back = pages[-1]
    for earlier in reversed(pages[1:-1]):
        back = await admin.follow(back, NEWER)
        assert jobs_of(back) == jobs_of(earlier)
    assert NEWER not in [said for _, said in back.links]
    assert jobs_of(await admin.follow(back, NEWEST)) == jobs_of(pages[0])


@pytest.mark.usefixtures("many")
async def test_another_filter_begins_without_the_way_back(admin: Surfer) -> None:
    page = await admin.get("/queues/many?state=waiting")
    for _ in range(3):
        page = await admin.follow(page, OLDER)
    assert "back=" in str(page.answer.url)
    assert "back=" not in page.link(NEWEST)
    assert all("back=" not in where for where, said in page.links if said.startswith("✓"))


@pytest.mark.usefixtures("many")
async def test_a_way_that_is_too_long_is_forgotten_at_its_beginning(
    admin: Surfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(visit, "LONGEST_TRAIL", 200)
    page = await admin.get("/queues/many?state=waiting")
    for _ in range(4):
        page = await admin.follow(page, OLDER)
    back = 0
    while NEWER in [said for _, said in page.links]:
        page, back = await admin.follow(page, NEWER), back + 1
    assert back in (1, 2)
    assert len(jobs_of(page)) == 50


async def test_the_audit_log_goes_back_again(admin: Surfer, site: Application, ids: dict[str, str]) -> None:
    desk = (await site.state.corral.open()).admin.by(Actor(sub="ana", method="test"))
    for number in range(205):
        await desk.log("mail", ids["waiting"], f"entry {number}")
    pages = [await admin.get("/audit")]
    for _ in range(2):
        pages.append(await admin.follow(pages[-1], OLDER))
    back = await admin.follow(pages[-1], NEWER)
    assert back.answer.text.count("<tr>") == pages[1].answer.text.count("<tr>") == 101
    assert NEWER not in [said for _, said in back.links]
    assert NEWEST in [said for _, said in back.links]
