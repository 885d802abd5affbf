"""What is asked before something is done is checked when it is done; what was done is told once, and there."""

from collections.abc import Callable
from urllib.parse import quote

import pytest

from corral import Corral
from corral.dashboard.visit import BULK
from corral.http.app import Application
from corral.http.models.links import part

from .browser import CHROMIUM, browsing, served, tab
from .opening import coming, opened
from .surfing import Page, Surfer

pytestmark = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
TOKEN = "admin-token-of-the-tests"


async def names_of(shop: Corral, state: str = "waiting") -> int:
    counts = await (await shop.open_queue("mail")).counts()
    return int(getattr(counts, state))


async def add(shop: Corral, count: int, **more: object) -> None:
    mail = await shop.open_queue("mail")
    for number in range(count):
        await mail.add("welcome", {"to": f"{number}@example.com"}, tags=("many",), **more)  # type: ignore[arg-type]


async def asked(surfer: Surfer, action: str, query: str = "tag:many state:waiting") -> Page:
    """The question before something is done with all that a search finds."""
    return await surfer.press(await surfer.get(f"/jobs?q={quote(query)}"), action, all="1")


# -- many at once ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["", "2", "yes", "33"])
async def test_many_are_not_removed_unless_their_number_is_typed(
    admin: Surfer, shop: Corral, ids: dict[str, str], typed: str
) -> None:
    await add(shop, 3)
    before = await names_of(shop)
    page = await admin.press(await asked(admin, "Remove"), "Remove 3", typed=typed)
    assert page.status == 422
    assert "Type 3 to say that you mean it." in page.words
    assert await names_of(shop) == before
    page = await admin.press(page, "Remove 3", typed="3")
    assert page.headings == ["Remove: 3 done"]
    assert await names_of(shop) == before - 3


async def test_what_was_typed_is_compared_with_how_many_there_are_now(
    admin: Surfer, shop: Corral, ids: dict[str, str]
) -> None:
    await add(shop, 3)
    page = await asked(admin, "Remove")
    await add(shop, 3)
    page = await admin.press(page, "Remove 3", typed="3")
    assert "There are 6 now. Nothing was done." in page.words
    assert await names_of(shop) >= 6
    forged = await admin.press(page, "Remove 6", typed="3", count="3")
    assert forged.status == 422
    assert await names_of(shop) >= 6


async def test_chosen_ones_are_confirmed_by_their_number_too(admin: Surfer, shop: Corral, ids: dict[str, str]) -> None:
    await add(shop, 2)
    page = await admin.get(f"/jobs?q={quote('tag:many')}")
    chosen = [given["value"] for tag, given in page.tags if tag == "input" and given.get("name") == "job"]
    page = await admin.press(page, "Remove", job=chosen)
    assert (await admin.press(page, "Remove 2", typed="1", count="1")).status == 422
    assert (await admin.press(page, "Remove 2", typed="2")).headings == ["Remove: 2 done"]


async def test_a_few_are_retried_without_typing(admin: Surfer, ids: dict[str, str]) -> None:
    page = await asked(admin, "Retry", "queue:mail state:failed")
    assert "typed" not in {given.get("name") for tag, given in page.tags if tag == "input"}
    assert (await admin.press(page, "Retry 1")).headings == ["Retry: 1 done"]


# -- where it is dangerous ---------------------------------------------------------------------------------------------


async def test_where_it_is_dangerous_each_removal_is_typed(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, env_danger=True, env_label="live") as site, coming(site, token=TOKEN) as (surfer, client):
        page = await surfer.get(f"/queues/mail/jobs/{ids['waiting']}/ask/remove")
        assert ("header", {"class": "top danger"}) in page.tags
        assert ("span", {"class": "env red"}) in page.tags
        assert (await surfer.press(page, "Remove", _typed="yes")).status == 422
        bare = await client.post(
            f"/do/queues/mail/jobs/{ids['waiting']}",
            data={"_method": "DELETE"},
            headers={"Sec-Fetch-Site": "same-origin"},
        )
        assert (bare.status_code, "confirmation-required" in bare.text) == (422, True)
        assert await names_of(shop) > 0
        done = await surfer.press(page, "Remove", _typed=ids["waiting"])
        assert f"Removed #{ids['waiting']}." in done.words
        one = f"queue:mail id:{ids['done']}"
        asked_of_one = await asked(surfer, "Remove", one)
        assert (await surfer.press(asked_of_one, "Remove 1")).status == 422
        assert (await surfer.press(asked_of_one, "Remove 1", typed="1")).headings == ["Remove: 1 done"]


async def test_elsewhere_one_job_is_removed_without_typing(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get(f"/queues/mail/jobs/{ids['waiting']}/ask/remove"), "Remove")
    assert f"Removed #{ids['waiting']}." in page.words


async def test_the_badge_has_the_colour_of_the_settings(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, env_label="staging", env_color="blue") as site, coming(site, token=TOKEN) as (surfer, _):
        page = await surfer.get("/queues")
    assert ("span", {"class": "env blue"}) in page.tags
    assert ("header", {"class": "top"}) in page.tags


# -- why ---------------------------------------------------------------------------------------------------------------


async def test_where_a_reason_is_needed_a_button_asks_for_it(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, require_reason=True) as site, coming(site, token=TOKEN) as (surfer, _):
        page = await surfer.press(await surfer.get(f"/queues/mail/jobs/{ids['failed']}"), "Retry")
        assert (page.status, page.headings) == (422, ["Retry"])
        assert "Here every change says why." in page.words
        assert await names_of(shop, "failed") == 1
        done = await surfer.press(page, "Retry", reason="the provider is back")
        assert "Retried." in done.words
        assert await names_of(shop, "failed") == 0
        entries = (await surfer.get("/api/v1/audit?action=job.retry")).answer.json()["items"]
        assert [one["reason"] for one in entries] == ["the provider is back"]


async def test_where_a_reason_is_needed_looking_what_many_are_needs_none(shop: Corral, ids: dict[str, str]) -> None:
    async with opened(shop, require_reason=True) as site, coming(site, token=TOKEN) as (surfer, _):
        page = await asked(surfer, "Retry", "queue:mail state:failed")
        assert page.status == 200
        done = await surfer.press(page, "Retry 1", reason="again")
        assert done.headings == ["Retry: 1 done"]


async def test_where_a_reason_is_needed_a_job_is_added_and_a_token_made_with_one(
    shop: Corral, ids: dict[str, str]
) -> None:
    async with opened(shop, require_reason=True) as site, coming(site, token=TOKEN) as (surfer, _):
        form = await surfer.get("/queues/mail/new")
        page = await surfer.press(form, "Add", name="welcome", data='{"to": "a"}', reason="by hand")
        assert "Added." in page.words
        made = await surfer.press(await surfer.get("/system"), "Make it", role="viewer", name="ci", reason="for ci")
        assert "This is the only time that it is shown" in made.words


async def test_another_site_s_form_does_not_become_a_question_for_a_reason(shop: Corral, ids: dict[str, str]) -> None:
    settings = {"tokens": "", "insecure_no_auth": True, "require_reason": True}
    async with opened(shop, **settings) as site, coming(site, base="http://localhost") as (_, client):
        answer = await client.post(
            "/do/queues/mail/obliterate", data={"confirm": "mail", "_text": "Continue"},
            headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"},
        )  # fmt: skip
    assert answer.status_code == 403
    assert 'value="mail"' not in answer.text


@pytest.mark.parametrize(
    "fields",
    [{"confirm": "mail", "_expect": "x"}, {"confirm": "mail", "n:n": "x"}, {"confirm": "mail", "_method": "GET"},
     {"confirm": "wrong", "note": "<b>"}],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/do/queues/mail/obliterate", "/tokens/new", "/jobs/bulk", "/queues/mail/new"])
async def test_a_form_of_another_site_is_never_shown_again_ready_to_be_sent(
    shop: Corral, ids: dict[str, str], path: str, fields: dict[str, str]
) -> None:
    settings = {"tokens": "", "insecure_no_auth": True}
    async with opened(shop, **settings) as site, coming(site, base="http://localhost") as (_, client):
        origin = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.test"}
        answer = await client.post(path, data=fields, headers=origin)
        assert answer.status_code == 403
        assert 'name="confirm"' not in answer.text
        assert (await client.get("/api/v1/queues/mail")).status_code == 200


# -- what was done -----------------------------------------------------------------------------------------------------


async def test_what_was_done_is_told_once(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get(f"/queues/mail/jobs/{ids['failed']}"), "Retry")
    assert "Retried." in page.words
    assert "done=" not in str(page.answer.url)
    again = await admin.get(str(page.answer.url))
    assert "Retried." not in again.words


async def test_a_link_cannot_make_the_dashboard_say_something(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/queues/mail?done={quote('Your session is over: call 555-0100')}")
    assert "555-0100" not in page.words
    assert not [given for tag, given in page.tags if given.get("role") == "status" and given.get("class") == "flash"]


@pytest.mark.parametrize("cookie", ["x", "e30=", "W10=", "WzEsMl0=", "%00", "/w==", "W1tbW1tb"])
async def test_a_word_that_somebody_made_up_is_no_word(
    visitor: Callable[[str], Surfer], ids: dict[str, str], cookie: str
) -> None:
    page = await visitor("admin").get("/queues", Cookie=f"corral-done={cookie}")
    assert page.status == 200
    assert 'class="flash"' not in page.answer.text


async def test_whoever_reloads_the_answer_makes_no_second_token(admin: Surfer, ids: dict[str, str]) -> None:
    form = await admin.get("/system")
    assert "This is the only time" in (await admin.press(form, "Make it", role="viewer", name="ci")).words
    again = await admin.press(form, "Make it", role="viewer", name="ci")
    assert again.status == 409
    assert "made already" in again.words
    tokens = (await admin.get("/api/v1/tokens")).answer.json()["items"]
    assert [one["name"] for one in tokens] == ["ci"]
    assert (
        "This is the only time"
        in (await admin.press(await admin.get("/system"), "Make it", role="viewer", name="ci2")).words
    )


async def test_what_was_typed_is_there_again_when_it_is_refused(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.press(await admin.get("/system"), "Make it", role="emperor", name="ci")
    assert page.status == 422
    assert "What you sent" in page.words
    done = await admin.press(page, "Send again", role="viewer")
    assert "This is the only time" in done.words


# -- ids, and who sees which boxes -------------------------------------------------------------------------------------

ODD_IDS = ("a/b", "a#b&c", "100%", "%2F", "..", ".", "%..", "ä/ö", "x;y", '"><i>')


@pytest.mark.parametrize("id", ODD_IDS)
async def test_a_job_of_any_id_is_acted_upon_and_led_back_to(
    admin: Surfer, shop: Corral, ids: dict[str, str], id: str
) -> None:
    await (await shop.open_queue("mail")).add("welcome", {"to": "x"}, id=id, delay=3600)
    page = await admin.get(f"/queues/mail/jobs/{part(id)}")
    assert page.status == 200
    done = await admin.press(page, "Run now")
    assert (done.status, "Promoted." in done.words) == (200, True)
    assert f"#{id}" in done.headings[0]
    themed = await admin.press(done, "dark")
    assert themed.answer.url == done.answer.url


@pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: no browser folds the path")
async def test_a_browser_does_not_take_an_id_of_dots_for_a_folder(
    shop: Corral, site: Application, ids: dict[str, str]
) -> None:
    await (await shop.open_queue("mail")).add("welcome", {"to": "x"}, id="..", delay=3600)
    async with served(site) as address, browsing() as browser:
        watched = await tab(browser, token=TOKEN)
        await watched.look(f"{address}/jobs?q=state:delayed")
        await watched.page.click("a.job:has-text('#..')")
        await watched.page.wait_for_selector("h1:has-text('#..')")
        await watched.page.click("button:has-text('Run now')")
        await watched.page.wait_for_selector(".flash:has-text('Promoted.')")
        assert await watched.page.text_content("h1") is not None
        path = await watched.page.evaluate("fetch('/api/v1/queues/mail/jobs/%25..').then((one) => one.json())")
    assert path["id"] == ".."
    assert watched.complaints == []


async def test_an_unknown_visitor_is_led_back_to_a_job_of_an_odd_id(shop: Corral, ids: dict[str, str]) -> None:
    await (await shop.open_queue("mail")).add("welcome", {"to": "x"}, id="a/b")
    async with opened(shop) as site, coming(site) as (surfer, _):
        page = await surfer.get("/queues/mail/jobs/a%2Fb")
        page = await surfer.press(page, "Log in", token=TOKEN)
    assert page.answer.url.raw_path == b"/queues/mail/jobs/a%2Fb"
    assert page.status == 200


async def test_whoever_may_only_look_has_no_boxes_to_tick(viewer: Surfer, admin: Surfer, ids: dict[str, str]) -> None:
    page = await viewer.get("/jobs")
    assert not [given for tag, given in page.tags if given.get("type") == "checkbox"]
    assert "selected jobs" not in page.words
    assert "selected jobs" in (await admin.get("/jobs")).words


@pytest.mark.parametrize(
    ("query", "verbs"),
    [("state:failed", ["retry", "remove"]), ("state:delayed", ["promote", "cancel", "remove"]),
     ("state:completed", ["retry", "remove"])],
)  # fmt: skip
async def test_a_list_offers_what_can_be_done_with_its_jobs(
    admin: Surfer, ids: dict[str, str], query: str, verbs: list[str]
) -> None:
    page = await admin.get(f"/jobs?q={quote(query)}")
    offered = [value for form in page.forms for name, value, _ in form.buttons if name == "action"]
    assert offered == verbs
    assert set(offered) <= set(BULK)
