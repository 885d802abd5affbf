"""Schedules through their pages: found, made, changed in everything, and seen before that."""

import pytest

from corral import Corral
from corral.http.models import plans

from .surfing import Page, Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


def form_of(page: Page) -> dict[str, str]:
    """What stands in the form of a schedule."""
    [form] = [form for form in page.forms if any(said == "Preview" for _, _, said in form.buttons)]
    return dict(form.fields)


async def test_schedules_are_found_by_id_queue_and_state(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    assert "weekly-report" in (await admin.get("/schedules?match=week")).words
    assert "often" not in (await admin.get("/schedules?match=week*")).words
    assert "No schedule fits." in (await admin.get("/schedules?queue=mail")).words
    assert "No schedule fits." in (await admin.get("/schedules?state=paused")).words
    page = await admin.get("/schedules?state=active&queue=report")
    assert "weekly-report" in page.words
    assert "often" in page.words


async def test_lists_and_pages_of_schedules_warn_of_clocks_that_change(
    admin: Surfer, ids: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "29 Mar: clocks go forward, 02:30 does not exist: it runs at 03:00"
    monkeypatch.setattr(plans, "clock_change", lambda row, now: said if row.key == "weekly-report" and now else None)
    for path in ("/schedules", "/queues/report?tab=schedules", "/schedules/report/weekly-report"):
        assert (await admin.get(path)).words.count(said) == 1


async def test_a_schedule_is_made(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    page = await admin.follow(await admin.get("/schedules"), "New schedule")
    said = {"queue": "report", "id": "nightly", "name": "weekly", "pattern": "0 2 * * *", "tz": "Europe/Oslo"}
    page = await admin.press(page, "Preview", **said, data='{"week": 47}')
    assert "02:00" in page.words
    assert form_of(page)["id"] == "nightly"
    page = await admin.press(page, "Make it", start="2030-01-01T00:00", limit="5", overlap="skip")
    assert page.headings == ["nightly"]
    made = (await admin.get("/api/v1/queues/report/schedules/nightly")).answer.json()
    assert (made["pattern"], made["tz"], made["limit"], made["overlap"]) == ("0 2 * * *", "Europe/Oslo", 5, "skip")
    assert made["start"].startswith("2030-01-01T00:00")
    assert made["job"]["data"] == {"week": 47}


async def test_a_schedule_that_is_there_already_is_not_overwritten(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/schedules/new?queue=report")
    page = await admin.press(page, "Make it", id="often", name="weekly", every="60", data="{}")
    assert page.status == 409
    assert "has a schedule 'often' already" in page.words
    assert form_of(page)["every"] == "60"
    kept = (await admin.get("/api/v1/queues/report/schedules/often")).answer.json()
    assert kept["every_ms"] == 3_600_000


async def test_everything_of_a_schedule_is_changed_by_its_form(
    admin: Surfer, ids: dict[str, str], shop: Corral
) -> None:
    page = await admin.get("/schedules/report/often/edit")
    assert form_of(page)["every"] == "3600"
    assert form_of(page)["data"] == '{\n  "week": 2\n}'
    page = await admin.press(
        page, "Save", every="1800", end="2031-05-01T12:30", limit="9", missed_policy="all", overlap="skip",
        data='{"week": 1.10}', reason="twice as often",
    )  # fmt: skip
    assert "Changed." in page.words
    found = (await admin.get("/api/v1/queues/report/schedules/often")).answer
    now = found.json()
    assert (now["every_ms"], now["limit"], now["missed_policy"], now["overlap"]) == (1_800_000, 9, "all", "skip")
    assert now["end"].startswith("2031-05-01T12:30")
    assert '"week":1.10' in found.text.replace(" ", "")
    page = await admin.press(await admin.get("/schedules/report/often/edit"), "Save", end="", limit="")
    now = (await admin.get("/api/v1/queues/report/schedules/often")).answer.json()
    assert (now["end"], now["limit"], now["every_ms"]) == (None, None, 1_800_000)
    assert "Nothing was changed." in (await admin.press(await admin.get("/schedules/report/often/edit"), "Save")).words


async def test_a_changed_payload_leaves_the_options_of_the_jobs_as_they_were(
    admin: Surfer, ids: dict[str, str], shop: Corral
) -> None:
    at = "/api/v1/queues/report/schedules/mine"
    client = admin._client  # there is no page for options
    made = await client.put(
        at, json={"every_ms": 60_000, "job": {"name": "weekly", "data": {}, "opts": {"attempts": 7, "priority": 3}}}
    )
    assert made.status_code == 201
    before = made.json()["job"]
    page = await admin.get("/schedules/report/mine/edit")
    await admin.press(page, "Save", data='{"week": 3}')
    after = (await admin.get(at)).answer.json()["job"]
    assert after == {**before, "data": {"week": 3}}


async def test_what_cannot_be_meant_is_told_beside_the_form_and_nothing_is_lost(
    admin: Surfer, ids: dict[str, str]
) -> None:
    page = await admin.get("/schedules/report/often/edit")
    refused = await admin.press(page, "Save", data='{"week": ', limit="9", reason="a try")
    assert refused.status == 400
    assert "The payload cannot be read" in refused.words
    assert (form_of(refused)["data"], form_of(refused)["reason"]) == ('{"week":', "a try")
    both = await admin.press(page, "Save", pattern="0 1 * * *")
    assert "either a cron line or every so many seconds" in both.words


async def test_the_last_runs_stand_as_ticks(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    page = await admin.get("/schedules/report/often")
    page = await admin.press(page, "Run now")
    ticks = [given for tag, given in page.tags if tag == "a" and "tick" in given.get("class", "").split()]
    assert [given["class"] for given in ticks] == ["tick waiting"]


async def test_a_viewer_makes_no_schedules(viewer: Surfer, ids: dict[str, str]) -> None:
    page = await viewer.get("/schedules")
    assert "New schedule" not in page.words
