"""The receiver as an ASGI application of 60 lines, for whoever has no web framework, or any."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Protocol, TypeAlias

#: ASGI's own types, as its specification has them.
Scope: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, object]]]
Send: TypeAlias = Callable[[MutableMapping[str, object]], Awaitable[None]]

#: A body that takes longer is somebody holding the connection open.
BODY_PATIENCE = 10.0


class _Reply(Protocol):
    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...


class _Receiver(Protocol):
    @property
    def max_bytes(self) -> int: ...
    async def receive(self, source: str, headers: Mapping[str, str], body: bytes) -> _Reply: ...


class Mounted:
    """POST to `…/<source>`: mount it wherever webhooks should arrive."""

    def __init__(self, receiver: _Receiver) -> None:
        self._receiver = receiver

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return await _close(send)
        if scope["method"] != "POST":
            return await _answer(send, 405, b'{"received":false,"error":"POST only"}', (("allow", "POST"),))
        headers = _headers(scope)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._receiver.max_bytes:
            return await _answer(send, 413, b'{"received":false,"error":"too long"}')
        try:
            async with asyncio.timeout(BODY_PATIENCE):
                body = await _body(receive, self._receiver.max_bytes)
        except TimeoutError:
            return await _answer(send, 408, b'{"received":false,"error":"too slow"}')
        if body is None:  # the sender is gone, there is nobody to answer
            return None
        name = str(scope["path"]).rstrip("/").rpartition("/")[2]
        reply = await self._receiver.receive(name, headers, body)
        return await _answer(send, reply.status, reply.body, reply.headers)


def _headers(scope: Scope) -> dict[str, str]:
    """Headers in lower case. One that comes twice becomes a list, which is no valid signature."""
    found: dict[str, str] = {}
    pairs = scope["headers"]
    assert isinstance(pairs, list | tuple)
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


async def _body(receive: Receive, limit: int) -> bytes | None:
    """The body, one byte more than the limit at most; None when the sender hung up."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        assert isinstance(part, bytes)
        body += part[: limit + 1 - len(body)]
        if not message.get("more_body", False) or len(body) > limit:
            return bytes(body)


async def _answer(send: Send, status: int, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> None:
    fields = {"content-type": "application/json", **dict(headers), "content-length": str(len(body))}
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _close(send: Send) -> None:
    await send({"type": "websocket.close", "code": 1003})
