"""The gate: what every request passes on its way in and every answer on its way out, whichever route it is for."""

import logging
import time
from types import TracebackType
from typing import Self
from urllib.parse import quote

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from corral.admin.rights import Principal
from corral.http.answers import problem_of
from corral.http.auth.recognise import PEER, is_loopback
from corral.http.exchange import header, host_of, request_id, seen_through, serves
from corral.http.guard import CALLER, HOME, RATE, REQUEST_ID, ROUTE, RULE, Rule
from corral.http.home import Api
from corral.http.problems import Problem, respond
from corral.http.scope import help_in
from corral.http.settings import LOOPBACK

logger = logging.getLogger("corral.api")

#: In the scope of a request that has passed.
PASSED = "corral.gate"
#: What nginx writes when the client has gone; it is never sent.
GONE = 499

_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    ("X-Frame-Options", "DENY"),
    ("Cache-Control", "no-store"),
)
#: In the policy of what is never shown in a frame; whatever may be cannot say so in the older header.
_NO_FRAME = "frame-ancestors 'none'"
_HSTS = ("Strict-Transport-Security", "max-age=31536000")
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_SHOWN = (
    "ETag, Link, Location, Retry-After, X-Request-Id, RateLimit, RateLimit-Policy, Content-Disposition, Deprecation, "
    "Sunset"
)


class _Safe:
    """Keeps what nobody expected from becoming the server's business, which would answer with a bare 500."""

    # A context manager and not `except Exception`: every error is kept, is logged with its trace, and becomes a
    # problem; none is taken for something else.

    def __init__(self) -> None:
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            self.error = error
        return self.error is not None


class Gate:
    """ASGI middleware. A route of a host application brings its own; a request passes only one."""

    def __init__(self, app: ASGIApp, home: Api) -> None:
        self.app = app
        self.home = home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or PASSED in scope:
            await self.app(scope, receive, send)
            return
        scope = seen_through(scope, self.home.settings.trusted_proxies)
        scope[PASSED] = True
        scope[HOME] = self.home
        scope[REQUEST_ID] = request_id(scope)
        await _Passage(self.home, scope, send).run(self.app, receive)


class _Passage:
    """One request on its way."""

    def __init__(self, home: Api, scope: Scope, send: Send) -> None:
        self._home = home
        self._scope = scope
        self._send = send
        self._began = time.perf_counter()
        self._origin = header(scope, b"origin").lower()
        self.status = 0

    async def run(self, app: ASGIApp, receive: Receive) -> None:
        spans, scope = self._home.spans, self._scope
        if spans is None:
            await self._serve(app, receive)
            return
        span = spans.begin(scope["method"], self._path(), scope["scheme"], scope["headers"])
        try:
            await self._serve(app, receive)
        finally:
            if span is not None:
                span.end(str(scope.get(ROUTE, "")), self.status or GONE, told=not self._exempt)

    async def _serve(self, app: ASGIApp, receive: Receive) -> None:
        with _Safe() as safe:
            if not await self._preflight(receive):
                self._check()
                await app(self._scope, receive, self.send)
        try:
            if safe.error is not None:
                await self._failed(safe.error, receive)
        finally:
            self._tell()

    # -- on the way in -----------------------------------------------------------------------------------------------

    def _check(self) -> None:
        scope, settings = self._scope, self._home.settings
        sent = scope.get("raw_path") or scope["path"].encode()
        if len(sent) + len(scope["query_string"]) > settings.max_url:
            raise Problem("uri-too-long", f"An address may have {settings.max_url:,} bytes.")
        # Where nobody has to say who they are, a site whose name leads to this machine would be let in as well.
        local = self._home.local_only or (settings.insecure_no_auth and is_loopback(str(scope.get(PEER, ""))))
        names = settings.allowed_hosts or (LOOPBACK if local else ())
        if names and not serves(host_of(scope), names):
            raise Problem("host-rejected", "This name is not among allowed_hosts.")

    async def _preflight(self, receive: Receive) -> bool:
        """Answer a browser that asks whether another site may call."""
        asked = header(self._scope, b"access-control-request-method")
        if self._scope["method"] != "OPTIONS" or not asked or not self._origin:
            return False
        if self._origin not in self._home.settings.allowed_origins:
            return False
        more = [
            (b"access-control-allow-methods", _METHODS.encode()),
            (b"access-control-allow-headers", b"authorization, content-type, corral-reason, idempotency-key, if-match, "
             b"if-none-match, last-event-id, prefer, x-request-id"),
            (b"access-control-max-age", b"600"),
        ]  # fmt: skip
        await self.send({"type": "http.response.start", "status": 204, "headers": more})
        await self.send({"type": "http.response.body", "body": b""})
        return True

    # -- on the way out ----------------------------------------------------------------------------------------------

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            for name, value in _ALWAYS:
                headers.setdefault(name, value)
            if self._home.settings.frame_ancestors and _NO_FRAME not in headers["Content-Security-Policy"]:
                del headers["X-Frame-Options"]
            if self._scope["scheme"] == "https":
                headers.setdefault(*_HSTS)
            headers["X-Request-Id"] = self._scope[REQUEST_ID]
            headers.update(self._scope.get(RATE, {}))
            self._allow_origin(headers)
        await self._send(message)

    def _allow_origin(self, headers: MutableHeaders) -> None:
        allowed = self._home.settings.allowed_origins
        if not allowed:
            return
        headers.add_vary_header("Origin")
        if self._origin in allowed:
            headers["Access-Control-Allow-Origin"] = self._origin
            headers["Access-Control-Allow-Credentials"] = "true"
            headers["Access-Control-Expose-Headers"] = _SHOWN

    async def _failed(self, error: Exception, receive: Receive) -> None:
        if isinstance(error, ClientDisconnect):
            self.status = self.status or GONE
            return
        found = problem_of(error)
        if found is None or self.status:
            logger.error(
                "%s %s failed: %s", self._scope["method"], self._path(), type(error).__name__, exc_info=error,
                extra={"event": "api.error", "request_id": self._scope[REQUEST_ID]},
            )  # fmt: skip
        if self.status:  # it has begun; all that is left is to break the connection off
            raise error
        told = found or Problem("internal", "The log has what happened, under the request's id.")
        answer = respond(
            told, instance=self._path(), request_id=self._scope[REQUEST_ID], about=help_in(self._scope, told.code)
        )
        await answer(self._scope, receive, self.send)

    def _path(self) -> str:
        return quote(self._scope["path"], safe="/~!$&'()*+,;=:@")[:300]

    @property
    def _exempt(self) -> bool:
        """Whether a machine asks it every few seconds."""
        rule = self._scope.get(RULE)
        return isinstance(rule, Rule) and rule.exempt

    def _tell(self) -> None:
        """The line in the log, and the metrics."""
        scope, seconds = self._scope, time.perf_counter() - self._began
        route = str(scope.get(ROUTE, ""))
        if self._exempt:
            return
        if self._home.metrics is not None:
            self._home.metrics.request(scope["method"], route, self.status or GONE, seconds)
        if not logger.isEnabledFor(logging.INFO):
            return
        who = scope.get(CALLER)
        client = scope.get("client")
        logger.info(
            "%s %s %d", scope["method"], self._path(), self.status or GONE,
            extra={
                "event": "api.request", "request_id": scope[REQUEST_ID], "method": scope["method"], "route": route,
                "status": self.status or GONE, "duration_ms": round(seconds * 1000, 1),
                "actor": who.sub if isinstance(who, Principal) else "",
                "role": who.role if isinstance(who, Principal) else "", "ip": client[0] if client else "",
            },
        )  # fmt: skip
