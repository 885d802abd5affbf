"""Results: what a handler returns comes back as plain JSON, and what is not JSON fails its job alone."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import pytest
from pydantic import BaseModel

from corral import Corral
from tests.engine import processes
from tests.engine.helpers import reason, working


class Report(BaseModel):
    at: datetime
    total: int


@dataclass
class Sum:
    at: datetime
    total: int


class Total(msgspec.Struct):
    at: datetime
    total: int


NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("kind", [Report, Sum, Total])
async def test_models_come_back_as_plain_json(app: Corral, kind: Callable[..., object]) -> None:
    queue = app.queue("work")

    @queue.job("sum")
    async def total() -> object:
        return kind(at=NEW_YEAR, total=3)

    async with working(app):
        assert await (await total.add()).result() == {"at": "2026-01-01T00:00:00Z", "total": 3}


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "", "ż🐎\x00\n", [], {}, [1, [2, {"a": None}]], 2**70], ids=repr)
async def test_json_results_come_back_as_they_were(app: Corral, value: object) -> None:
    queue = app.queue("work")

    @queue.job("give")
    async def give() -> object:
        return value

    async with working(app):
        assert await (await give.add()).result() == value


LOOP: dict[str, object] = {}
LOOP["self"] = LOOP
NOT_JSON: dict[str, Callable[[], object]] = {
    "bytes": lambda: b"x",
    "NaN": lambda: {"x": float("nan")},
    "infinity in a dataclass": lambda: Sum(NEW_YEAR, float("inf")),  # type: ignore[arg-type]
    "circular": lambda: LOOP,
    "datetime": lambda: NEW_YEAR,
    "half a surrogate pair": lambda: "\udc00",
    "half a surrogate pair as a key": lambda: {"\udc00": 1},
    "100,000 levels": lambda: json.loads("[" * 900 + "]" * 900),
    "generator": lambda: (number for number in range(3)),
    "set": lambda: {1, 2},
    "object": object,
    "class": lambda: Report,
    "2 MB": lambda: "x" * 2_000_000,
    "tuple keys": lambda: {(1, 2): 3},
    "awaitable": lambda: asyncio.get_running_loop().create_future(),
}


@pytest.mark.parametrize("what", NOT_JSON)
async def test_a_result_that_is_not_json_fails_the_job_at_once_and_no_other(app: Corral, what: str) -> None:
    queue = app.queue("work", attempts=3)

    @queue.job("give")
    async def give() -> object:
        return NOT_JSON[what]()

    @queue.job("next")
    async def following() -> str:
        return "done"

    async with working(app):
        bad, good = await give.add(), await following.add()
        assert (await reason(bad)).startswith("ResultError: result ")
        assert (await bad.get()).attempts_made == 1
        assert await good.result() == "done"


@pytest.mark.parametrize("mode", ["thread", "process"])
async def test_a_result_that_is_not_json_fails_in_every_kind_of_handler(app: Corral, mode: str) -> None:
    queue = app.queue("work", attempts=3)
    job = queue.job("give", process=mode == "process")(processes.give_nan)
    async with working(app):
        handle = await job.add()
        assert (await reason(handle)).startswith("ResultError: result is not JSON")
        assert (await handle.get()).attempts_made == 1
