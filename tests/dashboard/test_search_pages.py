"""Searching through the pages: queues by name, in the background, exports; operations, and what the audit log tells."""

import csv
import io

import pytest

from corral import Corral
from corral.http.app import Application

from .surfing import Page, Surfer

NEWEST, OLDER = "\u2039 newest", "older \u203a"
pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


def box(page: Page, id: str) -> str:
    return next(given.get("value", "") for tag, given in page.tags if tag == "input" and given.get("id") == id)


async def test_a_word_finds_the_queues_that_are_called_so(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/jobs?q=repo")
    assert "Queues: report" in page.words
    assert "Queues:" not in (await admin.get("/jobs?q=state:failed")).words
    assert "Queues:" not in (await admin.get("/jobs?q=nothing-is-called-so")).words


async def test_the_box_above_has_only_what_was_searched_everywhere(admin: Surfer, ids: dict[str, str]) -> None:
    assert box(await admin.get("/jobs?q=state:failed"), "find") == "state:failed"
    within = await admin.get("/queues/mail?q=name:welcome")
    assert (box(within, "find"), box(within, "within")) == ("", "name:welcome")


async def test_what_a_search_finds_is_exported(viewer: Surfer, ids: dict[str, str]) -> None:
    page = await viewer.get("/jobs?q=state:failed")
    sheet = list(csv.DictReader(io.StringIO((await viewer.follow(page, "CSV")).answer.text)))
    assert [row["id"] for row in sheet] == [ids["failed"]]
    assert len((await viewer.follow(page, "NDJSON")).answer.text.splitlines()) == 1
    listed = await viewer.get("/queues/mail?state=completed")
    assert len((await viewer.follow(listed, "NDJSON")).answer.text.splitlines()) == 1


async def test_a_search_that_has_not_seen_all_goes_on_in_the_background(admin: Surfer, ids: dict[str, str]) -> None:
    answer = await admin._client.post(
        "/do/jobs/search", data={"q": "data.user.id:42", "background:b": "true"},
        headers={"Sec-Fetch-Site": "same-origin"},
    )  # fmt: skip
    at = answer.headers["location"]
    assert at.startswith("/operations/op_")
    page = await admin.get(at)
    for _ in range(200):
        if "done" in page.headings[0]:
            break
        page = await admin.get(at)
    assert f"#{ids['failed']}" in " ".join(text for _, text in page.links)
    assert "1 found" in page.words


async def test_operations_are_chosen_by_how_they_stand(admin: Surfer, ids: dict[str, str]) -> None:
    assert (await admin.get("/operations?state=running")).status == 200
    assert "No operation is running." in (await admin.get("/operations?state=running")).words
    assert (await admin.get("/operations?state=<b>")).status == 200


async def test_the_audit_log_tells_what_changed(admin: Surfer, ids: dict[str, str]) -> None:
    asked = await admin.get(f"/queues/mail/jobs/{ids['waiting']}/ask/edit")
    await admin.press(asked, "Save", data='{"to": "new@example.com"}', reason="moved")
    page = await admin.get(f"/audit?job={ids['waiting']}&queue=mail")
    assert "Before" in page.words
    assert "new@example.com" in page.words
    assert "new@example.com" in (await admin.get(f"/queues/mail/jobs/{ids['waiting']}?tab=audit")).words


async def test_the_audit_log_is_narrowed_and_taken_along(admin: Surfer, ids: dict[str, str]) -> None:
    await admin.press(await admin.get("/queues/mail/ask/pause"), "Pause", reason="the first")
    await admin.press(await admin.get("/queues/report/ask/pause"), "Pause", reason="the second")
    page = await admin.press(await admin.get("/audit?action=queue.pause"), "Show", queue="report", **{"from": "1h"})
    assert "the second" in page.words
    assert "the first" not in page.words
    sheet = list(csv.DictReader(io.StringIO((await admin.follow(page, "CSV, newest 500")).answer.text)))
    assert [row["reason"] for row in sheet] == ["the second"]
    kept = await admin.press(await admin.get("/audit?job=7"), "Show", actor="ann")
    assert box(kept, "job") == "7"
    wrong = await admin.get("/audit?from=whenever&actor=ann")
    assert wrong.status == 400
    assert (box(wrong, "from"), box(wrong, "actor")) == ("whenever", "ann")


async def test_a_later_page_leads_back_to_the_newest(admin: Surfer, shop: Corral, site: Application) -> None:
    queue = await shop.open_queue("mail")
    for _ in range(60):
        await queue.add("welcome", {})
    page = await admin.follow(await admin.get("/queues/mail"), OLDER)
    assert NEWEST in {text for _, text in page.links}
    assert NEWEST not in {text for _, text in (await admin.follow(page, NEWEST)).links}
