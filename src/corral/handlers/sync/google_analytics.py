"""Google Analytics 4: `runReport` of its Data API, signed in as a service account."""

import re
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import jwt
import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.kit.web import Answer, AuthError, BusyError, RefusedError, WebError
from corral.handlers.sync.connector import DAY, Connector, Page, Quota, Row, Window
from corral.handlers.sync.money import minor
from corral.timing import Millis

SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
_METRICS = (
    "sessions", "totalUsers", "newUsers", "engagedSessions", "screenPageViews", "keyEvents", "totalRevenue",
)  # fmt: skip
_PROPERTY = re.compile(r"\d{1,20}")


class ServiceAccount(Struct, frozen=True):
    """What is needed of a service account's JSON file."""

    client_email: str
    private_key: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105  # an address

    def __repr__(self) -> str:
        return f"<service account {self.client_email}>"


class _Token(Struct, frozen=True):
    access_token: str
    expires_in: int = 3_600


class _Value(Struct, frozen=True):
    value: str = ""


class _Line(Struct, frozen=True, rename="camel"):
    dimension_values: list[_Value]
    metric_values: list[_Value]


class _Left(Struct, frozen=True):
    consumed: int = 0
    remaining: int = 0


class _Quotas(Struct, frozen=True, rename="camel"):
    tokens_per_day: _Left = _Left()


class _Meta(Struct, frozen=True, rename="camel"):
    currency_code: str = ""


class _Report(Struct, frozen=True, rename="camel"):
    rows: list[_Line] = []
    row_count: int = 0
    metadata: _Meta = _Meta()
    property_quota: _Quotas | None = None


class _Status(Struct, frozen=True):
    status: str = ""
    message: str = ""


class _Failure(Struct, frozen=True):
    error: _Status | str = ""


class GoogleAnalytics(Connector):
    """Sessions, users, conversions and revenue per day and channel."""

    platform: ClassVar[str] = "google-analytics"
    service: ClassVar[str] = "Google Analytics"
    kinds: ClassVar[tuple[str, ...]] = ("traffic",)
    overlap: ClassVar[Millis] = 3 * DAY  # figures of a day may change for two days
    dated: ClassVar[frozenset[str]] = frozenset({"traffic"})
    page_size: ClassVar[int] = 10_000
    rest: ClassVar[float] = 900.0  # its quotas are by the hour

    _token: tuple[str, Millis] | None = None

    async def page(self, kind: str, window: Window, position: object) -> Page:
        """One page of days and channels, oldest day first."""
        offset = position if isinstance(position, int) else 0
        first, last = self.span(window)
        query = {
            "dimensions": [{"name": "date"}, {"name": "sessionDefaultChannelGroup"}],
            "metrics": [{"name": name} for name in _METRICS],
            "dateRanges": [{"startDate": first, "endDate": last}],
            "orderBys": [
                {"dimension": {"dimensionName": "date"}},
                {"dimension": {"dimensionName": "sessionDefaultChannelGroup"}},
            ],
            "limit": str(self.size),
            "offset": str(offset),
            "returnPropertyQuota": True,
        }
        headers = {"Authorization": f"Bearer {await self._signed_in()}"}
        report, _ = await self.ask("POST", self._url(), _Report, headers=headers, json=query)
        if report.property_quota is not None:
            left = report.property_quota.tokens_per_day
            midnight_after = self.clock() - self.clock() % DAY + DAY
            self.quota = Quota(limit=left.remaining + left.consumed, remaining=left.remaining, resets_at=midnight_after)
        rows = tuple(self._row(line, report.metadata.currency_code) for line in report.rows)
        end = offset + len(rows)
        return Page(rows=rows, next=end if rows and end < report.row_count else None, high=window.until - 1)

    def _row(self, line: _Line, currency: str) -> Row:
        if len(line.dimension_values) != 2 or len(line.metric_values) != len(_METRICS):
            raise WebError("Google Analytics answered with other columns than it was asked for")
        date, channel = (one.value for one in line.dimension_values)
        day = f"{date[:4]}-{date[4:6]}-{date[6:]}"
        numbers = [one.value for one in line.metric_values]
        try:
            sessions, users, new, engaged, views, conversions = (round(float(text)) for text in numbers[:-1])
        except (ValueError, OverflowError):
            raise WebError("Google Analytics answered with something else than numbers") from None
        return {
            "external_id": f"{day}/{channel}"[:200],
            "day": day,
            "sessions": sessions,
            "users": users,
            "new_users": new,
            "engaged_sessions": engaged,
            "page_views": views,
            "conversions": conversions,
            "currency": currency,
            "revenue_minor": minor(numbers[-1], currency),
        }

    def _url(self) -> str:
        number = self.access.target["property"].removeprefix("properties/")
        if not _PROPERTY.fullmatch(number):
            raise ConfigError(f"property must be digits, not {number!r:.40}", key="property")
        base = self.settings.google_analytics_url or "https://analyticsdata.googleapis.com"
        return f"{base.rstrip('/')}/v1beta/properties/{number}:runReport"

    async def _signed_in(self) -> str:
        """An access token: asked for once in a run, it is good for an hour."""
        if self._token is not None and self._token[1] > self.clock():
            return self._token[0]
        account = read_account(self.access.secret("credentials"))
        url = self._token_url(account)
        now = self.clock() // 1000
        claims = {"iss": account.client_email, "scope": SCOPE, "aud": url, "iat": now, "exp": now + 3_600}
        try:
            signed = jwt.encode(claims, account.private_key, algorithm="RS256")
        except (ValueError, TypeError, jwt.PyJWTError):
            raise AuthError("Google Analytics: the service account's private key cannot be used") from None
        form = urlencode({"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed})
        token, _ = await self.ask(
            "POST", url, _Token, content=form.encode(),
            headers={"content-type": "application/x-www-form-urlencoded"},
        )  # fmt: skip
        self._token = token.access_token, self.clock() + 1000 * (token.expires_in - 60)
        return token.access_token

    def _token_url(self, account: ServiceAccount) -> str:
        """The address in the file, when it is Google's or where the API was said to be: a key is sent there."""
        trusted = "https://oauth2.googleapis.com/", "https://accounts.google.com/"
        own = self.settings.google_analytics_url
        if account.token_uri.startswith(trusted) or (own and account.token_uri.startswith(own.rstrip("/") + "/")):
            return account.token_uri
        raise ConfigError(f"token_uri {account.token_uri!r:.80} is not Google's", key="google_analytics_credentials")

    def judge(self, answer: Answer) -> None:
        """Google says in the body what is meant."""
        if answer.ok:
            return
        try:
            error = msgspec.json.decode(answer.body, type=_Failure).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        status = error if isinstance(error, str) else error.status
        if status in ("invalid_grant", "invalid_client", "unauthorized_client", "UNAUTHENTICATED", "PERMISSION_DENIED"):
            raise AuthError(f"Google Analytics does not let us in: {status}", status=answer.status)
        if status == "RESOURCE_EXHAUSTED":
            raise BusyError("Google Analytics: the quota is used up", status=answer.status)
        if status == "INVALID_ARGUMENT":
            raise RefusedError(f"Google Analytics refused the query: {answer.said}", status=answer.status)


def read_account(text: str) -> ServiceAccount:
    """A service account, from its JSON or from the file that is named.

    Raises:
        ConfigError: neither; the message shows nothing of it.
    """
    try:
        content = text.encode() if text.lstrip().startswith("{") else Path(text).read_bytes()
        return msgspec.json.decode(content, type=ServiceAccount)
    except (msgspec.DecodeError, OSError, ValueError):
        raise ConfigError(
            "GOOGLE_ANALYTICS_CREDENTIALS must be a service account's JSON or the path of its file",
            key="google_analytics_credentials",
        ) from None
