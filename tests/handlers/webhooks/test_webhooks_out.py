"""Webhooks that go out, to a real server: what arrives, how often, and what is remembered of it."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
import sqlalchemy as sa
from pytest_httpserver import HTTPServer
from standardwebhooks import Webhook
from werkzeug import Request, Response

from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError, RecordNotFoundError
from corral.handlers.kit.database import Database
from corral.handlers.kit.web import BlockedAddressError
from corral.handlers.webhooks import SCHEDULE, Endpoint, Outgoing, Receiver, WebhooksSettings, standard
from corral.job import Job, JobState
from corral.testing import FakeClock, app_in_memory, drain

from ..kit.raw_server import answer, answering, raw_server
from .senders import NOW

KEY = "0123456789abcdef0123456789abcdef"


class World:
    """An application with webhooks that go out, a database, a clock and a server that hears them."""

    def __init__(
        self, app: Corral, database: Database, server: HTTPServer, clock: FakeClock, **settings: object
    ) -> None:
        self.app, self.database, self.server, self.clock = app, database, server, clock
        self.origin = server.url_for("").rstrip("/")
        self.told: list[tuple[str, Endpoint]] = []
        values: dict[str, object] = {
            "webhook_signing_key": KEY,
            "webhook_trusted": [self.origin],
            "webhook_timeout": 60,
        }
        self.hooks = Outgoing(
            app, database, WebhooksSettings.load(**{**values, **settings}), tell_disabled=self._tell, clock=clock
        )

    async def _tell(self, id: str, endpoint: Endpoint) -> None:
        self.told.append((id, endpoint))

    async def endpoint(self, path: str = "/hook", *events: str, organization: str | None = None) -> Endpoint:
        return await self.hooks.add_endpoint(self.origin + path, events=events or ("*",), organization_id=organization)

    def answers(self, *statuses: int, path: str = "/hook", headers: dict[str, str] | None = None) -> None:
        """One status after another; the last one again and again."""
        left = list(statuses)

        def reply(request: Request) -> Response:
            return Response("kept to itself", left.pop(0) if len(left) > 1 else left[0], headers=headers)

        self.server.expect_request(path, method="POST").respond_with_handler(reply)

    @property
    def heard(self) -> list[Request]:
        return [request for request, _ in self.server.log]

    async def jobs(self) -> list[Job]:
        return list((await (await self.hooks.queue.open()).page(newest_first=False)).items)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def make_world(tmp_path: Path, httpserver: HTTPServer, clock: FakeClock) -> AsyncIterator[Callable[..., World]]:
    app, database = Corral("sqlite:///:memory:"), Database(f"sqlite:///{tmp_path / 'hooks.db'}")
    async with app_in_memory(app, clock=clock), database:
        yield lambda **settings: World(app, database, httpserver, clock, **settings)


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world()


# -- what arrives -----------------------------------------------------------------------------------------------------


async def test_an_event_arrives_signed_so_that_the_standards_own_library_accepts_it(
    make_world: Callable[..., World], clock: FakeClock
) -> None:
    clock.advance_to(datetime.now(UTC))  # that library looks at the machine's clock
    world = make_world()
    world.answers(204)
    endpoint = await world.endpoint()

    told = await world.hooks.send("order.paid", {"id": 7, "name": "Åse"})
    assert (await drain(world.app)).completed == 1

    (request,) = world.heard
    headers = {name: request.headers[name] for name in ("webhook-id", "webhook-timestamp", "webhook-signature")}
    verified = Webhook(world.hooks.secret(endpoint)).verify(request.get_data(), headers)
    assert verified["type"] == "order.paid"
    assert verified["data"] == {"id": 7, "name": "Åse"}
    assert datetime.fromisoformat(verified["timestamp"]) == clock.now.replace(microsecond=clock() % 1000 * 1000)
    assert headers["webhook-id"] == told.event_id
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("corral/")


async def test_our_own_receiver_takes_what_we_send(world: World, clock: FakeClock) -> None:
    world.answers(200)
    endpoint = await world.endpoint()
    await world.hooks.send("order.paid", {"id": 7})
    await drain(world.app)
    (request,) = world.heard
    other = Corral("sqlite:///:memory:")
    async with app_in_memory(other, clock=clock):
        receiver = Receiver(other, {"corral": standard(world.hooks.secret(endpoint))}, clock=clock)
        reply = await receiver.receive("corral", dict(request.headers), request.get_data())
    assert reply.status == 200


async def test_an_event_goes_to_those_who_asked_for_it_and_belong_there(world: World) -> None:
    for path in ("/all", "/orders", "/users", "/org-a", "/org-b"):
        world.answers(200, path=path)
    await world.endpoint("/all")
    await world.endpoint("/orders", "order.*", "refund.*")
    await world.endpoint("/users", "user.*")
    await world.endpoint("/org-a", organization="a")
    await world.endpoint("/org-b", organization="b")

    await world.hooks.send("order.paid", 1)
    await world.hooks.send("order.paid", 2, organization_id="a")
    await world.hooks.send("order.paid", 3, organization_id="c")
    await drain(world.app)

    assert sorted((request.path, json.loads(request.get_data())["data"]) for request in world.heard) == [
        ("/all", 1), ("/orders", 1), ("/org-a", 2),
    ]  # fmt: skip


async def test_the_same_event_told_twice_is_told_once(world: World) -> None:
    world.answers(200)
    await world.endpoint()
    first = await world.hooks.send("order.paid", {"n": 1}, id="order-7-paid")
    world.clock.advance(60)
    second = await world.hooks.send("order.paid", {"n": 2}, id="order-7-paid")
    await drain(world.app)
    assert first == second
    assert [json.loads(request.get_data())["data"] for request in world.heard] == [{"n": 1}]


async def test_two_endpoints_have_two_secrets_and_neither_is_stored(world: World, tmp_path: Path) -> None:
    one, other = await world.endpoint(), await world.endpoint("/other")
    secrets = [world.hooks.secret(one), world.hooks.secret(other)]
    assert len(set(secrets)) == 2
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("hooks.db*"))
    assert not any(secret.removeprefix("whsec_").encode() in stored for secret in secrets)
    assert not any(base64.b64decode(secret.removeprefix("whsec_")) in stored for secret in secrets)
    assert KEY.encode() not in stored


async def test_a_new_secret_takes_over_while_the_old_one_still_signs(world: World) -> None:
    world.answers(200)
    endpoint = await world.endpoint()
    old = world.hooks.secret(endpoint)
    changed = await world.hooks.rotate(endpoint.id, overlap=3600)
    new = world.hooks.secret(changed)
    assert new != old
    await world.hooks.send("a", 1)
    await drain(world.app)
    world.clock.advance(3_601)
    await world.hooks.send("a", 2)
    await drain(world.app)
    both, one = (request.headers["webhook-signature"].split(" ") for request in world.heard)
    assert (len(both), len(one)) == (2, 1)
    assert world.hooks.secret(await world.hooks.endpoint(endpoint.id)) == new


async def test_a_new_key_signs_beside_the_old_one(make_world: Callable[..., World]) -> None:
    world = make_world(webhook_signing_key=f"{KEY[::-1]},{KEY}")
    world.answers(200)
    endpoint = await world.endpoint()
    await world.hooks.send("a", 1)
    await drain(world.app)
    (request,) = world.heard
    assert len(request.headers["webhook-signature"].split(" ")) == 2
    assert endpoint.generation == 1


# -- how often --------------------------------------------------------------------------------------------------------


async def test_a_server_that_fails_is_tried_by_the_schedule_with_the_same_id_and_body(world: World) -> None:
    world.answers(500, 502, 302, 404, 200)
    await world.endpoint()
    told = await world.hooks.send("order.paid", {"id": 7})
    drained = await drain(world.app)

    assert (drained.completed, drained.retried) == (1, 4)
    assert {request.headers["webhook-id"] for request in world.heard} == {told.event_id}
    assert len({request.get_data() for request in world.heard}) == 1
    sent = [int(request.headers["webhook-timestamp"]) for request in world.heard]
    gaps = [later - earlier for earlier, later in pairwise(sent)]
    assert all(wanted <= gap <= wanted * 1.11 + 2 for wanted, gap in zip(SCHEDULE, gaps, strict=False))
    assert [(one.attempt, one.outcome, one.status) for one in await world.hooks.deliveries()] == [
        (5, "delivered", 200), (4, "failed", 404), (3, "failed", 302), (2, "failed", 502), (1, "failed", 500),
    ]  # fmt: skip


async def test_an_event_that_nobody_takes_is_given_up_after_ten_attempts(make_world: Callable[..., World]) -> None:
    world = make_world(webhook_disable_after_days=30)
    world.answers(500)
    await world.endpoint()
    await world.hooks.send("a", 1)
    await drain(world.app)
    assert len(world.heard) == len(SCHEDULE) + 1 == 10
    (job,) = await world.jobs()
    assert job.state is JobState.FAILED
    assert "answered 500" in (job.failed_reason or "")
    assert "kept to itself" not in (job.failed_reason or "")


async def test_a_server_that_is_busy_gets_the_rest_it_asks_for_and_no_attempt_is_lost(world: World) -> None:
    world.answers(429, 429, 200, headers={"Retry-After": "120"})
    endpoint = await world.endpoint()
    await world.hooks.send("a", 1)
    began = world.clock()
    drained = await drain(world.app)
    assert (drained.completed, drained.retried) == (1, 0)
    assert world.clock() - began >= 240_000
    (job,) = await world.jobs()
    assert (job.attempts_made, job.group) == (1, endpoint.id)


async def test_no_answer_is_a_failed_attempt_too(world: World) -> None:
    async with raw_server(answering(answer())) as gone:
        url = gone.url
    world.hooks._web._trusted |= {url}
    await world.hooks.add_endpoint(f"{url}/hook")
    await world.hooks.send("a", 1)
    drained = await drain(world.app)
    assert drained.completed == 0
    newest, *_ = await world.hooks.deliveries()
    assert (newest.outcome, newest.status) == ("failed", None)
    assert "POST http://127.0.0.1" in newest.why


async def test_an_answer_is_not_read_however_long_it_is(world: World) -> None:
    endless = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + (b"400\r\n" + b"x" * 1024 + b"\r\n") * 200
    async with raw_server(answering(endless)) as server:
        world.hooks._web._trusted |= {server.url}
        await world.hooks.add_endpoint(f"{server.url}/hook")
        await world.hooks.send("a", 1)
        assert (await drain(world.app)).completed == 1


async def test_a_redirect_is_not_followed(world: World) -> None:
    for status in (302, 307, 308):
        world.server.clear_all_handlers()
        world.answers(status, 200, headers={"Location": "/elsewhere"})
        world.answers(200, path="/elsewhere")
        await world.hooks.remove_endpoint((await world.endpoint()).id)
        await world.endpoint()
        await world.hooks.send("a", status)
    await drain(world.app)
    assert {request.path for request in world.heard} == {"/hook"}


# -- disabled ---------------------------------------------------------------------------------------------------------


async def test_an_endpoint_that_fails_for_days_is_disabled_and_somebody_is_told(
    make_world: Callable[..., World],
) -> None:
    world = make_world(webhook_disable_after_days=1)
    world.answers(500)
    endpoint = await world.endpoint()
    await world.hooks.send("a", 1)
    await drain(world.app)

    found = await world.hooks.endpoint(endpoint.id)
    assert (found.active, found.disabled_why) == (False, "answered 500")
    assert [(id.startswith("webhook-endpoint-ep_"), one.id) for id, one in world.told] == [(True, endpoint.id)]
    (job,) = await world.jobs()
    assert "was disabled" in (job.failed_reason or "")
    assert len(world.heard) < 10
    assert (await world.hooks.send("a", 2)).jobs == ()

    await world.hooks.enable(endpoint.id)
    world.server.clear_all_handlers()
    world.answers(200)
    await world.hooks.send("a", 3)
    assert (await drain(world.app)).completed == 1


async def test_a_success_in_between_begins_the_days_anew(make_world: Callable[..., World]) -> None:
    world = make_world(webhook_disable_after_days=1)
    endpoint = await world.endpoint()
    world.answers(500, 200)
    for number in range(6):
        world.server.clear_all_handlers()
        world.answers(500, 200)
        await world.hooks.send("a", number)
        await drain(world.app)
        world.clock.advance(50_000)
    assert (await world.hooks.endpoint(endpoint.id)).active
    assert (await world.hooks.endpoint(endpoint.id)).failing_since is None


async def test_an_endpoint_that_says_it_is_gone_is_disabled_at_once(world: World) -> None:
    world.answers(410)
    endpoint = await world.endpoint()
    await world.hooks.send("a", 1)
    await drain(world.app)
    assert not (await world.hooks.endpoint(endpoint.id)).active
    assert len(world.heard) == 1


async def test_jobs_of_an_endpoint_that_is_disabled_or_deleted_fail_and_send_nothing(world: World) -> None:
    world.answers(200)
    disabled, deleted = await world.endpoint(), await world.endpoint()
    await world.hooks.send("a", 1)
    await world.hooks.disable(disabled.id, "its owner left")
    await world.hooks.remove_endpoint(deleted.id)
    await drain(world.app)
    assert world.heard == []
    reasons = " | ".join(job.failed_reason or "" for job in await world.jobs())
    assert "is disabled (its owner left)" in reasons
    assert "does not exist any more" in reasons
    assert [one.outcome for one in await world.hooks.deliveries()] == ["skipped"]


# -- by hand ----------------------------------------------------------------------------------------------------------


async def test_an_event_may_be_told_once_more_by_hand(world: World) -> None:
    world.answers(410, 200)
    endpoint = await world.endpoint()
    told = await world.hooks.send("order.paid", {"id": 7})
    await drain(world.app)
    await world.hooks.enable(endpoint.id)
    await world.hooks.redeliver(told.event_id, endpoint.id)
    assert (await drain(world.app)).completed == 1
    first, second = world.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == told.event_id
    assert first.get_data() == second.get_data()
    assert len(await world.hooks.deliveries(event=told.event_id, endpoint=endpoint.id)) == 2


async def test_nobody_gets_another_organizations_event_by_hand(world: World) -> None:
    told = await world.hooks.send("order.paid", {"id": 7}, organization_id="a")
    endpoint = await world.endpoint(organization="b")
    with pytest.raises(ConfigError, match="another organization"):
        await world.hooks.redeliver(told.event_id, endpoint.id)
    with pytest.raises(RecordNotFoundError):
        await world.hooks.redeliver("evt_none", endpoint.id)


async def test_an_endpoint_can_be_asked_whether_it_hears(world: World) -> None:
    world.answers(200)
    endpoint = await world.endpoint("/hook", "order.*", organization="a")
    await world.hooks.ping(endpoint.id)
    await drain(world.app)
    (request,) = world.heard
    assert json.loads(request.get_data())["type"] == "webhook.ping"


async def test_what_is_old_is_forgotten(world: World) -> None:
    world.answers(200)
    await world.endpoint()
    for day in range(40):
        await world.hooks.send("a", day)
        await drain(world.app)
        world.clock.advance(86_400)
    job = world.hooks.queue.definition("prune-webhooks")
    handle = await job.add({"olderThanDays": 30})
    await drain(world.app)
    assert json.loads((await handle.get()).result or "") == {"events": 10, "deliveries": 10}
    assert len(await world.hooks.deliveries()) == 30


# -- where it does not go ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook", "https://127.0.0.1/", "https://localhost/", "https://169.254.169.254/",
        "https://example.com:8443/", "https://user:word@example.com/", "https://[::1]/", "ftp://example.com/", "",
    ],
)  # fmt: skip
async def test_an_address_that_is_not_public_cannot_be_registered(world: World, url: str) -> None:
    with pytest.raises(BlockedAddressError):
        await world.hooks.add_endpoint(url)
    assert await world.hooks.endpoints() == []


async def test_an_address_that_becomes_private_is_not_gone_to_in_any_attempt(world: World) -> None:
    world.answers(500)
    endpoint = await world.endpoint()
    told = await world.hooks.send("a", 1)
    world.hooks._web._trusted = frozenset()  # the server was the operator's own; now it is like anybody's
    await drain(world.app)
    await world.hooks.redeliver(told.event_id, endpoint.id)
    await drain(world.app)
    assert world.heard == []
    assert [one.outcome for one in await world.hooks.deliveries()] == ["blocked", "blocked"]
    assert all("not gone to" in (job.failed_reason or "") for job in await world.jobs())


# -- what cannot be meant ---------------------------------------------------------------------------------------------


async def test_without_a_key_nothing_is_registered_or_sent(make_world: Callable[..., World]) -> None:
    world = make_world()
    endpoint = await world.endpoint()
    await world.hooks.send("a", 1)
    world.hooks._settings = WebhooksSettings.load()
    with pytest.raises(ConfigError, match="WEBHOOK_SIGNING_KEY"):
        await world.endpoint()
    with pytest.raises(ConfigError, match="WEBHOOK_SIGNING_KEY"):
        world.hooks.secret(endpoint)


async def test_without_a_key_a_delivery_fails_and_says_how_to_mend_it(make_world: Callable[..., World]) -> None:
    world = make_world(webhook_signing_key="")
    job = world.hooks.queue.definition("deliver-webhook")
    row = {"url": "x", "events": [], "organization": "", "description": "", "generation": 1, "active": True}
    async with world.database.begin() as connection:
        table = sa.table("webhooks_endpoints", *map(sa.column, ("id", "disabled_why", "created_at", *row)))
        values = {**row, "events": "[]", "id": "ep_1", "disabled_why": "", "created_at": 0}
        await connection.execute(sa.insert(table).values(values))
    handle = await job.add({"endpointId": "ep_1", "eventId": "e", "eventType": "a", "createdAt": 1})
    await drain(world.app)
    assert "WEBHOOK_SIGNING_KEY" in ((await handle.get()).failed_reason or "")


async def test_mistakes_are_refused_where_they_are_made(world: World) -> None:
    for patterns in ((), ("",), ("order paid",), ("a" * 201,)):
        with pytest.raises(ConfigError):
            await world.hooks.add_endpoint(f"{world.origin}/x", events=patterns)
    for event_type in ("", "order paid", "å"):
        with pytest.raises(ConfigError):
            await world.hooks.send(event_type)
    for id in ("", "a b", "a" * 101, "../x"):
        with pytest.raises(ConfigError):
            await world.hooks.send("a", id=id)
    with pytest.raises(PayloadError):
        await world.hooks.send("a", float("nan"))
    with pytest.raises(RecordNotFoundError):
        await world.hooks.endpoint("ep_none")
    for change in (world.hooks.enable, world.hooks.disable, world.hooks.rotate):
        with pytest.raises(RecordNotFoundError):
            await change("ep_none")
    assert await world.hooks.remove_endpoint("ep_none") is False


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="16 characters"):
        Outgoing(
            Corral("sqlite:///:memory:"), Database("sqlite:///x.db"), WebhooksSettings.load(webhook_signing_key="short")
        )


async def test_no_key_or_secret_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.answers(500, 200)
    endpoint = await world.endpoint()
    with caplog.at_level(logging.DEBUG):
        await world.hooks.send("a", {"canary": 1})
        await drain(world.app)
    said = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert KEY not in said
    assert world.hooks.secret(endpoint).removeprefix("whsec_") not in said


# -- on real engines --------------------------------------------------------------------------------------------------


async def test_a_real_worker_delivers_and_opens_the_database_itself(
    storage_url: str, app_database: str, httpserver: HTTPServer
) -> None:
    app, database = Corral(storage_url), Database(app_database)
    world = World(app, database, httpserver, FakeClock(NOW))
    world.answers(200)
    async with app, await app.worker():
        await world.endpoint()
        told = await world.hooks.send("order.paid", {"id": 7})
        queue = await world.hooks.queue.open()
        results = await asyncio.gather(*(queue.result(job, timeout=30) for job in told.jobs))
        (delivery,) = await world.hooks.deliveries()
    assert [result["status"] for result in results if isinstance(result, dict)] == [200]
    assert (delivery.outcome, delivery.event) == ("delivered", told.event_id)
