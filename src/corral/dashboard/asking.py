"""Asking the API, from within: each page is made of answers that anybody with the same rights would be given.

A page has no rights and no store of its own. What it shows and does goes through the API's routes in this process, with
the caller's own cookie or token, so that there is one place where permissions are checked and secrets are hidden.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeAlias
from urllib.parse import quote, unquote, urlencode

from msgspec import Struct
from msgspec.json import encode
from starlette.requests import Request
from starlette.types import Message, Scope

from corral.http.guard import CALLER, PAGE, RATE, ROUTE, RULE, TICKET, Page
from corral.http.problems import CATALOGUE, problem
from corral.http.rawpath import CACHED

#: What JSON decodes to.
Value: TypeAlias = object
Parameters: TypeAlias = Mapping[str, "str | int | float | bool | None | Sequence[str]"]

BASE = "/api/v1"
#: Of the page's request, these are about the page: its body, what it may look like, what the browser has of it. All
#: others are passed on: who asks and from where may be said in headers that a proxy or the host application has named.
_OF_THE_PAGE = (b"content-", b"accept", b"if-")
_OF_THE_BODY = frozenset(
    {b"connection", b"corral-reason", b"expect", b"idempotency-key", b"last-event-id", b"prefer", b"range",
     b"transfer-encoding"}
)  # fmt: skip
#: In the scope of a page's request: the form that came with it, and why whoever sent it wants what it says.
FORM, REASON = "corral.form", "corral.reason"
#: What the scope of the page's own request holds, and the API must find out anew.
_OWN = (CALLER, RATE, ROUTE, RULE, TICKET, CACHED, "endpoint", "path_params", "route", "router")


class Reply(Struct, frozen=True):
    """What the API answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Value:
        """The body, decoded; None when there is none. Numbers are kept as they were written."""
        return json.loads(self.body, parse_float=Verbatim, parse_int=_whole) if self.body else None

    def must(self) -> Value:
        """The body of an answer that is not a problem. Raises: Problem, that of the API."""
        return self.json if self.status < 400 else refuse(self)


class Verbatim(float):
    """A number with a fraction, and the text it was written as."""

    text: str

    def __new__(cls, text: str) -> "Verbatim":
        made = super().__new__(cls, text)
        made.text = text
        return made


def _whole(text: str) -> int:
    # Python refuses to convert integers of more than 4,300 digits; nobody reads those as a number either.
    return int(text) if len(text) < 4_000 else int(text[:4_000])


def refuse(reply: Reply) -> NoReturn:
    """Raise the problem that the API has answered with."""
    said = reply.json
    fields = dict(said) if isinstance(said, dict) else {}
    code = fields.get("code")
    more = {name: value for name, value in fields.items() if name not in _STANDARD}
    kept = {name: value for name, value in reply.headers.items() if name in ("retry-after", "www-authenticate")}
    problem(str(code) if code in CATALOGUE else "internal", str(fields.get("detail", "")), headers=kept, **more)


_STANDARD = ("type", "title", "status", "detail", "code", "instance", "request_id", "headers", "help")


class Asker:
    """The API, for one page's request."""

    def __init__(self, request: Request) -> None:
        self._request = request
        request.scope.setdefault(PAGE, Page())
        self.root = str(request.scope.get("root_path", "")).rstrip("/")

    async def get(self, path: str, **parameters: "str | int | float | bool | None | Sequence[str]") -> Value:
        """What is at this path. Raises: Problem."""
        return (await self.send("GET", path, parameters=parameters)).must()

    async def gather(self, *paths: str) -> list[Reply]:
        """Several answers at once, problems among them."""
        return list(await asyncio.gather(*(self.send("GET", path) for path in paths)))

    async def send(
        self, method: str, path: str, *, parameters: Parameters | None = None, body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:  # fmt: skip
        """Send a request to the API; `path` is below `/api/v1`, its parts escaped."""
        where, _, query = path.partition("?")
        said = urlencode(_pairs(parameters or {}))
        scope = self._scope(method, where, "&".join(filter(None, (query, said))))
        text = b"" if body is None else encode(body)
        if text:
            scope["headers"] += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(text))]
        more = dict(headers or {})
        if method != "GET" and (reason := self._request.scope.get(REASON)):
            more.setdefault("corral-reason", quote(reason))
        scope["headers"] += [(name.encode(), value.encode()) for name, value in more.items()]
        return await _call(self._request, scope, text)

    def _scope(self, method: str, path: str, query: str) -> Scope:
        raw = f"{self.root}{BASE}{path}"
        scope = {name: value for name, value in self._request.scope.items() if name not in _OWN}
        return scope | {
            "method": method,
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name, value) for name, value in self._request.scope["headers"] if _passed_on(name)],
        }


def _passed_on(name: bytes) -> bool:
    return name == b"accept-language" or not (name.startswith(_OF_THE_PAGE) or name in _OF_THE_BODY)


def _pairs(parameters: Parameters) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, value in parameters.items():
        if value is None:
            continue
        several = [value] if isinstance(value, str | int | float) else value
        found += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in several]
    return found


async def _call(request: Request, scope: Scope, body: bytes) -> Reply:
    """Run the application's router for a request of our own making."""
    status, headers, parts = 500, {}, []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message["headers"]}
        elif message["type"] == "http.response.body":
            parts.append(message.get("body", b""))

    await request.app.router(scope, receive, send)
    return Reply(status=status, headers=headers, body=b"".join(parts))
