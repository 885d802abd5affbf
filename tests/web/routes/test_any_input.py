"""Whatever is sent, no route answers with an error of the server."""

import asyncio
import json
import random

import httpx
import pytest
from fastapi import FastAPI

from tests.web.routes.conftest import QUEUE, Store

#: Values that break what was not thought of: in paths, parameters, headers and bodies.
ODD = [
    "", " ", "..", "a/b", "50%", "%00", "ü", "💥", "'", '"', "x" * 300, "-1", "0", "999999999999999999999", "1e400",
    "null", "[]", "{}", "*", "\\", "a\tb", "a:b", "<script>", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "true",
]  # fmt: skip
VALUES: list[object] = [
    None, True, 0, -1, 1.5, 10**30, "", "x", "x" * 3_000, "\u0000", "💥", [], {}, [[]], {"a": {"b": []}}, ["a"],
    "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
]  # fmt: skip


def filled(app: FastAPI, dice: random.Random) -> list[tuple[str, str, dict[str, str], object]]:
    """Each operation with odd values in its path, its parameters and its body."""
    document = app.openapi()
    found = []
    for path, item in document["paths"].items():
        if not path.startswith("/api/v1") or path.startswith("/api/v1/events"):
            continue
        for verb, operation in item.items():
            names = {one["name"]: one["in"] for one in operation.get("parameters", ())}
            made = path.removeprefix("/api/v1")
            for name, where in names.items():
                if where == "path":
                    value = dice.choice([QUEUE, "1", *ODD])
                    made = made.replace(f"{{{name}}}", httpx.QueryParams({"v": value or "x"}).__str__()[2:] or "x")
            query = {
                name: dice.choice(ODD) for name, where in names.items() if where == "query" and dice.random() < 0.4
            }
            found.append((verb, made, query, body_of(document, operation, dice)))
    return found


def body_of(document: dict[str, object], operation: dict[str, object], dice: random.Random) -> object:
    """A body that has the fields of the operation's, with odd values in them."""
    text = json.dumps(operation.get("requestBody", {}))
    names = [name for name in document["components"]["schemas"] if f'/{name}"' in text]  # type: ignore[index]
    fields: dict[str, object] = {}
    for name in names:
        for field in document["components"]["schemas"][name].get("properties", {}):  # type: ignore[index]
            if dice.random() < 0.6:
                fields[field] = dice.choice(VALUES)
    return dice.choice([fields, fields, [fields], dice.choice(VALUES)])


@pytest.mark.parametrize("seed", range(4))
async def test_no_input_is_an_error_of_the_server(
    app: FastAPI, admin: httpx.AsyncClient, store: Store, seed: int
) -> None:
    await store.failed()
    await store.add("x", "y", delay_ms=600_000)
    dice = random.Random(seed)
    for verb, path, query, sent in filled(app, dice):
        headers = {"If-Match": dice.choice(["*", '"x"', "", "W/"]), "Accept": dice.choice(["*/*", "text/csv", "x"]),
                   "Prefer": dice.choice(["", "wait=0", "wait=x"]), "Content-Type": "application/json",
                   "Idempotency-Key": dice.choice(["k", "", "x" * 200]) if dice.random() < 0.2 else "k2"}  # fmt: skip
        if dice.random() < 0.8:
            del headers["Idempotency-Key"]
        body = json.dumps(sent) if dice.random() < 0.95 else dice.choice(["{", "[", "", "\ud800"])
        async with asyncio.timeout(60):
            answer = await admin.request(
                verb.upper(), path, params=query, headers=headers,
                content=body.encode("utf-8", "surrogatepass"),
            )  # fmt: skip
        assert answer.status_code < 500, (verb, path, query, sent, headers, answer.text)
