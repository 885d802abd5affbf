"""Handing documents out, to those who have a link."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TypeAlias
from urllib.parse import parse_qs

from msgspec import Struct

from corral.handlers.reports.output.formats import FACTS
from corral.handlers.reports.shelf import FolderShelf, Stored

Scope: TypeAlias = MutableMapping[str, object]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, object]]]
Send: TypeAlias = Callable[[MutableMapping[str, object]], Awaitable[None]]

#: For whoever opens a document in a browser: it is a page of nobody's, it runs nothing and loads nothing.
_SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_SHOWN = ("html", "pdf")


class Download(Struct, frozen=True):
    """An answer: a document, or why there is none."""

    status: int
    headers: dict[str, str]
    body: bytes


class Downloads:
    """Answers requests for documents: `download` for any framework, the object itself as an ASGI application."""

    def __init__(self, shelf: FolderShelf) -> None:
        self._shelf = shelf

    async def download(self, id: str, expires: str, signature: str) -> Download:
        """The document, if the link is ours: 403 when it is not, 410 when it or the document is over."""
        links = self._shelf.links
        holds = False if links is None else links.holds(id, expires, signature, self._shelf.clock())
        if holds is None:
            return _refusal(410, "this link has expired")
        if not holds:
            return _refusal(403, "this link is not valid")
        stored = await self._shelf.find(id)
        body = None if stored is None else await self._shelf.read(stored)
        if stored is None or body is None:
            return _refusal(410, "this document has expired")
        return Download(200, _headers(stored), body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer GET and HEAD of `/{id}?expires=…&signature=…`, below wherever it is mounted."""
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1000})
        if scope["method"] not in ("GET", "HEAD"):
            answer = _refusal(405, "only GET and HEAD are answered")
        else:
            query = _query(scope["query_string"])
            expires, signature = (query.get(name, [""])[0] for name in ("expires", "signature"))
            answer = await self.download(str(scope["path"]).rstrip("/").rpartition("/")[2], expires, signature)
        headers = {**answer.headers, "content-length": str(len(answer.body))}
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})
        return None


def _query(raw: object) -> dict[str, list[str]]:
    assert isinstance(raw, bytes)
    try:
        return parse_qs(raw.decode("latin-1"), max_num_fields=20)
    except ValueError:  # more fields than any link of ours has
        return {}


async def _lifespan(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "lifespan.shutdown":
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})


def _headers(stored: Stored) -> dict[str, str]:
    headers = {
        "content-type": FACTS[stored.format].content_type,
        "content-disposition": f'{"inline" if stored.format in _SHOWN else "attachment"}; filename="{stored.filename}"',
        "cache-control": "private, no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }
    if stored.format == "html":
        headers["content-security-policy"] = _SANDBOX
    return headers


def _refusal(status: int, text: str) -> Download:
    headers = {"content-type": "text/plain; charset=utf-8", "cache-control": "no-store"}
    return Download(status, headers, f"{text}\n".encode())
