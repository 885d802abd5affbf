"""Problems: every code says what it means and what to do, at the address that the problem names as `help`."""

from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from corral.dashboard import create_dashboard
from corral.http.advice import ADVICE, advice_page
from corral.http.problems import CATALOGUE
from corral.storage.connect import connect
from corral.storage.port import Storage
from tests.web.conftest import make_settings
from tests.web.test_mounting import alone, calling, included, mounted


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    async with connect("sqlite:///:memory:") as made:
        yield made


def dashboard(storage: Storage) -> tuple[ASGIApp, str]:
    inner = create_dashboard(storage, settings=make_settings())
    return Starlette(routes=[Mount("/admin", inner)]), "/admin"


def test_every_code_has_advice_and_every_advice_a_code() -> None:
    assert set(ADVICE) == set(CATALOGUE)
    assert [code for code, (meaning, remedy) in ADVICE.items() if not (meaning.endswith(".") and remedy.endswith("."))
            or (meaning + remedy).count("`") % 2] == []  # fmt: skip


@pytest.mark.parametrize("place", [alone, mounted, included, dashboard])
async def test_help_leads_to_what_the_code_means_wherever_it_is_mounted(storage: Storage, place: object) -> None:
    app, prefix = place(storage)  # type: ignore[operator]  # one of the four
    async with calling(app) as client:
        for wrong in ("queues/nowhere", "queues?sort=colour", "queues/a/jobs/b/c/d/e", "operations/no"):
            refused = (await client.get(f"{prefix}/api/v1/{wrong}")).json()
            if "code" not in refused:  # outside of a router it is the host application's own answer
                assert place is included
                continue
            about = (await client.get(refused["help"])).json()
            assert {name: about[name] for name in ("type", "code", "status", "title")} == {
                name: refused[name] for name in ("type", "code", "status", "title")
            }
            assert (about["meaning"], about["remedy"]) == ADVICE[refused["code"]]


async def test_who_was_not_let_in_may_read_why(storage: Storage) -> None:
    app, _ = alone(storage)
    async with calling(app) as client:
        refused = (await client.get("/api/v1/queues", headers={"Authorization": "Bearer wrong"})).json()
        about = await client.get(refused["help"], headers={"Authorization": ""})
        assert (about.status_code, about.json()["code"]) == (200, "token-invalid")
        unknown = await client.get("/api/v1/problems/no-such-code")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")


async def test_what_is_refused_at_the_gate_has_help_too(storage: Storage) -> None:
    app, _ = alone(storage)
    async with calling(app) as client:
        refused = (await client.get("/api/v1/queues?q=" + "x" * 9_000)).json()
    assert (refused["code"], refused["help"]) == ("uri-too-long", "/api/v1/problems/uri-too-long")


async def test_people_are_given_a_page_without_scripts(storage: Storage) -> None:
    app, _ = alone(storage)
    async with calling(app) as client:
        page = await client.get("/api/v1/problems/job-not-found", headers={"Accept": "text/html,*/*;q=0.1"})
    assert page.headers["content-type"].startswith("text/html")
    assert "script" not in page.headers["content-security-policy"]
    assert "<code>GET /jobs?q=id:…</code>" in page.text
    assert "<script" not in "".join(map(advice_page, CATALOGUE))
