"""The five platforms, as far as they are asked: with pages, limits, and keys that they do not accept.

Each keeps what it was asked (`asked`) and answers from `troubles` first, one after the other.
"""

import base64
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import jwt
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

Object = dict[str, Any]


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def millis(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def answer(content: object, status: int = 200, **headers: str) -> Response:
    return Response(
        json.dumps(content), status=status, content_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )  # fmt: skip


class Fake(ABC):
    """What they have in common."""

    def __init__(self, server: HTTPServer, path: str) -> None:
        self.troubles: list[Response | Callable[[], None] | None] = []
        self.asked: list[Object] = []
        self.url = server.url_for("").rstrip("/")
        server.expect_request(re.compile(path)).respond_with_handler(self._respond)

    def _respond(self, request: Request) -> Response:
        trouble = self.troubles.pop(0) if self.troubles else None
        if isinstance(trouble, Response):
            return trouble
        if trouble is not None:
            trouble()  # something happens while they think about it
        return self.respond(request)

    @abstractmethod
    def respond(self, request: Request) -> Response:
        """What the platform answers."""


class FakeShopify(Fake):
    """A shop's GraphQL Admin API."""

    token = "shpat_0123456789abcdef"

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server, r"/admin/api/[0-9-]+/graphql\.json")
        self.objects: dict[str, list[Object]] = {"orders": [], "products": [], "customers": []}

    def order(self, number: int, at: int, total: str = "10.00", currency: str = "EUR", **more: object) -> Object:
        money = {"shopMoney": {"amount": total, "currencyCode": currency}}
        none = {"shopMoney": {"amount": "0.0", "currencyCode": currency}}
        made: Object = {
            "id": f"gid://shopify/Order/{number}", "name": f"#{number}", "createdAt": iso(at), "updatedAt": iso(at),
            "cancelledAt": None, "displayFinancialStatus": "PAID", "currentSubtotalLineItemsQuantity": 2,
            "customer": {"id": "gid://shopify/Customer/1"}, "totalPriceSet": money, "totalRefundedSet": none, **more,
        }  # fmt: skip
        self.objects["orders"] = [one for one in self.objects["orders"] if one["id"] != made["id"]] + [made]
        return made

    def product(self, number: int, at: int) -> Object:
        made: Object = {
            "id": f"gid://shopify/Product/{number}", "title": f"Thing {number}", "status": "ACTIVE",
            "createdAt": iso(at), "updatedAt": iso(at), "totalInventory": 5,
            "priceRangeV2": {"minVariantPrice": {"amount": "9.95", "currencyCode": "EUR"}},
        }  # fmt: skip
        self.objects["products"].append(made)
        return made

    def customer(self, number: int, at: int) -> Object:
        made: Object = {
            "id": f"gid://shopify/Customer/{number}", "createdAt": iso(at), "updatedAt": iso(at), "numberOfOrders": "3",
            "amountSpent": {"amount": "30.00", "currencyCode": "EUR"},
        }  # fmt: skip
        self.objects["customers"].append(made)
        return made

    @staticmethod
    def throttled(left: float = 10, cost: float = 110, rate: float = 50) -> Response:
        return answer({"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
                       "extensions": FakeShopify.cost(left, cost, rate)})  # fmt: skip

    @staticmethod
    def cost(left: float = 900, cost: float = 110, rate: float = 50) -> Object:
        status = {"maximumAvailable": 1000.0, "currentlyAvailable": left, "restoreRate": rate}
        return {"cost": {"requestedQueryCost": cost, "actualQueryCost": None, "throttleStatus": status}}

    def respond(self, request: Request) -> Response:
        if request.headers.get("X-Shopify-Access-Token") != self.token:
            return answer({"errors": "[API] Invalid API key or access token"}, 401)
        asked = request.get_json()
        variables = asked["variables"]
        found = re.search(r"\{\s*(orders|products|customers)\(", asked["query"])
        assert found is not None
        kind = found[1]
        self.asked.append({"kind": kind, **variables})
        since = re.search(r"updated_at:>='([^']+)'", variables["query"])
        until = re.search(r"updated_at:<'([^']+)'", variables["query"])
        assert until is not None
        nodes = [
            one
            for one in sorted(self.objects[kind], key=lambda one: (one["updatedAt"], one["id"]))
            if (since is None or one["updatedAt"] >= since[1]) and one["updatedAt"] < until[1]
        ]
        start = 0 if variables["after"] is None else int(variables["after"])
        end = start + variables["first"]
        info = {"hasNextPage": end < len(nodes), "endCursor": str(end)}
        return answer({"data": {kind: {"nodes": nodes[start:end], "pageInfo": info}}, "extensions": self.cost()})


class FakeWoo(Fake):
    """A WordPress site with WooCommerce."""

    key, secret = "ck_0123456789", "cs_0123456789"

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server, r"/wp-json/wc/v3/(orders|products|customers)")
        self.objects: dict[str, list[Object]] = {"orders": [], "products": [], "customers": []}
        self.between: Callable[[], None] | None = None  #: what happens in the shop after an answer

    def order(self, id: int, at: int, total: str = "10.00", status: str = "completed", **more: object) -> Object:
        made: Object = {
            "id": id, "number": str(id), "status": status, "currency": "EUR", "total": total, "customer_id": 7,
            "date_created_gmt": iso(at)[:-1], "date_modified_gmt": iso(at)[:-1], "refunds": [],
            "line_items": [{"quantity": 1}, {"quantity": 2}], **more,
        }  # fmt: skip
        self.objects["orders"] = [one for one in self.objects["orders"] if one["id"] != id] + [made]
        return made

    def product(self, id: int, at: int) -> None:
        self.objects["products"].append(
            {"id": id, "name": f"Thing {id}", "status": "publish", "price": "9.95", "stock_quantity": None,
             "date_created_gmt": iso(at)[:-1], "date_modified_gmt": iso(at)[:-1]}
        )  # fmt: skip

    def customer(self, id: int, at: int) -> None:
        self.objects["customers"].append(
            {"id": id, "date_created_gmt": iso(at)[:-1], "date_modified_gmt": None, "email": "ann@example.org"}
        )

    def respond(self, request: Request) -> Response:
        want = "Basic " + base64.b64encode(f"{self.key}:{self.secret}".encode()).decode()
        if request.headers.get("Authorization") != want:
            return answer({"code": "woocommerce_rest_cannot_view", "message": "Sorry", "data": {"status": 401}}, 401)
        kind, asked = request.path.rpartition("/")[2], request.args
        self.asked.append({"kind": kind, **asked})
        field = "date_created_gmt" if asked["orderby"] == "registered_date" else "date_modified_gmt"
        after, before = asked.get("modified_after"), asked.get("modified_before")
        nodes = [
            one
            for one in sorted(
                self.objects[kind], key=lambda one: (one[field], one["id"]), reverse=asked["order"] == "desc"
            )
            if (after is None or one[field] + "Z" > after) and (before is None or one[field] + "Z" < before)
        ]
        size, page = int(asked["per_page"]), int(asked["page"])
        pages = -(-len(nodes) // size)
        made = answer(nodes[(page - 1) * size : page * size], X_WP_Total=str(len(nodes)), X_WP_TotalPages=str(pages))
        if self.between is not None:
            self.between()
        return made


class FakeStripe(Fake):
    """Stripe's list endpoints."""

    key = "sk_test_0123456789"

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server, r"/v1/(charges|refunds|customers)")
        self.objects: dict[str, list[Object]] = {"charges": [], "refunds": [], "customers": []}

    def charge(self, id: str, at: int, amount: int = 1000, currency: str = "eur", status: str = "succeeded") -> Object:
        made: Object = {"id": id, "object": "charge", "amount": amount, "currency": currency, "created": at // 1000,
                        "status": status, "customer": "cus_1"}  # fmt: skip
        self.objects["charges"] = [one for one in self.objects["charges"] if one["id"] != id] + [made]
        return made

    def refund(self, id: str, at: int, amount: int = 500) -> None:
        self.objects["refunds"].append(
            {"id": id, "object": "refund", "amount": amount, "currency": "eur", "created": at // 1000,
             "status": "succeeded"}
        )  # fmt: skip

    def customer(self, id: str, at: int) -> None:
        self.objects["customers"].append({"id": id, "object": "customer", "created": at // 1000, "currency": None})

    def respond(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return answer({"error": {"type": "invalid_request_error", "message": f"Invalid API Key: {self.key}"}}, 401)
        kind, asked = request.path.rpartition("/")[2], request.args
        self.asked.append({"kind": kind, "version": request.headers.get("Stripe-Version"),
                           "account": request.headers.get("Stripe-Account"), **asked})  # fmt: skip
        since, until = int(asked.get("created[gte]", 0)), int(asked["created[lt]"])
        nodes = [
            one
            for one in sorted(self.objects[kind], key=lambda one: (-one["created"], one["id"]))
            if since <= one["created"] < until
        ]
        if "starting_after" in asked:
            ids = [one["id"] for one in nodes]
            if asked["starting_after"] not in ids:
                return answer({"error": {"code": "resource_missing", "message": "No such object"}}, 404)
            nodes = nodes[ids.index(asked["starting_after"]) + 1 :]
        limit = int(asked["limit"])
        return answer({"object": "list", "data": nodes[:limit], "has_more": len(nodes) > limit, "url": request.path})


class FakeGoogle(Fake):
    """Google's sign-in and the Analytics Data API."""

    def __init__(self, server: HTTPServer, public_key: str) -> None:
        super().__init__(server, r"/v1beta/properties/\d+:runReport")
        self.public_key = public_key
        self.lines: list[tuple[str, str, list[str]]] = []
        self.signed_in = 0
        server.expect_request("/token", method="POST").respond_with_handler(self._sign_in)

    def day(self, day: str, channel: str, sessions: int, revenue: str = "0") -> None:
        self.lines = [one for one in self.lines if one[:2] != (day, channel)]
        numbers = [str(sessions), str(sessions - 1), "1", "5", "50", "2", revenue]
        self.lines.append((day, channel, numbers))

    def _sign_in(self, request: Request) -> Response:
        form = parse_qs(request.get_data(as_text=True))
        assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        try:
            claims = jwt.decode(
                form["assertion"][0], self.public_key, algorithms=["RS256"], audience=f"{self.url}/token",
                options={"verify_iat": False, "verify_exp": False},
            )  # fmt: skip
        except jwt.InvalidSignatureError:
            return answer({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, 400)
        assert claims["scope"] == "https://www.googleapis.com/auth/analytics.readonly"
        self.signed_in += 1
        return answer({"access_token": "ya29.token", "expires_in": 3599, "token_type": "Bearer"})

    def respond(self, request: Request) -> Response:
        if request.headers.get("Authorization") != "Bearer ya29.token":
            return answer({"error": {"code": 401, "status": "UNAUTHENTICATED", "message": "no"}}, 401)
        asked = request.get_json()
        self.asked.append(asked)
        (span,) = asked["dateRanges"]
        lines = [line for line in sorted(self.lines) if span["startDate"] <= line[0] <= span["endDate"]]
        start, limit = int(asked["offset"]), int(asked["limit"])
        rows = [
            {"dimensionValues": [{"value": day.replace("-", "")}, {"value": channel}],
             "metricValues": [{"value": number} for number in numbers]}
            for day, channel, numbers in lines[start : start + limit]
        ]  # fmt: skip
        return answer(
            {"rows": rows, "rowCount": len(lines), "metadata": {"currencyCode": "EUR", "timeZone": "Europe/Oslo"},
             "propertyQuota": {"tokensPerDay": {"consumed": 5, "remaining": 24_995}}}
        )  # fmt: skip


class FakeMeta(Fake):
    """The insights of an ad account, on the Graph API."""

    token = "EAAB0123456789"

    def __init__(self, server: HTTPServer) -> None:
        super().__init__(server, r"/v[0-9.]+/act_\d+/insights")
        self.lines: list[Object] = []

    def day(self, day: str, campaign: str, spend: str, bought: int = 1) -> None:
        same = day, campaign
        self.lines = [one for one in self.lines if (one["date_start"], one["campaign_id"]) != same]
        count = str(bought)
        self.lines.append(
            {"campaign_id": campaign, "campaign_name": f"Campaign {campaign}", "impressions": "1000", "clicks": "20",
             "spend": spend, "account_currency": "EUR", "date_start": day, "date_stop": day,
             "actions": [{"action_type": "link_click", "value": "19"}, {"action_type": "purchase", "value": count},
                         {"action_type": "omni_purchase", "value": count}],
             "action_values": [{"action_type": "purchase", "value": "40.50"}]}
        )  # fmt: skip

    @staticmethod
    def failure(code: int, status: int = 400, minutes: int | None = None) -> Response:
        body = {"error": {"message": "no", "type": "OAuthException", "code": code, "fbtrace_id": "A"}}
        if minutes is None:
            return answer(body, status)
        return answer(body, status, X_Business_Use_Case_Usage=FakeMeta.usage(100, minutes))

    @staticmethod
    def usage(used: int, minutes: int = 0) -> str:
        return json.dumps({"123": [{"type": "ads_insights", "call_count": used, "total_cputime": 1, "total_time": 2,
                                    "estimated_time_to_regain_access": minutes}]})  # fmt: skip

    def respond(self, request: Request) -> Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.failure(190, 401)
        asked = request.args
        span = json.loads(asked["time_range"])
        self.asked.append({**asked, **span})
        lines = [
            one for one in sorted(self.lines, key=lambda one: (one["date_start"], one["campaign_id"]))
            if span["since"] <= one["date_start"] <= span["until"]
        ]  # fmt: skip
        start, limit = int(asked.get("after", 0)), int(asked["limit"])
        paging: Object = {"cursors": {"before": str(start), "after": str(start + limit)}}
        if start + limit < len(lines):
            paging["next"] = "https://graph.facebook.com/next"
        return answer(
            {"data": lines[start : start + limit], "paging": paging}, X_Business_Use_Case_Usage=self.usage(12)
        )
