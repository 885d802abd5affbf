"""Kinds of failures through their pages: chosen among, in one queue or in all, muted for a while."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from corral import Corral, JobFailedError

from .surfing import Page, Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


@pytest.fixture
async def kinds(shop: Corral, ids: dict[str, str]) -> None:
    """The same kind of failure in two queues, twice in one of them, with tags."""
    for name in ("mail", "post"):
        if name not in shop.queues:
            shop.queue(name, attempts=1)
    handlers = []
    for name, several in (("mail", 2), ("post", 1)):

        @shop.queues[name].job("lose")
        async def lose(data: dict[str, str]) -> None:
            raise LookupError("no such letter")

        handlers += [await lose.add({}, tags=("tenant-7", f"of-{name}"), attempts=1) for _ in range(several)]
    async with await shop.worker():
        for job in handlers:
            with suppress(JobFailedError):
                await job.result(timeout=60)


def options_of(page: Page, name: str) -> list[str]:
    inside, found = False, []
    for tag, given in page.tags:
        if tag == "select":
            inside = given.get("name") == name
        elif tag == "option" and inside:
            found.append(given["value"])
    return found


async def test_kinds_are_chosen_by_queue_state_and_order(admin: Surfer, kinds: None) -> None:
    page = await admin.get("/failures?queue=post")
    assert {"", "mail", "post"} <= set(options_of(page, "queue"))
    assert "LookupError" in {text for _, text in page.links}
    assert "ConnectionError" not in {text for _, text in page.links}
    counted = await admin.get("/failures?sort=count")
    assert [text for _, text in counted.links if text.endswith("Error")] == ["LookupError", "ConnectionError"]
    assert "No muted failures in the last 24h." in (await admin.get("/failures?state=muted")).words
    strange = await admin.get("/failures?window=<b>&sort=x&state=y")
    assert strange.status == 200
    assert "24h" in strange.words


async def test_only_what_has_come_up_since_the_last_mark_is_shown_when_wanted(admin: Surfer, kinds: None) -> None:
    assert "No new failures in the last 24h." in (await admin.get("/failures?new=1")).words
    mark = {"label": "v2", "at": (datetime.now(UTC) - timedelta(hours=1)).isoformat()}
    assert (await admin._client.post("/api/v1/marks", json=mark)).status_code == 201
    page = await admin.press(await admin.get("/failures"), "Show", new="1")
    assert "LookupError" in {text for _, text in page.links}
    assert "new since v2" in page.words


async def test_a_queue_that_was_chosen_stays_chosen_also_for_what_is_done(
    admin: Surfer, kinds: None, shop: Corral
) -> None:
    page = await admin.get("/failures?queue=mail")
    kind = await admin.follow(page, "LookupError")
    assert "Only of mail" in kind.words
    asked = await admin.follow(kind, "Retry all 2")
    assert "in mail" in asked.words
    await admin.press(asked, "Retry 2")
    assert (await (await shop.open_queue("post")).counts()).failed == 1


async def test_a_kind_tells_the_tags_of_its_jobs_and_is_exported(admin: Surfer, kinds: None) -> None:
    kind = await admin.follow(await admin.get("/failures"), "LookupError")
    assert {"tenant-7 3", "of-mail 2", "of-post 1"} <= {text for _, text in kind.links}
    file = await admin.follow(kind, "Export")
    assert len(file.answer.text.splitlines()) == 3
    one = await admin.follow(kind, "post")
    assert len((await admin.follow(one, "Export")).answer.text.splitlines()) == 1


async def test_a_kind_is_muted_for_as_long_as_said_and_why(admin: Surfer, kinds: None, shop: Corral) -> None:
    kind = await admin.follow(await admin.get("/failures"), "LookupError")
    asked = await admin.follow(kind, "Mute …")
    assert len(options_of(asked, "until")) == 6
    page = await admin.press(asked, "Mute", until=options_of(asked, "until")[-1], reason="the post office is on strike")
    assert "Muted." in page.words
    assert "Muted until" in page.words
    assert "strike" in (await admin.get("/audit?action=failure.*")).words
    listed = await admin.get("/failures?state=muted")
    assert "LookupError" in {text for _, text in listed.links}
    await admin.press(listed, "Unmute")
    assert "LookupError" not in {text for _, text in (await admin.get("/failures?state=muted")).links}


async def test_a_viewer_may_look_and_export_only(viewer: Surfer, kinds: None) -> None:
    texts = {text for _, text in (await viewer.get("/failures")).links}
    assert "Export" in texts
    assert not {"Retry all", "Mute …", "Remove"} & texts
