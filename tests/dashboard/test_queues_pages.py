"""Queues through their pages: cleaned, limited, chosen among, paused together; what is muted, and the system's page."""

import httpx
import pytest

from corral import Corral
from corral.http.app import Application
from corral.job import NewJob
from corral.monitor.index import KIND, Coverage, coverage_change
from corral.options import Hold, QueueSettings
from corral.timing import now_ms

from .surfing import Page, Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)


async def waits(site: Application, queue: str, delay_ms: int = 0) -> None:
    """A job of a queue that nobody declares."""
    await site.state.corral.storage.add([NewJob(queue=queue, name="x", data="{}", delay_ms=delay_ms)])


def names_of(page_text: str, *names: str) -> list[bool]:
    return [f'data-row="rates:{name}"' in page_text for name in names]


async def test_cleaning_counts_first_and_deletes_what_it_has_counted(
    admin: Surfer, ids: dict[str, str], site: Application
) -> None:
    page = await admin.get("/queues/mail/ask/clean")
    assert "No completed job is that old" in page.words
    page = await admin.press(page, "Count", state="completed", older="0")
    assert "1 completed job would be deleted, #" in page.words
    assert (await admin.get(page.link("Export them first"))).status == 200
    done = await admin.press(page, "Clean", _typed="mail", reason="enough of them")
    assert "Cleaned mail." in done.words
    [counts] = await site.state.corral.storage.counts(["mail"])
    assert (counts.completed, counts.failed) == (0, 1)


async def test_cleaning_wants_the_name_typed(admin: Surfer, ids: dict[str, str], site: Application) -> None:
    page = await admin.get("/queues/mail/ask/clean?state=failed&older=0")
    refused = await admin.press(page, "Clean", _typed="nail")
    assert refused.status == 422
    [counts] = await site.state.corral.storage.counts(["mail"])
    assert counts.failed == 1


async def test_limits_are_set_and_lifted_again(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    page = await admin.get("/queues/mail?tab=settings")
    said = {
        "global_concurrency": "7", "rate_max": "10", "rate_seconds": "1.5", "add_max": "100", "add_seconds": "60",
        "completed_count": "50", "completed_hours": "24", "description": "letters", "slo_seconds": "30",
    }  # fmt: skip
    page = await admin.press(page, "Save", **said)
    assert "Saved." in page.words
    found = (await _queue(admin)).json()
    assert (found["global_concurrency"], found["description"], found["slo_seconds"]) == (7, "letters", 30)
    assert (found["rate_limit"]["max"], found["rate_limit"]["duration_ms"]) == (10, 1500)
    assert found["details"]["add_limit"] == {"max": 100, "duration_ms": 60_000}
    assert found["details"]["keep_completed"] == {"count": 50, "age_ms": 86_400_000}
    emptied = dict.fromkeys(said, "")
    page = await admin.press(page, "Save", **emptied)
    assert "Saved." in page.words
    found = (await _queue(admin)).json()
    assert (found["global_concurrency"], found["description"], found["slo_seconds"]) == (None, None, None)
    assert (found["rate_limit"], found["details"]["add_limit"]) == (None, None)
    assert "Nothing was changed." in (await admin.press(page, "Save")).words


async def _queue(admin: Surfer) -> httpx.Response:
    return (await admin.get("/api/v1/queues/mail")).answer


async def test_settings_that_cannot_be_meant_stay_in_the_form(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail?tab=settings")
    refused = await admin.press(page, "Save", rate_max="10", description="letters to customers")
    assert refused.status == 400
    assert "A limit needs both" in refused.words
    [form] = [form for form in refused.forms if form.action.endswith("/settings")]
    assert ("rate_max", "10") in form.fields
    assert ("description", "letters to customers") in form.fields
    again = await admin.press(refused, "Save", rate_seconds="2")
    assert "Saved." in again.words


async def test_settings_that_somebody_else_has_changed_are_not_overwritten(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail?tab=settings")
    await admin.press(page, "Save", global_concurrency="3")
    refused = await admin.press(page, "Save", global_concurrency="4")
    assert refused.status == 412
    assert "Somebody else has changed them" in refused.words
    assert (await _queue(admin)).json()["global_concurrency"] == 3


async def test_what_the_application_declares_is_shown(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail?tab=settings")
    assert "As declared" in page.words
    assert "<dt>attempts</dt><dd>2</dd>" in page.answer.text


async def test_a_search_within_a_queue_that_cannot_be_read_keeps_what_was_typed(
    admin: Surfer, ids: dict[str, str]
) -> None:
    page = await admin.get("/queues/mail?q=state:nowhere")
    assert page.status == 400
    assert page.headings == ["mail"]
    assert ("input", "state:nowhere") in [(tag, given.get("value")) for tag, given in page.tags]
    assert any("caret" in given.get("class", "") for _, given in page.tags)


async def test_queues_are_narrowed_to_busy_ones_and_problems(admin: Surfer, site: Application) -> None:
    await waits(site, "idle", delay_ms=3_600_000)
    await waits(site, "orphan")
    busy = await admin.get("/queues?show=busy")
    assert names_of(busy.answer.text, "orphan", "idle") == [True, False]
    problems = await admin.get("/queues?show=problems")
    assert names_of(problems.answer.text, "orphan", "idle") == [True, False]
    every = await admin.follow(problems, "all")
    assert names_of(every.answer.text, "orphan", "idle") == [True, True]


async def test_the_first_page_narrows_and_sorts_its_queues_too(
    admin: Surfer, ids: dict[str, str], site: Application
) -> None:
    await waits(site, "zoo", delay_ms=3_600_000)
    page = await admin.get("/?sort=name")
    text = page.answer.text
    assert text.index('"rates:mail"') < text.index('"rates:report"') < text.index('"rates:zoo"')
    busy = await admin.follow(page, "busy")
    assert names_of(busy.answer.text, "mail", "zoo") == [True, False]
    assert str(busy.answer.url).count("sort=name") == 1


async def test_more_queues_than_one_page_has_are_on_the_next(
    admin: Surfer, site: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("corral.dashboard.pages.queues.LISTED", 2)
    for name in ("a", "b", "c"):
        await waits(site, name)
    page = await admin.get("/queues?sort=name")
    assert names_of(page.answer.text, "a", "b", "c") == [True, True, False]
    assert "On this page" in page.words
    page = await admin.get(_turned(page, "more"))
    assert names_of(page.answer.text, "a", "b", "c") == [False, False, True]
    assert names_of((await admin.get(_turned(page, "before"))).answer.text, "a", "c") == [True, False]


def _turned(page: Page, word: str) -> str:
    """Where the pager leads that says this."""
    return next(address for address, said in page.links if word in said.split())


async def test_below_the_table_stands_what_all_queues_have_together(admin: Surfer, site: Application) -> None:
    for name, count in (("a", 2), ("b", 3)):
        for _ in range(count):
            await waits(site, name)
    page = await admin.get("/queues")
    assert "Together" in page.words
    for name, count in (("waiting", 5), ("active", 0), ("delayed", 0), ("failed", 0)):
        assert f'data-total="{name}">{count}<' in page.answer.text


async def test_chosen_queues_are_paused_with_a_reason_and_resumed(admin: Surfer, site: Application) -> None:
    for name in ("a", "a[1]", "b"):
        await waits(site, name)
    page = await admin.get("/queues")
    page = await admin.press(page, "Pause", queue=["a[1]", "b"], reason="the post is on strike")
    assert "Paused a[1], b." in page.words
    seen = (await admin.get("/api/v1/queues?sort=name")).answer.json()["items"]
    assert [(one["name"], one["state"], one["paused"]["reason"]) for one in seen] == [
        ("a", "active", None), ("a[1]", "paused", "the post is on strike"), ("b", "paused", "the post is on strike"),
    ]  # fmt: skip
    page = await admin.press(page, "Resume", queue=["b", "a[1]"])
    assert "Resumed a[1], b." in page.words
    assert "No queue was selected." in (await admin.press(page, "Pause")).words


async def test_a_viewer_has_no_boxes_to_choose_queues_with(viewer: Surfer, ids: dict[str, str]) -> None:
    page = await viewer.get("/queues")
    assert not page.has_button("Pause")
    assert not any(given.get("name") == "queue" for tag, given in page.tags if tag == "input")


async def test_a_muted_finding_is_kept_in_sight_and_spoken_of_again(admin: Surfer, site: Application) -> None:
    await waits(site, "orphan")
    page = await admin.get("/")
    assert "no worker takes it" in page.words
    assert not page.has_button("Unmute")
    page = await admin.press(page, "Mute", reason="we know")
    assert "Nothing needs attention" in page.words
    assert "1 muted" in page.words
    page = await admin.press(page, "Unmute")
    assert "Nothing needs attention" not in page.words
    assert not page.has_button("Unmute")


async def test_a_hold_is_ended_where_it_is_told_of(admin: Surfer, ids: dict[str, str], site: Application) -> None:
    await site.state.corral.storage.configure("mail", QueueSettings(hold=Hold(for_ms=600_000, reason="429")))
    page = await admin.get("/")
    page = await admin.press(page, "End the hold")
    assert "The hold has ended." in page.words
    assert (await _queue(admin)).json()["state"] == "active"


async def test_addresses_of_bull_board_keep_their_state(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queue/mail?status=failed")
    assert str(page.answer.url).endswith("/queues/mail?state=failed")
    assert str((await admin.get("/queue/mail?status=latest")).answer.url).endswith("/queues/mail")


async def test_the_system_lists_what_queues_keep_and_makes_tokens_that_expire(
    admin: Surfer, ids: dict[str, str]
) -> None:
    page = await admin.get("/system")
    assert "Jobs kept by queue" in page.words
    assert (await admin.get(page.link("reference"))).status == 200
    made = await admin.press(page, "Make it", name="ci", role="viewer", days="30")
    assert "when it is revoked" not in made.words
    [token] = (await admin.get("/api/v1/tokens")).answer.json()["items"]
    assert token["expires_at"] is not None
    assert (await admin.press(page, "Make the search index anew")).status == 200


async def test_the_system_tells_how_old_the_search_index_of_each_queue_is(
    admin: Surfer, ids: dict[str, str], site: Application
) -> None:
    assert "No queue has an index of tags and traces" in (await admin.get("/system")).words
    made = coverage_change("mail", Coverage(made="x", at=now_ms() - 7_260_000, jobs=1_200, entries=34))
    await site.state.corral.storage.write_entries(KIND, [made])
    page = await admin.get("/system")
    assert "2 h ago, 34 entries" in page.words
    assert "1 of 2 queues have an index" in page.words
    queues = (await admin.get("/api/v1/system/storage")).answer.json()["queues"]
    assert {one["name"]: one["index"] and one["index"]["jobs"] for one in queues} == {"mail": 1_200, "report": None}


async def test_the_systems_first_card_tells_what_the_store_says_of_itself(admin: Surfer, ids: dict[str, str]) -> None:
    card = (await admin.get("/system")).answer.text.partition("<h2>Store</h2>")[2].partition("</section>")[0]
    assert "<dt>Journal</dt><dd>write-ahead log" in card


async def test_failed_jobs_are_counted_in_the_menu(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues")
    assert "Failures1" in [said for _, said in page.links]


async def test_stacks_have_an_address_and_are_asked_for_once(admin: Surfer, shop: Corral) -> None:
    async with await shop.worker() as worker:
        page = await admin.get(f"/workers/{worker.id}")
        page = await admin.press(page, "Dump stacks", reason="it hangs")
        assert "/dumps/" in str(page.answer.url)
        assert page.status == 200
        assert page.headings == ["Stacks"]


async def test_workers_are_found_by_queue_and_host(admin: Surfer, shop: Corral) -> None:
    async with await shop.worker() as worker:
        assert worker.id in (await admin.get("/workers?queue=mail")).answer.text
        assert "No worker fits." in (await admin.get("/workers?host=nowhere")).words
