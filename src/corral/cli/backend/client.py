"""The HTTP API as it is spoken to from here: JSON over urllib, each call on a thread that nothing waits for."""

import asyncio
import contextlib
import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from types import TracebackType
from typing import IO, Never, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from corral._version import __version__
from corral.cli.failures import CONFLICT, FORBIDDEN, NOT_FOUND, PARTLY, TIMED_OUT, UNREACHABLE, USAGE, Failure
from corral.cli.text import cut

T = TypeVar("T")
PATIENCE = 30.0  #: seconds; an event stream says something every 15
#: How often somebody is asked again who has too much to do, and how long at most between two times (seconds).
PATIENT, LONGEST = 20, 30.0
#: Lines of a stream that may wait here: an export is as long as it likes.
AHEAD = 1_000
PIECE = 65_536  #: bytes of a stream that are read at once
#: Of an answer, so that a wrong address cannot fill the memory.
MOST_BYTES = 64_000_000
_CODES = {400: USAGE, 401: FORBIDDEN, 403: FORBIDDEN, 404: NOT_FOUND, 409: CONFLICT, 412: CONFLICT, 422: USAGE}


class Busy(Failure):
    """Too many requests: nothing was done. `seconds`: when it is worth asking again."""

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message, PARTLY)
        self.seconds = seconds


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the token would go along to wherever it leads."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:  # fmt: skip
        return None


class Client:
    """One API, spoken to by one person.

    Args:
        address: where it is mounted; `/api/v1` may be left out.
        reason: goes into the audit log with every change.
    """

    def __init__(
        self, address: str, token: str | None = None, *, timeout: float | None = None, reason: str = ""
    ) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise Failure(f"{address!r} is no address of an HTTP API; write https://host or https://host/path", USAGE)
        if parts.username or parts.password:
            raise Failure("the address of an API has no user or password: say --token", USAGE)
        self.base = address.rstrip("/").removesuffix("/api/v1") + "/api/v1"
        self._timeout = timeout or PATIENCE
        self._headers = {"Accept": "application/json", "User-Agent": f"corral/{__version__}"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if reason:
            # Header values are ASCII: what is beyond it, and the percent sign, is percent-encoded.
            self._headers["Corral-Reason"] = quote(reason, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
        self._opener = urllib.request.build_opener(_Stay)

    async def get(self, path: str, **query: object) -> object:
        """Ask for something. Raises: Failure with the exit code that fits."""
        return await self._call("GET", path, None, query, {})

    async def send(
        self, method: str, path: str, body: object = None, *, headers: Mapping[str, str] | None = None, **query: object
    ) -> object:
        """Change something; the answer, None when there is none. Raises: Failure with the exit code that fits."""
        return await self._call(method, path, body, query, headers or {})

    async def _call(
        self, method: str, path: str, body: object, query: Mapping[str, object], headers: Mapping[str, str]
    ) -> object:
        request = self._request(method, path, body, query, headers)
        for _ in range(PATIENT):
            try:
                return await on_thread(lambda: self._talk(request))
            except Busy as busy:
                await asyncio.sleep(busy.seconds)
        return await on_thread(lambda: self._talk(request))

    def _request(
        self, method: str, path: str, body: object, query: Mapping[str, object], headers: Mapping[str, str]
    ) -> urllib.request.Request:
        words = urlencode({key: value for key, value in query.items() if value is not None}, doseq=True)
        data = None if body is None and method in ("GET", "DELETE") else json.dumps(body or {}).encode()
        return urllib.request.Request(  # noqa: S310  # http or https, checked above
            f"{self.base}{path}{'?' if words else ''}{words}", data=data, method=method,
            headers={**self._headers, **headers, **({} if data is None else {"Content-Type": "application/json"})},
        )  # fmt: skip

    def _talk(self, request: urllib.request.Request) -> object:
        try:
            with self._opener.open(request, timeout=self._timeout) as answer:
                text = answer.read(MOST_BYTES)
        except (OSError, http.client.HTTPException) as error:
            self._explain(error)
        if not text:
            return None
        try:
            return json.loads(text)
        except ValueError:
            raise Failure(f"{self.base} answered with something that is no JSON: is it a corral API?", PARTLY) from None

    def _explain(self, error: Exception) -> Never:
        """The failure that an error means."""
        if isinstance(error, urllib.error.HTTPError):
            with error:
                raise _refused(self.base, error) from None
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            raise Failure(f"{self.base} did not answer within {self._timeout:g} s", TIMED_OUT) from None
        raise Failure(f"{self.base} cannot be reached: {reason}", UNREACHABLE) from None

    async def lines(
        self, path: str, *, accept: str = "text/event-stream", **query: object
    ) -> AsyncGenerator[str, None]:  # fmt: skip
        """The lines of a stream, as they come, until it ends or nobody listens any more."""
        request = self._request("GET", path, None, query, {"Accept": accept})
        for _ in range(PATIENT):
            try:
                async with contextlib.aclosing(self._coming(request)) as coming:
                    async for line in coming:
                        yield line
                return
            except Busy as busy:  # said instead of a first line
                await asyncio.sleep(busy.seconds)
        raise Failure(f"{self.base} has too much to do: try again later", PARTLY)

    async def _coming(self, request: urllib.request.Request) -> AsyncGenerator[str, None]:
        loop = asyncio.get_running_loop()
        coming: asyncio.Queue[str | Failure | None] = asyncio.Queue()
        room = threading.Semaphore(AHEAD)
        over = threading.Event()

        def read() -> None:
            try:
                with self._opener.open(request, timeout=self._timeout) as answer:
                    for line in _lines(answer):
                        room.acquire()
                        if over.is_set():
                            return
                        loop.call_soon_threadsafe(coming.put_nowait, line.decode("utf-8", "replace").rstrip("\r\n"))
                loop.call_soon_threadsafe(coming.put_nowait, None)
            except (OSError, http.client.HTTPException) as error:
                try:
                    self._explain(error)
                except Failure as failure:
                    loop.call_soon_threadsafe(coming.put_nowait, failure)
            except RuntimeError:  # the loop is closed: nobody listens any more
                return

        threading.Thread(target=read, daemon=True, name="corral-events").start()
        try:
            while (line := await coming.get()) is not None:
                if isinstance(line, Failure):
                    raise line
                room.release()
                yield line
        finally:
            over.set()
            room.release()


def _lines(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """The lines of a body. To iterate over it would not tell one that breaks off from one that is through.

    Raises:
        IncompleteRead: it broke off.
    """
    left = b""
    while piece := answer.read1(PIECE):
        *whole, left = (left + piece).split(b"\n")
        yield from whole
    if left:
        yield left


def _refused(base: str, error: urllib.error.HTTPError) -> Failure:
    """A failure that says what the API said."""
    code = _CODES.get(error.code, UNREACHABLE if error.code in (502, 503, 504) else PARTLY)
    if 300 <= error.code < 400:
        return Failure(f"{base} leads to {error.headers.get('Location')}: name that address instead", USAGE)
    try:
        problem = json.loads(error.read(MOST_BYTES))
    except (OSError, ValueError):
        problem = None
    if not isinstance(problem, dict) or "code" not in problem:
        return Failure(f"{base} answered {error.code} {error.reason}", code)
    if error.code == 429:
        return Busy(str(problem.get("detail") or "too many requests"), _again(problem.get("retry_after_seconds")))
    detail = str(problem.get("detail") or problem.get("title") or problem["code"])
    errors = [one for one in problem.get("errors") or () if isinstance(one, dict)]
    more = "; ".join(f"{one.get('pointer', '')}: {one.get('detail', '')}" for one in errors)
    hint = "; say --token, or save one with corral context add" if error.code == 401 else ""
    return Failure(cut(f"{detail}{': ' if more else ''}{more} ({problem['code']}){hint}", 4_000), code)


def _again(seconds: object) -> float:
    return min(LONGEST, max(0.1, float(seconds))) if isinstance(seconds, int | float) else 1.0


async def on_thread(work: Callable[[], T]) -> T:
    """Do something that blocks. Not `asyncio.to_thread`: after Ctrl-C the end of a program waits for its threads."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        with _Carrier(loop, future):
            result = work()
            _tell(loop, lambda: None if future.done() else future.set_result(result))

    threading.Thread(target=run, daemon=True, name="corral-request").start()
    return await future


def _tell(loop: asyncio.AbstractEventLoop, news: Callable[[], None]) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(news)


class _Carrier:
    """Carries whatever is raised over to the loop that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, future: "asyncio.Future[T]") -> None:
        self._loop = loop
        self._over = future.done
        self._fail: Callable[[BaseException], None] = future.set_exception

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            _tell(self._loop, lambda: None if self._over() else self._fail(error))
        return True


def part(text: str) -> str:
    """A name as one part of a path."""
    return quote(text, safe="")
