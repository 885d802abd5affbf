"""Stripe: the list endpoints of its REST API, newest first."""

from typing import ClassVar, TypeVar

from msgspec import Struct

from corral.handlers.sync.connector import DAY, Connector, Page, Row, Window
from corral.timing import Millis

T = TypeVar("T")


class _Charge(Struct, frozen=True):
    id: str
    amount: int
    currency: str
    created: int
    status: str
    customer: str | None = None


class _Refund(Struct, frozen=True):
    id: str
    amount: int
    currency: str
    created: int
    status: str | None = None


class _Customer(Struct, frozen=True):
    id: str
    created: int
    currency: str | None = None


class _Charges(Struct, frozen=True):
    data: list[_Charge]
    has_more: bool = False


class _Refunds(Struct, frozen=True):
    data: list[_Refund]
    has_more: bool = False


class _Customers(Struct, frozen=True):
    data: list[_Customer]
    has_more: bool = False


class Stripe(Connector):
    """Payments (charges), refunds and customers of one account."""

    platform: ClassVar[str] = "stripe"
    service: ClassVar[str] = "Stripe"
    kinds: ClassVar[tuple[str, ...]] = ("payments", "refunds", "customers")
    # Lists know when something was made, not when it changed; a payment is settled or refused within days.
    overlap: ClassVar[Millis] = 3 * DAY
    swept: ClassVar[frozenset[str]] = frozenset({"customers"})

    async def page(self, kind: str, window: Window, position: object) -> Page:
        """One page, newest first."""
        asked: dict[str, str | int | float | bool] = {"limit": self.size, "created[lt]": -(-window.until // 1000)}
        if window.since is not None:
            asked["created[gte]"] = window.since // 1000
        if isinstance(position, str):
            asked["starting_after"] = position
        if kind == "payments":
            charges = await self._list("charges", _Charges, asked)
            rows, more = [self._payment(one) for one in charges.data], charges.has_more
        elif kind == "refunds":
            refunds = await self._list("refunds", _Refunds, asked)
            rows, more = [self._refund(one) for one in refunds.data], refunds.has_more
        else:
            customers = await self._list("customers", _Customers, asked)
            rows, more = [self._customer(one) for one in customers.data], customers.has_more
        made = [at for row in rows for at in (row.get("paid_at"), row.get("joined_at")) if isinstance(at, int)]
        onward = rows[-1]["external_id"] if rows and more else None
        return Page(rows=tuple(rows), next=onward, high=max(made, default=None))

    async def _list(self, what: str, form: type[T], asked: dict[str, str | int | float | bool]) -> T:
        base = (self.settings.stripe_url or "https://api.stripe.com").rstrip("/")
        headers = {
            "Authorization": f"Bearer {self.access.secret('apiKey')}",
            "Stripe-Version": self.settings.stripe_api_version,
        }
        if self.access.target.get("account"):
            headers["Stripe-Account"] = self.access.target["account"]
        found, _ = await self.ask("GET", f"{base}/v1/{what}", form, headers=headers, params=asked)
        return found

    def _payment(self, one: _Charge) -> Row:
        return self._paid(one.id, "charge", one.created, one.status, one.currency, one.amount, one.customer)

    def _refund(self, one: _Refund) -> Row:
        return self._paid(one.id, "refund", one.created, one.status or "unknown", one.currency, one.amount, None)

    def _paid(
        self, id: str, kind: str, created: int, status: str, currency: str, amount: int, customer: str | None
    ) -> Row:
        return {
            "external_id": id,
            "day": self.access.day(created * 1000),
            "paid_at": created * 1000,
            "type": kind,
            "status": status[:40],
            "currency": currency.upper(),
            "amount_minor": amount,
            "customer_id": customer,
        }

    def _customer(self, one: _Customer) -> Row:
        return {
            "external_id": one.id,
            "day": self.access.day(one.created * 1000),
            "joined_at": one.created * 1000,
            "changed_at": one.created * 1000,
            "currency": (one.currency or "").upper(),
            "orders": 0,
            "spent_minor": 0,
        }
