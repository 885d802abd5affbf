"""Facebook Ads: the insights of an ad account, from Meta's Graph API, per day and campaign."""

import json
import re
from typing import ClassVar

import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.kit.web import Answer, AuthError, BusyError, RefusedError, WebError
from corral.handlers.sync.connector import DAY, Connector, Page, Quota, Row, Window
from corral.handlers.sync.money import minor
from corral.timing import Millis

_FIELDS = "campaign_id,campaign_name,impressions,clicks,spend,actions,action_values,account_currency,date_start"
_ACCOUNT = re.compile(r"act_\d{1,30}")
#: What the Graph API answers with, mostly as status 400.
_BUSY = frozenset({4, 17, 32, 613, *range(80_000, 80_015)})
_CLOSED = frozenset({10, 102, 104, 190, *range(200, 300)})
_FAILED = frozenset({1, 2})
_BOUGHT = "purchase", "omni_purchase", "offsite_conversion.fb_pixel_purchase"


class _Action(Struct, frozen=True):
    action_type: str
    value: str = "0"


class _Line(Struct, frozen=True):
    campaign_id: str
    date_start: str
    account_currency: str
    campaign_name: str = ""
    impressions: str = "0"
    clicks: str = "0"
    spend: str = "0"
    actions: list[_Action] = []
    action_values: list[_Action] = []


class _Cursors(Struct, frozen=True):
    after: str | None = None


class _Paging(Struct, frozen=True):
    cursors: _Cursors = _Cursors()
    next: str | None = None


class _List(Struct, frozen=True):
    data: list[_Line]
    paging: _Paging = _Paging()


class _Error(Struct, frozen=True):
    code: int = 0
    type: str = ""


class _Failure(Struct, frozen=True):
    error: _Error


class _Usage(Struct, frozen=True):
    """How much is used, in per cent of three kinds."""

    call_count: float = 0
    total_cputime: float = 0
    total_time: float = 0
    estimated_time_to_regain_access: float = 0  #: minutes


class FacebookAds(Connector):
    """What campaigns cost and brought, per day."""

    platform: ClassVar[str] = "facebook-ads"
    service: ClassVar[str] = "Facebook Ads"
    kinds: ClassVar[tuple[str, ...]] = ("ad-spend",)
    overlap: ClassVar[Millis] = 7 * DAY  # a purchase counts for the click that led to it, up to a week later
    dated: ClassVar[frozenset[str]] = frozenset({"ad-spend"})
    page_size: ClassVar[int] = 500
    rest: ClassVar[float] = 300.0

    async def page(self, kind: str, window: Window, position: object) -> Page:
        """One page of days and campaigns."""
        first, last = self.span(window)
        asked: dict[str, str | int | float | bool] = {
            "level": "campaign",
            "time_increment": 1,
            "time_range": json.dumps({"since": first, "until": last}),
            "fields": _FIELDS,
            "limit": self.size,
        }
        if isinstance(position, str):
            asked["after"] = position
        headers = {"Authorization": f"Bearer {self.access.secret('accessToken')}"}
        found, _ = await self.ask("GET", self._url(), _List, headers=headers, params=asked)
        onward = found.paging.cursors.after if found.paging.next is not None else None
        return Page(rows=tuple(self._row(one) for one in found.data), next=onward, high=window.until - 1)

    def _url(self) -> str:
        account = self.access.target["adAccount"]
        account = account if account.startswith("act_") else f"act_{account}"
        if not _ACCOUNT.fullmatch(account):
            raise ConfigError(f"ad account must be act_ and digits, not {account!r:.40}", key="adAccount")
        base = (self.settings.facebook_url or "https://graph.facebook.com").rstrip("/")
        return f"{base}/{self.settings.facebook_api_version}/{account}/insights"

    def _row(self, one: _Line) -> Row:
        try:
            impressions, clicks = int(one.impressions), int(one.clicks)
            conversions = round(float(_bought(one.actions)))
        except ValueError:
            raise WebError("Facebook Ads answered with something else than numbers") from None
        return {
            "external_id": f"{one.date_start}/{one.campaign_id}",
            "day": one.date_start[:10],
            "campaign": one.campaign_name,
            "currency": one.account_currency,
            "spend_minor": minor(one.spend, one.account_currency),
            "impressions": impressions,
            "clicks": clicks,
            "conversions": conversions,
            "conversion_value_minor": minor(_bought(one.action_values), one.account_currency),
        }

    def judge(self, answer: Answer) -> None:
        """The Graph API says by a code what is meant, whatever the status."""
        usage = _usage(answer)
        if usage is not None:
            used = max(usage.call_count, usage.total_cputime, usage.total_time)
            self.quota = Quota(limit=100, remaining=max(0.0, 100 - used))
        if answer.ok:
            return
        try:
            error = msgspec.json.decode(answer.body, type=_Failure).error
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if error.code in _BUSY:
            minutes = 0.0 if usage is None else usage.estimated_time_to_regain_access
            raise BusyError(f"Facebook Ads: limit {error.code}", status=answer.status, after=minutes * 60 or None)
        if error.code in _CLOSED:
            raise AuthError(f"Facebook Ads does not let us in: {error.type} {error.code}", status=answer.status)
        if error.code in _FAILED:
            raise WebError(f"Facebook Ads failed: {error.type} {error.code}", status=answer.status)
        if answer.status < 500:
            raise RefusedError(f"Facebook Ads refused: {answer.said}", status=answer.status)


def _bought(actions: list[_Action]) -> str:
    """The purchases: one way of counting them, for the others count the same ones again."""
    found = {one.action_type: one.value for one in actions}
    return next((found[name] for name in _BOUGHT if name in found), "0")


def _usage(answer: Answer) -> _Usage | None:
    text = answer.headers.get("x-business-use-case-usage")
    try:
        accounts = msgspec.json.decode((text or "{}").encode(), type=dict[str, list[_Usage]])
    except msgspec.DecodeError:
        return None
    return next((one for several in accounts.values() for one in several), None)
