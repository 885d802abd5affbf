"""What BullMQ has made goes to SQLite and comes back with everything that corral has no word for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from corral.storage.movable import movable
from tests.interop.dumps import golden
from tests.interop.keys import Keys
from tests.interop.scenes import Scene, scenes
from tests.redis_server import fresh_prefix, with_prefix

from .helpers import carry

#: Every third scene of those in which nothing runs and nothing is decided on the way.
SCENES = [scene for scene in scenes() if scene.topic in ("adding", "deduplication", "flows", "work")][::3]
#: Of a queue, and not of its jobs; or rebuilt by the target for itself.
PASSING = ("events", "id", "marker", "pc", "meta", "lock", "stalled", "stalled-check", "limiter", "unsuccessful")


@pytest.fixture
def prefix() -> str:
    """The same in both databases: full keys stand in children and parents."""
    return fresh_prefix()


@pytest.fixture
async def databases(redis_url: str) -> AsyncIterator[tuple[Any, Any]]:
    """Plain clients of two databases of one server."""
    async with (
        redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as first,
        redis.asyncio.Redis.from_url(redis_url, db=1, decode_responses=True) as second,
    ):
        yield first, second


def in_database(url: str, number: int) -> str:
    return url.partition("?")[0].rstrip("/").removesuffix("/0") + f"/{number}"


async def there_and_back(redis_url: str, prefix: str, folder: Path) -> list[bool]:
    """From database 0 into a file and from there into database 1; tells which queues were moved whole."""
    async with (
        movable(with_prefix(redis_url, prefix)) as here,
        movable(f"sqlite:///{folder}/between.db") as between,
        movable(with_prefix(in_database(redis_url, 1), prefix)) as there,
    ):
        return [one.complete for one in [*await carry(here, between), *await carry(between, there)]]


def jobs_of(dump: dict[str, list[Any]], places: dict[str, list[str]]) -> dict[str, object]:
    """Hashes of jobs, with what belongs to them."""
    ids = {f"mail:{job_id}" for found in places.values() for job_id in found}
    found: dict[str, object] = {}
    for name, (kind, value, _) in dump.items():
        owner = next((one for one in ids if name == one or name.startswith(f"{one}:")), None)
        if owner is None or name.rpartition(":")[2] in PASSING:
            continue
        if kind == "hash":
            value = {field: text for field, text in value.items() if field != "moved" and not field.startswith("kid:")}
        found[name] = value
    return found


@pytest.mark.parametrize("scene", SCENES, ids=str)
async def test_jobs_of_bullmq_come_back_to_the_letter(
    scene: Scene, redis_url: str, databases: tuple[Any, Any], prefix: str, tmp_path: Path
) -> None:
    here, there = (Keys(client, prefix) for client in databases)
    await here.load(golden(scene, prefix).keys)
    async with movable(with_prefix(redis_url, prefix)) as store:
        await store.recover("mail")  # BullMQ's own jobs are taken back at the second look
        await store.recover("mail")
    before, places = await here.dump(), await here.ids("mail")
    condemned = {name for name, (kind, value, _) in before.items() if kind == "hash" and "defa" in value}
    await there_and_back(redis_url, prefix, tmp_path)
    after = jobs_of(await there.dump(), places)
    expected = jobs_of(before, places)
    running = {f"mail:{job_id}" for job_id in places["active"]}
    left_out = running | condemned
    assert {name: value for name, value in after.items() if name not in left_out} == {
        name: value for name, value in expected.items() if name not in left_out
    }
