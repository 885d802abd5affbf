"""The receiver as an ASGI application: through FastAPI's client, on a real server, and message by message."""

import asyncio
import socket
from collections.abc import AsyncIterator, MutableMapping

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI

from corral.app.app import Corral
from corral.handlers.kit.web import Web
from corral.handlers.webhooks import Receiver, shopify
from corral.handlers.webhooks import asgi as module
from corral.testing import FakeClock, app_in_memory

from .senders import NOW, SECRET, by_shopify

BODY = b'{"id": 7}'
Message = MutableMapping[str, object]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    app, clock = Corral("sqlite:///:memory:"), FakeClock(NOW)
    async with app_in_memory(app, clock=clock):
        yield Receiver(app, {"shopify": shopify(SECRET)}, clock=clock)


@pytest.fixture
async def client(receiver: Receiver) -> AsyncIterator[httpx2.AsyncClient]:
    api = FastAPI()
    api.mount("/webhooks", receiver.asgi)
    transport = httpx2.ASGITransport(app=api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def waiting(receiver: Receiver) -> int:
    return (await (await receiver.queue.open()).counts()).waiting


async def test_a_mounted_receiver_takes_posts(receiver: Receiver, client: httpx2.AsyncClient) -> None:
    for path in ("/webhooks/shopify", "/webhooks/shopify/"):
        answer = await client.post(path, content=BODY, headers=by_shopify(BODY))
        assert (answer.status_code, answer.json()) == (200, {"received": True})
        assert answer.headers["content-type"] == "application/json"
    assert await waiting(receiver) == 1


async def test_a_mounted_receiver_refuses_everything_else(receiver: Receiver, client: httpx2.AsyncClient) -> None:
    assert (await client.get("/webhooks/shopify")).status_code == 405
    assert (await client.get("/webhooks/shopify")).headers["allow"] == "POST"
    assert (await client.post("/webhooks/nobody", content=BODY, headers=by_shopify(BODY))).status_code == 404
    assert (await client.post("/webhooks/shopify", content=BODY)).status_code == 401
    assert (await client.post("/webhooks/shopify", content=b"x" * 900_001)).status_code == 413
    assert await waiting(receiver) == 0


async def test_a_header_that_comes_twice_is_no_signature(receiver: Receiver, client: httpx2.AsyncClient) -> None:
    good = by_shopify(BODY)
    headers = [*good.items(), ("X-Shopify-Hmac-Sha256", good["X-Shopify-Hmac-Sha256"])]
    assert (await client.post("/webhooks/shopify", content=BODY, headers=headers)).status_code == 401


async def test_a_real_server_takes_a_delivery_from_a_real_client(receiver: Receiver) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(receiver.asgi, log_level="error", lifespan="on")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        answer = await Web(trusted=[url], timeout=30).request(
            "POST", f"{url}/in/shopify", content=BODY, headers=by_shopify(BODY)
        )
        assert answer.json() == {"received": True}
    finally:
        server.should_exit = True
        await serving
    assert await waiting(receiver) == 1


# -- message by message ------------------------------------------------------------------------------------------------


class Talk:
    """One request whose body comes in pieces."""

    def __init__(self, *pieces: Message, hangs: bool = False) -> None:
        self.pieces = list(pieces)
        self.hangs = hangs
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if not self.pieces and self.hangs:
            await asyncio.Event().wait()
        return self.pieces.pop(0)

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> object:
        return self.sent[0]["status"]


def piece(body: bytes, more: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def scope(**changes: object) -> Message:
    headers = [(name.lower().encode(), value.encode()) for name, value in by_shopify(BODY).items()]
    return {"type": "http", "method": "POST", "path": "/shopify", "headers": headers, **changes}


async def test_a_body_in_pieces_is_put_together(receiver: Receiver) -> None:
    talk = Talk(*(piece(BODY[place : place + 1]) for place in range(len(BODY))), piece(b"", more=False))
    await receiver.asgi(scope(), talk.receive, talk.send)
    assert talk.status == 200


async def test_a_body_that_never_ends_is_cut_off_and_refused(receiver: Receiver) -> None:
    talk = Talk(*(piece(b"x" * 100_000) for _ in range(50)))
    await receiver.asgi(scope(), talk.receive, talk.send)
    assert talk.status == 413
    assert len(talk.pieces) == 40


async def test_a_body_that_does_not_come_is_not_waited_for(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_PATIENCE", 0.05)
    talk = Talk(piece(b"{"), hangs=True)
    await receiver.asgi(scope(), talk.receive, talk.send)
    assert talk.status == 408


async def test_a_sender_that_hangs_up_is_not_answered(receiver: Receiver) -> None:
    talk = Talk(piece(b"{"), {"type": "http.disconnect"})
    await receiver.asgi(scope(), talk.receive, talk.send)
    assert talk.sent == []
    assert await waiting(receiver) == 0


async def test_a_websocket_is_closed(receiver: Receiver) -> None:
    talk = Talk({"type": "websocket.connect"})
    await receiver.asgi({"type": "websocket", "path": "/shopify"}, talk.receive, talk.send)
    assert [message["type"] for message in talk.sent] == ["websocket.close"]
