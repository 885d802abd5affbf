"""What the API's own page of metrics counts: jobs that come by HTTP, once, whoever else counts."""

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from corral import Corral
from corral.http import create_app
from corral.http import home as module
from corral.observe.prometheus import count_adds
from corral.storage.port import Storage
from tests.web.conftest import TOKENS, make_client, make_settings


def counted(text: str) -> dict[str, float]:
    """The series of added jobs on a page."""
    lines = [line for line in text.splitlines() if line.startswith("corral_jobs_added_total{")]
    return {line.rpartition(" ")[0].partition("{")[2]: float(line.rpartition(" ")[2]) for line in lines}


async def page(client: httpx.AsyncClient) -> dict[str, float]:
    return counted((await client.get("http://api.test/metrics")).text)


async def test_jobs_that_come_by_http_are_counted_by_what_became_of_them(
    operator: httpx.AsyncClient, viewer: httpx.AsyncClient
) -> None:
    for _ in range(2):
        await operator.post("/queues/mail/jobs", json={"name": "welcome", "opts": {"id": "one"}})
    await operator.post("/queues/mail/jobs", json=[{"name": "welcome"}, {"name": "bye"}])
    assert await page(viewer) == {
        'job="welcome",queue="mail",result="added"}': 2.0, 'job="welcome",queue="mail",result="deduplicated"}': 1.0,
        'job="bye",queue="mail",result="added"}': 1.0,
    }  # fmt: skip


async def test_an_application_that_counts_by_itself_is_not_counted_twice(storage_url: str) -> None:
    app = Corral(storage_url)

    @app.queue("mail").job("welcome")
    async def welcome() -> None: ...

    registry = CollectorRegistry()
    registry.register(count_adds(app))
    api = create_app(app, settings=make_settings())
    async with app, make_client(api, TOKENS["admin"]) as client:
        assert (await client.post("/queues/mail/jobs", json={"name": "welcome"})).status_code == 201
        assert await page(client) == {}
    await api.state.corral.close()
    own = counted(generate_latest(registry).decode())
    assert own == {'job="welcome",queue="mail",result="added"}': 1.0}


async def test_an_api_records_how_all_queues_stand(storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    api = create_app(storage, settings=make_settings())
    await api.state.corral.open()
    async with make_client(api, TOKENS["admin"]) as client:
        await client.post("/queues/mail/jobs", json={"name": "welcome"})
        while True:
            chart = (await client.get("/metrics/series?metric=waiting&queue=mail")).json()
            if chart["series"][0]["points"]:
                break
    assert chart["series"][0]["points"][0][1] == 1
    await api.state.corral.close()
