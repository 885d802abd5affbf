"""What a store says it is made of."""

from corral.job import NewJob
from corral.storage.connect import connect
from corral.storage.port import Storage


async def test_a_store_tells_what_it_is_made_of_and_how_large_it_is(storage: Storage, engine: str) -> None:
    await storage.add([NewJob(queue="mail", name="welcome", data='"' + "x" * 50_000 + '"')])
    found = await storage.engine()
    assert found.kind == engine
    assert found.version
    sizes = {"sqlite": found.db_bytes, "redis": found.memory_bytes}
    assert (sizes[engine] or 0) > 50_000 or (found.wal_bytes or 0) > 50_000
    assert found.evicted_keys == {"sqlite": None, "redis": 0}[engine]
    assert found.eviction_policy == {"sqlite": "", "redis": "noeviction"}[engine]


async def test_a_store_in_memory_has_no_log() -> None:
    async with connect("sqlite:///:memory:") as storage:
        found = await storage.engine()
    assert found.kind == "sqlite"
    assert found.wal_bytes is None
