"""What BullMQ has made goes to SQLite and comes back with everything that corral has no word for."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from corral.job import JobState
from corral.options import QueueSettings
from corral.outcome import Completed
from corral.schedule import Every
from corral.storage.movable import movable
from corral.storage.transfer import Movable
from corral.timing import now_ms
from tests.interop.dumps import golden
from tests.interop.keys import Keys
from tests.interop.scenes import Scene, scenes
from tests.redis_server import RedisServer, fresh_prefix, with_prefix
from tests.storage.helpers import new_job, run_through, the

from .helpers import carry

#: Every fourth scene of those in which nothing runs and nothing is decided on the way.
SCENES = [scene for scene in scenes() if scene.topic in ("adding", "deduplication", "flows", "work")][::4]
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
        redis.asyncio.Redis.from_url(in_database(redis_url, 1), decode_responses=True) as second,
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


async def test_a_job_that_bullmq_has_condemned_fails_in_sqlite_at_once(
    redis_url: str, databases: tuple[Any, Any], prefix: str, tmp_path: Path
) -> None:
    keys = Keys(databases[0], prefix)
    [scene] = [scene for scene in scenes() if str(scene) == "flows-fail-child-failed"]
    await keys.load(golden(scene, prefix).keys)
    await there_and_back(redis_url, prefix, tmp_path)
    async with movable(f"sqlite:///{tmp_path}/between.db") as between:
        top = await the(between, "top")
        assert (top.state, top.failed_reason) == (JobState.FAILED, f"child {prefix}:parts:bad failed")
    assert (await Keys(databases[1], prefix).ids("mail"))["failed"] == ["top"]


async def test_a_job_scheduler_of_node_becomes_a_schedule_and_runs_once(
    redis_url: str, databases: tuple[Any, Any], prefix: str, tmp_path: Path
) -> None:
    keys = Keys(databases[0], prefix)
    [scene] = [scene for scene in scenes() if str(scene) == "schedulers-every-third"]
    recorded = golden(scene, prefix)
    await keys.load(recorded.keys)
    [told] = recorded.queues["mail"]["schedulers"]
    await there_and_back(redis_url, prefix, tmp_path)
    for url in (f"sqlite:///{tmp_path}/between.db", with_prefix(in_database(redis_url, 1), prefix)):
        async with movable(url) as store:
            [schedule] = (await store.schedules(queue="mail")).items
            assert (schedule.key, schedule.timing, schedule.next_at) == ("tick", Every(3_600), told["next"])
            assert f"repeat:tick:{told['next']}" not in [job.id for job in await all_jobs(store)]
    there = Keys(databases[1], prefix)
    assert (await there.dump())["mail:repeat"][1] == [["tick", told["next"]]]
    assert (await there.ids("mail"))["delayed"] == [f"repeat:tick:{told['next']}"]


async def all_jobs(store: Movable) -> list[Any]:
    return list((await store.page("mail", tuple(JobState), limit=1_000)).items)


async def test_a_deduplication_id_stays_taken(
    redis_url: str, databases: tuple[Any, Any], prefix: str, tmp_path: Path
) -> None:
    here, there = databases
    fields = {"name": "n", "data": "{}", "opts": '{"de":{"id":"d"}}', "timestamp": "1", "delay": "0", "priority": "0"}
    for job_id, deid in (("1", "for-ever"), ("2", "a-while"), ("3", "not-mine")):
        await here.hset(f"{prefix}:mail:{job_id}", mapping={**fields, "deid": deid})
        await here.lpush(f"{prefix}:mail:wait", job_id)
    await here.set(f"{prefix}:mail:id", 3)
    await here.hset(f"{prefix}:mail:meta", "opts.maxLenEvents", 10_000)
    await here.set(f"{prefix}:mail:de:for-ever", "1")
    await here.set(f"{prefix}:mail:de:a-while", "2", px=600_000)
    await here.set(f"{prefix}:mail:de:not-mine", "9")
    assert await there_and_back(redis_url, prefix, tmp_path) == [True, True]
    assert await there.mget(*(f"{prefix}:mail:de:{one}" for one in ("for-ever", "a-while", "not-mine"))) == [
        "1", "2", None,
    ]  # fmt: skip
    assert await there.ttl(f"{prefix}:mail:de:for-ever") == -1
    assert 0 < await there.pttl(f"{prefix}:mail:de:a-while") <= 600_000


async def test_what_nobody_can_read_is_reported_and_stops_nothing(
    redis_url: str, databases: tuple[Any, Any], prefix: str, tmp_path: Path
) -> None:
    async with (
        movable(with_prefix(redis_url, prefix)) as here,
        movable(f"sqlite:///{tmp_path}/there.db") as there,
    ):
        await here.add([new_job(name) for name in ("good", "latin", "odd", "ghost")])
        raw = databases[0]
        await raw.hset(f"{prefix}:mail:latin", "data", b'"\xe9"')
        await raw.delete(f"{prefix}:mail:odd", f"{prefix}:mail:ghost")
        await raw.set(f"{prefix}:mail:odd", "no hash")
        [done] = await carry(here, there)
        assert (done.new, sorted(done.unreadable), done.complete) == (1, ["latin", "odd"], False)
        assert await run_through(there, Completed("1"), now=now_ms()) == "good"


async def test_no_step_takes_more_than_a_hundred_jobs(tmp_path: Path) -> None:
    jobs = 1_000
    with RedisServer() as server:
        async with (
            movable(f"sqlite:///{tmp_path}/here.db") as here,
            movable(server.url) as there,
            redis.asyncio.Redis.from_url(server.url) as raw,
        ):
            await here.add([new_job(delay_ms=number % 2 * 1_000_000) for number in range(jobs)])
            await here.configure("mail", QueueSettings(paused=True))
            before = await scripts_run(raw)
            await here_to_there(here, there, jobs)
            # Each job is looked for, written, and looked at again to check: a hundred in 2 ms.
            assert await scripts_run(raw) - before >= 3 * jobs // 100


async def scripts_run(raw: Any) -> int:
    stats = await raw.info("commandstats")
    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


async def here_to_there(here: Movable, there: Movable, jobs: int) -> None:
    [done] = await carry(here, there)
    assert (done.new, done.complete) == (jobs, True)
