"""One job through its pages: its log, its stacks, what is hidden, changes that are refused, new jobs like it."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from playwright.async_api import expect

from corral import Corral, JobContext
from corral.dashboard.asking import Reply
from corral.dashboard.blank import example, fields_of, payload_of
from corral.dashboard.lines import line_of, plain
from corral.dashboard.stack import stack
from corral.dashboard.tree import brief, written
from corral.errors import ConfigError
from corral.http.app import Application
from corral.job import NewJob
from corral.options import JobOptions
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_settings

from .browser import CHROMIUM, PATIENCE_MS, browsing, served, tab
from .opening import coming, opened
from .surfing import Page, Surfer

one_engine = pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
expect.set_options(timeout=PATIENCE_MS)
OLDER, NEWER = "\u2039 older", "newer \u203a"


def store_of(shop: Corral) -> Storage:
    assert shop._storage is not None
    return shop._storage


@pytest.fixture
async def talkative(shop: Corral, ids: dict[str, str]) -> str:
    """A job with 2,500 lines in its log."""
    await store_of(shop).log("mail", ids["waiting"], [f"line {n}" for n in range(2_500)], keep=5_000)
    return ids["waiting"]


# -- logs ----------------------------------------------------------------------------------------------------------


@one_engine
async def test_a_log_shows_its_newest_lines_and_leads_to_the_older_ones(admin: Surfer, talkative: str) -> None:
    page = await admin.get(f"/queues/mail/jobs/{talkative}?tab=logs")
    assert "Lines 1,501–2,500 of 2,500" in page.words
    assert "line 2499" in page.words
    assert "line 1499 " not in page.words
    older = await admin.follow(page, OLDER)
    assert "Lines 501–1,500 of 2,500" in older.words
    oldest = await admin.follow(older, OLDER)
    assert "Lines 1–1,000 of 2,500" in oldest.words
    assert "Lines 1,001–2,000" in (await admin.follow(oldest, NEWER)).words
    assert "Lines 1,501–2,500" in (await admin.follow(oldest, "newest")).words


async def test_a_log_is_downloaded_as_a_whole(admin: Surfer, talkative: str) -> None:
    page = await admin.get(f"/queues/mail/jobs/{talkative}?tab=logs")
    file = await admin.follow(page, "Download")
    assert file.answer.text.splitlines() == [f"line {n}" for n in range(2_500)]
    assert "attachment" in file.answer.headers["content-disposition"]


@one_engine
async def test_lines_are_shown_without_a_terminals_colours_and_by_level(
    admin: Surfer, ids: dict[str, str], shop: Corral
) -> None:
    told = [
        "\x1b[31mred\x1b[0m and \x1b]0;title\x07plain",
        json.dumps({"level": "info", "msg": "began", "time": "2026-11-23T05:13:25Z", "user": 42}),
        json.dumps({"levelname": "WARNING", "message": "slow"}),
        json.dumps({"level": 50, "msg": "lost"}),
    ]
    await store_of(shop).log("mail", ids["waiting"], told)
    page = await admin.get(f"/queues/mail/jobs/{ids['waiting']}?tab=logs")
    assert "\x1b" not in page.answer.text
    assert "red and plain" in page.words
    assert 'info began {"user": 42}' in page.words
    worse = await admin.press(page, "Show", level="warning")
    assert "Lines 1–4 of 4; 2 of them warning or worse" in worse.words
    assert "slow" in worse.words
    assert "began" not in worse.words


def test_what_only_looks_like_a_line_of_json_stays_as_it_is() -> None:
    for text in ('{"level": "info"}', '{"message": "x", "level": "none"}', "{broken", "[1]", '{"msg": "x"}'):
        assert line_of({"n": 0, "message": text}).text == text
    assert plain("\x1b[1;32mok\x1b[m\x00") == "ok"


# -- what went wrong -----------------------------------------------------------------------------------------------

TRACE = """Traceback (most recent call last):
  File "/srv/app/mail.py", line 8, in send
    connect()
    ~~~~~~~^^
  File "/usr/lib/python3.12/site-packages/smtp.py", line 1, in connect
    dial()
  File "/usr/lib/python3.12/socket.py", line 2, in dial
  File "/srv/app/hooks.py", line 3, in hook
    raise ValueError("<no>")
ValueError: <no>"""


def test_frames_of_libraries_are_folded_and_the_applications_own_are_not() -> None:
    made = str(stack(TRACE))
    folded = made[made.index("<details") : made.index("</details>")]
    assert "2 library frames" in folded
    assert "smtp.py" in folded
    assert "dial()" in folded
    assert "mail.py" not in folded
    assert "hooks.py" not in folded
    assert "&lt;no&gt;" in made


def test_a_stack_of_libraries_alone_is_not_folded() -> None:
    assert "<details" not in stack("\n".join(TRACE.split("\n")[4:7]))


def test_a_stack_of_node_is_folded_too() -> None:
    frames = ("at f (/srv/a.js:1:2)", "at g (/srv/node_modules/y.js:1:2)", "at node:internal/x:1")
    made = str(stack("\n    ".join(("Error: x", *frames))))
    assert "2 library frames" in made
    assert "a.js" not in made[made.index("<details") :]


@one_engine
async def test_the_tabs_say_how_much_there_is_on_them(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/queues/mail/jobs/{ids['failed']}")
    assert {"Errors 2", "Logs 2"} <= {text for _, text in page.links}


@one_engine
async def test_a_trace_is_opened_where_traces_are(shop: Corral) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    options = JobOptions(trace=json.dumps({"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}))
    [job] = await store_of(shop).add([NewJob(queue="mail", name="welcome", data="{}", options=options)])
    where = "https://traces.example.com/trace/{trace_id}"
    async with opened(shop, trace_url=where) as site, coming(site, token=TOKENS["viewer"]) as (surfer, _):
        page = await surfer.get(f"/queues/mail/jobs/{job.id}")
        assert page.link("Open") == f"https://traces.example.com/trace/{trace}"
    with pytest.raises(ConfigError, match="trace_id"):
        make_settings(trace_url="https://traces.example.com")


# -- what is hidden ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["payload", "raw"])
async def test_what_is_hidden_is_revealed_on_request_only_and_that_is_written_down(
    admin: Surfer, viewer: Surfer, ids: dict[str, str], part: str
) -> None:
    at = f"/queues/mail/jobs/{ids['done']}?tab={part}"
    page = await admin.get(at)
    assert "hunter2" not in page.answer.text
    assert "Nobody has done anything like that." in (await admin.get("/audit?action=job.reveal")).words
    assert "hunter2" in (await admin.follow(page, "Reveal")).answer.text
    assert ids["done"] in {text for _, text in (await admin.get("/audit?action=job.reveal")).links}
    assert "Reveal" not in {text for _, text in (await viewer.get(at)).links}
    assert "hunter2" not in (await viewer.get(f"{at}&reveal=1")).answer.text


@one_engine
async def test_a_download_hides_what_the_page_hides(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/queues/mail/jobs/{ids['done']}?tab=payload")
    assert "hunter2" not in (await admin.follow(page, "Download")).answer.text
    revealed = await admin.follow(page, "Reveal")
    assert "hunter2" in (await admin.follow(revealed, "Download")).answer.text


@one_engine
async def test_of_a_large_payload_only_the_beginning_is_read(admin: Surfer, shop: Corral) -> None:
    queue = await shop.open_queue("mail")
    job = await queue.add("welcome", {"text": "x" * 200_000})
    page = await admin.get(f"/queues/mail/jobs/{job.id}?tab=payload")
    assert "200 kB: the first 64 kB are shown" in page.words
    assert len(page.answer.text) < 100_000


def test_json_is_written_as_it_was_read_keys_in_order_numbers_verbatim() -> None:
    value = Reply(200, {}, b'{"z": 1.10, "a": ["<b>", null, true, 12345678901234567890123], "m": {}}').json
    assert brief(value) == '{"z": 1.10, "a": ["<b>", null, true, 12345678901234567890123], "m": {}}'
    assert written(value).startswith('{\n  "z": 1.10,\n  "a": [\n    "<b>",')


# -- changes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "button"), [("rerun", "Run again"), ("edit", "Save")])
@one_engine
async def test_what_was_typed_is_kept_when_it_is_refused(
    admin: Surfer, ids: dict[str, str], what: str, button: str
) -> None:
    asked = await admin.get(f"/queues/mail/jobs/{ids['waiting']}/ask/{what}")
    page = await admin.press(asked, button, data='{"to": }', reason="a try")
    assert page.status == 400
    assert "column" in page.words
    [form] = [form for form in page.forms if "data" in dict(form.fields)]
    assert dict(form.fields)["data"] == '{"to": }'
    assert dict(form.fields)["reason"] == "a try"
    done = await admin.press(page, button, data='{"to": "mended@example.com", "n": 1.10}')
    assert "1.10" in done.words


@one_engine
async def test_an_edit_of_what_has_changed_meanwhile_is_refused_and_kept(admin: Surfer, ids: dict[str, str]) -> None:
    at = f"/queues/mail/jobs/{ids['waiting']}"
    mine, theirs = await admin.get(f"{at}/ask/edit"), await admin.get(f"{at}/ask/edit")
    assert "Changed." in (await admin.press(theirs, "Save", data='{"to": "theirs"}')).words
    page = await admin.press(mine, "Save", data='{"to": "mine"}')
    assert page.status == 412
    assert '{"to": "mine"}' in [dict(form.fields).get("data") for form in page.forms]
    assert "look at it" in {text for _, text in page.links}
    assert "mine" in (await admin.press(page, "Save")).words


@one_engine
async def test_a_form_of_any_page_is_given_back_when_it_is_refused(admin: Surfer) -> None:
    page = await admin.press(await admin.get("/system"), "Make it", name="ci", role="viewer", queues="")
    assert page.status == 200
    refused = await admin.press(await admin.get("/system"), "Make it", name="n" * 200, role="viewer", queues="mail*")
    assert refused.status == 422
    assert "What you sent" in refused.words
    [form] = [form for form in refused.forms if dict(form.fields).get("queues") == "mail*"]
    assert dict(form.fields)["name"] == "n" * 200


@one_engine
async def test_a_button_alone_that_is_refused_has_nothing_to_give_back(admin: Surfer, ids: dict[str, str]) -> None:
    page = await admin.get(f"/queues/mail/jobs/{ids['failed']}")
    await admin.press(page, "Retry")
    assert "What you sent" not in (await admin.press(page, "Retry")).words


@one_engine
async def test_a_job_and_the_one_made_from_it_lead_to_each_other(admin: Surfer, ids: dict[str, str]) -> None:
    old = f"/queues/mail/jobs/{ids['done']}"
    new = await admin.press(await admin.get(f"{old}/ask/rerun"), "Run again")
    there = await admin.get(old)
    assert "Run again as" in there.words
    [address] = [address for address, text in there.links if text.startswith("mail/")]
    assert str(new.answer.url).split("?")[0].endswith(address)


# -- new jobs ------------------------------------------------------------------------------------------------------


@dataclass
class Greeting:
    """Whom to greet, and how."""

    to: str
    times: int = 2
    loud: bool = False


def typed_of(page: Page) -> dict[str, str]:
    """What stands in the form for a new job."""
    [form] = [form for form in page.forms if form.action.endswith("/new")]
    return dict(form.fields)


@one_engine
async def test_a_job_like_another_one_is_added(admin: Surfer, ids: dict[str, str]) -> None:
    form = await admin.follow(await admin.get(f"/queues/mail/jobs/{ids['done']}"), "Add one like it")
    fields = typed_of(form)
    assert fields["name"] == "welcome"
    assert json.loads(fields["data"])["to"] == "ann@example.com"
    assert fields["tags"] == "tenant-42"
    page = await admin.press(form, "Add")
    assert "Added." in page.words
    assert "tenant-42" in {text for _, text in page.links}


@one_engine
async def test_a_flat_payload_is_filled_in_field_by_field(admin: Surfer, ids: dict[str, str], shop: Corral) -> None:
    @shop.queues["mail"].job("greet")
    async def greet(data: Greeting) -> None: ...

    form = await admin.follow(await admin.get("/queues/mail/new"), "greet")
    fields = typed_of(form)
    assert (fields["data.times:n"], fields["data.loud:b"]) == ("2", "false")
    refused = await admin.press(form, "Add", **{"data.to:t": "ann", "data.times:n": "many"})
    assert refused.status == 400
    assert typed_of(refused)["data.to:t"] == "ann"
    page = await admin.press(refused, "Add", **{"data.times:n": "3"})
    assert "Added." in page.words
    [job] = (await admin.get("/api/v1/queues/mail/jobs?q=name:greet")).answer.json()["items"]
    data = (await admin.get(f"/api/v1/queues/mail/jobs/{job['id']}/payload")).answer.json()
    assert data == {"to": "ann", "times": 3, "loud": False}
    as_json = await admin.follow(form, "as JSON")
    assert json.loads(typed_of(as_json)["data"]) == {"to": "", "times": 2, "loud": False}


NESTED = {
    "type": "object", "required": ["user"],
    "$defs": {"User": {"type": "object", "properties": {"id": {"type": "integer"}, "mail": {"type": "string"}}}},
    "properties": {
        "user": {"$ref": "#/$defs/User"}, "kind": {"enum": ["a", "b"]}, "list": {"type": "array"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]}, "n": {"type": "number", "examples": [1.5]},
    },
}  # fmt: skip


def test_what_is_not_flat_begins_with_an_example() -> None:
    assert fields_of(NESTED) == ()
    assert example(NESTED) == {"user": {"id": 0, "mail": ""}, "kind": "a", "list": [], "note": "", "n": 1.5}
    assert example({"examples": [{"x": 1}], "type": "object"}) == {"x": 1}
    endless = {"$defs": {"T": {"type": "object", "properties": {"t": {"$ref": "#/$defs/T"}}}}, "$ref": "#/$defs/T"}
    assert "t" in str(example(endless))


def test_fields_become_json_with_numbers_as_they_were_typed() -> None:
    given = [("data.a:t", 'x"y'), ("data.b:n", "1.10"), ("data.c:b", "true"), ("data.d:t", ""), ("data.e:f:n", "2")]
    assert payload_of(given) == '{"a": "x\\"y", "b": 1.10, "c": true, "e:f": 2}'
    with pytest.raises(ValueError, match="b is to be a number"):
        payload_of([("data.b:n", "[1]")])


# -- while it runs -------------------------------------------------------------------------------------------------


@pytest.mark.skipif(CHROMIUM is None, reason="chromium not installed: the pages cannot be looked at")
@pytest.mark.timeout(300)
@one_engine
async def test_progress_and_lines_of_the_log_come_in_by_themselves(shop: Corral, site: Application) -> None:
    contexts: list[JobContext] = []
    enough = asyncio.Event()

    @shop.queues["report"].job("slow")
    async def slow(ctx: JobContext) -> None:
        contexts.append(ctx)
        await ctx.log("first")
        await ctx.progress(10)
        await enough.wait()

    job = await (await shop.open_queue("report")).add("slow")
    async with await shop.worker(), browsing() as browser, served(site) as url:
        watched = await tab(browser, token=TOKENS["admin"])
        await watched.look(f"{url}/queues/report/jobs/{job.id}?tab=logs")
        log = watched.page.locator("ol.log")
        await expect(log).to_contain_text("first")
        await expect(watched.page.locator("[data-live]")).to_have_attribute("data-state", "live")
        await watched.page.evaluate("window.same = true")
        await contexts[0].progress(60)
        await expect(watched.page.locator("span[data-progress]")).to_have_text("60 %")
        await contexts[0].log("\x1b[32msecond\x1b[0m")
        await expect(log).to_contain_text("second")
        await watched.page.get_by_role("button", name="Follow").click()
        await expect(watched.page.get_by_role("button", name="Follow")).to_have_attribute("aria-pressed", "true")
        assert await watched.page.evaluate("window.same")
        assert watched.complaints == []
        enough.set()
