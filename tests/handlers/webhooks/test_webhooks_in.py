"""Webhooks that come in: what becomes a job, what is answered, and what happens to the job."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator

import pytest

from corral.app.app import Corral
from corral.errors import ConfigError, StorageUnavailableError
from corral.handlers.webhooks import Receiver, Source, WebhookEvent, WebhooksSettings, shopify, slack, stripe
from corral.handlers.webhooks import receiver as module
from corral.job import Job
from corral.options import RateLimit
from corral.testing import FakeClock, app_in_memory, drain
from corral.testing.store import ClockedStorage
from corral.worker.context import JobContext

from ..kit.raw_server import answering, raw_server
from .senders import NOW, SECRET, SENDERS, by_github, by_shopify, by_slack, by_standard, by_stripe, other, secret_for

BODY = b'{"id": 7, "total_price": "10.00"}'


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def app(clock: FakeClock) -> AsyncIterator[Corral]:
    app = Corral("sqlite:///:memory:")
    async with app_in_memory(app, clock=clock):
        yield app


@pytest.fixture
def receiver(app: Corral, clock: FakeClock) -> Receiver:
    return receiver_of(app, clock)


def receiver_of(app: Corral, clock: FakeClock) -> Receiver:
    sources = {name: of(secret_for(name)) for name, (_, _, of) in SENDERS.items()}
    sources["shop-7"] = shopify(SECRET, organization_id="org-1", integration_id="int-7")
    return Receiver(app, sources, clock=clock)


async def jobs(receiver: Receiver) -> list[Job]:
    return list((await (await receiver.queue.open()).page(newest_first=False)).items)


async def data(receiver: Receiver) -> list[dict[str, object]]:
    return [json.loads(job.data) for job in await jobs(receiver)]


# -- what becomes a job -----------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-16", "M-BI-23")
@pytest.mark.parametrize("name", SENDERS)
async def test_a_signed_delivery_is_stored_and_answered(receiver: Receiver, name: str) -> None:
    signed, body, _ = SENDERS[name]

    reply = await receiver.receive(name, signed(body, NOW, SECRET), body)

    assert (reply.status, json.loads(reply.body)) == (200, {"received": True})
    (job,) = await data(receiver)
    assert job["payload"] == json.loads(body)
    assert job["eventType"] == {
        "shopify": "orders/create", "stripe": "invoice.paid", "github": "push", "slack": "message",
        "standard": "user.created", "other": "paid",
    }[name]  # fmt: skip
    assert job["platform"] == ("billing" if name == "other" else name)
    assert {"shopify": "b54557e4", "stripe": "evt_1", "github": "72d3162e-cc78-11e3", "standard": "msg_1"}.get(
        name, job["deliveryId"]
    ) == job["deliveryId"]


async def test_a_source_may_say_whom_its_deliveries_are_for(receiver: Receiver) -> None:
    await receiver.receive("shop-7", by_shopify(BODY), BODY)
    (job,) = await jobs(receiver)
    found = json.loads(job.data)
    assert (found["organizationId"], found["integrationId"]) == ("org-1", "int-7")
    assert job.group == "shop-7/int-7"
    assert job.id.startswith("wh-")


async def test_githubs_action_is_part_of_the_kind(receiver: Receiver) -> None:
    body = b'{"action": "opened", "number": 1}'
    headers = by_github(body) | {"X-GitHub-Event": "pull_request"}
    await receiver.receive("github", headers, body)
    assert [job["eventType"] for job in await data(receiver)] == ["pull_request.opened"]


async def test_slacks_commands_and_buttons_are_forms(receiver: Receiver) -> None:
    form = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    for body in (b"command=%2Fkudos&text=%40ann+great", b"payload=%7B%22type%22%3A%22block_actions%22%7D"):
        assert (await receiver.receive("slack", by_slack(body) | form, body)).status == 200
    kinds = {str(job["eventType"]): job["payload"] for job in await data(receiver)}
    assert kinds == {
        "/kudos": {"command": "/kudos", "text": "@ann great"},
        "block_actions": {"payload": {"type": "block_actions"}},
    }


async def test_slacks_question_is_answered_when_it_is_signed_and_stores_nothing(receiver: Receiver) -> None:
    body = b'{"challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", "type": "url_verification"}'
    reply = await receiver.receive("slack", by_slack(body), body)
    assert (reply.status, reply.body) == (200, b"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P")
    assert dict(reply.headers)["content-type"] == "text/plain"
    assert (await receiver.receive("slack", {}, body)).status == 401
    assert await jobs(receiver) == []


async def test_an_event_without_a_kind_is_unknown_and_not_lost(receiver: Receiver) -> None:
    for body in (b"[1, 2]", b'"text"', b"null", b'{"type": 5}'):
        assert (await receiver.receive("stripe", by_stripe(body), body)).status == 200
    assert [job["eventType"] for job in await data(receiver)] == ["unknown"] * 4


# -- what does not ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
async def test_what_is_forged_is_answered_401_and_nothing_is_stored(
    receiver: Receiver, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    signed, body, of = SENDERS[name]
    good = signed(body, NOW, SECRET)
    header = next(key for key in good if key.lower() == of(secret_for(name)).scheme.signature)
    rewritten = json.dumps(json.loads(body), indent=1).encode()
    forged = [
        (signed(body, NOW, "not the secret"), body),
        (good, rewritten),
        (good, body[:-1]),
        (good | {header: ""}, body),
        (good | {header: good[header].upper() + "å"}, body),
        ({}, body),
        (signed(body, NOW - 301, SECRET), body) if name in ("stripe", "slack", "standard") else ({}, b""),
    ]
    with caplog.at_level(logging.WARNING, "corral.handlers.webhooks"):
        replies = [await receiver.receive(name, headers, content) for headers, content in forged]

    assert [reply.status for reply in replies] == [401] * len(forged)
    assert {reply.body for reply in replies} == {b'{"received": false, "error": "not authentic"}'}
    assert await jobs(receiver) == []
    assert len(caplog.records) == len(forged)
    assert SECRET not in caplog.text


async def test_another_sources_signature_is_none_here(receiver: Receiver) -> None:
    assert (await receiver.receive("stripe", by_shopify(BODY), BODY)).status == 401
    assert (await receiver.receive("shopify", by_stripe(BODY), BODY)).status == 401
    assert await jobs(receiver) == []


@pytest.mark.parametrize("name", ["", "nobody", "../shopify", "SHOPIFY", "shopify "])
async def test_a_source_that_nobody_knows_is_answered_404(receiver: Receiver, name: str) -> None:
    assert (await receiver.receive(name, by_shopify(BODY), BODY)).status == 404


async def test_what_is_too_long_is_answered_413_before_anything_is_computed(receiver: Receiver) -> None:
    body = b'"' + b"x" * 900_000 + b'"'
    assert (await receiver.receive("shopify", by_shopify(body), body)).status == 413
    assert await jobs(receiver) == []


@pytest.mark.parametrize("body", [b"", b"{", b"NaN", b'{"a": NaN}', b"\xff", b"[" * 100_000, b'{"a": 1} x', b"a=1"])
async def test_what_is_signed_but_is_not_json_is_answered_400(receiver: Receiver, body: bytes) -> None:
    assert (await receiver.receive("shopify", by_shopify(body), body)).status == 400
    assert await jobs(receiver) == []


async def test_what_cannot_be_stored_is_answered_400(receiver: Receiver) -> None:
    for body in (b"[" * 200 + b"]" * 200, b'{"a":' * 70 + b"1" + b"}" * 70):
        assert (await receiver.receive("shopify", by_shopify(body), body)).status == 400
    headers = by_shopify(BODY) | {"X-Shopify-Topic": "x" * 201}
    assert (await receiver.receive("shopify", headers, BODY)).status == 400
    assert await jobs(receiver) == []


# -- the same again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SENDERS)
async def test_the_same_delivery_again_is_acknowledged_and_adds_nothing_for_a_day(
    app: Corral, receiver: Receiver, clock: FakeClock, name: str
) -> None:
    signed, body, _ = SENDERS[name]
    for _ in range(3):
        assert (await receiver.receive(name, signed(body, clock() // 1000, SECRET), body)).status == 200
    assert len(await jobs(receiver)) == 1

    await drain(app)
    clock.advance(86_000)
    assert (await receiver.receive(name, signed(body, clock() // 1000, SECRET), body)).status == 200
    assert (await drain(app)).completed == 0


async def test_a_delivery_is_remembered_though_its_job_is_not_kept(storage_url: str) -> None:
    app = Corral(storage_url)
    receiver = Receiver(app, {"shopify": shopify(SECRET)}, keep_completed=False)
    async with app:
        done = asyncio.Event()
        app.on("completed")(lambda event, job: done.set())
        async with await app.worker():
            for _ in range(2):
                assert (await receiver.receive("shopify", by_shopify(BODY), BODY)).status == 200
                await asyncio.wait_for(done.wait(), 30)
        assert await jobs(receiver) == []
        assert (await receiver.receive("shopify", by_shopify(BODY), BODY)).status == 200
        assert await jobs(receiver) == []


async def test_a_recorded_delivery_does_not_become_another_by_headers_that_nobody_signed(receiver: Receiver) -> None:
    for number in range(5):
        headers = by_shopify(BODY) | {"X-Shopify-Webhook-Id": f"forged-{number}"}
        assert (await receiver.receive("shopify", headers, BODY)).status == 200
    assert len(await jobs(receiver)) == 1


async def test_two_kinds_of_event_with_the_same_content_are_two(receiver: Receiver) -> None:
    for kind in ("orders/create", "orders/updated"):
        await receiver.receive("shopify", by_shopify(BODY) | {"X-Shopify-Topic": kind}, BODY)
    assert sorted(str(job["eventType"]) for job in await data(receiver)) == ["orders/create", "orders/updated"]


async def test_two_sources_with_the_same_content_are_two(receiver: Receiver) -> None:
    for name in ("shopify", "shop-7"):
        await receiver.receive(name, by_shopify(BODY), BODY)
    assert len(await jobs(receiver)) == 2


async def test_a_signed_id_says_what_is_the_same(receiver: Receiver) -> None:
    for id in ("msg_1", "msg_2", "msg_1"):
        await receiver.receive("standard", by_standard(b"{}", id=id), b"{}")
    assert sorted(str(job["deliveryId"]) for job in await data(receiver)) == ["msg_1", "msg_2"]


async def test_twenty_at_once_are_one(receiver: Receiver) -> None:
    replies = await asyncio.gather(*(receiver.receive("shopify", by_shopify(BODY), BODY) for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert len(await jobs(receiver)) == 1


# -- when the store is away -------------------------------------------------------------------------------------------


async def test_a_store_that_fails_or_does_not_answer_is_a_503_within_seconds(
    receiver: Receiver, app: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(self: object, *_: object, **__: object) -> list[object]:
        raise StorageUnavailableError("the store at redis://example is away")

    async def silent(self: object, *_: object, **__: object) -> list[object]:
        await asyncio.Event().wait()
        return []

    for broken in (away, silent):
        with monkeypatch.context() as patch:
            patch.setattr(ClockedStorage, "add", broken)
            patch.setattr(module, "STORE_PATIENCE", 0.05)
            reply = await receiver.receive("shopify", by_shopify(BODY), BODY)
        assert reply.status == 503
        assert dict(reply.headers)["retry-after"] == "5"
        assert b"redis" not in reply.body
    assert (await receiver.receive("shopify", by_shopify(BODY), BODY)).status == 200
    assert len(await jobs(receiver)) == 1


@pytest.mark.mission("M-BI-23", on="redis")
async def test_a_redis_server_that_says_nothing_or_is_away_is_a_503_and_no_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "STORE_PATIENCE", 2.0)
    async with raw_server(answering(b"")) as silent:  # waits for the end of a request, which Redis does not have
        url = f"redis://127.0.0.1:{silent.port}/0"
        assert await asked(url) == 503
    assert await asked(url) == 503


async def asked(url: str) -> int:
    """How a delivery is answered whose store is there."""
    app = Corral(url)
    receiver = Receiver(app, {"shopify": shopify(SECRET)})
    async with asyncio.timeout(60):
        reply = await receiver.receive("shopify", by_shopify(BODY), BODY)
    await app.close()
    return reply.status


async def test_a_queue_that_takes_no_more_is_a_503(clock: FakeClock) -> None:
    app = Corral("sqlite:///:memory:")
    async with app_in_memory(app, clock=clock):
        receiver = Receiver(app, {"shopify": shopify(SECRET)}, clock=clock, add_limit=RateLimit(1, per=60))
        queue = await receiver.queue.open()
        await queue.limit(adds=RateLimit(1, per=60))
        bodies = [b"1", b"2"]
        assert [(await receiver.receive("shopify", by_shopify(b), b)).status for b in bodies] == [200, 503]


# -- on real engines --------------------------------------------------------------------------------------------------


@pytest.mark.mission("M-BI-16", "M-BI-23", "M-BI-54")
async def test_a_delivery_is_stored_and_worked_on_by_a_real_worker(storage_url: str) -> None:
    app = Corral(storage_url)
    receiver = Receiver(app, {"shopify": shopify(SECRET)})
    seen: list[str] = []

    @receiver.on("shopify", "orders/*")
    async def order(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append(event.event_type)

    async with app:
        replies = [await receiver.receive("shopify", by_shopify(BODY), BODY) for _ in range(2)]
        assert [reply.status for reply in replies] == [200, 200]
        (job,) = await jobs(receiver)
        async with await app.worker():
            result = await (await receiver.queue.open()).result(job.id, timeout=30)
        ended = await (await receiver.queue.open()).get(job.id)
    assert (ended.finished_at or 0) - ended.created_at < 30_000  # within seconds, also where the machine is busy
    assert result == {"eventType": "orders/create", "handled": ["order"]}
    assert seen == ["orders/create"]


# -- what happens to the job ------------------------------------------------------------------------------------------


async def test_every_function_that_fits_is_called_in_order(app: Corral, receiver: Receiver) -> None:
    seen: list[str] = []

    @receiver.on("shopify", "orders/*", "checkouts/*")
    async def orders(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append("orders")

    @receiver.on("shopify")
    async def all_of_shopify(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append("all")

    @receiver.on("stripe", "*")
    async def another(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append("stripe")

    @receiver.on("*", "orders/create")
    async def orders_of_anybody(ctx: JobContext, event: WebhookEvent) -> object:
        seen.append("anybody")
        return object()  # what they answer is nobody's business

    @receiver.on("shopify", "orders/paid")
    async def paid(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append("paid")

    await receiver.receive("shopify", by_shopify(BODY), BODY)
    assert (await drain(app)).completed == 1
    assert seen == ["orders", "all", "anybody"]
    (job,) = await jobs(receiver)
    assert json.loads(job.result or "") == {
        "eventType": "orders/create", "handled": ["orders", "all_of_shopify", "orders_of_anybody"],
    }  # fmt: skip


async def test_a_second_attempt_goes_on_with_those_that_failed(app: Corral, receiver: Receiver) -> None:
    seen: list[str] = []

    @receiver.on("shopify")
    async def first(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append("first")

    @receiver.on("shopify")
    async def second(ctx: JobContext, event: WebhookEvent) -> None:
        seen.append("second")
        if ctx.attempt == 1:
            raise ConnectionError("not now")

    await receiver.receive("shopify", by_shopify(BODY), BODY)
    drained = await drain(app)
    assert (drained.completed, drained.retried) == (1, 1)
    assert seen == ["first", "second", "second"]


async def test_two_functions_of_one_name_are_both_called(app: Corral, receiver: Receiver) -> None:
    seen: list[int] = []

    def make(number: int) -> None:
        @receiver.on("shopify")
        async def handle(ctx: JobContext, event: WebhookEvent) -> None:
            seen.append(number)

    make(1)
    make(2)
    await receiver.receive("shopify", by_shopify(BODY), BODY)
    await drain(app)
    assert seen == [1, 2]


async def test_an_event_that_nobody_is_for_is_done(app: Corral, receiver: Receiver) -> None:
    await receiver.receive("shopify", by_shopify(BODY), BODY)
    assert (await drain(app)).completed == 1


async def test_a_job_that_a_producer_adds_as_the_guide_does_is_worked_on(app: Corral, receiver: Receiver) -> None:
    queue = await receiver.queue.open()
    payload = {
        "platform": "shopify", "eventType": "orders/create", "payload": {"id": 1}, "signature": "hmac-signature",
        "integrationId": "123",
    }  # fmt: skip
    await queue.add("webhook-processing", payload)
    assert (await drain(app)).completed == 1


# -- sources and settings ---------------------------------------------------------------------------------------------


async def test_sources_may_be_asked_for_one_by_one(app: Corral, clock: FakeClock) -> None:
    async def find(name: str) -> Source | None:
        return shopify(SECRET, integration_id=name) if name.startswith("shop-") else None

    receiver = Receiver(app, find, clock=clock)
    assert (await receiver.receive("shop-12", by_shopify(BODY), BODY)).status == 200
    assert (await receiver.receive("nobody", by_shopify(BODY), BODY)).status == 404
    assert [job["integrationId"] for job in await data(receiver)] == ["shop-12"]


async def test_secrets_come_from_the_environment(
    app: Corral, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", f"{SECRET}, the-new-one")
    monkeypatch.setenv("STANDARD_WEBHOOK_SECRET", secret_for("standard"))
    monkeypatch.setenv("WEBHOOK_TOLERANCE", "10")
    receiver = Receiver(app, clock=clock)
    assert (await receiver.receive("shopify", by_shopify(BODY, secret="the-new-one"), BODY)).status == 200
    assert (await receiver.receive("standard", by_standard(b"{}", NOW - 11), b"{}")).status == 401
    assert (await receiver.receive("stripe", by_stripe(BODY), BODY)).status == 404
    assert SECRET not in repr(WebhooksSettings.load())


def test_a_secret_in_the_environment_that_cannot_be_meant_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SHOPIFY_WEBHOOK_SECRET", "short")
    with pytest.raises(ConfigError, match="8 characters"):
        Receiver(Corral("sqlite:///:memory:"))


def test_a_pattern_must_say_something(receiver: Receiver) -> None:
    for wrong in (("", "x"), ("shopify", "")):
        with pytest.raises(ConfigError):
            receiver.on(*wrong)


def test_the_sources_that_settings_know_are_the_five() -> None:
    made = {"shopify": shopify(SECRET), "stripe": stripe(SECRET), "slack": slack(SECRET), "other": other()}
    assert [repr(one) for one in made.values()] == [
        "<Source shopify with 1 secrets>", "<Source stripe with 1 secrets>", "<Source slack with 1 secrets>",
        "<Source billing with 1 secrets>",
    ]  # fmt: skip
