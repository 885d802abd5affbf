"""The pages of workers: what their processes take, and those of Node that only their connections tell of."""

from base64 import b64encode
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from corral import Corral
from corral.http import nodes as module
from corral.http.app import Application
from corral.storage.port import WorkerInfo

from .surfing import Surfer


def beat(id: str = "w_1", name: str = "mailer 1", cpu: float | None = 0.37) -> WorkerInfo:
    """A worker as it presents itself."""
    return WorkerInfo(
        id=id, name=name, host="web-1", pid=2211, queues=("mail",), slots=5, started_at=1, rss=210_000_000, lag_ms=240,
        cpu=cpu,
    )  # fmt: skip


@pytest.mark.parametrize("shop", ["sqlite"], indirect=True)
async def test_a_worker_tells_what_its_process_takes(ids: dict[str, str], site: Application, admin: Surfer) -> None:
    await site.state.corral.storage.heartbeat(beat(), [], lease_ms=30_000)
    await site.state.corral.storage.heartbeat(beat(id="w_2", name="old", cpu=None), [], lease_ms=30_000)
    for path in ("/workers", "/queues/mail?tab=workers", "/workers/w_1"):
        page = await admin.get(path)
        assert page.status == 200
        assert "37 %" in page.words
        assert "210 MB" in page.words
        assert "240 ms" in page.words
    assert "CPU–" in (await admin.get("/workers/w_2")).words
    assert "Node" not in (await admin.get("/workers")).words


@pytest.mark.parametrize("shop", ["redis"], indirect=True)
async def test_workers_of_node_are_listed_by_their_connections_once(
    shop: Corral, ids: dict[str, str], site: Application, admin: Surfer
) -> None:
    await site.state.corral.storage.heartbeat(beat(), [], lease_ms=30_000)
    prefix = urlsplit(shop.url).query.rpartition("prefix=")[2]
    names = [f"{prefix}:{b64encode(b'mail').decode()}:w:{name}" for name in ("node-7", "mailer1", "w_1")]
    links = [Redis.from_url(shop.url.partition("?")[0], client_name=name) for name in names]
    try:
        for link in links:
            await link.ping()
        for path in ("/workers", "/workers?queue=mail", "/queues/mail?tab=workers"):
            page = await admin.get(path)
            assert page.words.count("by its connection") == 1
            assert "node-7" in page.words
        assert "node-7" not in (await admin.get("/workers?queue=report")).words
    finally:
        for link in links:
            await link.aclose()


@pytest.mark.parametrize("shop", ["redis"], indirect=True)
async def test_where_the_server_does_not_tell_the_page_says_unknown(
    ids: dict[str, str], admin: Surfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(url: str) -> None:
        return None

    monkeypatch.setattr(module, "clients", refused)
    for path in ("/workers", "/queues/mail?tab=workers"):
        assert "Whether workers of Node are connected is unknown" in (await admin.get(path)).words
    assert "nodes" not in (await admin.get("/api/v1/workers")).answer.json()
    assert (await admin.get("/api/v1/workers?include=nodes")).answer.json()["nodes"] is None
