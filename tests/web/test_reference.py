"""The reference for people at /api/docs: complete, by itself, safe, and reached by the address that is printed."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import httpx
import pytest
from fastapi import FastAPI

from corral.http import create_app
from corral.http.reference import page
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_client, make_settings

VOID = {"meta", "tr", "th", "td", "li"}  # what needs no end in HTML


class Reader(HTMLParser):
    """What a browser would find on the page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.odd: list[str] = []
        self.style = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.add(str(value))
            elif name == "href":
                self.links.append(str(value))
            elif name in ("src", "srcset", "action", "style") or name.startswith("on"):
                self.loads.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.odd.append(tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data


async def shown(app: FastAPI, token: str | None = TOKENS["viewer"]) -> httpx.Response:
    async with make_client(app, token) as client:
        return await client.get("http://api.test/api/docs")


async def test_the_page_has_every_operation_and_every_object(app: FastAPI) -> None:
    answer = await shown(app)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    document, found = app.openapi(), Reader(answer.text)
    operations = [one["operationId"] for verbs in document["paths"].values() for one in verbs.values()]
    assert set(operations) <= found.ids
    assert {f"schema-{name}" for name in document["components"]["schemas"]} <= found.ids
    assert {f"problem-{code}" for code in document["x-problem-codes"]} <= found.ids
    assert (found.odd, found.open) == ([], []), "every tag has its end"


async def test_its_links_lead_somewhere_and_it_loads_nothing(app: FastAPI) -> None:
    found = Reader((await shown(app)).text)
    inside = {link[1:] for link in found.links if link.startswith("#")}
    assert inside <= found.ids
    assert {link for link in found.links if not link.startswith("#")} == {"/api/v1/openapi.json"}
    assert found.loads == []
    assert found.tags.isdisjoint({"script", "link", "img", "iframe", "object", "base"})


async def test_its_policy_allows_its_own_style_and_nothing_else(app: FastAPI) -> None:
    answer = await shown(app)
    digest = base64.b64encode(hashlib.sha256(Reader(answer.text).style.encode()).digest()).decode()
    rules = answer.headers["content-security-policy"].split("; ")
    assert rules[:2] == ["default-src 'none'", f"style-src 'sha256-{digest}'"]
    assert "frame-ancestors 'none'" in rules
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_it_is_for_whoever_is_known_unless_it_is_made_public(app: FastAPI, storage: Storage) -> None:
    assert (await shown(app, None)).status_code == 401
    public = create_app(storage, settings=make_settings(docs_public=True))
    assert (await shown(public, None)).status_code == 200
    await public.state.corral.close()


async def test_below_a_prefix_the_document_s_address_has_it_too(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app=app, root_path="/queues")
    headers = {"Authorization": f"Bearer {TOKENS['viewer']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test", headers=headers) as client:
        answer = await client.get("/queues/api/docs")
    assert "href='/queues/api/v1/openapi.json'" in answer.text


def test_texts_of_a_document_cannot_become_markup() -> None:
    nasty = "<script>alert(1)</script>\"'&`<b>`"
    schema = {
        "type": "object",
        "description": nasty,
        "properties": {nasty: {"enum": [nasty]}},
        "examples": [{nasty: 1}],
    }
    operation = {
        "tags": [nasty], "summary": nasty, "description": f"{nasty}\n\n{nasty}", "operationId": nasty,
        "parameters": [{"name": nasty, "in": nasty, "schema": {"type": nasty, "default": nasty}, "description": nasty}],
        "requestBody": {"content": {nasty: {"schema": {"$ref": f"#/components/schemas/{nasty}"}}}},
        "responses": {nasty: {"description": nasty, "content": {nasty: {"schema": {"format": nasty}}}}},
    }  # fmt: skip
    text = page(
        {
            "openapi": nasty, "info": {"title": nasty, "version": nasty, "description": nasty},
            "paths": {nasty: {"get": operation}}, "components": {"schemas": {nasty: schema}},
            "x-problem-codes": {nasty: {"status": 400, "title": nasty}},
        },
        address=nasty,
    )  # fmt: skip
    found = Reader(text)
    assert found.tags.isdisjoint({"script", "b"})
    assert (found.odd, found.open) == ([], [])
    assert not re.search(r"href='[^']*<", text)


# -- the printed address -----------------------------------------------------------------------------------------------


@pytest.fixture
async def closed(storage: Storage) -> FastAPI:
    """An API that nobody has configured."""
    return create_app(storage, settings=make_settings(tokens=""))


def local(app: FastAPI, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, client=(peer, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8800", timeout=60)


async def test_the_printed_address_begins_a_session_and_leads_to_the_reference(closed: FastAPI) -> None:
    token = closed.state.corral.recogniser.once()
    async with local(closed) as client:
        answer = await client.get(f"/api/v1/login?token={token}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/api/docs")
        assert "HttpOnly" in answer.headers["set-cookie"]
        assert (await client.get("/api/docs")).status_code == 200
        assert (await client.get("/api/v1/me")).json()["roles"] == ["admin"]
    async with local(closed) as another:
        assert (await another.get(f"/api/v1/login?token={token}")).status_code == 401, "it is good for one login"
    await closed.state.corral.close()


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", f"?token={'x' * 201}"])
async def test_a_wrong_address_begins_nothing(closed: FastAPI, query: str) -> None:
    async with local(closed) as client:
        answer = await client.get(f"/api/v1/login{query}")
    assert answer.status_code in (400, 401)
    assert "set-cookie" not in answer.headers
    assert closed.state.corral.recogniser.once() is not None, "the right one is still good"
    await closed.state.corral.close()


async def test_the_address_is_of_no_use_from_elsewhere(closed: FastAPI) -> None:
    token = closed.state.corral.recogniser.once()
    async with local(closed, "192.0.2.7") as client:
        assert (await client.get(f"/api/v1/login?token={token}")).status_code == 403
    assert closed.state.corral.recogniser.once() == token
    await closed.state.corral.close()


async def test_where_somebody_is_configured_there_is_no_such_address(app: FastAPI) -> None:
    async with make_client(app) as client:
        answer = await client.get("/login?token=anything")
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")
