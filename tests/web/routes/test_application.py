"""The API over an application: payload types, defaults, where options come from."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from pydantic import BaseModel, Field

from corral import Corral
from corral.errors import ConfigError
from corral.http import ApiSettings, create_app
from corral.job import NewJob
from corral.sensitive import Sensitive
from tests.web.conftest import TOKENS, make_client
from tests.web.routes.conftest import code_of


class Welcome(BaseModel):
    """A payload."""

    to: str
    amount: float = Field(default=1.0, ge=0)
    card: Annotated[str, Sensitive] = ""


@pytest.fixture
async def client(storage_url: str, settings: ApiSettings) -> AsyncIterator[httpx.AsyncClient]:
    """An admin of an application with two queues."""
    app = Corral(storage_url)
    mail = app.queue("mail", attempts=5)
    plain = app.queue("plain")

    @mail.job("welcome", timeout=10, priority=7)
    async def welcome(data: Welcome) -> None:
        pass

    @plain.job("anything")
    async def anything(data: dict[str, object]) -> None:
        pass

    @app.before_add
    def guard(job: NewJob) -> None:
        if job.name == "anything" and "forbidden" in job.data:
            raise ConfigError("no", key="data")

    api = create_app(app, settings=settings)
    async with make_client(api, TOKENS["admin"]) as made:
        yield made
    await api.state.corral.close()


async def test_the_declaration_shapes_the_job(client: httpx.AsyncClient) -> None:
    job = (await client.post("/queues/mail/jobs", json={"name": "welcome", "data": {"to": "ana"}})).json()
    assert (job["priority"], job["attempts_max"], job["timeout_ms"]) == (7, 5, 10_000)
    assert job["data"] == {"to": "ana", "amount": 1.0, "card": ""}
    assert job["effective_opts"]["attempts"] == {"value": 5, "from": "queue"}
    assert job["effective_opts"]["timeout_ms"] == {"value": 10_000, "from": "handler"}
    assert job["effective_opts"]["max_crashes"]["from"] == "default"
    own = {"name": "welcome", "data": {"to": "ana"}, "opts": {"attempts": 2}}
    job = (await client.post("/queues/mail/jobs", json=own)).json()
    assert job["effective_opts"]["attempts"] == {"value": 2, "from": "job"}


async def test_a_payload_that_its_type_refuses_is_told_of_field_by_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/queues/mail/jobs", json={"name": "welcome", "data": {"amount": -1}})
    assert code_of(answer) == (422, "validation-failed")
    assert {one["pointer"] for one in answer.json()["errors"]} == {"/data/to", "/data/amount"}
    many = await client.post(
        "/queues/mail/jobs", json=[{"name": "welcome", "data": {"to": "a"}}, {"name": "welcome", "data": {}}]
    )
    assert many.json()["errors"][0]["pointer"] == "/1/data/to"
    assert (await client.get("/queues/mail/jobs")).json()["items"] == []


async def test_a_name_that_nobody_handles_is_refused(client: httpx.AsyncClient) -> None:
    answer = await client.post("/queues/mail/jobs", json={"name": "wellcome"})
    assert code_of(answer) == (422, "unknown-job-name")
    assert answer.json()["suggestion"] == "welcome"


async def test_a_slip_of_the_finger_makes_no_queue(client: httpx.AsyncClient) -> None:
    answer = await client.post("/queues/mial/jobs", json={"name": "welcome"})
    assert code_of(answer) == (404, "queue-not-found")
    assert answer.json()["suggestion"] == "mail"


async def test_payloads_look_as_their_types_say(client: httpx.AsyncClient) -> None:
    found = (await client.get("/queues/mail/schema")).json()["names"]["welcome"]
    assert (found["schema"]["required"], found["sensitive"]) == (["to"], ["card"])
    assert found["defaults"]["options"]["attempts"] == 5
    assert (await client.get("/queues/mail/schema?name=welcome")).status_code == 200
    assert code_of(await client.get("/queues/mail/schema?name=nope")) == (422, "unknown-job-name")


async def test_the_guards_of_the_application_are_asked(client: httpx.AsyncClient) -> None:
    answer = await client.post("/queues/plain/jobs", json={"name": "anything", "data": {"forbidden": 1}})
    assert code_of(answer) == (422, "validation-failed")
    assert answer.json()["errors"] == [{"pointer": "/data", "detail": "no", "code": "invalid"}]


async def test_plain_payloads_keep_their_numbers(client: httpx.AsyncClient) -> None:
    text = '{"name":"anything","data":{"amount":1.10}}'
    job = await client.post("/queues/plain/jobs", content=text, headers={"Content-Type": "application/json"})
    assert '"data":{"amount":1.10}' in job.text


async def test_edits_and_retries_are_checked_too(client: httpx.AsyncClient) -> None:
    job = (await client.post("/queues/mail/jobs", json={"name": "welcome", "data": {"to": "ana"}})).json()
    path = job["links"]["self"].removeprefix("/api/v1")
    answer = await client.patch(path, json={"data": {"to": 5}}, headers={"If-Match": "*"})
    assert code_of(answer) == (422, "validation-failed")
    assert answer.json()["errors"][0]["pointer"] == "/data/to"


async def test_the_declaration_of_a_queue_is_shown_on_request(client: httpx.AsyncClient) -> None:
    await client.post("/queues/mail/jobs", json={"name": "welcome", "data": {"to": "ana"}})
    found = (await client.get("/queues/mail?include=defaults")).json()["details"]["defaults"]
    assert found["options"]["attempts"] == 5
