"""The verbs on Redis: large queues in slices, keys as Node leaves them, and what must not be touched."""

from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from corral.event import EventType
from corral.job import PENDING, JobState, NewJob, ParentRef
from corral.options import QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Retried
from corral.schedule import Every, Schedule
from corral.storage.connect import connect
from corral.storage.port import JobPatch, Selection, Storage
from corral.storage.redis.connection import Server
from tests.redis_server import fresh_prefix, with_prefix
from tests.storage.helpers import (
    QUEUE,
    T0,
    Tape,
    add,
    add_ids,
    all_in,
    end,
    gone,
    new_job,
    run_through,
    served,
    start,
    start_one,
    tally,
    the,
    these,
)

RANK = 2**32


@pytest.fixture
async def storage(url: str, server: Server) -> AsyncIterator[Storage]:
    """A store in the place that `server` looks into."""
    async with connect(url) as store:
        yield store


class Keys:
    """Looks at and writes the keys of the queue by hand."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.base = f"{server.place.prefix}:{QUEUE}:"
        self.own = f"corral:{self.base}"

    async def ask(self, command: str, name: str, *words: str | int | float) -> object:
        [reply] = await self._server.commands((command, self.base + name, *words))
        return reply

    async def texts(self, command: str, name: str, *words: str | int | float) -> list[str]:
        reply = await self.ask(command, name, *words)
        assert isinstance(reply, list)
        return [word.decode() for word in reply if isinstance(word, bytes)]

    async def node_job(self, id: str, *more: str | int) -> None:
        fields = ("name", "welcome", "data", "{}", "opts", "{}", "timestamp", T0, "delay", 0, "priority", 0)
        await self.ask("HSET", id, *fields, *more)

    async def all(self) -> set[str]:
        """The names of all keys of the queue, but for the memory of calls."""
        [found] = await self._server.commands(("KEYS", f"*{self.base}*"))
        assert isinstance(found, list)
        names = {key.decode().replace(self.base, "") for key in found if isinstance(key, bytes)}
        return {name for name in names if not name.startswith("corral:op:")}


@pytest.fixture
def keys(server: Server) -> Keys:
    return Keys(server)


async def fill(storage: Storage, count: int, *names: str, **fields: object) -> list[str]:
    """Add jobs j0, j1 …, of these names by turns."""
    ids = [f"j{n}" for n in range(count)]
    turns = names or ("x",)
    jobs = [replace(new_job(id, turns[n % len(turns)]), **fields) for n, id in enumerate(ids)]
    await storage.add(jobs, now=T0)
    return ids


# -- slices ------------------------------------------------------------------------------------------------------------


async def test_thousands_are_reached_in_one_call_and_in_order(storage: Storage) -> None:
    ids = await fill(storage, 2_500)
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, limit=2_000), now=T0) == ids[:2_000]
    assert await storage.cancel(QUEUE, all_in(*PENDING, limit=2_000), now=T0) == ids[2_000:]
    assert await storage.retry(QUEUE, all_in(JobState.FAILED, limit=2_000), now=T0) == ids[2_000:]
    assert await served(storage) == ids[2_000:2_256]


async def test_those_of_a_name_are_found_among_thousands_and_the_others_keep_their_order(storage: Storage) -> None:
    ids = await fill(storage, 2_400, "x", "y", "y")
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, name="x", limit=9_999), now=T0) == ids[::3]
    left = [id for n, id in enumerate(ids) if n % 3]
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, limit=9_999), now=T0) == left


async def test_the_last_of_a_name_are_spared_among_thousands(storage: Storage) -> None:
    ids = await fill(storage, 2_400, "x", "y", "y")
    which = all_in(JobState.WAITING, name="x", beyond=100, limit=9_999)
    assert await storage.remove(QUEUE, which, now=T0) == ids[::3][:-100]
    assert await storage.remove(QUEUE, which, now=T0) == []
    assert (await tally(storage)).waiting == 1_700


async def test_the_last_delayed_ones_are_spared(storage: Storage) -> None:
    ids = await fill(storage, 1_500, delay_ms=500)
    which = all_in(JobState.DELAYED, beyond=2, limit=9_999)
    assert await storage.promote(QUEUE, which, now=T0) == ids[:-2]
    assert (await tally(storage)).delayed == 2


async def test_ids_are_found_wherever_they_stand(storage: Storage) -> None:
    ids = await fill(storage, 1_600)
    wanted = [*ids[::2], "ghost", *ids[::2]]
    which = Selection(ids=tuple(wanted), limit=len(wanted))
    assert await storage.remove(QUEUE, which, now=T0) == ids[::2]
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, limit=9_999), now=T0) == ids[1::2]


@settings(max_examples=25, deadline=None)
@given(plan=st.lists(st.sampled_from(["x", "y", "urgent", "late", "low"]), max_size=40), limit=st.integers(1, 50))
async def test_a_filter_takes_what_it_says_and_leaves_the_order(
    shared_url: str, plan: Sequence[str], limit: int
) -> None:
    shapes: dict[str, dict[str, object]] = {"urgent": {"priority": 3}, "low": {"priority": 2_000_000}}
    async with connect(with_prefix(shared_url, fresh_prefix())) as storage:
        jobs = [
            replace(new_job(f"j{n}", "y" if kind == "y" else "x"), **shapes.get(kind, {}))
            for n, kind in enumerate(plan)
        ]
        await storage.add(jobs, now=T0)
        order = sorted(jobs, key=lambda job: (job.priority == 2_000_000, not job.priority))
        meant = [job.id for job in order if job.name == "x"][:limit]
        assert await storage.remove(QUEUE, all_in(JobState.WAITING, name="x", limit=limit), now=T0) == meant
        assert await served(storage) == [job.id for job in order if job.id not in meant]


# -- what comes in while it goes on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["remove", "cancel"])
async def test_jobs_over_their_cap_are_reached_too(storage: Storage, verb: str) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 2}), now=T0)
    await fill(storage, 30, "slow")
    running = await start(storage, 30)
    assert len(running) == 2
    await end(storage, running[0], Completed())
    assert (await tally(storage)).waiting == 28
    reached = await getattr(storage, verb)(QUEUE, all_in(JobState.WAITING), now=T0)
    assert sorted(reached) == sorted(f"j{n}" for n in range(2, 30))
    assert (await tally(storage)).waiting == 0
    await add(storage, new_job("next", "slow"))
    assert await served(storage) == ["next"]


@pytest.mark.parametrize("verb", ["remove", "cancel"])
async def test_a_family_of_hundreds_goes_as_a_whole(storage: Storage, verb: str) -> None:
    parent = ParentRef(QUEUE, "parent")
    kids = [new_job(f"kid{n}", parent=parent) for n in range(450)]
    await storage.add([new_job("parent", children=len(kids)), *kids], now=T0)
    reached = await getattr(storage, verb)(QUEUE, all_in(*PENDING), now=T0)
    assert sorted(reached) == sorted(["parent", *(kid.id or "" for kid in kids)])
    counts = await tally(storage)
    assert (counts.waiting, counts.waiting_children, counts.delayed) == (0, 0, 0)


async def test_active_ones_are_asked_to_stop_once(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await fill(storage, 9, "slow")
    running = await start(storage, 9)
    tape = await Tape.of(storage)
    reached = await storage.cancel(QUEUE, all_in(*PENDING, JobState.ACTIVE), now=T0)
    assert sorted(reached) == sorted(f"j{n}" for n in range(9))
    cancelled = [id for kind, id in await tape.told() if kind is EventType.CANCELLED]
    assert sorted(id or "" for id in cancelled) == sorted(reached)
    assert [run.job.id for run in running] == ["j0"]


# -- what Node leaves --------------------------------------------------------------------------------------------------


async def test_the_list_that_version_5_pauses_into_is_looked_into(storage: Storage, keys: Keys) -> None:
    for id in ("a", "b", "c"):
        await keys.node_job(id)
        await keys.ask("LPUSH", "paused", id)
    assert await storage.remove(QUEUE, these("b"), now=T0) == ["b"]
    assert await storage.cancel(QUEUE, all_in(JobState.WAITING, limit=1), now=T0) == ["a"]
    assert await keys.texts("LRANGE", "paused", 0, -1) == ["c"]


async def test_resuming_merges_that_list_however_long_it_is(storage: Storage, keys: Keys) -> None:
    await keys.ask("HSET", "meta", "paused", 1)
    tape = await Tape.of(storage)
    moved = [f"p{n}" for n in range(12_000)]
    for first in range(0, len(moved), 1_000):
        await keys.ask("LPUSH", "paused", *moved[first : first + 1_000])
    await keys.ask("LPUSH", "wait", "w0", "w1")
    await storage.configure(QUEUE, QueueSettings(paused=False), now=T0)
    assert await keys.texts("LRANGE", "wait", 0, -1) == ["w1", "w0", *reversed(moved)]
    assert await keys.ask("EXISTS", "paused") == 0
    assert await tape.kinds() == [EventType.RESUMED]
    assert await keys.texts("ZRANGE", "marker", 0, -1) == ["0"]


async def test_pausing_moves_nothing_and_takes_the_marker_away(storage: Storage, keys: Keys) -> None:
    await add_ids(storage, "a")
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    assert await keys.texts("LRANGE", "wait", 0, -1) == ["a"]
    assert await keys.ask("EXISTS", "marker") == 0
    assert await keys.texts("HMGET", "meta", "paused") == ["1"]


async def test_a_rate_limit_is_written_and_lifted_as_a_whole(storage: Storage, keys: Keys) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(2, per=0.5), concurrency=3), now=T0)
    assert await keys.texts("HMGET", "meta", "max", "duration", "concurrency") == ["2", "500", "3"]
    await storage.configure(QUEUE, QueueSettings(rate_limit=None, concurrency=None), now=T0)
    assert await keys.ask("HMGET", "meta", "max", "duration", "concurrency") == [None, None, None]


async def test_places_without_a_job_are_swept_and_not_named(storage: Storage, keys: Keys) -> None:
    await add_ids(storage, "a")
    await keys.ask("RPUSH", "wait", "orphan", "0:0")
    await keys.ask("ZADD", "completed", T0, "orphan", T0, "meta")
    await keys.ask("SET", "text", "no job")
    await keys.ask("RPUSH", "wait", "text")
    assert await storage.promote(QUEUE, these("orphan", "meta", "text", "events"), now=T0) == []
    assert await storage.remove(QUEUE, all_in(JobState.WAITING, JobState.COMPLETED), now=T0) == ["a"]
    assert await keys.ask("EXISTS", "wait") == 0
    assert await keys.ask("EXISTS", "completed") == 0
    assert await keys.ask("GET", "text") == b"no job"
    assert await keys.ask("EXISTS", "meta") == 1


async def test_nothing_is_done_to_what_only_looks_like_a_job(storage: Storage, keys: Keys) -> None:
    await keys.ask("HSET", "repeat:daily", "name", "daily", "every", 1000)
    await storage.configure(QUEUE, QueueSettings(paused=True), now=T0)
    before = await keys.all()
    for id in ("repeat:daily", "meta", "marker", "events", ""):
        assert await storage.remove(QUEUE, these(id), now=T0) == []
        assert await storage.update(QUEUE, [JobPatch(job_id=id, data="1", priority=1, progress="1")], now=T0) == []
        assert await storage.log(QUEUE, id, ["line"]) == 0
    assert await keys.all() == before


async def test_the_next_run_of_one_of_nodes_schedulers_is_spared(storage: Storage, keys: Keys) -> None:
    pending = f"repeat:daily:{T0 + 500}"
    await keys.node_job(pending, "rjk", "daily")
    await keys.ask("ZADD", "delayed", (T0 + 500) * 4096, pending)
    await keys.ask("ZADD", "repeat", T0 + 500, "daily")
    earlier = f"repeat:daily:{T0 + 100}"
    await keys.node_job(earlier, "rjk", "daily")
    await keys.ask("ZADD", "delayed", (T0 + 100) * 4096, earlier)
    for verb in (storage.cancel, storage.remove):
        assert await verb(QUEUE, these(pending), now=T0) == []
    assert await storage.promote(QUEUE, all_in(JobState.DELAYED), now=T0) == [earlier]
    assert await storage.promote(QUEUE, these(pending), now=T0) == [pending]  # as Node's own promote does
    assert await storage.remove(QUEUE, all_in(*PENDING), now=T0) == [earlier]
    assert await storage.remove(QUEUE, these(pending), now=T0) == []
    assert await keys.texts("LRANGE", "wait", 0, -1) == [pending]


async def test_a_run_of_nodes_scheduler_that_is_retried_is_a_job_as_any_other(storage: Storage, keys: Keys) -> None:
    pending = f"repeat:daily:{T0 + 500}"
    await keys.node_job(pending, "rjk", "daily", "ats", 1)
    await keys.ask("ZADD", "delayed", (T0 + 900) * 4096, pending)
    await keys.ask("ZADD", "repeat", T0 + 500, "daily")
    assert await storage.promote(QUEUE, all_in(JobState.DELAYED), now=T0) == [pending]


async def test_the_place_of_a_schedule_is_spared(storage: Storage) -> None:
    schedule = Schedule(key="k", queue=QUEUE, name="n", timing=Every(60), next_at=T0 + 60_000)
    await storage.put_schedules([schedule], now=T0)
    for verb in (storage.cancel, storage.remove, storage.promote):
        assert await verb(QUEUE, all_in(*PENDING), now=T0) == []
        assert await verb(QUEUE, these(f"repeat:k:{T0 + 60_000}"), now=T0) == []
    patch = JobPatch(job_id=f"repeat:k:{T0 + 60_000}", delay_ms=5)
    await storage.update(QUEUE, [patch], now=T0)
    assert await served(storage, now=T0 + 10) == []


async def test_the_owner_of_a_deduplication_id_gives_it_back(storage: Storage, keys: Keys) -> None:
    for id in ("owner", "other"):
        await keys.node_job(id, "deid", "D")
        await keys.ask("LPUSH", "wait", id)
    await keys.ask("SET", "de:D", "owner")
    await keys.ask("HSET", "dn:D", "name", "next")
    await storage.remove(QUEUE, these("other"), now=T0)
    assert await keys.ask("GET", "de:D") == b"owner"
    await storage.remove(QUEUE, these("owner"), now=T0)
    assert await keys.ask("EXISTS", "de:D") == 0
    assert await keys.ask("EXISTS", "dn:D") == 0


async def test_a_job_in_active_without_a_lock_is_active_all_the_same(storage: Storage, keys: Keys) -> None:
    await keys.node_job("stalled")
    await keys.ask("LPUSH", "active", "stalled")
    assert await storage.remove(QUEUE, these("stalled"), now=T0) == []
    assert await storage.cancel(QUEUE, these("stalled"), reason="why", now=T0) == ["stalled"]
    assert await keys.texts("HMGET", "stalled", "cancel") == ["why"]


async def test_a_parent_of_the_wrong_kind_stops_nothing(storage: Storage, keys: Keys) -> None:
    await keys.node_job("kid", "parentKey", keys.base + "text", "parent", "{}", "finishedOn", T0)
    await keys.node_job("later", "parentKey", keys.base + "text", "parent", "{}")
    for name in ("text", "text:dependencies", "text:processed"):
        await keys.ask("SET", name, "no job")
    await keys.ask("ZADD", "failed", T0, "kid")
    await keys.ask("LPUSH", "wait", "later")
    assert await storage.retry(QUEUE, these("kid"), now=T0) == ["kid"]
    assert await storage.remove(QUEUE, all_in(JobState.WAITING), now=T0) == ["later", "kid"]


# -- fields ------------------------------------------------------------------------------------------------------------


async def test_a_retried_job_has_nothing_left_of_its_end_but_the_reason(storage: Storage, keys: Keys) -> None:
    await add(storage, new_job("a", delay_ms=500))
    await storage.cancel(QUEUE, these("a"), reason="late", now=T0)
    await storage.retry(QUEUE, these("a"), now=T0 + 7)
    fields = ("finishedOn", "processedOn", "returnvalue", "atm", "delay", "rdy", "failedReason")
    assert await keys.ask("HMGET", "a", *fields) == [
        None, None, None, None, b"0", str(T0 + 7).encode(), b"cancelled: late",
    ]  # fmt: skip


async def test_a_job_of_an_old_version_forgets_its_attempts_too(storage: Storage, keys: Keys) -> None:
    await keys.node_job("a", "attemptsMade", 4, "finishedOn", T0, "failedReason", "no")
    await keys.ask("ZADD", "failed", T0, "a")
    await storage.retry(QUEUE, these("a"), now=T0)
    assert (await the(storage, "a")).attempts_made == 0


async def test_removed_jobs_leave_no_key_behind(storage: Storage, keys: Keys) -> None:
    await add(storage, new_job("a"), new_job("b", delay_ms=9), new_job("c", priority=4))
    before = {"events", "id", "meta", "pc"}
    await run_through(storage, Failed(reason="no"))
    await storage.log(QUEUE, "a", ["line"])
    await storage.remove(QUEUE, all_in(*JobState), now=T0)
    left = {name for name in await keys.all() if not name.startswith(("metrics", "corral:"))}
    assert left <= before | {"marker"}


async def test_a_held_job_with_a_new_priority_waits_at_its_new_place(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    await fill(storage, 3, "slow")
    running = await start_one(storage)
    assert await served(storage) == []
    await storage.update(QUEUE, [JobPatch(job_id="j2", priority=1)], now=T0)
    await end(storage, running, Completed())
    assert (await start_one(storage)).job.id == "j2"


async def test_a_new_delay_of_a_retry_wins_over_its_old_one(storage: Storage) -> None:
    await add_ids(storage, "a")
    await run_through(storage, Retried(after_ms=60_000, reason="no"))
    await storage.update(QUEUE, [JobPatch(job_id="a", delay_ms=10)], now=T0)
    assert await served(storage, now=T0 + 9) == []
    assert await served(storage, now=T0 + 10) == ["a"]


async def test_lifted_caps_put_everybody_back_in_order(storage: Storage) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}), now=T0)
    ids = await fill(storage, 1_300, "slow")
    await add(storage, new_job("other"))
    for _ in range(20):
        await served(storage)
    await storage.configure(QUEUE, QueueSettings(name_concurrency={}), now=T0)
    left = [await served(storage) for _ in range(6)]
    assert [id for batch in left for id in batch] == ids[1:]


# -- obliterate --------------------------------------------------------------------------------------------------------


async def test_an_obliterated_queue_leaves_its_numbers_and_nothing_else(storage: Storage, keys: Keys) -> None:
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}, concurrency=900), now=T0)
    await fill(storage, 700, "slow", "x", "y")
    await start(storage, 200)
    await add(storage, new_job("later", delay_ms=5), new_job("low", priority=9), new_job("parent", children=1))
    await add(storage, new_job("kid", parent=ParentRef(QUEUE, "parent")), new_job())
    await storage.remember(QUEUE, "note", "v", ttl_ms=99, now=T0)
    await storage.put_schedules([Schedule(key="k", queue=QUEUE, name="n", timing=Every(60), next_at=T0)], now=T0)
    await keys.ask("ZADD", "repeat", T0, "daily")
    await keys.ask("HSET", "repeat:daily", "name", "daily")
    number = await keys.ask("GET", "id")
    await storage.obliterate(QUEUE, force=True)
    assert await keys.all() == {"id", "events"}
    assert (await keys.ask("GET", "id"), await keys.ask("XLEN", "events")) == (number, 0)
    assert await storage.queues() == []


async def test_a_queue_that_was_obliterated_is_listed_when_it_is_used_again(storage: Storage) -> None:
    await add_ids(storage, "a")
    await storage.obliterate(QUEUE)
    await add_ids(storage, "b")
    assert [info.name for info in await storage.queues()] == [QUEUE]


async def test_a_queue_that_never_was_leaves_nothing(storage: Storage, keys: Keys) -> None:
    await storage.obliterate(QUEUE)
    assert await keys.all() == set()


async def test_parents_elsewhere_run_when_the_queue_of_their_children_is_obliterated(storage: Storage) -> None:
    kids = [NewJob(queue=QUEUE, name="kid", parent=ParentRef("up", "parent")) for _ in range(600)]
    await storage.add([new_job("parent", queue="up", children=600), *kids], now=T0)
    await storage.obliterate(QUEUE)
    assert await served(storage, queue="up") == ["parent"]
    assert await gone(storage, "1")
