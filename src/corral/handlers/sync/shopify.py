"""Shopify: the GraphQL Admin API, by cursor, oldest change first."""

import re
from typing import ClassVar

from msgspec import Struct

from corral.errors import ConfigError
from corral.handlers.kit.web import AuthError, BusyError, RefusedError, WebError
from corral.handlers.sync.connector import Connector, Page, Quota, Row, Window, instant, stamp
from corral.handlers.sync.money import minor

#: Nothing else may be asked for with somebody's token.
SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,60}\.myshopify\.com")

_QUERY = """query ($first: Int!, $after: String, $query: String) {
  %s(first: $first, after: $after, sortKey: UPDATED_AT, query: $query) {
    nodes { id updatedAt %s }
    pageInfo { hasNextPage endCursor }
  }
}"""
_MONEY = "{ shopMoney { amount currencyCode } }"
_FIELDS = {
    "orders": f"name createdAt cancelledAt displayFinancialStatus currentSubtotalLineItemsQuantity customer {{ id }} "
    f"totalPriceSet {_MONEY} totalRefundedSet {_MONEY}",
    "products": "title status createdAt totalInventory priceRangeV2 { minVariantPrice { amount currencyCode } }",
    "customers": "createdAt numberOfOrders amountSpent { amount currencyCode }",
}


class _Money(Struct, frozen=True, rename="camel"):
    amount: str
    currency_code: str

    @property
    def minor(self) -> int:
        return minor(self.amount, self.currency_code)


class _ShopMoney(Struct, frozen=True, rename="camel"):
    shop_money: _Money


class _Ref(Struct, frozen=True):
    id: str


class _Order(Struct, frozen=True, rename="camel"):
    id: str
    name: str
    created_at: str
    updated_at: str
    total_price_set: _ShopMoney
    total_refunded_set: _ShopMoney
    cancelled_at: str | None = None
    display_financial_status: str | None = None
    current_subtotal_line_items_quantity: int = 0
    customer: _Ref | None = None


class _Range(Struct, frozen=True, rename="camel"):
    min_variant_price: _Money


class _Product(Struct, frozen=True, rename="camel"):
    id: str
    title: str
    status: str
    created_at: str
    updated_at: str
    price_range_v2: _Range
    total_inventory: int | None = None


class _Customer(Struct, frozen=True, rename="camel"):
    id: str
    created_at: str
    updated_at: str
    amount_spent: _Money
    number_of_orders: str | int = 0


class _PageInfo(Struct, frozen=True, rename="camel"):
    has_next_page: bool
    end_cursor: str | None = None


class _Orders(Struct, frozen=True, rename="camel"):
    nodes: list[_Order]
    page_info: _PageInfo


class _Products(Struct, frozen=True, rename="camel"):
    nodes: list[_Product]
    page_info: _PageInfo


class _Customers(Struct, frozen=True, rename="camel"):
    nodes: list[_Customer]
    page_info: _PageInfo


class _Data(Struct, frozen=True):
    orders: _Orders | None = None
    products: _Products | None = None
    customers: _Customers | None = None


class _Code(Struct, frozen=True):
    code: str = ""


class _Error(Struct, frozen=True):
    message: str = ""
    extensions: _Code = _Code()


class _Throttle(Struct, frozen=True, rename="camel"):
    maximum_available: float
    currently_available: float
    restore_rate: float


class _Cost(Struct, frozen=True, rename="camel"):
    requested_query_cost: float
    throttle_status: _Throttle


class _Extensions(Struct, frozen=True):
    cost: _Cost | None = None


class _Reply(Struct, frozen=True):
    data: _Data | None = None
    errors: list[_Error] | str = []
    extensions: _Extensions = _Extensions()


class Shopify(Connector):
    """Orders, products and customers of one shop."""

    platform: ClassVar[str] = "shopify"
    service: ClassVar[str] = "Shopify"
    kinds: ClassVar[tuple[str, ...]] = ("orders", "products", "customers")
    # Without the scope `read_all_orders` a pass sees the orders of 60 days only: older ones are not gone.
    swept: ClassVar[frozenset[str]] = frozenset({"products", "customers"})

    async def page(self, kind: str, window: Window, position: object) -> Page:
        """One page, oldest change first: what changes meanwhile comes again at the end."""
        terms = [f"updated_at:<'{stamp(window.until)}'"]
        if window.since is not None:
            terms.insert(0, f"updated_at:>='{stamp(window.since)}'")
        query = {
            "query": _QUERY % (kind, _FIELDS[kind]),
            "variables": {"first": self.size, "after": position, "query": " ".join(terms)},
        }
        headers = {"X-Shopify-Access-Token": self.access.secret("accessToken")}
        reply, _ = await self.ask("POST", self._url(), _Reply, headers=headers, json=query)
        found = self._found(reply)
        if kind == "orders" and found.orders is not None:
            rows, info = [self._order(one) for one in found.orders.nodes], found.orders.page_info
        elif kind == "products" and found.products is not None:
            rows, info = [self._product(one) for one in found.products.nodes], found.products.page_info
        elif kind == "customers" and found.customers is not None:
            rows, info = [self._customer(one) for one in found.customers.nodes], found.customers.page_info
        else:
            raise WebError(f"Shopify answered without {kind}")
        changed = [row["changed_at"] for row in rows]
        return Page(
            rows=tuple(rows),
            next=info.end_cursor if info.has_next_page else None,
            high=max((at for at in changed if isinstance(at, int)), default=None),
        )

    def _url(self) -> str:
        shop = self.access.target["shop"].lower()
        if not SHOP.fullmatch(shop):
            raise ConfigError(f"shop must be name.myshopify.com, not {shop!r}", key="shop")
        base = self.settings.shopify_url or f"https://{shop}"
        return f"{base.rstrip('/')}/admin/api/{self.settings.shopify_api_version}/graphql.json"

    def _found(self, reply: _Reply) -> _Data:
        cost = reply.extensions.cost
        if cost is not None:
            status = cost.throttle_status
            self.quota = Quota(limit=status.maximum_available, remaining=status.currently_available)
        if not reply.errors and reply.data is not None:
            return reply.data
        errors = [_Error(reply.errors)] if isinstance(reply.errors, str) else reply.errors
        codes, said = {one.extensions.code for one in errors}, "; ".join(one.message for one in errors)[:200]
        if "THROTTLED" in codes:
            raise BusyError("Shopify: the query cost more than is left", after=_until_restored(cost))
        if codes & {"ACCESS_DENIED", "UNAUTHORIZED"}:
            raise AuthError(f"Shopify denies access: {said}")
        if codes & {"INTERNAL_SERVER_ERROR", "TIMEOUT"} or not errors:
            raise WebError(f"Shopify failed: {said}")
        raise RefusedError(f"Shopify refused the query: {said}")

    def _order(self, one: _Order) -> Row:
        placed, total = instant(one.created_at), one.total_price_set.shop_money
        return {
            "external_id": one.id,
            "day": self.access.day(placed),
            "placed_at": placed,
            "changed_at": instant(one.updated_at),
            "number": one.name[:100],
            "status": (one.display_financial_status or "unknown").lower()[:40],
            "cancelled": int(one.cancelled_at is not None),
            "currency": total.currency_code,
            "total_minor": total.minor,
            "refunded_minor": one.total_refunded_set.shop_money.minor,
            "items": one.current_subtotal_line_items_quantity,
            "customer_id": None if one.customer is None else one.customer.id,
        }

    def _product(self, one: _Product) -> Row:
        price = one.price_range_v2.min_variant_price
        return {
            "external_id": one.id,
            "day": self.access.day(instant(one.created_at)),
            "changed_at": instant(one.updated_at),
            "title": one.title,
            "status": one.status.lower()[:40],
            "currency": price.currency_code,
            "price_minor": price.minor,
            "inventory": one.total_inventory,
        }

    def _customer(self, one: _Customer) -> Row:
        joined = instant(one.created_at)
        return {
            "external_id": one.id,
            "day": self.access.day(joined),
            "joined_at": joined,
            "changed_at": instant(one.updated_at),
            "currency": one.amount_spent.currency_code,
            "orders": int(one.number_of_orders),
            "spent_minor": one.amount_spent.minor,
        }


def _until_restored(cost: _Cost | None) -> float | None:
    """How long until as much is there again as the query costs."""
    if cost is None or cost.throttle_status.restore_rate <= 0:
        return None
    missing = cost.requested_query_cost - cost.throttle_status.currently_available
    return max(1.0, missing / cost.throttle_status.restore_rate)
