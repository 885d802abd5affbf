"""WooCommerce: the REST API v3 of somebody's own site."""

import base64
from typing import ClassVar, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.kit.web import Answer
from corral.handlers.sync.connector import Connector, Page, Row, Window, instant, stamp
from corral.handlers.sync.money import minor
from corral.timing import Millis

_DROPPED = frozenset({"cancelled", "failed", "trash", "checkout-draft", "pending"})
T = TypeVar("T")
Parameters = dict[str, str | int | float | bool]


class _Refund(Struct, frozen=True):
    total: str = "0"


class _Item(Struct, frozen=True):
    quantity: int = 0


class _Order(Struct, frozen=True):
    id: int
    number: str
    status: str
    currency: str
    date_created_gmt: str
    date_modified_gmt: str
    total: str
    customer_id: int = 0
    refunds: list[_Refund] = []
    line_items: list[_Item] = []


class _Product(Struct, frozen=True):
    id: int
    name: str
    status: str
    date_modified_gmt: str
    date_created_gmt: str | None = None  #: of a draft
    price: str = ""
    stock_quantity: float | None = None


class _Customer(Struct, frozen=True):
    id: int
    date_created_gmt: str
    date_modified_gmt: str | None = None


class _Position(Struct, frozen=True):
    """Where a pass goes on: after this change, at this page of what comes then."""

    page: int = 1
    since: Millis | None = None


class WooCommerce(Connector):
    """Orders, products and customers of one shop.

    Pages by number shift when something changes while they are read. So each page asks for what changed after the
    last one's end, and numbers count only among changes of the same second.
    """

    platform: ClassVar[str] = "woocommerce"
    service: ClassVar[str] = "WooCommerce"
    kinds: ClassVar[tuple[str, ...]] = ("orders", "products", "customers")
    swept: ClassVar[frozenset[str]] = frozenset({"orders", "products", "customers"})

    async def page(self, kind: str, window: Window, position: object) -> Page:
        """One page, oldest change first."""
        at = _Position(since=window.since) if position is None else msgspec.convert(position, _Position)
        if kind == "customers":
            return await self._customers(window, at)
        # The API leaves out what changed in the very second that it is given.
        asked: Parameters = {"orderby": "modified", "order": "asc", "modified_before": stamp(window.until)}
        if at.since is not None:
            asked["modified_after"] = stamp(at.since - 1_000)
        if kind == "orders":
            orders, answer = await self._list(kind, list[_Order], at, asked)
            rows = [self._order(one) for one in orders]
            changes = [instant(one.date_modified_gmt) for one in orders]
        else:
            products, answer = await self._list(kind, list[_Product], at, asked)
            rows = [self._product(one) for one in products]
            changes = [instant(one.date_modified_gmt) for one in products]
        high = max(changes, default=None)
        if not _more(answer, at.page, len(rows), self.size) or high is None:
            return Page(rows=tuple(rows), high=high)
        same_second = at.since is not None and high < at.since + 1_000
        onward = _Position(at.page + 1, at.since) if same_second else _Position(1, high)
        return Page(rows=tuple(rows), next=msgspec.to_builtins(onward), high=high)

    async def _customers(self, window: Window, at: _Position) -> Page:
        """Customers cannot be asked for by change: the newest first, until they are old enough."""
        asked: Parameters = {"orderby": "registered_date", "order": "desc", "role": "all"}
        found, answer = await self._list("customers", list[_Customer], at, asked)
        rows = [self._customer(one) for one in found]
        joined = [instant(one.date_created_gmt) for one in found]
        old = window.since is not None and min(joined, default=0) < window.since
        more = _more(answer, at.page, len(rows), self.size) and not old
        return Page(
            rows=tuple(rows),
            next=msgspec.to_builtins(_Position(at.page + 1, at.since)) if more else None,
            high=max(joined, default=None),
        )

    async def _list(self, kind: str, form: type[T], at: _Position, asked: Parameters) -> tuple[T, Answer]:
        secret = f"{self.access.secret('key')}:{self.access.secret('secret')}"
        headers = {"Authorization": "Basic " + base64.b64encode(secret.encode()).decode()}
        params: Parameters = {"per_page": self.size, "page": at.page, "dates_are_gmt": "true", **asked}
        return await self.ask("GET", f"{self._site()}/wp-json/wc/v3/{kind}", form, headers=headers, params=params)

    def _site(self) -> str:
        site = (self.settings.woocommerce_url or self.access.target["site"]).rstrip("/")
        parts = urlsplit(site)
        if parts.scheme not in ("https", "http") or not parts.hostname or parts.username or parts.query:
            raise ConfigError(f"site must be https://shop.example, not {site!r:.100}", key="site")
        return site

    def _order(self, one: _Order) -> Row:
        placed = instant(one.date_created_gmt)
        return {
            "external_id": str(one.id),
            "day": self.access.day(placed),
            "placed_at": placed,
            "changed_at": instant(one.date_modified_gmt),
            "number": one.number[:100],
            "status": one.status[:40],
            "cancelled": int(one.status in _DROPPED),
            "currency": one.currency,
            "total_minor": minor(one.total, one.currency),
            "refunded_minor": sum(abs(minor(refund.total, one.currency)) for refund in one.refunds),
            "items": sum(item.quantity for item in one.line_items),
            "customer_id": str(one.customer_id) if one.customer_id else None,
        }

    def _product(self, one: _Product) -> Row:
        changed = instant(one.date_modified_gmt)
        return {
            "external_id": str(one.id),
            "day": self.access.day(changed if one.date_created_gmt is None else instant(one.date_created_gmt)),
            "changed_at": changed,
            "title": one.name,
            "status": one.status[:40],
            "currency": "",  # the shop's; it does not say so here
            "price_minor": minor(one.price or "0", ""),
            "inventory": None if one.stock_quantity is None else round(one.stock_quantity),
        }

    def _customer(self, one: _Customer) -> Row:
        joined = instant(one.date_created_gmt)
        return {
            "external_id": str(one.id),
            "day": self.access.day(joined),
            "joined_at": joined,
            "changed_at": joined if one.date_modified_gmt is None else instant(one.date_modified_gmt),
            "currency": "",
            "orders": 0,  # what they bought stands in their orders
            "spent_minor": 0,
        }


def _more(answer: Answer, page: int, count: int, size: int) -> bool:
    """Whether there is another page: the header says how many there are, a short page that it was the last."""
    try:
        return page < int(answer.headers.get("x-wp-totalpages", ""))
    except ValueError:
        return count >= size
