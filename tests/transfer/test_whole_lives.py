"""Moves keep what ties jobs together: deduplication ids, jobs that come after others, groups and their settings."""

from corral.job import After, JobState, ParentRef
from corral.options import Dedup, GroupChange, GroupLimits, Hold, ParentPolicy, QueueSettings, RateLimit
from corral.outcome import Completed, Failed, Failure, Released, Retried
from corral.storage.port import Added, QueueInfo, Storage
from corral.storage.transfer import Movable, Stored
from corral.timing import now_ms
from tests.storage.helpers import QUEUE, T0, add, end, new_job, run_through, served, start, start_one, the, these

from .helpers import carry, everything

OTHER = "other"
HOUR = 3_600_000
TTL = 7_200.0


async def info_of(store: Storage, queue: str = QUEUE) -> QueueInfo:
    return next(info for info in await store.queues() if info.name == queue)


async def stored(store: Movable, queue: str = QUEUE) -> list[Stored]:
    """All jobs as they are carried, in a certain order."""
    return sorted((one.stored for one in await everything(store, queue)), key=lambda one: one.job.id)


# -- deduplication -----------------------------------------------------------------------------------------------------


async def test_the_owner_of_an_id_owns_it_in_the_target(source: Movable, target: Movable) -> None:
    now = now_ms()
    await add(
        source,
        new_job("simple", dedup=Dedup("a")), new_job("timed", dedup=Dedup("b", ttl=TTL)),
        new_job("later", dedup=Dedup("c", ttl=TTL), delay_ms=HOUR), new_job("done", dedup=Dedup("d"), priority=1),
        now=now,
    )  # fmt: skip
    await run_through(source, Completed(), now=now)
    await carry(source, target)
    for dedup_id, owner in (("a", "simple"), ("b", "timed"), ("c", "later"), ("d", None)):
        assert await target.deduplication(QUEUE, dedup_id, now=now + 1) == owner
    assert (await the(target, "done")).dedup_id == "d"
    assert await target.deduplication(QUEUE, "a", now=now + 3 * HOUR) == "simple"
    assert await target.deduplication(QUEUE, "b", now=now + 3 * HOUR) is None
    [kept_out] = await target.add([new_job("more", dedup=Dedup("a"))], now=now + 2)
    assert kept_out == Added("simple", False, True)


async def test_an_owner_that_ends_in_the_target_frees_its_id(source: Movable, target: Movable) -> None:
    await add(source, new_job("owner", dedup=Dedup("a")))
    await carry(source, target)
    await run_through(target, Completed())
    assert await target.deduplication(QUEUE, "a", now=T0) is None


async def test_what_was_kept_for_the_time_after_the_owner_arrives(source: Movable, target: Movable) -> None:
    last = Dedup("a", keep_last=True)
    await add(source, new_job("owner", dedup=last))
    run = await start_one(source)
    await add(source, new_job("next", dedup=last, data='{"n": 2}', priority=7))
    await end(source, run, Released())
    await carry(source, target)
    await run_through(target, Completed())
    follower = await the(target, "next")
    assert (follower.data, follower.priority, follower.dedup_id) == ('{"n": 2}', 7, "a")


async def test_an_id_freed_since_the_last_pass_is_free_in_the_target_too(source: Movable, target: Movable) -> None:
    await add(source, new_job("owner", dedup=Dedup("a")))
    await carry(source, target, keep_running=True)
    assert await target.deduplication(QUEUE, "a", now=T0) == "owner"
    await run_through(source, Completed())
    await carry(source, target)
    assert await target.deduplication(QUEUE, "a", now=T0) is None


# -- jobs after others -------------------------------------------------------------------------------------------------


async def test_jobs_that_come_after_others_do_so_in_the_target(source: Movable, target: Movable) -> None:
    await add(
        source,
        new_job("done"), new_job("first"), new_job("far", queue=OTHER),
        new_job("last", after=(After(QUEUE, "done"), After(QUEUE, "first"), After(OTHER, "far", ParentPolicy.IGNORE))),
        new_job("also", after=(After(QUEUE, "first"),), delay_ms=500),
    )  # fmt: skip
    await run_through(source, Completed('"0"'))
    await carry(source, target)
    assert (await the(target, "last")).pending_children == 2
    assert await run_through(target, Completed('"1"')) == "first"
    assert (await the(target, "also")).run_at == T0 + 500
    await run_through(target, Failed("no"), queue=OTHER)
    children = await target.children(QUEUE, "last")
    assert (children.completed, children.failed) == ({"done": '"0"', "first": '"1"'}, {"far": "no"})
    assert await served(target) == ["last"]


async def test_a_failure_travels_down_in_the_target(source: Movable, target: Movable) -> None:
    await add(
        source,
        new_job("a"), new_job("b", after=(After(QUEUE, "a"),)),
        new_job("up", queue=OTHER, children=1),
        new_job("c", after=(After(QUEUE, "b"),), parent=ParentRef(OTHER, "up", ParentPolicy.FAIL)),
    )  # fmt: skip
    await carry(source, target)
    await run_through(target, Failed("no"))
    assert [(await the(target, id)).state for id in "bc"] == [JobState.FAILED] * 2
    assert (await the(target, "up", queue=OTHER)).state is JobState.FAILED


async def test_what_ended_in_the_source_since_the_last_pass_is_heard_of(source: Movable, target: Movable) -> None:
    await add(source, new_job("a"), new_job("b", after=(After(QUEUE, "a"),)))
    await carry(source, target, keep_running=True)
    await run_through(source, Completed('"1"'))
    await carry(source, target)
    assert (await target.children(QUEUE, "b")).completed == {"a": '"1"'}
    assert await served(target) == ["b"]


async def test_a_time_of_day_stays_one(source: Movable, target: Movable) -> None:
    await add(source, new_job("a"), new_job("b", after=(After(QUEUE, "a"),), run_at=T0 + 9_000))
    await carry(source, target)
    await run_through(target, Completed(), now=T0 + 10)
    assert (await the(target, "b")).run_at == T0 + 9_000


async def test_the_kind_of_a_jobs_failure_goes_along(source: Movable, target: Movable) -> None:
    await add(source, new_job("a"), new_job("b"))
    await run_through(source, Failed("no", failure=Failure("net", "T", "m")))
    await run_through(source, Retried(HOUR, "no", failure=Failure("bug", "T", "m")))
    await carry(source, target)
    assert [(await the(target, id)).fingerprint for id in "ab"] == ["net", "bug"]
    assert await stored(target) == await stored(source)


# -- groups and limits -------------------------------------------------------------------------------------------------


async def test_jobs_of_groups_take_their_turns_in_the_target(source: Movable, target: Movable) -> None:
    jobs = [new_job(f"{group}{number}", group=group) for group in ("x", "y") for number in range(4)]
    await add(source, *jobs, new_job("x-later", group="x", delay_ms=HOUR), new_job("plain"))
    await run_through(source, Completed())
    await carry(source, target)
    await source.configure(QUEUE, QueueSettings(paused=False))
    assert (await the(target, "x-later")).group == "x"
    served_there = await served(target)
    assert [id for id in served_there if id[0] == "y"] == [id for id in await served(source) if id[0] == "y"]
    assert len(served_there) == 8
    assert {id[0] for id in served_there[:2]} == {"x", "y"}


async def test_settings_of_queues_and_groups_arrive(source: Movable, target: Movable) -> None:
    now = now_ms()
    settings = QueueSettings(
        rate_limit=RateLimit(5, per=2), more_limits=(RateLimit(50, per=60), RateLimit(900, per=3600)),
        name_limits={"welcome": (RateLimit(3, per=9),)}, group_limits=GroupLimits(concurrency=2, max_size=7),
        hold=Hold(for_ms=HOUR, reason="their maintenance", probe=True),
        groups={
            "own": GroupChange(limits=GroupLimits(rate_limits=(RateLimit(1, per=60),))),
            "paused": GroupChange(paused=True),
            "held": GroupChange(hold=Hold(for_ms=2 * HOUR, reason="429")),
        },
    )  # fmt: skip
    await source.configure(QUEUE, settings, now=now)
    await add(source, new_job("a", group="own"), new_job("b", group="plain"), now=now)
    await carry(source, target)
    here, there = await info_of(source), await info_of(target)
    for field in ("more_limits", "name_limits", "group_limits", "held_until", "hold_reason", "probing"):
        assert getattr(there, field) == getattr(here, field)
    groups = {group.id: group for group in (await target.groups(QUEUE)).items}
    assert groups == {group.id: group for group in (await source.groups(QUEUE)).items}
    assert set(groups) == {"own", "paused", "held", "plain"}


async def test_a_second_run_finds_nothing_to_do(source: Movable, target: Movable) -> None:
    await add(
        source,
        new_job("a", dedup=Dedup("x", ttl=TTL), group="g"), new_job("b", after=(After(QUEUE, "a"),), delay_ms=9),
        new_job("c", dedup=Dedup("y", keep_last=True), priority=1),
        now=now_ms(),
    )  # fmt: skip
    await carry(source, target)
    before = await stored(target)
    [again] = await carry(source, target)
    assert (again.new, again.updated, again.there, again.conflicts) == (0, 0, 3, ())
    assert await stored(target) == before
    await target.remove(QUEUE, these("b"))
    runs = await start(target, 9, now=now_ms())
    assert {run.job.id for run in runs} == {"a", "c"}
