"""HTTP to other people's servers: bounded in time, size and redirects, and only to public addresses.

Whoever gives an application a URL (an endpoint for webhooks, a picture to fetch) must not reach with it what only the
application can reach. So every address is checked, at every redirect and at every attempt, at the socket itself; see
`kit/sockets.py`. Where the operator means a private server he says so: `Web(trusted=["http://127.0.0.1:8025"])`.
"""

import asyncio
import json as json_text
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import httpcore2
import httpx2
from msgspec import UNSET, UnsetType

from corral._version import __version__
from corral.errors import ConfigError
from corral.handlers.kit.addresses import Resolve, examine, look_up, origin, parse
from corral.handlers.kit.answers import (
    Answer,
    AuthError,
    BlockedAddressError,
    BusyError,
    RefusedError,
    TooLargeError,
    WebError,
    check,
    retry_after,
    short,
)
from corral.handlers.kit.bodies import Limit, lines_of, unpacked
from corral.handlers.kit.sockets import PublicOnly
from corral.sensitive import is_secret_name

__all__ = [
    "Answer",
    "AuthError",
    "BlockedAddressError",
    "BusyError",
    "RefusedError",
    "TooLargeError",
    "Web",
    "WebError",
    "check",
    "retry_after",
]

_FAILED = (
    httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException, httpcore2.UnsupportedProtocol, OSError,
)  # fmt: skip
#: Of the caller's headers, those another server may see. Keys travel under any name, so the list is of the harmless.
_HARMLESS = frozenset({"accept", "accept-language", "content-type", "user-agent"})
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?")
_MOVED = frozenset({301, 302, 303, 307, 308})


class _Asked(NamedTuple):
    """One request on its way through redirects."""

    method: str
    url: httpx2.URL
    headers: dict[str, str]
    body: bytes
    trusted: bool
    secrets: tuple[str, ...]
    timeout: float  #: of connecting, which the addresses of a name share


class Web:
    """HTTP to other people's servers.

    Each request has a connection of its own, unless it is made inside `async with web:`, where connections are kept
    and shared until the last such block ends. No proxy, cookie or `.netrc` of the environment is used.

    Args:
        trusted: origins, such as `http://127.0.0.1:8025`, that the operator chose: they may be private, plain and on
            any port. A redirect from elsewhere does not get there. Do not trust anything in a Web that fetches URLs
            which others give.
        plain_http: allow `http://` elsewhere too.
        timeout: seconds for a whole request, with looking up, redirects and body.
        max_bytes: the longest answer, unpacked.
        ca_file: authorities to trust beside the system's.
        resolve: how names become addresses; the system's resolver by default.

    Raises:
        ConfigError: a trusted origin that is none, or a limit that is not above 0.
    """

    def __init__(
        self, *, trusted: Sequence[str] = (), plain_http: bool = False, timeout: float = 10.0,
        max_bytes: int = 1_000_000, max_redirects: int = 3, ca_file: Path | None = None, resolve: Resolve = look_up,
    ) -> None:  # fmt: skip
        if timeout <= 0 or max_bytes <= 0 or max_redirects < 0:
            raise ConfigError("timeout and max_bytes must be above 0, max_redirects at least 0", key="web")
        self._trusted = frozenset(_trusted_origin(text) for text in trusted)
        self._plain_http = plain_http
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._max_redirects = max_redirects
        self._ca_file = ca_file
        self._plain = httpcore2.AnyIOBackend()
        self._guarded = PublicOnly(resolve, self._plain)
        self._blocks = 0
        self._kept: dict[bool, httpcore2.AsyncConnectionPool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<Web trusting {', '.join(sorted(self._trusted)) or 'nobody'}>"

    # -- requests ------------------------------------------------------------------------------------------------------

    def examine(self, url: str) -> str:
        """The URL as it would be asked for. Looks nothing up. Raises: BlockedAddressError when it never would be."""
        parsed = parse(url)
        if origin(parsed) not in self._trusted:
            examine(parsed, plain_http=self._plain_http)
        return str(parsed)

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int | float | bool] | None = None, json: object | UnsetType = UNSET,
        content: bytes | None = None, timeout: float | None = None, max_bytes: int | None = None,
    ) -> Answer:  # fmt: skip
        """Ask, and read the answer whole, whatever its status: `check` makes errors of those that are none.

        Redirects are followed for GET and HEAD; others only by 307 and 308, and only on the same server.

        Raises:
            BlockedAddressError: an address that is not gone to. TooLargeError. WebError: no answer, or not in time.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        async with self._asked(method, url, headers, params, json, content, timeout, limit) as (head, body):
            parts = [part async for part in body]
        return Answer(
            status=head.status, headers=head.headers, body=b"".join(parts), url=head.url, secrets=head.secrets
        )

    @asynccontextmanager
    async def lines(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, json: object | UnsetType = UNSET,
        content: bytes | None = None, timeout: float | None = None, max_bytes: int | None = None,
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[str]]]:  # fmt: skip
        """Ask, and read the answer line by line while it comes (server-sent events): `head, lines`.

        An answer that is not 2xx is read whole into the head, and has no lines. `timeout` is for the whole stream.

        Raises:
            As `request`, also while lines are read.
        """
        limit = self._max_bytes if max_bytes is None else max_bytes
        async with self._asked(method, url, headers, None, json, content, timeout, limit) as (head, body):
            if head.ok:
                yield head, lines_of(body)
                return
            parts = [part async for part in body]
            whole = Answer(
                status=head.status, headers=head.headers, body=b"".join(parts), url=head.url, secrets=head.secrets
            )
            yield whole, lines_of(_nothing())

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, headers: Mapping[str, str] | None,
        params: Mapping[str, str | int | float | bool] | None, json: object | UnsetType, content: bytes | None,
        timeout: float | None, max_bytes: int,
    ) -> AsyncIterator[tuple[Answer, AsyncIterator[bytes]]]:  # fmt: skip
        seconds = self._timeout if timeout is None else timeout
        asked = self._prepared(method, url, headers, params, json, content)._replace(timeout=seconds)
        what = f"{asked.method} {short(str(asked.url))}"
        deadline = asyncio.timeout(seconds)
        try:
            async with deadline, AsyncExitStack() as stack:
                response, last = await self._through_redirects(asked, stack)
                head = _head(response, last)
                yield head, unpacked(_parts(response, what), head.headers, Limit(max_bytes, what))
        except TimeoutError:
            if not deadline.expired():
                raise  # the caller's own
            raise WebError(f"{what} took longer than {seconds:g} s") from None

    async def _through_redirects(self, asked: _Asked, stack: AsyncExitStack) -> tuple[httpcore2.Response, _Asked]:
        for _ in range(self._max_redirects + 1):
            response = await self._once(asked, stack)
            onward = _onward(response, asked)
            if onward is None:
                return response, asked
            await response.aclose()
            asked = self._redirected(asked, onward)
        raise RefusedError(f"{short(str(asked.url))} is one redirect too many: {self._max_redirects} are followed")

    async def _once(self, asked: _Asked, stack: AsyncExitStack) -> httpcore2.Response:
        target = asked.url
        request = httpcore2.Request(
            asked.method,
            httpcore2.URL(scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path),
            headers=[("Host", target.netloc.decode("ascii")), *asked.headers.items()],
            content=asked.body,
            extensions={"timeout": {"connect": asked.timeout}},
        )
        try:
            response = await (await self._pool(asked.trusted, stack)).handle_async_request(request)
        except _FAILED as error:
            raise WebError(f"{asked.method} {short(str(target))} failed: {_reason(error)}") from None
        stack.push_async_callback(response.aclose)
        return response

    def _prepared(
        self, method: str, url: str, headers: Mapping[str, str] | None,
        params: Mapping[str, str | int | float | bool] | None, json: object | UnsetType, content: bytes | None,
    ) -> _Asked:  # fmt: skip
        target = parse(url)
        if params:
            target = target.copy_merge_params(dict(params))
        trusted = origin(target) in self._trusted
        if not trusted:
            examine(target, plain_http=self._plain_http)
        sent = {"user-agent": f"corral/{__version__}", "accept": "*/*", "accept-encoding": "gzip"}
        body = content or b""
        if not isinstance(json, UnsetType):
            body = json_text.dumps(json, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            sent["content-type"] = "application/json"
        sent |= {_header(name, value): value for name, value in (headers or {}).items()}
        if body or method.upper() in ("POST", "PUT", "PATCH"):
            sent["content-length"] = str(len(body))
        return _Asked(method.upper(), target, sent, body, trusted, _secrets(sent, params or {}), self._timeout)

    def _redirected(self, asked: _Asked, onward: httpx2.URL) -> _Asked:
        """The next request. Every address is checked again, and another server gets none of the keys."""
        here, there = origin(asked.url), origin(onward)
        if onward.scheme != asked.url.scheme:
            raise BlockedAddressError(f"{short(str(asked.url))} redirects from {asked.url.scheme} to {onward.scheme}")
        if asked.trusted and there == here:
            return asked._replace(url=onward)
        examine(onward, plain_http=self._plain_http)
        if there == here:
            return asked._replace(url=onward)
        if asked.body:
            raise BlockedAddressError(f"{short(str(asked.url))} sends what it is given on to another server")
        kept = {name: value for name, value in asked.headers.items() if name in _HARMLESS | {"accept-encoding"}}
        return asked._replace(url=onward, headers=kept, trusted=False)

    # -- connections ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._blocks == 0:
            self._loop = asyncio.get_running_loop()
        self._blocks += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks -= 1
        if self._blocks == 0:
            await self.aclose()

    async def aclose(self) -> None:
        """Close the connections that `async with` keeps. The Web can still be used."""
        kept, self._kept = self._kept, {}
        for pool in kept.values():
            await pool.aclose()

    async def _pool(self, trusted: bool, stack: AsyncExitStack) -> httpcore2.AsyncConnectionPool:
        if self._blocks and self._loop is asyncio.get_running_loop():
            if trusted not in self._kept:
                self._kept[trusted] = self._new_pool(trusted)
            return self._kept[trusted]
        return await stack.enter_async_context(self._new_pool(trusted))

    def _new_pool(self, trusted: bool) -> httpcore2.AsyncConnectionPool:
        backend = self._plain if trusted else self._guarded
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._tls, max_connections=100, keepalive_expiry=15.0, network_backend=backend
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()  # takes 20 ms: once, not for each request
        if self._ca_file is not None:
            context.load_verify_locations(self._ca_file)
        return context


def _trusted_origin(text: str) -> str:
    try:
        return origin(parse(text))
    except BlockedAddressError as error:
        raise ConfigError(f"trusted origin: {error}", key="trusted") from None


def _header(name: str, value: str) -> str:
    """The name of a header in lower case. Raises: RefusedError, without the value, which may be a key."""
    if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
        raise RefusedError(f"the header {name!r} has a character in it that may not be sent")
    return name.lower()


def _onward(response: httpcore2.Response, asked: _Asked) -> httpx2.URL | None:
    """Where a redirect leads, when it is one to follow."""
    if response.status not in _MOVED or (asked.method not in ("GET", "HEAD") and response.status not in (307, 308)):
        return None
    location = next((value for name, value in response.headers if name.lower() == b"location"), None)
    if location is None:
        return None
    try:
        joined = asked.url.join(location.decode("utf-8", "replace"))
    except httpx2.InvalidURL:
        raise BlockedAddressError(f"{short(str(asked.url))} redirects to what is not a URL") from None
    return parse(str(joined.copy_with(fragment=None)))


def _head(response: httpcore2.Response, asked: _Asked) -> Answer:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(status=response.status, headers=headers, body=b"", url=str(asked.url), secrets=asked.secrets)


async def _parts(response: httpcore2.Response, what: str) -> AsyncIterator[bytes]:
    assert isinstance(response.stream, AsyncIterable)
    try:
        async for part in response.stream:
            yield part
    except _FAILED as error:
        raise WebError(f"{what} broke off: {_reason(error)}") from None


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""  # makes it a generator


def _secrets(headers: Mapping[str, str], params: Mapping[str, str | int | float | bool]) -> tuple[str, ...]:
    """What of a request no error may repeat: every header but the harmless, without its `Bearer`."""
    held = [value.rpartition(" ")[2] for name, value in headers.items() if name not in _HARMLESS]
    held += [str(value) for name, value in params.items() if is_secret_name(name)]
    return tuple(text for text in held if len(text) >= 8)


def _reason(error: BaseException) -> str:
    """Why, without line breaks: the text of a certificate error, the kind of an error without a text."""
    return " ".join(str(error).split())[:200] or type(error).__name__
