"""The API in somebody else's application: below any prefix, behind a proxy, with its store opened and closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from corral import Corral
from corral.http import api_router, create_app
from corral.http.rawpath import decoded
from corral.job import NewJob
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_settings

#: Ids that a path cannot hold as they are, and how they are sent.
IDS = {
    "a/b": "a%2Fb", "50%": "50%25", "a%2Fb": "a%252Fb", "repeat:x:17": "repeat:x:17", "..": "%2E%2E",
    "a b+c": "a%20b+c", "ü/ß": "%C3%BC%2f%C3%9F", "%": "%25", "a?b#c": "a%3Fb%23c",
}  # fmt: skip


@asynccontextmanager
async def calling(app: ASGIApp, root_path: str = "") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, root_path=root_path)
    headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://api.test", headers=headers, timeout=60
    ) as client:
        yield client


def mounted(storage: Storage) -> tuple[ASGIApp, str]:
    return Starlette(routes=[Mount("/admin/queues", create_app(storage, settings=make_settings()))]), "/admin/queues"


def mounted_twice(storage: Storage) -> tuple[ASGIApp, str]:
    inner = Starlette(routes=[Mount("/inner", create_app(storage, settings=make_settings()))])
    return Starlette(routes=[Mount("/outer", inner)]), "/outer/inner"


def included(storage: Storage) -> tuple[ASGIApp, str]:
    app = FastAPI()
    app.include_router(api_router(storage, settings=make_settings()), prefix="/corral")
    return app, "/corral"


def alone(storage: Storage) -> tuple[ASGIApp, str]:
    return create_app(storage, settings=make_settings()), ""


@pytest.mark.mission("M-AI-44")
@pytest.mark.parametrize("place", [alone, mounted, mounted_twice, included])
async def test_it_works_wherever_it_is_mounted(storage: Storage, place: object) -> None:
    app, prefix = place(storage)  # type: ignore[operator]  # one of the four
    await storage.add([NewJob(id=job_id, queue="mail", name="welcome", data="{}") for job_id in IDS])
    async with calling(app) as client:
        me = await client.get(f"{prefix}/api/v1/me")
        assert (me.status_code, me.json()["sub"]) == (200, "viewer")
        found = {}
        for job_id, sent in IDS.items():
            answer = await client.get(f"{prefix}/api/v1/queues/mail/jobs/{sent}")
            found[job_id] = answer.json().get("id")
        assert found == {job_id: job_id for job_id in IDS}
        wrong = await client.get(f"{prefix}/api/v1/queues/nowhere")
        assert (wrong.json()["code"], wrong.json()["instance"]) == (
            "queue-not-found",
            f"{prefix}/api/v1/queues/nowhere",
        )
        assert wrong.headers["x-content-type-options"] == "nosniff"
        method = await client.delete(f"{prefix}/api/v1/me")
        assert (method.status_code, method.json()["code"]) == (405, "method-not-allowed")
        anonymous = await client.get(f"{prefix}/api/v1/me", headers={"Authorization": "Bearer wrong"})
        assert anonymous.status_code == 401


async def test_behind_a_proxy_that_takes_its_prefix_away_links_still_lead_back(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings())
    async with calling(app, root_path="/queues") as client:  # as a server with this --root-path hands it on
        assert (await client.get("/queues/api/v1/me")).status_code == 200
        document = (await client.get("/queues/api/v1/openapi.json")).json()
    assert document["servers"] == [{"url": "/queues"}]
    await app.state.corral.close()


async def test_the_host_s_own_routes_and_answers_stay_its_own(storage: Storage) -> None:
    app = FastAPI()
    app.include_router(api_router(storage, settings=make_settings()), prefix="/corral")

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "world"}

    async with calling(app) as client:
        answer = await client.get("/hello")
        assert answer.json() == {"hello": "world"}
        assert "x-request-id" not in answer.headers
        assert (await client.get("/nothing")).json() == {"detail": "Not Found"}
        paths = (await client.get("/openapi.json")).json()["paths"]
    assert "/hello" in paths
    assert "/corral/api/v1/me" in paths


async def test_a_store_that_is_given_as_a_url_is_opened_and_closed_with_the_application(storage_url: str) -> None:
    app = create_app(storage_url, settings=make_settings())
    async with app.router.lifespan_context(app), calling(app) as client:
        assert app.state.corral.is_open
        assert (await client.get("/api/v1/queues")).status_code == 200
    assert not app.state.corral.is_open


async def test_a_router_s_store_is_opened_and_closed_with_the_host(storage_url: str) -> None:
    corral = Corral(storage_url)
    app = FastAPI()
    app.include_router(api_router(corral, settings=make_settings()))
    async with app.router.lifespan_context(app), calling(app) as client:
        assert corral.is_open
        assert (await client.get("/api/v1/queues")).status_code == 200
    assert not corral.is_open


async def test_where_it_is_mounted_the_first_request_opens_the_store(storage_url: str) -> None:
    inner = create_app(storage_url, settings=make_settings())
    app = Starlette(routes=[Mount("/queues", inner)])
    async with app.router.lifespan_context(app), calling(app) as client:
        assert not inner.state.corral.is_open
        assert (await client.get("/queues/api/v1/queues")).status_code == 200
        assert inner.state.corral.is_open
        await inner.state.corral.close()
    assert not inner.state.corral.is_open


async def test_a_store_that_is_given_open_is_left_open(storage: Storage) -> None:
    app = create_app(storage, settings=make_settings())
    async with app.router.lifespan_context(app), calling(app) as client:
        assert (await client.get("/api/v1/queues")).status_code == 200
    assert await storage.queues() == []


async def test_an_application_that_is_open_is_left_open_and_another_is_closed(storage_url: str) -> None:
    corral = Corral(storage_url)
    app = create_app(corral, settings=make_settings())
    async with app.router.lifespan_context(app):
        assert corral.is_open
    assert not corral.is_open
    async with corral:
        async with app.router.lifespan_context(app), calling(app) as client:
            assert (await client.get("/api/v1/queues")).status_code == 200
        assert corral.is_open


@pytest.mark.parametrize(
    ("sent", "meant"), [("a%2Fb", "a/b"), ("50%25", "50%"), ("%252F", "%2F"), ("%2f%25", "/%"), (7, 7)]
)
def test_a_parameter_is_decoded_once(sent: object, meant: object) -> None:
    assert decoded(sent) == meant
