"""Whoever has some queues only: what they mute, mark and make holds for those, and tells them nothing of others."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI

from corral.admin import tokens
from corral.admin.objects import Actor, Operation
from corral.errors import ConfigError, RecordNotFoundError
from corral.http import create_app
from corral.http.exchange import address_in
from corral.http.home import Api
from corral.http.limits import SITE, Limiter, Pace, site_of, take_by_network
from corral.http.live.board import Board
from corral.http.live.stream import Stream
from corral.http.live.topics import topics_of
from corral.job import NewJob
from corral.outcome import Failed
from corral.storage.port import Claim, Settlement, Storage, Token, WorkerInfo
from corral.timing import now_ms
from tests.web.conftest import TOKENS, make_client, make_settings
from tests.web.routes.conftest import TIMEOUT, code_of

LATER = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
KIND = TIMEOUT.fingerprint


async def token_of(home: Api, name: str, role: str, *queues: str) -> str:
    """A token of the store."""
    clear, _ = await home.admin.by(Actor(sub="root")).create_token(name, role, queues)
    return clear


@pytest.fixture
async def mail(app: FastAPI, home: Api) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of the queues `mail*` alone."""
    async with make_client(app, await token_of(home, "mail", "admin", "mail*")) as client:
        yield client


@pytest.fixture
async def bulk(app: FastAPI, home: Api) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of one of those queues."""
    async with make_client(app, await token_of(home, "bulk", "admin", "mail-bulk")) as client:
        yield client


async def failing(storage: Storage, *queues: str) -> None:
    """A failed job of the same kind in each."""
    for queue in queues:
        await storage.add([NewJob(queue=queue, name="x")])
        token = Token(f"t-{queue}")
        [job] = (await storage.claim(queue, Claim(count=1, token=token, lease_ms=60_000))).jobs
        outcome = Failed(reason="SMTPTimeout: connection timed out", failure=TIMEOUT)
        await storage.settle(queue, [Settlement(job_id=job.id, token=token, outcome=outcome)])


# -- mutes -------------------------------------------------------------------------------------------------------------


async def test_a_kind_of_failure_is_muted_for_the_queues_of_who_mutes_it(
    storage: Storage, mail: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await failing(storage, "mail", "other")
    assert (await mail.post(f"/failures/{KIND}/mute", json={"until": LATER})).json()["state"] == "muted"
    assert [one["state"] for one in (await mail.get("/failures")).json()["items"]] == ["muted"]
    states = [one["state"] for one in (await admin.get("/failures")).json()["items"]]
    assert states == ["open"], "it goes on failing in a queue that nobody has muted"
    assert (await admin.get("/failures?queue=mail")).json()["items"][0]["state"] == "muted"
    assert (await admin.get("/failures?queue=other")).json()["items"][0]["state"] == "open"


async def test_what_holds_for_more_queues_is_not_unmuted_by_who_has_some(
    storage: Storage, mail: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await failing(storage, "mail", "other")
    await admin.post(f"/failures/{KIND}/mute", json={"until": LATER})
    assert code_of(await mail.post(f"/failures/{KIND}/unmute")) == (404, "failure-not-found")
    await mail.post(f"/failures/{KIND}/mute", json={"until": LATER})
    assert (await mail.post(f"/failures/{KIND}/unmute")).json()["state"] == "muted", "by the other mute"
    await mail.post(f"/failures/{KIND}/mute", json={"until": LATER})
    assert (await admin.post(f"/failures/{KIND}/unmute")).json()["state"] == "open", "all of them are gone"
    assert (await mail.get(f"/failures/{KIND}")).json()["state"] == "open"


async def test_a_finding_is_muted_only_if_its_queue_is_theirs(
    storage: Storage, mail: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    # With names that have a slash in them, an id may be read as one of another queue with a subject.
    await storage.add([NewJob(queue="mail", name="x"), NewJob(queue="secret", name="x")])
    found = {one["queue"]: one["id"] for one in (await admin.get("/attention")).json()["items"]}
    await mail.post(f"/attention/{found['mail'].replace('/', '%2F')}/mute", json={"until": LATER})
    assert (await mail.get("/attention")).json()["items"] == []
    left = [one["queue"] for one in (await admin.get("/attention")).json()["items"]]
    assert left == ["secret"]
    hidden = await mail.post(f"/attention/{found['secret'].replace('/', '%2F')}/mute", json={"until": LATER})
    assert code_of(hidden) == (404, "finding-not-found")


async def test_alerts_and_metrics_heed_in_which_queues_something_is_muted(
    storage: Storage, mail: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    await failing(storage, "mail", "other")
    await mail.post(f"/failures/{KIND}/mute", json={"until": LATER})
    page = (await viewer.get("http://api.test/metrics")).text
    assert 'corral_failure_groups{queue="mail",state="muted"} 1.0' in page
    assert 'corral_failure_groups{queue="other",state="muted"} 0.0' in page


# -- marks -------------------------------------------------------------------------------------------------------------


async def test_a_mark_stands_on_the_charts_of_the_queues_of_who_made_it(
    storage: Storage, home: Api, mail: httpx.AsyncClient, bulk: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await storage.add([NewJob(queue=name, name="x") for name in ("mail", "mail-bulk", "other")])
    own = (await mail.post("/marks", json={"label": "v2"})).json()
    assert own["queues"] == ["mail*"]
    await admin.post("/marks", json={"label": "for all"})

    async def labels(client: httpx.AsyncClient) -> list[str]:
        return [one["label"] for one in (await client.get("/marks")).json()["items"]]

    assert await labels(mail) == await labels(bulk) == await labels(admin) == ["v2", "for all"]

    async def on(queue: str | None, *visible: str) -> list[str]:
        return [one.label for one in (await home.monitor.series(queue, visible=visible or ("*",))).marks]

    assert await on("mail") == await on("mail-bulk") == await on(None) == ["v2", "for all"]
    assert await on("other") == await on(None, "other") == ["for all"]
    assert await on(None, "mail-bulk") == ["v2", "for all"]


async def test_a_mark_about_others_queues_too_cannot_be_taken_away(
    mail: httpx.AsyncClient, bulk: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    every = (await admin.post("/marks", json={"label": "for all"})).json()["id"]
    wide = (await mail.post("/marks", json={"label": "mail"})).json()["id"]
    own = (await bulk.post("/marks", json={"label": "bulk"})).json()["id"]
    assert code_of(await mail.delete(f"/marks/{every}")) == (403, "forbidden")
    assert code_of(await bulk.delete(f"/marks/{wide}")) == (403, "forbidden")
    assert (await mail.delete(f"/marks/{own}")).status_code == 204, "all that it is about is theirs"
    assert (await admin.delete(f"/marks/{wide}")).status_code == 204
    assert code_of(await admin.delete("/marks/none")) == (404, "mark-not-found")


async def test_a_mark_of_others_queues_is_not_there(
    app: FastAPI, home: Api, mail: httpx.AsyncClient
) -> None:  # fmt: skip
    async with make_client(app, await token_of(home, "other", "admin", "other")) as other:
        made = (await other.post("/marks", json={"label": "secret release"})).json()["id"]
    assert (await mail.get("/marks")).json()["items"] == []
    assert code_of(await mail.delete(f"/marks/{made}")) == (404, "mark-not-found")


# -- workers -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def worker(storage: Storage) -> WorkerInfo:
    """A worker of two queues that runs a job of the one that is hidden."""
    info = WorkerInfo(
        id="w-1", name="w", host="h", pid=1, queues=("mail", "secret"), slots=9, slots_of=(2, 7), running=1,
        started_at=now_ms(), handlers=("mail/a", "secret/b"),
    )  # fmt: skip
    await storage.heartbeat(info, [], lease_ms=60_000)
    await storage.add([NewJob(queue="secret", name="x")])
    await storage.claim("secret", Claim(count=1, token=Token("t"), lease_ms=60_000, worker="w-1"))
    return info


async def test_a_workers_totals_leave_out_what_it_does_for_hidden_queues(
    worker: WorkerInfo, mail: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    [seen] = (await mail.get("/workers")).json()["items"]
    assert (seen["slots"], seen["busy"], seen["state"], seen["jobs"]) == (2, 0, "idle", [])
    assert seen["queues"] == {"mail": {"slots": 2, "busy": 0}}
    [whole] = (await admin.get("/workers")).json()["items"]
    assert (whole["slots"], whole["busy"], whole["state"]) == (9, 1, "busy")


async def test_live_events_leave_it_out_too(worker: WorkerInfo, home: Api) -> None:
    async def told(*names: str) -> object:
        stream = Stream(topics_of("workers"), lambda queue: queue in names)
        board = Board(home.monitor, nothing)
        await board.look({stream})
        [message] = await stream.take(0.0)
        assert isinstance(message.data, dict)
        return message.data["w-1"]

    some = {"id": "w-1", "name": "w", "state": "idle", "busy": 0, "slots": 2}
    assert await told("mail") == some
    assert await told("mail", "secret") == {**some, "state": "busy", "busy": 1, "slots": 9}


async def nothing() -> list[Operation]:
    return []


# -- tokens of who has some queues only --------------------------------------------------------------------------------


async def test_a_token_made_by_a_token_ends_with_it(
    app: FastAPI, home: Api, mail: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    async def made_by(client: httpx.AsyncClient, name: str) -> dict[str, str]:
        answer = await client.post("/tokens", json={"name": name, "role": "admin", "queues": ["mail-bulk"]})
        assert answer.status_code == 201, answer.text
        found: dict[str, str] = answer.json()
        return found

    child = await made_by(mail, "child")
    async with make_client(app, child["token"]) as second:
        grandchild = await made_by(second, "grandchild")
        assert grandchild["parent"] == child["id"]
    [parent] = [one["id"] for one in (await admin.get("/tokens")).json()["items"] if one["name"] == "mail"]
    assert child["parent"] == parent
    assert (await admin.delete(f"/tokens/{parent}")).status_code == 204
    for token in (child["token"], grandchild["token"]):
        async with make_client(app, token) as gone:
            assert (await gone.get("/me")).status_code == 401
    assert (await admin.get("/me")).status_code == 200
    [entry] = (await admin.get("/audit?action=token.revoke")).json()["items"]
    assert entry["count"] == 3


async def test_a_token_made_by_a_token_does_not_last_longer(home: Api) -> None:
    desk = home.admin.by(Actor(sub="root"))
    end = now_ms() + 3_600_000
    _, parent = await desk.create_token("short", "admin", ["mail*"], end)
    with pytest.raises(ConfigError, match="not be later than that of the token"):
        await desk.create_token("longer", "viewer", ["mail"], end + 1, parent=parent.id)
    with pytest.raises(ConfigError, match="not be later"):
        await desk.create_token("for ever", "viewer", ["mail"], parent=parent.id)
    await desk.create_token("as long", "viewer", ["mail"], end, parent=parent.id)
    with pytest.raises(RecordNotFoundError):
        await desk.create_token("orphan", "viewer", ["mail"], parent="gone")


async def test_tokens_of_some_queues_cannot_use_up_everybodys(home: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST_MADE", 3)
    desk = home.admin.by(Actor(sub="root"))
    _, parent = await desk.create_token("mail", "admin", ["mail*"])
    _, child = await desk.create_token("1", "admin", ["mail*"], parent=parent.id)
    await desk.create_token("2", "viewer", ["mail"], parent=child.id)
    await desk.create_token("3", "viewer", ["mail"], parent=parent.id)
    for line in (parent, child):  # whoever made some by another token of theirs has not more
        with pytest.raises(ConfigError, match="3 tokens were made by this one"):
            await desk.create_token("4", "viewer", ["mail"], parent=line.id)
    _, whole = await desk.create_token("root", "admin", ["*"])
    for number in range(5):
        await desk.create_token(f"many-{number}", "viewer", ["mail"], parent=whole.id)


async def test_a_namesake_does_not_use_up_anothers_rate(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(rate_limits=True, write_rate="2/min"))
    home: Api = app.state.corral
    await home.open()
    one, two = await token_of(home, "ci", "operator", "mail*"), await token_of(home, "ci", "operator", "*")
    async with make_client(app, one) as first, make_client(app, two) as second:
        codes = [(await first.post("/marks", json={"label": "x"})).status_code for _ in range(3)]
        assert codes == [201, 201, 429]
        assert (await second.post("/marks", json={"label": "x"})).status_code == 201
    await home.close()


# -- addresses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hop", "address"),
    [
        ("192.0.2.7", "192.0.2.7"), ("192.0.2.7:4711", "192.0.2.7"), (" 192.0.2.7 ", "192.0.2.7"),
        ("[2001:db8::7]:4711", "2001:db8::7"), ("[2001:db8::7]", "2001:db8::7"), ("2001:db8::7", "2001:db8::7"),
        ('"[2001:DB8::7]:4711"', "2001:db8::7"), ("fe80::1%eth0", "fe80::1"), ("[fe80::1%eth0]:80", "fe80::1"),
        ("unknown", None), ("_hidden", None), ("", None), ("192.0.2.777", None), ("[192.0.2.7", None), (":80", None),
    ],
)  # fmt: skip
def test_a_hop_is_an_address_with_or_without_its_port(hop: str, address: str | None) -> None:
    assert address_in(hop) == address


@pytest.mark.parametrize(
    ("forwarded", "seen"),
    [
        ("203.0.113.9:5000", "203.0.113.9"), ("[2001:db8::9]:5000", "2001:db8::9"),
        ("203.0.113.9, 10.0.0.2:80", "203.0.113.9"), ("198.51.100.1, 203.0.113.9:1, [::1]:9", "203.0.113.9"),
        ("203.0.113.9, unknown", "127.0.0.1"),
    ],
)  # fmt: skip
async def test_who_comes_through_a_proxy_that_tells_ports_is_known_by_the_address(
    storage: Storage, forwarded: str, seen: str
) -> None:
    app = create_app(storage, settings=make_settings(trusted_proxies=["127.0.0.0/8", "10.0.0.0/8", "::1"]))
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 1))
    headers = {"Authorization": f"Bearer {TOKENS['admin']}", "X-Forwarded-For": forwarded}
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test/api/v1", headers=headers) as client:
        await client.post("/marks", json={"label": "x"})
        [entry] = (await client.get("/audit")).json()["items"]
    assert entry["ip"] == seen
    await app.state.corral.close()


def test_a_flood_from_one_48_takes_few_places_and_nobody_elses() -> None:
    now = [1_000.0]
    limiter = Limiter(keys=1_000, seconds=lambda: now[0])
    pace = Pace(600, 60, 120)
    busy = ("read", "ip", "192.0.2.1")
    for _ in range(120):
        limiter.take(busy, pace)
    assert not limiter.take(busy, pace).allowed
    passed = sum(
        take_by_network(limiter, ("read", "ip"), f"2001:db8:1:{number:x}::", pace).allowed for number in range(40_000)
    )
    assert passed == 120 * SITE, "so much may the whole /48"
    assert len(limiter) <= 120 * SITE + 2
    other = take_by_network(limiter, ("read", "ip"), "2001:db8:2:1::", pace)
    assert other.allowed, "the neighbour's /48 has its own"


def test_a_64_that_is_refused_costs_its_neighbours_nothing() -> None:
    now = [1_000.0]
    limiter = Limiter(seconds=lambda: now[0])
    pace = Pace(60, 60, 5)
    tries = [take_by_network(limiter, ("read",), "2001:db8:1:1::", pace).allowed for _ in range(5 * SITE * 2)]
    assert tries == [True] * 5 + [False] * (5 * SITE * 2 - 5)
    assert take_by_network(limiter, ("read",), "2001:db8:1:2::", pace).allowed


@pytest.mark.parametrize(
    ("network", "site"), [("2001:db8:1:2::", "2001:db8:1::/48"), ("192.0.2.1", None), ("", None), ("unix", None)]
)
def test_a_site_is_a_48(network: str, site: str | None) -> None:
    assert site_of(network) == site


async def test_logins_from_all_over_a_48_take_few_places(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(login_rate="2/min"))
    home: Api = app.state.corral
    home.limiter.seconds = home.login.lockout.seconds = lambda: 1_000.0
    codes: list[int] = []
    for number in range(200):
        transport = httpx.ASGITransport(app=app, client=(f"2001:db8:1:{number:x}::1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test/api/v1") as client:
            codes.append((await client.post("/login", json={"token": f"guess-{number}"})).status_code)
    assert codes.count(401) == 2 * 4 * SITE, "four accounts' worth for a /64, and 16 times that for the /48"
    assert codes[-1] == 429
    assert len(home.login.lockout) <= 2 * 4 * SITE
    await home.close()


async def test_wrong_basic_passwords_from_a_48_are_one_guesser(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings(metrics_password="of the scraper alone"))
    app.state.corral.login.lockout.seconds = lambda: 1_000.0
    codes = []
    for number in range(6):
        transport = httpx.ASGITransport(app=app, client=(f"2001:db8:1:{number:x}::1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as client:
            codes.append((await client.get("/metrics", auth=("metrics", f"guess {number}"))).status_code)
    assert codes[:4] == [401] * 4
    assert codes[-1] == 429
    await app.state.corral.close()
