"""Every route has one rule, and lets in exactly those whom its rule names. Made from the list of routes."""

import re
from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.params import Depends as Dependency

from corral.admin.rights import ROLES, Permission
from corral.errors import ConfigError
from corral.http import create_app
from corral.http.deps import allow, public
from corral.http.home import Api
from corral.http.route import CorralRoute, bound, budget
from corral.job import NewJob
from corral.options import QueueSettings
from corral.storage.connect import connect
from corral.storage.passing import Passing
from corral.storage.port import Claim, Claimed, QueueInfo, Storage
from corral.timing import Millis
from tests.web.conftest import TOKENS, make_client, make_settings

ROUTES = [
    route
    for route in create_app("sqlite:///:memory:", settings=make_settings()).routes
    if isinstance(route, CorralRoute)
]
CASES = [(method, route) for route in ROUTES for method in sorted((route.methods or set()) - {"HEAD"})]
#: Whoever may call these can be anybody: machines that probe, who wants to be somebody, and who was refused.
OPEN = {"/api/v1/login", "/api/v1/logout", "/api/v1/problems/{code}"} | {
    f"/{name}{check}" for name in ("livez", "readyz", "startupz", "healthz") for check in ("", "/{check}")
}


@pytest.fixture
async def api() -> AsyncIterator[FastAPI]:
    """The API over a store in memory; its streams end at once."""
    async with connect("sqlite:///:memory:") as storage:
        made = create_app(storage, settings=make_settings())
        await made.state.corral.open()
        made.state.corral.closing.set()
        yield made
        await made.state.corral.close()


def path_of(route: CorralRoute) -> str:
    """A path that fits the route, about things that are not there."""
    return re.sub(r"{[^}]+}", "nowhere", route.path_format)


@pytest.mark.mission("M-TS-51")
@pytest.mark.parametrize(("method", "route"), CASES, ids=[f"{method} {route.path_format}" for method, route in CASES])
async def test_a_route_lets_in_whom_its_rule_names_and_nobody_else(
    api: FastAPI, method: str, route: CorralRoute
) -> None:
    rule = route.rule
    expected = {role: rule.permission is None or rule.permission in ROLES[role] for role in TOKENS}
    found, codes = {}, set()
    body = None if method == "GET" else b""
    for role, token in TOKENS.items():
        async with make_client(api, token) as client:
            answer = await client.request(method, f"http://api.test{path_of(route)}", content=body)
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        assert answer.status_code != 401
        found[role] = answer.status_code != 403
        codes |= {answer.json()["code"]} if answer.status_code == 403 else set()
    assert found == expected
    assert codes <= {"forbidden"}


@pytest.mark.parametrize(("method", "route"), CASES, ids=[f"{method} {route.path_format}" for method, route in CASES])
async def test_nobody_unknown_gets_further_than_the_door(api: FastAPI, method: str, route: CorralRoute) -> None:
    async with make_client(api) as client:
        answer = await client.request(method, f"http://api.test{path_of(route)}", content=b"[" * 100)
    assert (answer.status_code != 401) == (route.path_format in OPEN)


def test_the_routes_that_anybody_may_call_are_these() -> None:
    assert {route.path_format for route in ROUTES if not route.rule.recognise} == OPEN


def test_reading_is_all_that_get_does() -> None:
    changing = set("add retry promote cancel edit run pause abort write remove drain clean obliterate control".split())
    wrong = [
        route.path_format
        for method, route in CASES
        if method == "GET" and route.rule.permission and str(route.rule.permission).partition(":")[2] in changing
    ]
    # What somebody has ordered they may follow, and who makes tokens may list them.
    assert sorted(wrong) == ["/api/v1/tokens", "/api/v1/workers/{id}/commands/{command}"]


def test_only_what_streams_may_take_as_long_as_it_takes() -> None:
    home = Api("sqlite:///:memory:", make_settings(read_timeout=10, write_timeout=30))
    found = {(method, route.path_format): budget(route.rule, home, method) for method, route in CASES}
    assert {key for key, seconds in found.items() if seconds is None} == {
        ("GET", "/api/v1/events"), ("GET", "/api/v1/jobs/export")
    }  # fmt: skip
    assert {(key, seconds) for key, seconds in found.items() if seconds not in (10, 30, None)} == {
        (("GET", "/api/v1/queues/{q}/jobs/{id}/result"), 70),
        (("POST", "/api/v1/queues/{q}/jobs"), 90),
        (("POST", "/api/v1/queues/{q}/jobs/{id}/retry"), 90),
    }


@pytest.mark.parametrize(
    "rules", [[], [public(), public()], [public(), allow(Permission.JOB_READ)], [Depends(lambda: None)]],
    ids=["none", "two of one kind", "two", "something else"],
)  # fmt: skip
def test_a_route_without_exactly_one_rule_cannot_be_made(rules: list[Dependency]) -> None:
    router = APIRouter(route_class=bound(Api("sqlite:///:memory:", make_settings())))
    with pytest.raises(ConfigError, match="must have exactly one rule"):
        router.add_api_route("/new", lambda: None, dependencies=rules)


async def test_a_queue_outside_of_a_token_s_patterns_is_as_if_it_were_not_there(api: FastAPI) -> None:
    from corral.admin.objects import Actor

    desk = api.state.corral.admin.by(Actor(sub="test"))
    clear, _ = await desk.create_token("mail only", "admin", ["mail*"])
    inside = [route for route in ROUTES if "{q}" in route.path_format and route.rule.queue == "q"]
    assert inside
    wrong = []
    async with make_client(api, clear) as client:
        for route in inside:
            for method in sorted((route.methods or set()) - {"HEAD"}):
                answer = await client.request(method, f"http://api.test{path_of(route)}")
                if answer.status_code != 404 or answer.json()["code"] != "queue-not-found":
                    wrong.append((method, route.path_format, answer.status_code))
    assert wrong == []


async def test_where_nothing_may_be_changed_nobody_changes_anything() -> None:
    async with connect("sqlite:///:memory:") as storage:
        made = create_app(storage, settings=make_settings(read_only=True))
        await made.state.corral.open()
        made.state.corral.closing.set()
        changing = [(method, route) for method, route in CASES if method != "GET" and route.path_format not in OPEN]
        codes = {}
        async with make_client(made, TOKENS["admin"]) as client:
            for method, route in changing:
                answer = await client.request(method, f"http://api.test{path_of(route)}")
                codes[f"{method} {route.path_format}"] = answer.json().get("code")
            me = (await client.get("/me")).json()
        await made.state.corral.close()
    reading = {
        f"{method} {route.path_format}" for method, route in changing
        if route.rule.permission is None or str(route.rule.permission).endswith(":read")
    }  # fmt: skip
    assert {name for name, code in codes.items() if code != "read-only"} == reading
    assert me["read_only"] is True
    assert all(permission.endswith(":read") for permission in me["permissions"])


#: Verbs of the store that change something.
WRITING = frozenset(
    "add claim settle heartbeat recover remove retry promote cancel update log configure obliterate remember "
    "put_schedules fire_schedule drop_schedules emit record write_entries".split()
)


class Noting(Passing):
    """A store that notes which verbs that change something were called."""

    def __init__(self, inner: Storage) -> None:
        super().__init__(inner)
        self.wrote: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in WRITING:
            self.wrote.append(name)
        return super().__getattribute__(name)

    async def claim(self, queue: str, claim: Claim, *, now: Millis | None = None) -> Claimed:
        assert claim.count == 0, "of none it only asks what holds the queue back"
        self.wrote.remove("claim")
        return await super().claim(queue, claim, now=now)

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        assert settings == QueueSettings(), "without any it reads them"
        self.wrote.remove("configure")
        return await super().configure(queue, settings, now=now)


async def test_no_get_changes_anything() -> None:
    async with connect("sqlite:///:memory:") as storage:
        await storage.add([NewJob(id="nowhere", queue="nowhere", name="nowhere", data='{"password": "x"}')])
        noting = Noting(storage)
        app = create_app(noting, settings=make_settings())
        await app.state.corral.open()
        app.state.corral.closing.set()
        wrote, served = {}, 0
        async with make_client(app, TOKENS["admin"]) as client:
            for route in [route for method, route in CASES if method == "GET"]:
                noting.wrote.clear()
                answer = await client.get(f"http://api.test{path_of(route)}")
                served += answer.status_code == 200
                wrote[route.path_format] = list(noting.wrote)
        await app.state.corral.close()
    assert served > 30
    # Who takes data out of the house stands in the audit log.
    audited = {"/api/v1/jobs/export", "/api/v1/queues/{q}/jobs/{id}/payload"}
    assert {path: verbs for path, verbs in wrote.items() if verbs and path not in audited} == {}
    assert {verb for verbs in wrote.values() for verb in verbs} <= {"write_entries"}
