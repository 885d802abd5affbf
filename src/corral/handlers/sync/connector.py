"""What all platforms have in common: a page at a time, from where the last one ended, with the answer looked at."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import UTC, date, datetime, tzinfo
from typing import ClassVar, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import Struct
from pydantic import SecretStr

from corral.errors import ConfigError
from corral.handlers.kit.web import Answer, Web, WebError, check
from corral.handlers.sync.settings import SyncSettings
from corral.timing import Clock, Millis, to_datetime

T = TypeVar("T")
DAY: Millis = 86_400_000
#: One object as it is written, without whose it is.
Row = dict[str, object]


class Window(Struct, frozen=True, kw_only=True):
    """What is asked for: changes from `since` (None: from the beginning) until before `until`."""

    since: Millis | None
    until: Millis


class Page(Struct, frozen=True, kw_only=True):
    """What one request brought."""

    rows: tuple[Row, ...]
    next: object = None  #: where the next page begins, as JSON; None: this was the last one
    high: Millis | None = None  #: the newest change in it


class Quota(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How much more the platform will answer, as it says itself."""

    limit: float
    remaining: float
    resets_at: Millis | None = None


class Access(Struct, frozen=True, kw_only=True):
    """Where an integration's data are and what opens them."""

    target: Mapping[str, str]
    secrets: Mapping[str, SecretStr]
    time_zone: tzinfo = UTC

    def secret(self, name: str) -> str:
        """One of the secrets, to be sent."""
        return self.secrets[name].get_secret_value()

    def day(self, at: Millis) -> str:
        """The day of an instant, where the business is."""
        return to_datetime(at).astimezone(self.time_zone).date().isoformat()


class Connector(ABC):
    """One integration, on one platform, for one run."""

    platform: ClassVar[str]
    service: ClassVar[str]  #: its name, for people
    kinds: ClassVar[tuple[str, ...]]
    #: How far back each incremental sync looks again, for what came late or was changed without a new date.
    overlap: ClassVar[Millis] = 300_000
    #: Kinds of which a full pass sees everything: what it did not see is gone there, and goes here.
    swept: ClassVar[frozenset[str]] = frozenset()
    #: Kinds that are figures of days: every pass over a span of days replaces all of them.
    dated: ClassVar[frozenset[str]] = frozenset()
    page_size: ClassVar[int] = 100
    #: Seconds to wait when it is too busy and does not say for how long.
    rest: ClassVar[float] = 60.0

    def __init__(self, access: Access, settings: SyncSettings, web: Web, clock: Clock) -> None:
        self.access = access
        self.settings = settings
        self.web = web
        self.clock = clock
        self.calls = 0
        self.quota: Quota | None = None

    @abstractmethod
    async def page(self, kind: str, window: Window, position: object) -> Page:
        """One page of objects, from `position` (None: the first).

        Raises:
            AuthError: the keys are not accepted. BusyError: the quota is used up. RefusedError: it never will answer
            that. WebError: not now.
        """

    @property
    def size(self) -> int:
        """How many objects to ask for at once."""
        return min(self.settings.sync_page_size or self.page_size, self.page_size)

    def span(self, window: Window) -> tuple[str, str]:
        """The first and the last day that a pass over figures of days asks for."""
        since = window.since if window.since is not None else window.until - DAY * self.settings.sync_history_days
        return day_of(since), day_of(window.until - 1)

    async def ask(
        self, method: str, url: str, kind: type[T], *, headers: Mapping[str, str] | None = None,
        params: Mapping[str, str | int | float | bool] | None = None, json: object = msgspec.UNSET,
        content: bytes | None = None,
    ) -> tuple[T, Answer]:  # fmt: skip
        """One request, counted, its answer read as `kind`."""
        self.calls += 1
        answer = await self.web.request(method, url, headers=headers, params=params, json=json, content=content)
        self.judge(answer)
        check(answer, self.service)
        try:
            return msgspec.json.decode(answer.body, type=kind), answer
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise WebError(f"{self.service} did not answer as it should: {error}", status=answer.status) from None

    def judge(self, answer: Answer) -> None:
        """Look at an answer before its status counts: note the quota, raise what only this platform says."""
        return


def instant(text: str) -> Millis:
    """Epoch milliseconds of an ISO 8601 text; without an offset it is UTC.

    Raises:
        WebError: it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WebError(f"{text[:40]!r} is not a time") from None
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def stamp(at: Millis) -> str:
    """`2026-01-31T08:00:00Z`: whole seconds, as platforms want it."""
    return to_datetime(at - at % 1000).strftime("%Y-%m-%dT%H:%M:%SZ")


def midnight(day: date) -> Millis:
    """The first instant of a day, UTC."""
    return round(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def day_of(at: Millis) -> str:
    """The day of an instant, UTC."""
    return to_datetime(at).date().isoformat()


def zone(name: str) -> tzinfo:
    """A time zone by its name. Raises: ConfigError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"time zone {name!r} is not known; write Europe/Oslo", key="timezone") from None
