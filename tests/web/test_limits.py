"""Limits: how often, how large, how deep, how long; each at its edge."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI

from corral.errors import ConfigError
from corral.http import create_app
from corral.http.guard import network_of
from corral.http.limits import Limiter, Pace, Rate, pace
from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_client, make_settings
from tests.web.test_login import Time

# -- the algorithm -----------------------------------------------------------------------------------------------------


def test_a_burst_passes_and_then_one_at_a_time() -> None:
    clock = Time()
    limiter = Limiter(seconds=clock)
    pace = Pace(60, 60, 5)
    first = [limiter.take(("a",), pace) for _ in range(6)]
    assert [verdict.allowed for verdict in first] == [True] * 5 + [False]
    assert [verdict.left for verdict in first] == [4, 3, 2, 1, 0, 0]
    assert first[-1].retry_after == pytest.approx(1.0)
    clock.now += 0.99
    assert not limiter.take(("a",), pace).allowed
    clock.now += 0.02
    assert limiter.take(("a",), pace).allowed
    assert not limiter.take(("a",), pace).allowed
    assert limiter.take(("b",), pace).left == 4


def test_in_the_long_run_so_many_pass_and_no_more() -> None:
    clock = Time()
    limiter = Limiter(seconds=clock)
    passed = 0
    for _ in range(36_000):
        passed += limiter.take(("a",), Pace(600, 60, 120)).allowed
        clock.now += 0.01
    assert passed == pytest.approx(120 + 3_600, abs=2)


def test_an_array_counts_as_what_is_in_it_and_a_large_one_passes_when_nothing_is_owed() -> None:
    clock = Time()
    limiter = Limiter(seconds=clock)
    pace = Pace(6_000, 60, 1_000)
    assert limiter.take(("a",), pace, 999).left == 1
    assert not limiter.take(("a",), pace, 2).allowed
    assert limiter.take(("a",), pace, 1).allowed
    clock.now += 60
    assert limiter.take(("a",), pace, 5_000).allowed
    assert not limiter.take(("a",), pace, 1).allowed


def test_it_keeps_a_bounded_number_of_callers_and_forgets_those_at_rest_first() -> None:
    clock = Time()
    limiter = Limiter(keys=100, seconds=clock)
    busy = Pace(1, 3_600, 1)
    limiter.take(("busy",), busy)
    for number in range(10_000):
        limiter.take(("rest", str(number)), Pace(1_000_000, 1, 1_000_000))
        clock.now += 0.001
    assert len(limiter) <= 101
    assert not limiter.take(("busy",), busy).allowed
    for number in range(10_000):
        limiter.take(("also busy", str(number)), busy)
    assert len(limiter) <= 101


@pytest.mark.parametrize(
    ("text", "found"),
    [("600/min:120", Pace(600, 60, 120)), ("10/15min", Pace(10, 900, 10)), ("5/s", Pace(5, 1, 5)),
     (" 1/H:1 ", Pace(1, 3_600, 1))],
)  # fmt: skip
def test_a_pace_is_read_as_it_is_written(text: str, found: Pace) -> None:
    assert pace(text) == found


@pytest.mark.parametrize(
    "text", ["", "600", "600/", "600/fortnight", "-1/min", "0/min", "1/0min", "1/min:0", "1/min:x"]
)
def test_a_pace_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        pace(text)


def test_a_subscriber_s_whole_network_is_one_caller() -> None:
    assert network_of("2001:db8:1:2:aaaa::1") == network_of("2001:db8:1:2:bbbb::2")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1") != network_of("192.0.2.2")


# -- over HTTP ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Time:
    """The time of the limits."""
    return Time()


@pytest.fixture
async def api(clock: Time) -> AsyncIterator[FastAPI]:
    """An API with its limits on."""
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings(rate_limits=True, queue_rates="mail*=3/min"))
        app.state.corral.limiter.seconds = clock
        await app.state.corral.open()
        yield app
        await app.state.corral.close()


async def test_every_answer_says_how_many_are_left_and_one_too_many_when_to_come_back(
    api: FastAPI, clock: Time
) -> None:
    async with make_client(api, TOKENS["viewer"]) as client:
        answers = [await client.get("/me") for _ in range(121)]
        clock.now += 0.2
        again = await client.get("/me")
    assert [answer.status_code for answer in answers] == [200] * 120 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"read";q=600;w=60'
    assert answers[0].headers["ratelimit"] == '"read";r=119;t=1'
    assert answers[-1].headers["ratelimit"] == '"read";r=0;t=12'
    assert answers[-1].headers["retry-after"] == "1"
    problem = answers[-1].json()
    assert (problem["code"], problem["policy"]) == ("rate-limited", "read")
    assert problem["retry_after_seconds"] == pytest.approx(0.1)
    assert again.status_code == 200


@pytest.mark.mission("M-TS-52")
async def test_each_caller_and_each_kind_has_a_rate_of_its_own(api: FastAPI) -> None:
    async with make_client(api, TOKENS["viewer"]) as client:
        assert {(await client.get("/me")).status_code for _ in range(121)} == {200, 429}
    async with make_client(api, TOKENS["admin"]) as client:
        assert (await client.get("/me")).status_code == 200
        found = [(await client.post("/queues/mail/pause")).status_code for _ in range(31)]
        assert found == [404] * 30 + [429]
        assert (await client.get("/me")).status_code == 200


async def test_whoever_guesses_tokens_is_counted_by_address_and_stops_nobody_else(api: FastAPI) -> None:
    async with make_client(api, "guess") as client:
        found = [(await client.get("/me")).status_code for _ in range(130)]
    assert found == [401] * 120 + [429] * 10
    async with make_client(api, TOKENS["viewer"]) as client:
        assert (await client.get("/me")).status_code == 200


async def test_health_and_metrics_are_not_counted(api: FastAPI) -> None:
    async with make_client(api, TOKENS["scraper"]) as client:
        found = {(await client.get("http://api.test/livez")).status_code for _ in range(300)}
        answers = [await client.get("http://api.test/metrics") for _ in range(3)]
    assert found == {200}
    assert not [name for answer in answers for name in answer.headers if name.startswith("ratelimit")]


@pytest.mark.mission("M-TS-52")
async def test_a_queue_may_have_a_rate_of_adding_of_its_own(api: FastAPI) -> None:
    body = {"name": "welcome", "data": {}}
    async with make_client(api, TOKENS["producer"]) as client:
        found = [(await client.post("/queues/mail/jobs", json=body)) for _ in range(4)]
        other = await client.post("/queues/report/jobs", json=body)
    assert [answer.status_code for answer in found] == [201, 201, 201, 429]
    assert found[-1].json()["policy"] == "enqueue:mail*"
    assert other.status_code == 201


def test_there_is_a_rate_for_every_kind() -> None:
    settings = make_settings()
    assert {kind: settings.pace(kind).count for kind in Rate} == {
        Rate.READ: 600, Rate.WRITE: 120, Rate.ENQUEUE: 6_000, Rate.BULK: 6, Rate.LOGIN: 10, Rate.STREAM: 30
    }  # fmt: skip


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.fixture
async def small(storage: Storage) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API that takes little."""
    app = create_app(storage, settings=make_settings(max_body=2_000, max_url=512, max_enqueue_body=4_000))
    async with make_client(app, TOKENS["admin"]) as client:
        yield client
    await app.state.corral.close()


def sized(size: int) -> bytes:
    return b'{"name":"n","data":"' + b"x" * (size - 22) + b'"}'


@pytest.mark.parametrize(("path", "most"), [("/login", 2_000), ("/queues/mail/jobs", 4_000)])
async def test_a_body_may_be_as_large_as_the_limit_and_not_a_byte_larger(
    small: httpx.AsyncClient, path: str, most: int
) -> None:
    headers = {"Content-Type": "application/json"}
    assert len(sized(most)) == most
    assert (await small.post(path, content=sized(most), headers=headers)).status_code != 413
    answer = await small.post(path, content=sized(most + 1), headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["limit_bytes"]) == (413, "payload-too-large", most)


async def test_a_body_that_does_not_say_its_size_is_cut_off_while_it_is_read(small: httpx.AsyncClient) -> None:
    sent = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            sent.append(1)
            yield b" " * 500

    answer = await small.post("/login", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert len(sent) < 10


async def test_a_body_is_not_read_before_it_is_known_who_sends_it(small: httpx.AsyncClient) -> None:
    sent = []

    async def body() -> AsyncIterator[bytes]:
        sent.append(1)
        yield b"{}"

    headers = {"Content-Type": "application/json", "Authorization": "Bearer wrong"}
    assert (await small.post("/queues/mail/jobs", content=body(), headers=headers)).status_code == 401
    assert sent == []


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async with connect("sqlite:///:memory:") as storage:
        app = create_app(storage, settings=make_settings(body_timeout=0.01))
        never = asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"{"
            await never.wait()

        async with make_client(app, TOKENS["admin"]) as client:
            answer = await client.post("/login", content=body(), headers={"Content-Type": "application/json"})
        await app.state.corral.close()
    assert (answer.status_code, answer.json()["code"]) == (408, "request-timeout")


async def test_an_address_may_be_as_long_as_the_limit(small: httpx.AsyncClient) -> None:
    path = "/api/v1/me?x="
    assert (await small.get(f"/me?x={'y' * (511 - len(path) + 2)}")).status_code == 200
    answer = await small.get(f"/me?x={'y' * 600}")
    assert (answer.status_code, answer.json()["code"]) == (414, "uri-too-long")


def nested(depth: int) -> bytes:
    return b'{"name":"n","data":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (nested(64), 201), (nested(65), 400), (b'{"name":"n","data":' + b"[" * 1_900 + b"]" * 1_900 + b"}", 400),
        (b'{"name":"n","data":"' + b"[" * 300 + b'"}', 201), (b'{"name":"n","data":"\\"' + b"[{" * 200 + b'"}', 201),
        (b'{"name":"n","data":[' + b",".join([b"[]"] * 300) + b"]}", 201), (b"{", 400), (b"", 422), (b"\xff", 400),
        (b'{"name":"n","data":"\\' + b"[" * 300, 400),
    ],
    ids=["64 deep", "65 deep", "1,900 deep", "brackets in a text", "after an escaped quote", "many side by side",
         "half", "nothing", "no text at all", "a text that does not end"],
)  # fmt: skip
async def test_json_may_nest_as_deep_as_the_limit(small: httpx.AsyncClient, body: bytes, status: int) -> None:
    answer = await small.post("/queues/mail/jobs", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    ("kind", "status"),
    [("application/json", 201), ("application/json; charset=utf-8", 201), ("APPLICATION/JSON", 201),
     ("application/vnd.corral+json", 201), ("text/json", 415), ("application/xml", 415), ("json", 415)],
)  # fmt: skip
async def test_a_body_is_json_and_says_so(small: httpx.AsyncClient, kind: str, status: int) -> None:
    answer = await small.post("/queues/mail/jobs", content=b'{"name":"n","data":{}}', headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
