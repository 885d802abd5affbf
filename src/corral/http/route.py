"""The route: what each path of the API goes through on its way to its function, in any application."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from itertools import accumulate

from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Message, Receive, Scope, Send

from corral.admin.rights import Permission, Principal
from corral.errors import ConfigError, CorralError, QueueNotFoundError, StorageUnavailableError
from corral.http.answers import problem_of
from corral.http.gate import PASSED, Gate
from corral.http.guard import CALLER, HOME, REQUEST_ID, ROUTE, Rule, admit
from corral.http.home import Api
from corral.http.problems import Problem, problem, respond
from corral.http.rawpath import RAW, decoded, raw_path
from corral.http.scope import help_in
from corral.http.waiting import LONGEST
from corral.payload import MAX_DEPTH

#: What a route answers by itself; everything else is unexpected.
EXPECTED = (Problem, CorralError, HTTPException, RequestValidationError, TimeoutError)
# One that is not closed reaches to the end: it would else be looked for again from each quotation mark in it, which
# takes minutes for a megabyte.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}


def rule_of(route: APIRoute) -> Rule:
    """The route's rule. Raises: ConfigError, when it has none or several."""
    found = {id(rule): rule for rule in _rules(route.dependant)}
    if len(found) != 1:
        methods = ",".join(sorted(route.methods or ()))
        raise ConfigError(
            f"route {methods} {route.path} must have exactly one rule, allow(…) or public(), and has {len(found)}",
            key=route.path,
        )
    return next(iter(found.values()))


def _rules(dependant: Dependant) -> list[Rule]:
    mine = [dependant.call] if isinstance(dependant.call, Rule) else []
    return mine + [rule for one in dependant.dependencies for rule in _rules(one)]


class CorralRoute(APIRoute):
    """A route of the API. `bound` makes the class of one API's routes in a host application."""

    home: Api | None = None  #: without it the request has come through a gate, which says which API it is for

    @property
    def rule(self) -> Rule:
        """Who may call it."""
        return rule_of(self)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = raw_path(scope) if scope["type"] == "http" else None
        if path is None:
            return super().matches(scope)
        match, child = super().matches({**scope, "path": path})
        return match, {**child, RAW: True} if match is not Match.NONE else child

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.pop(RAW, False):
            scope["path_params"] = {name: decoded(value) for name, value in scope["path_params"].items()}
        scope[ROUTE] = self.path_format
        if PASSED in scope or self.home is None:
            await super().handle(scope, receive, send)
        else:
            await Gate(super().handle, self.home)(scope, receive, send)

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]  # a coroutine is one
        return guarded(self.rule, super().get_route_handler())


def bound(home: Api) -> type[CorralRoute]:
    """The class of the routes of this API."""
    return type("CorralRoute", (CorralRoute,), {"home": home})


def guarded(rule: Rule, serve: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Serve only who may pass, and answer errors with problems."""

    async def handler(request: Request) -> Response:
        home: Api = request.scope[HOME]
        try:
            async with home.patience(home.settings.read_timeout):
                await admit(request, rule)
            request = await received(request, rule, home)
            if rule.permission is not None and not rule.exempt:
                await home.check_there()
            async with home.patience(budget(rule, home, request.method)):
                return await serve(request)
        except EXPECTED as error:
            if isinstance(error, TimeoutError | StorageUnavailableError) and await home.is_away():
                error = StorageUnavailableError("the store does not answer")
            found = problem_of(_unhinted(error, request))
            if found is None:
                raise
            return respond(
                found, instance=request.url.path, request_id=request.scope.get(REQUEST_ID, ""),
                about=help_in(request.scope, found.code),
            )  # fmt: skip

    return handler


def _unhinted(error: Exception, request: Request) -> Exception:
    """The error, without a hint at a queue that is not there for the caller."""
    hint = error.suggestion if isinstance(error, QueueNotFoundError) else None
    who = request.scope.get(CALLER)
    if hint is None or not isinstance(error, QueueNotFoundError) or (isinstance(who, Principal) and who.sees(hint)):
        return error
    return QueueNotFoundError(error.name, ())


def budget(rule: Rule, home: Api, method: str) -> float | None:
    """Seconds that a request may take; None: it streams, and is sent as it comes."""
    if rule.long:
        return None
    quick = method in ("GET", "HEAD") and not rule.slow
    store = home.settings.read_timeout if quick else home.settings.write_timeout
    return store + LONGEST if rule.waits else store


# -- the body --------------------------------------------------------------------------------------------------------


async def received(request: Request, rule: Rule, home: Api) -> Request:
    """The request with its body, which is JSON, not too large, not too deep, and came in time.

    Raises:
        Problem: 408, 413, 415 or 400.
    """
    if not has_body(request):
        return request
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        problem("unsupported-media-type", "Send application/json.")
    adding = rule.permission is Permission.JOB_ADD
    most = home.settings.max_enqueue_body if adding else home.settings.max_body
    request = Request(request.scope, _bounded(request.receive, most))
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > most:
        _too_large(most)
    try:
        async with asyncio.timeout(home.settings.body_timeout):
            body = await request.body()
    except TimeoutError:
        problem("request-timeout", f"The body did not come within {home.settings.body_timeout:g} s.")
    check_depth(body)
    return request


def has_body(request: Request) -> bool:
    """Whether the request brings a body: there is none without one of these headers."""
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


def _bounded(receive: Receive, most: int) -> Receive:
    read = 0

    async def bounded() -> Message:
        nonlocal read
        message = await receive()
        read += len(message.get("body", b""))
        if read > most:
            _too_large(most)
        return message

    return bounded


def _too_large(most: int) -> None:
    # The rest is not read: the connection has to end.
    problem("payload-too-large", f"A body may have {most:,} bytes.", headers={"Connection": "close"}, limit_bytes=most)


def check_depth(body: bytes) -> None:
    """Refuse JSON that nests deeper than a payload may: parsers go as deep as it does. Raises: Problem (400)."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    brackets = _STRINGS.sub(b"", body).translate(None, _NOT_BRACKETS)
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        problem("invalid-json", f"The body nests deeper than {MAX_DEPTH}.")
