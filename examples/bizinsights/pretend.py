"""Servers that play Shopify, Stripe and Facebook for the demo: a few of their answers, in their words."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import uvicorn
from fastapi import Body, FastAPI, Response
from fastapi.responses import JSONResponse

#: What the demo's platforms accept; they are as much a secret as the rest of this file.
TOKEN = "pretended-0123456789"  # noqa: S105  # of nothing real
_PAGE = {"hasNextPage": False, "endCursor": None}


class _Server(uvicorn.Server):
    """Signals are for the worker beside it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def pretending() -> AsyncIterator[str]:
    """Serve until the end of the block, on a free port of this machine; gives the address."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        make_pretend(), loop="none", ws="none", lifespan="off", log_config=None, access_log=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


def make_pretend() -> FastAPI:
    """The servers, as one application."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    asked = {"stripe": 0}

    @app.post("/admin/api/{version}/graphql.json")
    async def shopify(version: str, body: Annotated[dict[str, object], Body()]) -> dict[str, object]:
        """The orders of the last minutes. Queries cost points, of which there are 1,000."""
        found = re.search(r"\{\s*(orders|products|customers)\(", str(body["query"]))
        kind = "orders" if found is None else found[1]
        nodes = [_order(number) for number in range(12)] if kind == "orders" else []
        status = {"maximumAvailable": 1000.0, "currentlyAvailable": 890.0, "restoreRate": 50.0}
        cost = {"requestedQueryCost": 110, "actualQueryCost": 30, "throttleStatus": status}
        return {"data": {kind: {"nodes": nodes, "pageInfo": _PAGE}}, "extensions": {"cost": cost}}

    @app.get("/v1/{kind}")
    async def stripe(kind: str) -> Response:
        """Busy at first: whoever asks is to come again in two seconds."""
        asked["stripe"] += 1
        if asked["stripe"] == 1:
            return JSONResponse({"error": {"code": "rate_limit"}}, 429, {"Retry-After": "2"})
        data = [_charge(number) for number in range(9)] if kind == "charges" else []
        return JSONResponse({"object": "list", "data": data, "has_more": False})

    @app.get("/{version}/{account}/insights")
    async def facebook(version: str, account: str) -> Response:
        """The token has run out."""
        return JSONResponse({"error": {"message": "Session has expired", "type": "OAuthException", "code": 190}}, 400)

    return app


def _ago(minutes: int) -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)


def _order(number: int) -> dict[str, object]:
    at = _ago(number + 1).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "id": f"gid://shopify/Order/{9_000 + number}", "name": f"#{9_000 + number}", "createdAt": at, "updatedAt": at,
        "cancelledAt": None, "displayFinancialStatus": "PAID", "currentSubtotalLineItemsQuantity": 1 + number % 3,
        "customer": None, "totalPriceSet": {"shopMoney": {"amount": f"{40 + number}.90", "currencyCode": "EUR"}},
        "totalRefundedSet": {"shopMoney": {"amount": "0.0", "currencyCode": "EUR"}},
    }  # fmt: skip


def _charge(number: int) -> dict[str, object]:
    return {
        "id": f"ch_{number}", "object": "charge", "amount": 2_500 + number, "currency": "eur", "status": "succeeded",
        "created": int(_ago(number + 1).timestamp()), "customer": None,
    }  # fmt: skip
