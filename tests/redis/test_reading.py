"""Reading what others wrote: keys as Node leaves them, large queues, and hashes that are no jobs."""

from collections.abc import Iterable, Mapping

import pytest

from corral.event import EventType
from corral.job import JobState
from corral.storage.insight import Page
from corral.storage.redis.connection import Server
from corral.storage.redis.eventlog import EventLog
from corral.storage.redis.queries import Queries
from tests.redis.helpers import opened
from tests.redis_server import RedisServer

QUEUE = "mail"
T0 = 1_700_000_000_000
RANK = 2**32


class Keys:
    """Writes BullMQ's keys of one queue by hand."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.prefix = server.place.prefix
        self.base = f"{self.prefix}:{QUEUE}:"
        self.own = f"corral:{self.base}"

    async def write(self, *commands: tuple[str | bytes | int | float, ...]) -> None:
        await self._server.commands(*commands)

    async def jobs(self, ids: Iterable[str], name: str = "welcome", at: int = T0) -> None:
        """The hashes of some jobs, in no state yet."""
        fields = ("name", name, "data", "{}", "opts", "{}", "timestamp", at, "delay", 0, "priority", 0)
        await self.write(*(("HSET", self.base + id, *fields) for id in ids))

    async def lists(self, key: str, ids: list[str]) -> None:
        """Ids into a list, each at the head, as adds and claims do."""
        await self.write(("LPUSH", self.base + key, *ids))

    async def sorted_set(self, key: str, scores: Mapping[str, float]) -> None:
        pairs = [word for id, score in scores.items() for word in (score, id)]
        await self.write(("ZADD", (self.own if key.startswith("held") else self.base) + key, *pairs))


@pytest.fixture
def keys(server: Server) -> Keys:
    return Keys(server)


@pytest.fixture
def queries(server: Server) -> Queries:
    return Queries(server, server.place.prefix)


async def page(queries: Queries, *states: JobState, start: int = 0, limit: int = 50, newest: bool = True) -> list[str]:
    found = await queries.page(QUEUE, states, start, limit, newest, None)
    return [job.id for job in found.items]


async def total(queries: Queries, *states: JobState) -> int:
    return (await queries.page(QUEUE, states, 0, 0, True, None)).total


async def test_all_places_of_waiting_jobs_are_one_list(keys: Keys, queries: Queries) -> None:
    ids = ["urgent", "held-urgent", "held", "legacy", "plain", "next", "low"]
    await keys.jobs(ids)
    await keys.lists("wait", ["plain", "next"])
    await keys.lists("paused", ["legacy"])
    await keys.sorted_set("prioritized", {"urgent": 1 * RANK + 5, "low": 2_000_000 * RANK + 1})
    held = {"held-urgent": 0 * RANK + 9, "held": 1_000_000 * RANK + 2**31 + 1}
    await keys.sorted_set("held", held)
    await keys.sorted_set("delayed", dict.fromkeys(held, (T0 + 60_000) * 4096))
    assert await page(queries, JobState.WAITING) == ids
    assert await total(queries, JobState.WAITING) == 7
    assert await page(queries, JobState.DELAYED) == []
    [counts] = await queries.counts([QUEUE])
    assert (counts.waiting, counts.delayed) == (7, 0)
    assert [job and job.state for job in await queries.get(QUEUE, ids)] == [JobState.WAITING] * 7


async def test_active_jobs_come_latest_first_also_those_of_node(keys: Keys, queries: Queries) -> None:
    await keys.jobs(["a", "b", "c"])
    await keys.lists("active", ["a", "b", "c"])
    assert await page(queries, JobState.ACTIVE) == ["c", "b", "a"]
    assert await page(queries, JobState.ACTIVE, newest=False) == ["a", "b", "c"]
    assert [job and job.state for job in await queries.get(QUEUE, ["a", "b", "c", "a", "b"])] == [JobState.ACTIVE] * 5


async def test_any_stretch_of_several_states_is_the_one_of_the_whole(keys: Keys, queries: Queries) -> None:
    done = {f"c{n}": T0 + 3 * n for n in range(400)}
    lost = {f"f{n}": T0 + 5 * n + 1 for n in range(300)}
    parents = {f"p{n}": T0 + 7 * n + 2 for n in range(50)}
    everything = {**done, **lost, **parents}
    await keys.jobs(everything)
    for key, scores in (("completed", done), ("failed", lost), ("waiting-children", parents)):
        await keys.sorted_set(key, scores)
    states = (JobState.COMPLETED, JobState.FAILED, JobState.WAITING_CHILDREN)
    for newest in (True, False):
        whole = sorted(everything.values(), reverse=newest)
        for start in (0, 1, 49, 333, 600, 749, 750, 9_999):
            ids = await page(queries, *states, start=start, limit=23, newest=newest)
            assert [everything[id] for id in ids] == whole[start : start + 23], (newest, start)


async def test_a_page_longer_than_one_reply_comes_whole(keys: Keys, queries: Queries) -> None:
    ids = [f"j{n}" for n in range(1_500)]
    await keys.jobs(ids[::2], "even")
    await keys.jobs(ids[1::2], "odd")
    await keys.lists("wait", ids)
    assert await page(queries, JobState.WAITING, limit=2_000) == ids
    assert await page(queries, JobState.WAITING, start=100, limit=1_200) == ids[100:1_300]
    found = await queries.page(QUEUE, [JobState.WAITING], 700, 100, True, "odd")
    assert ([job.id for job in found.items], found.total) == (ids[1_401::2], 750)


async def test_large_jobs_are_read_in_several_replies(keys: Keys, queries: Queries) -> None:
    ids = [f"j{n}" for n in range(12)]
    await keys.jobs(ids)
    await keys.write(*(("HSET", keys.base + id, "data", '"' + "x" * 1_000_000 + '"') for id in ids))
    await keys.lists("wait", ids)
    assert await page(queries, JobState.WAITING) == ids
    assert [job and job.id for job in await queries.get(QUEUE, ids)] == ids


async def test_ids_without_a_job_are_left_out_and_do_not_shorten_a_page(keys: Keys, queries: Queries) -> None:
    await keys.jobs(["a", "b", "c"])
    await keys.write(("SET", keys.base + "odd", "no hash"))
    await keys.lists("wait", ["a", "orphan", "b", "odd", "c"])
    assert await page(queries, JobState.WAITING, limit=3) == ["a", "b", "c"]
    assert await queries.get(QUEUE, ["orphan", "odd"]) == [None, None]


@pytest.mark.parametrize("id", ["meta", "repeat:daily", "dn:x", "metrics:completed", "wait", "events"])
async def test_a_queues_own_keys_are_no_jobs(keys: Keys, queries: Queries, id: str) -> None:
    await keys.write(
        ("HSET", keys.base + "meta", "version", "bullmq:6.7.0"),
        ("HSET", keys.base + "repeat:daily", "name", "digest", "every", 1000, "ic", 1),
        ("HSET", keys.base + "dn:x", "name", "digest", "data", "{}", "opts", "{}"),
        ("HSET", keys.base + "metrics:completed", "count", 3),
        ("LPUSH", keys.base + "wait", "x"),
        ("XADD", keys.base + "events", "*", "event", "drained"),
    )
    assert await queries.get(QUEUE, [id]) == [None]


async def test_bytes_that_are_no_text_do_not_hide_the_others(keys: Keys, queries: Queries) -> None:
    await keys.jobs(["a", "b"])
    await keys.write(("HSET", keys.base + "a", "data", b'"caf\xe9"'), ("RPUSH", keys.base + "a:logs", b"\xff\xfe"))
    await keys.lists("wait", ["a", "b"])
    found = await queries.page(QUEUE, [JobState.WAITING], 0, 50, True, None)
    assert [(job.id, job.data) for job in found.items] == [("a", '"caf\ufffd"'), ("b", "{}")]
    assert await queries.logs(QUEUE, "a", 0, 10) == Page(("\ufffd\ufffd",), 1)


async def test_a_delayed_jobs_due_time_is_read_from_its_place(keys: Keys, queries: Queries) -> None:
    await keys.jobs(["a"])
    await keys.sorted_set("delayed", {"a": (T0 + 5) * 4096 + 3})
    [job] = await queries.get(QUEUE, ["a"])
    assert job is not None
    assert (job.state, job.run_at) == (JobState.DELAYED, T0 + 5)


async def test_the_place_of_a_schedule_is_no_job_yet(keys: Keys, queries: Queries) -> None:
    slot = f"repeat:daily:{T0}"
    await keys.jobs([slot, "a"])
    await keys.sorted_set("delayed", {slot: T0 * 4096, "a": (T0 + 1) * 4096})
    await keys.write(
        ("ZADD", keys.base + "repeat", T0, "daily"),
        ("HSET", keys.own + "schedules", "daily", "{}"),
        ("ZADD", keys.own + "slots", T0, "daily"),
    )
    assert await page(queries, JobState.DELAYED) == ["a"]
    assert await total(queries, JobState.DELAYED) == 1
    assert (await queries.counts([QUEUE]))[0].delayed == 1
    assert await queries.get(QUEUE, [slot]) == [None]


async def test_the_pending_run_of_a_scheduler_of_node_is_a_job(keys: Keys, queries: Queries) -> None:
    run = f"repeat:daily:{T0}"
    await keys.jobs([run])
    await keys.sorted_set("delayed", {run: T0 * 4096})
    await keys.write(("ZADD", keys.base + "repeat", T0, "daily"))
    assert await page(queries, JobState.DELAYED) == [run]
    assert (await queries.counts([QUEUE]))[0].delayed == 1


async def test_children_of_many_hundreds_are_all_told(keys: Keys, queries: Queries) -> None:
    kids = [f"{keys.prefix}:kids:k{n}" for n in range(1_500)]
    await keys.jobs(["parent"])
    await keys.write(
        ("SADD", keys.base + "parent:dependencies", *kids[:600]),
        ("HSET", keys.base + "parent:processed", *(word for kid in kids[600:1_400] for word in (kid, "1"))),
        ("HSET", keys.base + "parent:failed", *(word for kid in kids[1_400:1_490] for word in (kid, "no"))),
        ("ZADD", keys.base + "parent:unsuccessful", *(word for kid in kids[1_490:] for word in (T0, kid))),
        ("ZADD", f"{keys.prefix}:kids:failed", T0, "k0"),
        ("HSET", kids[0], "failedReason", "boom"),
        ("HSET", kids[1_490], "failedReason", "bang"),
    )
    children = await queries.children(QUEUE, "parent")
    assert set(children.pending) == {("kids", f"k{n}") for n in range(1, 600)}
    assert children.completed == {f"k{n}": "1" for n in range(600, 1_400)}
    assert len(children.failed) == 101
    assert (children.failed["k0"], children.failed["k1400"], children.failed["k1490"]) == ("boom", "no", "bang")


async def test_queues_that_only_node_uses_are_found(keys: Keys, queries: Queries) -> None:
    await keys.write(
        ("HSET", f"{keys.prefix}:of-node:meta", "paused", 1, "max", 7, "duration", 2_500, "concurrency", 3),
        ("HSET", f"{keys.prefix}x:other:meta", "paused", 1),
        ("SADD", f"corral:{keys.prefix}::queues", "ours"),
    )
    theirs, ours = await queries.queues()
    assert (ours.name, ours.paused) == ("ours", False)
    assert (theirs.name, theirs.paused, theirs.concurrency) == ("of-node", True, 3)
    assert theirs.rate_limit is not None
    assert (theirs.rate_limit.count, theirs.rate_limit.per_ms) == (7, 2_500)


async def test_settings_that_mean_nothing_are_left_out(keys: Keys, queries: Queries) -> None:
    await keys.write(
        ("SADD", f"corral:{keys.prefix}::queues", QUEUE),
        ("HSET", keys.base + "meta", "max", 0, "duration", 1_000, "concurrency", "many"),
        ("HSET", keys.own + "settings", "names", "[]", "keep_failed", "soon", "add_count", "x"),
    )
    [info] = await queries.queues()
    assert (info.rate_limit, info.add_limit, info.concurrency) == (None, None, None)
    assert (info.name_concurrency, info.keep_failed) == ({}, None)


async def test_minutes_of_two_weeks_are_read_like_those_of_an_hour(keys: Keys, queries: Queries) -> None:
    minute = 60_000
    begin = T0 - T0 % minute
    words = [word for n in range(5_000) for word in (begin + n * minute, f"{n} 1 2 3 4")]
    await keys.write(("HSET", keys.own + "minutes", *words))
    for since, until, count in ((0, 2**45, 5_000), (begin + 1, begin + 60 * minute, 59), (begin, begin + 1, 1)):
        buckets = await queries.metrics(QUEUE, since, until)
        assert len(buckets) == count
        assert [bucket.at for bucket in buckets] == sorted(bucket.at for bucket in buckets)
    [first] = await queries.metrics(QUEUE, begin, begin + 1)
    assert (first.completed, first.failed, first.retried, first.wait_ms, first.run_ms) == (0, 1, 2, 3, 4)


async def test_an_acl_without_scan_leaves_the_queues_of_corral(own: RedisServer) -> None:
    own.ask("ACL", "SETUSER", "limited", "on", ">s3cret", "~*", "+@all", "-scan")
    own.ask("HSET", "bull:of-node:meta", "paused", "1")
    own.ask("SADD", "corral:bull::queues", "ours")
    async with opened(own.url.replace("://", "://limited:s3cret@")) as server:
        assert [info.name for info in await Queries(server, "bull").queues()] == ["ours"]


async def test_events_are_read_over_any_number_of_entries_that_say_nothing(keys: Keys, server: Server) -> None:
    log = EventLog(server, keys.prefix)
    stream = keys.base + "events"
    await keys.write(*(("XADD", stream, "*", "event", "waiting", "jobId", str(n)) for n in range(60)))
    nothing, cursor = await log.read(QUEUE, "", 1, 0.0)
    assert nothing == []
    await keys.write(("XADD", stream, "*", "event", "drained"))
    for place in ("", cursor):
        [event], _ = await log.read(QUEUE, place, 1, 0.0)
        assert event.type is EventType.IDLE


@pytest.mark.parametrize("cursor", ["junk", "123", "-", "1-2-3", "99999999999999999999-0", "é-1"])
async def test_a_cursor_of_another_engine_means_the_oldest(keys: Keys, server: Server, cursor: str) -> None:
    await keys.write(("XADD", keys.base + "events", "*", "event", "drained"))
    [event], _ = await EventLog(server, keys.prefix).read(QUEUE, cursor, 10, 0.0)
    assert event.type is EventType.IDLE
