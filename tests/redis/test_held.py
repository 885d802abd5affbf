"""Jobs over the cap of their name on Redis: their places, and what other programs do to them meanwhile."""

from collections.abc import AsyncIterator

import pytest

from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Completed, Released
from corral.storage.connect import connect
from corral.storage.port import Storage
from corral.storage.redis.connection import Server
from tests.storage.helpers import QUEUE, SECOND, T0, add, add_ids, end, ids_of, new_job, served, start, tally


@pytest.fixture
async def storage(url: str, server: Server) -> AsyncIterator[Storage]:
    """A store in the place that `server` looks into, with room for one job of the usual name."""
    async with connect(url) as store:
        await store.configure(QUEUE, QueueSettings(name_concurrency={"welcome": 1}), now=T0)
        yield store


async def ask(server: Server, command: str, key: str, *words: str | int) -> object:
    """Do something to a key of the queue behind the store's back."""
    [reply] = await server.commands((command, f"{server.place.prefix}:{QUEUE}:{key}", *words))
    return reply


async def ask_own(server: Server, command: str, key: str, *words: str | int) -> object:
    [reply] = await server.commands((command, f"corral:{server.place.prefix}:{QUEUE}:{key}", *words))
    return reply


async def waiting(storage: Storage) -> list[str]:
    page = await storage.page(QUEUE, [JobState.WAITING], newest_first=False)
    return ids_of(page.items)


async def test_a_job_that_goes_to_the_front_stands_before_those_that_were_set_aside(storage: Storage) -> None:
    await add_ids(storage, "a", "b", "c")
    [run] = await start(storage, 3)
    assert await waiting(storage) == ["b", "c"]
    await add(storage, new_job("first", name="other", lifo=True))
    assert await waiting(storage) == ["first", "b", "c"]
    await end(storage, run, Released())
    assert await waiting(storage) == ["a", "first", "b", "c"]
    assert await served(storage, 4) == ["a", "first"]
    assert await waiting(storage) == ["b", "c"]


async def test_set_aside_jobs_with_a_priority_keep_their_place_in_it(storage: Storage) -> None:
    jobs = [new_job(id, priority=3) for id in "abc"]
    await add(storage, *jobs, new_job("d", name="other", priority=3), new_job("low", priority=2_000_000))
    [run, other] = await start(storage, 2)
    await add(storage, new_job("e", name="other", priority=3))
    assert (run.job.id, other.job.id, await waiting(storage)) == ("a", "d", ["b", "c", "e", "low"])
    await end(storage, other, Released())
    assert await waiting(storage) == ["d", "b", "c", "e", "low"]
    await storage.configure(QUEUE, QueueSettings(name_concurrency={}), now=T0)
    assert await waiting(storage) == ["d", "b", "c", "e", "low"]
    assert await served(storage, 9) == ["d", "b", "c", "e", "low"]


async def test_a_set_aside_job_that_nobody_made_room_for_comes_back_by_itself(storage: Storage, server: Server) -> None:
    await add_ids(storage, "a", "b", "c")
    assert await served(storage, 3) == ["a"]
    for key in ("active", "a", "a:lock"):  # somebody removed the run by hand
        await ask(server, "DEL", key)
    assert await served(storage, 3) == []
    assert await served(storage, 3, now=T0 + 60 * SECOND) == ["b"]
    assert await waiting(storage) == ["c"]


async def test_a_set_aside_job_that_a_node_worker_promoted_is_counted_once(storage: Storage, server: Server) -> None:
    await add_ids(storage, "a", "b", "c")
    [run] = await start(storage, 3)
    await ask(server, "ZREM", "delayed", "b")
    await ask(server, "LPUSH", "wait", "b")
    await storage.recover(QUEUE, now=T0)
    assert (await waiting(storage), (await tally(storage)).waiting) == (["b", "c"], 2)
    await end(storage, run, Completed("null"))
    assert await served(storage, 1) == ["b"]


async def test_a_promoted_set_aside_job_that_runs_is_no_longer_set_aside(storage: Storage, server: Server) -> None:
    await add_ids(storage, "a", "b")
    [run] = await start(storage, 2)
    await ask(server, "ZREM", "delayed", "b")
    await ask(server, "LPUSH", "wait", "b")
    await ask(server, "DEL", "active")
    assert await served(storage, 2) == ["b"]
    assert (await waiting(storage), run.job.id) == ([], "a")
    assert await ask_own(server, "EXISTS", "held") == 0


@pytest.mark.parametrize(
    ("ruin", "next_one", "left"),
    [(("DEL",), "c", b"none"), (("SET", "junk"), "c", b"string"), (("HSET", "hold", "junk"), "b", b"hash")],
)
async def test_what_became_of_a_set_aside_job_holds_up_nobody(
    storage: Storage, server: Server, ruin: tuple[str, ...], next_one: str, left: bytes
) -> None:
    await add_ids(storage, "a", "b", "c", "d")
    [run] = await start(storage, 4)
    command, *words = ruin
    await ask(server, command, "b", *words)
    await end(storage, run, Completed("null"))
    assert await served(storage, 4) == [next_one]
    assert await ask(server, "TYPE", "b") == left
