"""Groups, holds and windows on Redis: what stands where, what other programs do to it, and that nothing is left."""

from collections.abc import AsyncIterator

import pytest

from corral.job import JobState, ParentRef
from corral.options import GroupChange, GroupLimits, Hold, JobOptions, QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Released
from corral.storage.connect import connect
from corral.storage.port import Storage
from corral.storage.redis.connection import Server
from tests.storage.grouping import add_grouped, change_group, every_group, grouped, hold_queue, limit_groups, rates
from tests.storage.helpers import (
    QUEUE,
    T0,
    add_ids,
    all_in,
    end,
    ids_of,
    new_job,
    run_through,
    served,
    start,
    start_one,
    tally,
    these,
    wish,
)

WAITING = JobState.WAITING
#: Scores of grouped jobs in `waiting-children` begin here.
FAR = 2**52
#: What a queue keeps of corral's own whether it has groups or not.
USUAL = {"leases", "state", "minutes", "settings"}


@pytest.fixture
async def storage(url: str, server: Server) -> AsyncIterator[Storage]:
    """A store in the place that `server` looks into."""
    async with connect(url) as store:
        yield store


async def ask(server: Server, command: str, key: str, *words: str | int) -> object:
    """Do something to a key of BullMQ's behind the store's back."""
    [reply] = await server.commands((command, f"{server.place.prefix}:{QUEUE}:{key}", *words))
    return reply


async def ask_own(server: Server, command: str, key: str, *words: str | int) -> object:
    [reply] = await server.commands((command, f"corral:{server.place.prefix}:{QUEUE}:{key}", *words))
    return reply


async def own_keys(server: Server) -> set[str]:
    """corral's keys of the queue, but for the memory of calls."""
    base = f"corral:{server.place.prefix}:{QUEUE}:"
    [found] = await server.commands(("KEYS", f"{base}*"))
    assert isinstance(found, list)
    names = {name.decode().removeprefix(base) for name in found if isinstance(name, bytes)}
    return {name for name in names if not name.startswith("op:")}


async def is_guarded(server: Server) -> bool:
    return await ask(server, "HGET", "meta", "corral") == b"1"


# -- what stands where -------------------------------------------------------------------------------------------------


async def test_a_waiting_job_of_a_group_stands_in_one_set_with_all_others_and_in_bullmqs_waiting_children(
    storage: Storage, server: Server
) -> None:
    await add_grouped(storage, "b1", "a1")
    members = await ask_own(server, "ZRANGE", "grouped", 0, -1)
    assert isinstance(members, list)
    split = [bytes(member).split(b"\0") for member in members]
    assert [(group, rest[23:]) for group, rest in split] == [(b"a", b"a1"), (b"b", b"b1")]
    for job_id in ("a1", "b1"):
        score = await ask(server, "ZSCORE", "waiting-children", job_id)
        assert isinstance(score, bytes)
        assert float(score) == FAR + T0
        assert await ask(server, "HGET", job_id, "gid") == job_id[:1].encode()
        assert await ask(server, "HGET", job_id, "opts") == b'{"group":{"id":"%b"}}' % job_id[:1].encode()
    assert await ask(server, "EXISTS", "wait") == 0
    assert await ask_own(server, "ZRANGE", "ring", 0, -1, "WITHSCORES") == [b"a", b"1", b"b", b"1"]


async def test_a_running_job_of_a_group_stands_where_every_running_job_does(storage: Storage, server: Server) -> None:
    await add_grouped(storage, "a1")
    await start_one(storage)
    assert await ask(server, "LRANGE", "active", 0, -1) == [b"a1"]
    assert await ask(server, "EXISTS", "waiting-children") == 0
    assert await ask_own(server, "ZRANGE", "busy", 0, -1) == [b"a\0a1"]


async def test_a_parent_that_waits_for_children_is_told_from_a_waiting_job_of_a_group(storage: Storage) -> None:
    await storage.add([grouped("a-parent", children=1), new_job("child", parent=ParentRef(QUEUE, "a-parent"))], now=T0)
    await add_grouped(storage, "b1", "b2")
    counts = await tally(storage)
    assert (counts.waiting, counts.waiting_children) == (3, 1)
    page = await storage.page(QUEUE, [JobState.WAITING_CHILDREN], newest_first=True)
    assert (ids_of(page.items), page.total) == (["a-parent"], 1)
    jobs = await storage.get(QUEUE, ["a-parent", "b1"])
    assert [job.state for job in jobs if job] == [JobState.WAITING_CHILDREN, WAITING]
    assert await storage.remove(QUEUE, all_in(JobState.WAITING_CHILDREN), now=T0) == ["a-parent"]
    assert await served(storage) == ["child", "b1", "b2"]


async def test_a_waiting_job_of_a_group_is_not_let_go_again_by_a_child_that_ends_late(storage: Storage) -> None:
    await add_grouped(storage, "a1")
    await storage.add([new_job("child", parent=ParentRef(QUEUE, "a1"), priority=1)], now=T0)
    assert await run_through(storage, Completed()) == "child"
    assert (await tally(storage)).waiting == 1
    assert await served(storage) == ["a1"]
    assert await served(storage) == []


@pytest.mark.parametrize(
    "settings",
    [
        QueueSettings(more_limits=(RateLimit(5),)),
        QueueSettings(name_limits={"welcome": (RateLimit(5),)}),
        QueueSettings(hold=Hold(for_ms=1000)),
        QueueSettings(groups={"a": GroupChange(paused=True)}),
    ],
    ids=lambda settings: next(name for name in settings.__struct_fields__ if getattr(settings, name)),
)
async def test_a_queue_looks_behind_the_door_only_while_there_is_something(
    storage: Storage, server: Server, settings: QueueSettings
) -> None:
    await add_ids(storage, "p1")
    assert not await is_guarded(server)
    await storage.configure(QUEUE, settings, now=T0)
    assert await is_guarded(server)
    nothing = QueueSettings(more_limits=(), name_limits={}, hold=None, groups={"a": GroupChange(paused=False)})
    await storage.configure(QUEUE, nothing, now=T0)
    await storage.recover(QUEUE, now=T0)
    assert not await is_guarded(server)
    assert await served(storage) == ["p1"]


# -- nothing is left ---------------------------------------------------------------------------------------------------


async def test_no_key_is_left_when_the_last_job_of_a_group_is_gone(storage: Storage, server: Server) -> None:
    await add_grouped(storage, "a1", "a2", "b1", "c1", "d1")
    run = await start_one(storage)
    await end(storage, run, Released())
    await storage.remove(QUEUE, these("b1"), now=T0)
    await storage.cancel(QUEUE, these("c1"), now=T0)
    while await storage_is_busy(storage):
        await run_through(storage, Completed())
    assert await own_keys(server) <= USUAL
    await storage.recover(QUEUE, now=T0)
    assert await own_keys(server) <= USUAL
    assert not await is_guarded(server)


async def storage_is_busy(storage: Storage) -> bool:
    counts = await tally(storage)
    return counts.waiting + counts.active > 0


async def test_windows_and_set_aside_jobs_are_tidied_by_the_next_look_after_their_end(
    storage: Storage, server: Server
) -> None:
    await limit_groups(storage, rate_limits=rates((1, 60.0)))
    await storage.configure(QUEUE, QueueSettings(name_limits={"mail": rates((1, 60.0))}), now=T0)
    await storage.add([grouped("a1", name="mail"), grouped("b1", name="mail")], now=T0)
    await run_through(storage, Completed())
    assert await served(storage, now=T0 + 1) == []
    assert await ask_own(server, "ZCARD", "aside") == 1
    await run_through(storage, Completed(), now=T0 + 60_000)
    assert await own_keys(server) >= {"windows", "idle"}
    await storage.configure(QUEUE, QueueSettings(name_limits={}, group_limits=None), now=T0 + 60_000)
    await storage.recover(QUEUE, now=T0 + 120_001)
    assert await own_keys(server) <= USUAL


async def test_obliterating_leaves_nothing_of_groups(storage: Storage, server: Server) -> None:
    await limit_groups(storage, concurrency=2, rate_limits=rates((5, 60.0)))
    await storage.configure(QUEUE, QueueSettings(name_limits={"mail": rates((1, 60.0))}), now=T0)
    await change_group(storage, "b", paused=True)
    await hold_queue(storage, 10)
    await storage.add([grouped(f"a{n}", name="mail") for n in range(4)], now=T0)
    await add_grouped(storage, "b1", "c1")
    await start(storage, 3, now=T0 + 10)
    await storage.obliterate(QUEUE, force=True)
    assert await own_keys(server) == set()
    left = await server.commands(("KEYS", f"{server.place.prefix}:{QUEUE}:*"))
    base = f"{server.place.prefix}:{QUEUE}:".encode()
    assert set(left[0]) <= {base + b"id", base + b"events"}  # type: ignore[arg-type]  # a list of names


async def test_a_queue_that_bullmq_obliterated_leaves_no_jobs_of_groups_behind(
    storage: Storage, server: Server
) -> None:
    await add_grouped(storage, *(f"a{n}" for n in range(300)))
    prefix = f"{server.place.prefix}:{QUEUE}:"
    await server.commands(("DEL", *(prefix + name for name in ("meta", "id", "events", "marker"))))
    await storage.recover(QUEUE, now=T0)
    await storage.recover(QUEUE, now=T0)
    assert await own_keys(server) == set()
    assert await server.commands(("KEYS", f"{prefix}*")) == [[]]


# -- what other programs do --------------------------------------------------------------------------------------------


async def test_a_job_that_another_program_removed_is_passed_over(storage: Storage, server: Server) -> None:
    await add_grouped(storage, "a1", "a2", "b1")
    for job_id in ("a1", "b1"):
        await ask(server, "ZREM", "waiting-children", job_id)
        await ask(server, "DEL", job_id)
    assert (await tally(storage)).waiting == 1
    assert await served(storage) == ["a2"]
    assert set(await every_group(storage)) == {"a"}


async def test_a_job_that_another_program_moved_is_run_once(storage: Storage, server: Server) -> None:
    await add_grouped(storage, "a1", "a2")
    await ask(server, "ZREM", "waiting-children", "a1")
    await ask(server, "LPUSH", "wait", "a1")
    assert sorted(await served(storage)) == ["a1", "a2"]
    assert (await every_group(storage))["a"].active == 2
    assert await served(storage) == []


async def test_jobs_that_another_program_removed_are_forgotten_by_recover(storage: Storage, server: Server) -> None:
    await change_group(storage, "a", paused=True)
    await add_grouped(storage, "a1", "a2", "a3")
    await ask(server, "ZREM", "waiting-children", "a2")
    await ask(server, "DEL", "a2")
    await storage.recover(QUEUE, now=T0)
    assert (await every_group(storage))["a"].waiting == 2


async def test_a_slot_that_another_programs_run_kept_is_given_back_by_recover(storage: Storage, server: Server) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2")
    await start_one(storage)
    # Node's check put it back into `wait`, and a Node worker finished it.
    await ask(server, "LREM", "active", 1, "a1")
    await ask(server, "DEL", "a1:lock")
    await ask(server, "ZADD", "completed", T0, "a1")
    await ask_own(server, "ZREM", "leases", "a1")
    assert await served(storage) == []
    await storage.recover(QUEUE, now=T0)
    assert await served(storage) == ["a2"]


async def test_a_run_of_another_program_keeps_its_slot(storage: Storage, server: Server) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2")
    await start_one(storage)
    await ask_own(server, "ZREM", "leases", "a1")  # Node's runs have a lock and no lease
    await storage.recover(QUEUE, now=T0)
    assert await served(storage) == []


async def test_a_group_that_lost_its_place_in_the_ring_gets_it_back(storage: Storage, server: Server) -> None:
    await add_grouped(storage, "a1")
    await ask_own(server, "DEL", "ring")
    assert await served(storage) == []
    await storage.recover(QUEUE, now=T0)
    assert await served(storage) == ["a1"]


# -- large ones --------------------------------------------------------------------------------------------------------


async def test_commands_over_many_groups_go_slice_by_slice(storage: Storage) -> None:
    names = [f"g{n:03}" for n in range(450)]
    await storage.add([grouped(None, name) for name in names for _ in range(2)], now=T0)
    await limit_groups(storage, concurrency=1)
    assert len(await served(storage, 256)) == 256
    assert len(await served(storage, 256)) == 194
    await limit_groups(storage, concurrency=2)
    assert len(await served(storage, 256)) == 256
    changes = {name: GroupChange(paused=True, limits=GroupLimits(max_size=3)) for name in names}
    await storage.configure(QUEUE, QueueSettings(groups=changes), now=T0)
    infos = await every_group(storage)
    assert len(infos) == 450
    assert all(info.paused and info.limits == GroupLimits(max_size=3) for info in infos.values())
    assert await served(storage, 256) == []
    assert len(await storage.remove(QUEUE, all_in(WAITING), now=T0)) == 194


async def test_a_page_leaps_over_groups(storage: Storage) -> None:
    await storage.add([grouped(f"{n:04}", f"g{n % 50:02}") for n in range(2_000)], now=T0)
    await add_ids(storage, "p1")
    everything = ids_of((await storage.page(QUEUE, [WAITING], limit=3_000)).items)
    assert everything[0] == "p1"
    assert everything[1:] == [f"{n:04}" for group in range(50) for n in range(group, 2_000, 50)]
    page = await storage.page(QUEUE, [WAITING], start=1_501, limit=10)
    assert (ids_of(page.items), page.total) == (everything[1_501:1_511], 2_001)
    page = await storage.page(QUEUE, [WAITING], start=30, limit=5, group="g07")
    assert (ids_of(page.items), page.total) == ([f"{n:04}" for n in range(1_507, 1_757, 50)], 40)


async def test_turns_go_on_through_many_claims_as_through_one(storage: Storage) -> None:
    for queue in ("one", "many"):
        await storage.add([grouped(f"{g}{n}", queue=queue) for g in "cab" for n in range(30)], now=T0)
        await storage.add([new_job(f"p{n}", queue=queue) for n in range(20)], now=T0)
    at_once = await served(storage, 110, queue="one")
    by_threes = [job_id for _ in range(40) for job_id in await served(storage, 3, queue="many")]
    assert at_once == by_threes
    assert at_once[:8] == ["p0", "a0", "b0", "c0", "p1", "a1", "b1", "c1"]


# -- holds -------------------------------------------------------------------------------------------------------------


async def test_a_hold_is_told_to_node_in_the_words_of_its_own_limit(storage: Storage, server: Server) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(10, per=1.0)))
    await storage.configure(QUEUE, QueueSettings(hold=Hold(for_ms=600_000)))
    assert await ask(server, "GET", "limiter") == b"9007199254740991"
    left = await ask(server, "PTTL", "limiter")
    assert isinstance(left, int)
    assert 300_000 < left <= 600_000
    await storage.configure(QUEUE, QueueSettings(hold=None))
    assert await ask(server, "EXISTS", "limiter") == 0
    await storage.add([new_job("p1")])
    assert len((await storage.claim(QUEUE, wish(9))).jobs) == 1


async def test_a_hold_does_not_cut_a_longer_window_short(storage: Storage, server: Server) -> None:
    await storage.configure(QUEUE, QueueSettings(rate_limit=RateLimit(1, per=3600.0)))
    await storage.add([new_job("p1"), new_job("p2")])
    assert len((await storage.claim(QUEUE, wish(9))).jobs) == 1
    await storage.configure(QUEUE, QueueSettings(hold=Hold(for_ms=1)))
    assert await ask(server, "GET", "limiter") == b"1"


async def test_a_group_whose_job_failed_while_its_settings_changed_stays_consistent(storage: Storage) -> None:
    await limit_groups(storage, concurrency=1)
    await add_grouped(storage, "a1", "a2")
    run = await start_one(storage)
    await change_group(storage, "a", paused=True)
    await end(storage, run, Failed("no"))
    assert await served(storage) == []
    await change_group(storage, "a", paused=False)
    assert await served(storage) == ["a2"]


async def test_many_jobs_that_another_program_removed_are_passed_over_bit_by_bit(
    storage: Storage, server: Server
) -> None:
    gone = [f"a{n}" for n in range(1_000)]
    await add_grouped(storage, *gone, "b1")
    await server.commands(
        ("DEL", *(f"{server.place.prefix}:{QUEUE}:{job_id}" for job_id in gone)),
        ("ZREM", f"{server.place.prefix}:{QUEUE}:waiting-children", *gone),
    )
    found = [job_id for _ in range(5) for job_id in await served(storage)]
    assert found == ["b1"]
    assert set(await every_group(storage)) == {"b"}


async def test_a_job_that_comes_back_in_the_claim_that_set_it_aside_is_not_lost(storage: Storage) -> None:
    await storage.add([grouped("a1", name="x"), grouped("a2", name="x"), grouped("b1", name="x")], now=T0)
    await start_one(storage)
    await storage.configure(QUEUE, QueueSettings(name_concurrency={"x": 1}), now=T0)
    # Its end makes room for one of its name, which has been set aside a moment ago.
    await storage.add([grouped("c1", name="x", options=JobOptions(lifespan_ms=10))], now=T0)
    assert await served(storage, now=T0 + 11) == []
    page = await storage.page(QUEUE, [WAITING])
    assert ids_of(page.items) == ["a2", "b1"]
    assert (await tally(storage)).waiting == 2


async def test_the_first_job_of_a_group_held_for_a_time_rings_for_those_who_sleep(
    storage: Storage, server: Server
) -> None:
    await change_group(storage, "a", hold=Hold(for_ms=60_000))
    await change_group(storage, "b", paused=True)
    await ask(server, "DEL", "marker")
    await add_grouped(storage, "b1")
    assert await ask(server, "EXISTS", "marker") == 0  # nobody can tell when it will go on
    await add_grouped(storage, "a1")
    assert await ask(server, "EXISTS", "marker") == 1
