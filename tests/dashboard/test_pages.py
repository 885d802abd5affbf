"""Every page, without any script: it is there, it shows what it should, and its buttons do what they say."""

import json
from collections.abc import Callable

import httpx
import pytest

from corral import Corral
from corral.dashboard.app import create_dashboard
from corral.monitor.thresholds import Thresholds
from tests.web.conftest import TOKENS, make_settings

from .place import EVIL
from .surfing import Page, Surfer

PAGES = (
    "/", "/queues", "/queues/mail", "/queues/mail?state=failed", "/queues/mail?tab=metrics",
    "/queues/report?tab=schedules", "/queues/mail?tab=workers", "/queues/mail?tab=settings", "/queues/mail/new",
    "/queues/mail/ask/pause", "/queues/mail/ask/drain", "/queues/mail/ask/clean", "/queues/mail/ask/obliterate",
    "/jobs",
    "/jobs?q=state:failed", "/failures", "/schedules", "/schedules/report/weekly-report",
    "/schedules/report/weekly-report/edit", "/schedules/report/weekly-report/ask/delete", "/flows", "/workers",
    "/insights", "/insights?range=7d&queue=mail", "/operations", "/audit", "/system",
)  # fmt: skip
TABS = ("payload", "result", "errors", "logs", "flow", "options", "attempts", "raw", "audit")


@pytest.mark.parametrize("path", PAGES)
async def test_each_page_is_complete_without_scripts(admin: Surfer, ids: dict[str, str], path: str) -> None:
    page = await admin.get(path)
    assert page.status == 200, page.words
    assert len(page.headings) == 1
    assert EVIL not in page.answer.text
    assert [given for tag, given in page.tags if "style" in given or any(name.startswith("on") for name in given)] == []


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize("which", ["done", "failed", "waiting", "delayed", "flow"])
async def test_each_tab_of_each_job_is_there(admin: Surfer, ids: dict[str, str], which: str, tab: str) -> None:
    queue = "report" if which == "flow" else "mail"
    page = await admin.get(f"/queues/{queue}/jobs/{ids[which]}?tab={tab}")
    assert page.status == 200, page.words
    assert EVIL not in page.answer.text


async def test_the_first_page_says_what_is_wrong_and_where(shop: Corral, ids: dict[str, str]) -> None:
    site = create_dashboard(shop, settings=make_settings(), thresholds=Thresholds(failed=0))
    await site.state.corral.open()
    transport = httpx.ASGITransport(app=site)
    headers = {"Authorization": f"Bearer {TOKENS['admin']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.test", headers=headers) as client:
        page = await Surfer(client).get("/")
    assert {"mail", "report"} <= {text for _, text in page.links}
    assert "Needs attention" in page.words
    assert "Open failures" in {text for _, text in page.links}
    await site.state.corral.close()


@pytest.mark.mission("M-AI-45")
async def test_a_job_is_retried_by_its_button(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    page = await admin.press(await admin.get(f"/queues/mail/jobs/{ids['failed']}"), "Retry")
    assert "Retried." in page.words
    assert (await (await shop.open_queue("mail")).counts()).failed == 0


async def test_a_delayed_job_is_run_now(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    page = await admin.press(await admin.get(f"/queues/mail/jobs/{ids['delayed']}"), "Run now")
    assert "Promoted." in page.words
    assert (await (await shop.open_queue("mail")).counts()).delayed == 0


async def test_a_queue_is_paused_with_a_reason_which_everybody_sees(
    admin: Surfer, viewer: Surfer, ids: dict[str, str]
) -> None:
    asked = await admin.follow(await admin.get("/queues/mail"), "Pause")
    page = await admin.press(asked, "Pause", reason="moving house")
    assert "“moving house”" in page.words
    seen = await viewer.get("/queues/mail")
    assert "by admin" in seen.words
    assert "“moving house”" in seen.words
    assert "Paused" not in (await admin.press(seen, "Resume") if seen.has_button("Resume") else seen).headings
    resumed = await admin.press(await admin.get("/queues/mail"), "Resume")
    assert "“moving house”" not in resumed.words


async def test_a_paused_queue_is_told_of_as_the_reason_why_a_job_waits(admin: Surfer, ids: dict[str, str]) -> None:
    await admin.press(await admin.get("/queues/mail/ask/pause"), "Pause", reason="moving house")
    page = await admin.get(f"/queues/mail/jobs/{ids['waiting']}")
    assert "Why is it not running?" in page.words
    assert "paused" in page.words
    assert page.has_button("Resume the queue")


async def test_a_payload_is_changed_and_run_again_with_its_numbers_as_they_were_written(
    admin: Surfer, ids: dict[str, str], shop: Corral
) -> None:
    asked = await admin.follow(await admin.get(f"/queues/mail/jobs/{ids['done']}"), "Edit & run again")
    [form] = [form for form in asked.forms if form.action.startswith("/rerun")]
    before = dict(form.fields)["data"]
    assert json.loads(before)["amount"] == 3
    changed = before.replace('"amount": 3', '"amount": 1.10')
    page = await admin.press(asked, "Run again", data=changed)
    assert "Made from" in page.words
    assert "1.10" in page.words
    [made] = [text for address, text in page.links if text == f"mail/{ids['done']}"]
    assert made


async def test_a_payload_that_is_no_json_is_refused_with_the_place(admin: Surfer, ids: dict[str, str]) -> None:
    asked = await admin.get(f"/queues/mail/jobs/{ids['done']}/ask/rerun")
    page = await admin.press(asked, "Run again", data='{"to": }')
    assert page.status == 400
    assert "column" in page.words


async def test_a_job_is_added_by_the_form(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    form = await admin.follow(await admin.get("/queues/mail"), "Add job")
    page = await admin.press(form, "Add", name="welcome", data='{"to": "new@example.com"}', delay="60", tags="a, b")
    assert "Added." in page.words
    assert {"a", "b"} <= {text for _, text in page.links}
    assert (await (await shop.open_queue("mail")).counts()).delayed == 2


async def test_a_job_of_an_unknown_name_is_refused_beside_the_form_and_nothing_is_lost(
    admin: Surfer, ids: dict[str, str]
) -> None:
    form = await admin.get("/queues/mail/new")
    page = await admin.press(form, "Add", name="welcom", data='{"kept": 1}')
    assert page.status == 422
    assert any(("data", '{"kept": 1}') in form.fields for form in page.forms)


async def test_a_schedule_is_run_paused_and_changed(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    page = await admin.get("/schedules/report/weekly-report")
    assert "2026" in page.words or "20" in page.words
    page = await admin.press(page, "Run now")
    assert "Running it now." in page.words
    page = await admin.press(page, "Pause")
    assert page.has_button("Resume")
    edit = await admin.follow(page, "Edit")
    looked = await admin.press(edit, "Preview", pattern="30 6 * * 2")
    assert "Tuesday" in looked.words
    saved = await admin.press(looked, "Save")
    assert "30 6 * * 2" in saved.words


async def test_a_timing_that_cannot_be_meant_is_refused_beside_the_form(admin: Surfer, ids: dict[str, str]) -> None:
    edit = await admin.get("/schedules/report/weekly-report/edit")
    page = await admin.press(edit, "Save", pattern="61 * * * *")
    assert page.status == 422
    assert any(("pattern", "61 * * * *") in form.fields for form in page.forms)
    assert "61" in page.words


async def test_failures_stand_together_by_kind_and_are_all_retried(
    admin: Surfer, ids: dict[str, str], shop: Corral
) -> None:
    kinds = await admin.get("/failures")
    kind = await admin.follow(kinds, "ConnectionError")
    assert EVIL in kind.text  # shown, as text
    asked = await admin.follow(kind, "Retry all 1")
    page = await admin.press(asked, "Retry 1", reason="it is back")
    assert page.status == 200, page.words
    assert "it is back" in (await admin.get("/operations")).words


async def test_chosen_jobs_are_removed_after_a_question(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    chosen = await admin.get("/jobs?q=state:failed")
    asked = await admin.press(chosen, "Remove", job=f"mail/{ids['failed']}")
    assert "Remove 1 job" in asked.words
    page = await admin.press(asked, "Remove 1", reason="tidying up")
    assert "1 done" in page.headings[0]
    assert (await (await shop.open_queue("mail")).counts()).failed == 0


async def test_all_that_a_search_finds_is_retried(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    found = await admin.get("/jobs?q=state:failed")
    asked = await admin.press(found, "Retry", all="1")
    page = await admin.press(asked, "Retry 1")
    assert "1 done" in page.headings[0]
    assert (await (await shop.open_queue("mail")).counts()).failed == 0


async def test_draining_wants_the_name_typed(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    asked = await admin.get("/queues/mail/ask/drain")
    wrong = await admin.press(asked, "Drain", confirm="male")
    assert wrong.status == 422
    assert (await (await shop.open_queue("mail")).counts()).waiting > 0
    await admin.press(asked, "Drain", confirm="mail")
    assert (await (await shop.open_queue("mail")).counts()).waiting == 0


async def test_a_search_that_cannot_be_read_says_where(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/jobs?q=state:failed ( nonsense:x:")
    assert page.status == 400
    assert "^" in page.text


async def test_a_job_that_is_gone_has_a_page_that_says_so(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail/jobs/987654")
    assert page.status == 404
    assert "is not in mail" in page.words


async def test_addresses_of_bull_board_lead_on(admin: Surfer, ids: dict[str, str]) -> None:
    assert (await admin.get("/queue/mail")).headings == ["mail"]
    assert f"#{ids['done']}" in (await admin.get(f"/queue/mail/{ids['done']}")).headings[0]


async def test_a_viewer_sees_no_button_that_changes_anything(viewer: Surfer, ids: dict[str, str]) -> None:
    for path in (*PAGES, *(f"/queues/mail/jobs/{id}" for id in (ids["done"], ids["failed"], ids["waiting"]))):
        page = await viewer.get(path)
        if page.status == 403:
            continue
        asked = "/ask/" in path or path.endswith(("/new", "/edit"))
        forms = [form for form in page.forms if form.method == "POST" and not form.action.endswith("/preferences")]
        # A list may always be selected from; without a right there is nothing to press.
        forms = [form for form in forms if form.buttons]
        assert asked or forms == [], path


async def test_what_is_sensitive_is_not_on_any_page_for_a_viewer(viewer: Surfer, ids: dict[str, str]) -> None:
    for path in (
        f"/queues/mail/jobs/{ids['done']}",
        "/jobs",
        "/queues/mail",
        f"/queues/mail/jobs/{ids['done']}?tab=raw",
    ):
        assert "hunter2" not in (await viewer.get(path)).answer.text


@pytest.mark.parametrize("name", ["a/b", "..", "äö#%&", "<b>", "x" * 120])
async def test_jobs_with_odd_ids_have_their_pages(admin: Surfer, shop: Corral, name: str) -> None:
    queue = await shop.open_queue("mail")
    await queue.add("welcome", {"to": "x"}, id=name)
    lists = await admin.get("/queues/mail")
    [address] = [address for address, text in lists.links if text.endswith(f"#{name}")]
    page = await admin.get(address)
    assert page.status == 200
    assert f"#{name}" in page.headings[0]


async def test_nobody_in_particular_is_sent_to_the_login(visitor: Callable[[str], Surfer], ids: dict[str, str]) -> None:
    stranger = visitor("viewer")
    stranger._client.headers.pop("Authorization")
    page = await stranger.get("/queues/mail?state=failed")
    assert page.headings == ["Log in"]
    assert ("next", "/queues/mail?state=failed") in page.forms[0].fields


async def test_a_form_from_another_site_does_nothing(admin: Surfer, viewer: Surfer, ids: dict[str, str]) -> None:
    admin._client.headers.pop("Authorization")
    answer = await admin._client.post("/do/queues/mail/pause", data={}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code in (303, 401, 403)
    assert "paused" not in (await viewer.get("/queues/mail")).headings[0]


async def test_after_an_action_nobody_is_led_to_another_site(admin: Surfer, ids: dict[str, str]) -> None:
    for target in ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        answer = await admin._client.post(
            "/do/queues/mail/resume", data={"_next": target}, headers={"Sec-Fetch-Site": "same-origin"}
        )
        assert answer.headers["location"] == "/"


def test_the_page_of_this_module_is_read_rightly() -> None:
    html = '<form action="/x" method="post"><input name="a" value="1"><button>Go</button></form>'
    page = Page(httpx.Response(200, text=html, request=httpx.Request("GET", "http://x")))
    assert page.forms[0].buttons == [("", "", "Go")]


async def test_a_token_is_made_shown_once_and_revoked(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get("/system"), "Make it", name="ci", role="producer", queues="mail*")
    [clear] = [word for word in page.words.split() if word.startswith("crl_")]
    listed = await admin.get("/system")
    assert clear not in listed.answer.text
    assert "producer" in listed.words
    assert "Revoked ci." in (await admin.press(listed, "Revoke")).words


async def test_a_mark_is_put_on_the_charts(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get("/insights"), "Mark now", label="v2.3.1")
    assert "Marked." in page.words
    assert "v2.3.1" in page.words


async def test_a_limit_is_changed_on_the_settings_of_a_queue(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get("/queues/mail?tab=settings")
    saved = await admin.press(page, "Save", **{"global_concurrency:n": "7", "description": "letters"})
    assert "Saved." in saved.words
    assert "letters" in saved.words
