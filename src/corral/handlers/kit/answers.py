"""What comes back from other people's servers, and the errors that say what to do about it."""

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

import msgspec
from msgspec import Struct

from corral.errors import CorralError

#: A server that asks for more than this means another day: the back-off decides then.
LONGEST_WAIT = 3_600.0
#: Of what a server says about a refusal, so much goes into the error.
_SAID = 200
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\s]+")
#: `"access_token": "…"`, `api_key=…`, `Bearer …`: an answer may repeat what it was asked with.
_NAMED = re.compile(
    r"""((?:password|passwd|secret|token|api[_-]?key|authorization|signature|credential)[\w-]*["']?\s*[:=]\s*["']?)"""
    r"""[^\s"',;&}]+""",
    re.IGNORECASE,
)
_SERVER = re.compile(r"[a-z][a-z0-9+.-]*://[^/?#]*", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE)


class WebError(CorralError):
    """The other side did not answer, or not as it should; another attempt may help. `status` is what it answered."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


class BusyError(WebError):
    """It has too much to do (429, or 503 with a date). `after` is in seconds; None when it does not say."""

    def __init__(self, message: str, *, status: int | None = None, after: float | None = None) -> None:
        self.after = after
        super().__init__(message, status=status)


class AuthError(WebError):
    """It does not accept who we say we are (401, 403)."""


class RefusedError(WebError):
    """It will not do what it was asked for, however often it is asked (any other 3xx or 4xx)."""


class BlockedAddressError(WebError):
    """An address that is not gone to: not public, not https, or not an address at all."""


class TooLargeError(WebError):
    """The answer is longer than was allowed. What came of it is thrown away."""


class Answer(Struct, frozen=True, kw_only=True):
    """An answer, read whole. `url` is where it came from in the end; headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    #: What the request held that must not be told: never shown, taken out of `said`.
    secrets: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Answer {self.status} of {len(self.body)} bytes from {short(self.url)}>"

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    @property
    def text(self) -> str:
        """The body as UTF-8; what is none is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> object:
        """The body as JSON. Raises: WebError when it is none."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise WebError(f"{short(self.url)} did not answer with JSON", status=self.status) from None

    @property
    def said(self) -> str:
        """The body's beginning, fit for a log: one line, cut, without secrets."""
        text = _CONTROLS.sub(" ", self.text[: 20 * _SAID]).strip()
        for secret in self.secrets:
            text = text.replace(secret, "…")
        text = _NAMED.sub(r"\1…", _BEARER.sub("…", text))
        return text if len(text) <= _SAID else text[: _SAID - 1] + "…"


def check(answer: Answer, service: str) -> Answer:
    """The answer, when it is 2xx.

    Raises:
        AuthError: 401, 403. BusyError: 429, and 503 that says when to come again. RefusedError: any other 3xx and 4xx.
        WebError: 408, 425 and 5xx, which another attempt may mend.
    """
    if answer.ok:
        return answer
    status = answer.status
    text = f"{service} answered {status} {answer.said}".rstrip()
    after = retry_after(answer.headers.get("retry-after", ""))
    if status in (401, 403):
        raise AuthError(text, status=status)
    if status == 429 or (status == 503 and after is not None):
        raise BusyError(text, status=status, after=after)
    if 300 <= status < 500 and status not in (408, 425):
        raise RefusedError(text, status=status)
    raise WebError(text, status=status)


def retry_after(value: str) -> float | None:
    """The header's seconds, or its date as seconds from now, an hour at most; None when it says nothing to follow."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT) if math.isfinite(seconds) else None


def short(url: str) -> str:
    """A URL fit for a log: the server alone. A path may be a key, as in the webhooks of chats, and so may a query."""
    found = _SERVER.match(url)
    if found is None:
        shown = re.split(r"[?#]", url, maxsplit=1)[0]
    else:
        shown = re.sub(r"//.*@", "//…@", found[0]) + ("" if url[found.end() :] in ("", "/") else "/…")
    return shown if len(shown) <= _SAID else shown[: _SAID - 1] + "…"
