"""Moves from each engine to each: nothing is lost, nothing runs twice, and a move may be broken off and run again."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from corral.errors import ConfigError, QueueNotFoundError, StorageUnavailableError
from corral.event import EventType
from corral.job import After, JobState, ParentRef
from corral.move.mover import Mover, move
from corral.move.verdict import REASON
from corral.options import Keep, ParentPolicy, QueueSettings
from corral.outcome import Completed, Failed, Parked, Released
from corral.storage.movable import movable
from corral.storage.port import QueueCounts
from corral.storage.transfer import Movable
from corral.timing import now_ms
from tests.storage.helpers import (
    QUEUE,
    T0,
    add,
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
    wish,
)

from .conftest import Pair
from .helpers import OTHER, carry, content, fill

HOUR = 3_600_000
FAR_QUEUE = f"{OTHER}-of-{QUEUE}"


async def paused(store: Movable, queue: str = QUEUE) -> tuple[bool, str]:
    [info] = [info for info in await store.queues() if info.name == queue]
    return info.paused, info.pause_reason


# -- all of it ---------------------------------------------------------------------------------------------------------


async def test_everything_arrives_and_a_second_run_finds_nothing_to_do(source: Movable, target: Movable) -> None:
    await fill(source)
    before = await content(source, QUEUE), await content(source, FAR_QUEUE)
    reports = await carry(source, target)
    assert [(one.queue, one.complete) for one in reports] == [(QUEUE, True), (FAR_QUEUE, True)]
    assert (await content(target, QUEUE), await content(target, FAR_QUEUE)) == before
    assert [(one.new, one.there) for one in reports] == [(25, 0), (1, 0)]
    again = await carry(source, target)
    assert [(one.new, one.updated, one.there, one.newer, one.stale) for one in again] == [
        (0, 0, 25, 0, 0),
        (0, 0, 1, 0, 0),
    ]
    assert (await content(target, QUEUE), await content(target, FAR_QUEUE)) == before
    assert (await content(source, QUEUE), await content(source, FAR_QUEUE)) == before


async def test_jobs_are_served_in_the_target_as_they_would_have_been_in_the_source(
    source: Movable, target: Movable
) -> None:
    await fill(source)
    await source.configure(QUEUE, QueueSettings(rate_limit=None, concurrency=None, name_concurrency={}))
    await carry(source, target)
    await source.configure(QUEUE, QueueSettings(paused=False))
    now = T0 + 1_000_000
    assert await served(target, now=now) == await served(source, now=now)


async def test_jobs_set_aside_by_a_cap_keep_their_place(source: Movable, target: Movable) -> None:
    await source.configure(QUEUE, QueueSettings(name_concurrency={"slow": 1}))
    await add(source, *(new_job(f"s{number}", "slow") for number in range(4)), new_job("quick"))
    runs = await start(source, 9, now=now_ms(), lease_ms=HOUR)
    assert [run.job.id for run in runs] == ["s0", "quick"]
    await carry(source, target)
    await target.configure(QUEUE, QueueSettings(name_concurrency={}))
    assert await served(target) == ["s1", "s2", "s3"]


async def test_a_flow_goes_on_in_the_target(source: Movable, target: Movable) -> None:
    await fill(source)
    await carry(source, target)
    await target.configure(QUEUE, QueueSettings(rate_limit=None, concurrency=None, name_concurrency={}))
    now = T0 + 200_000
    for run in await start(target, queue=FAR_QUEUE, now=now):
        await end(target, run, Completed('"far"'), now=now)
    await target.retry(QUEUE, these("c-stuck"), now=now)
    for run in await start(target, 100, now=now):
        await end(target, run, Completed('"late"'), now=now)
    children = await target.children(QUEUE, "parent")
    assert children.pending == ()
    assert children.completed == {"c-done": '"fine"', "c-open": '"late"', "c-far": '"far"', "c-stuck": '"late"'}
    assert children.failed == {"c-failed": "ignored"}
    assert (await the(target, "parent")).state is JobState.WAITING


async def test_numbers_are_not_given_twice(source: Movable, target: Movable) -> None:
    ids = await add(source, *(new_job() for _ in range(12)))
    await source.remove(QUEUE, these(ids[-1]))
    await carry(source, target)
    [fresh] = await add(target, new_job())
    assert fresh not in ids
    assert (await the(target, "3")).state is JobState.WAITING


async def test_more_jobs_than_one_step_takes_and_large_ones(source: Movable, target: Movable) -> None:
    await add(source, *(new_job(priority=number % 3) for number in range(620)))
    await add(source, *(new_job(data=f'"{"x" * 600_000}"') for _ in range(5)))
    await add(source, *(new_job(delay_ms=5_000 + number % 7) for number in range(300)))
    await source.log(QUEUE, "1", [f"line {number}" for number in range(2_500)], keep=5_000)
    seen: list[tuple[str, int, int]] = []
    [done] = await Mover(source, target, progress=lambda *news: seen.append(news)).run(timeout=0)
    assert (done.new, done.complete) == (925, True)
    assert seen[-1] == (QUEUE, 925, 925)
    assert await content(target, QUEUE) == await content(source, QUEUE)


async def test_a_ready_job_that_has_to_wait_for_another_again_still_has_to_in_the_target(
    source: Movable, target: Movable
) -> None:
    await add(source, new_job("first"))
    await run_through(source, Completed("1"))
    await add(source, new_job("second", priority=1, after=(After(QUEUE, "first", ParentPolicy.IGNORE),)))
    await source.retry(QUEUE, these("first"), now=T0)
    await carry(source, target)
    second, first = await start(target, 2)
    assert (second.job.id, second.job.pending_children, first.job.pending_children) == ("second", 1, 0)
    await end(target, second, Parked())
    await end(target, first, Completed("2"))
    assert await served(target) == ["second"]


# -- broken off --------------------------------------------------------------------------------------------------------

WRITES = frozenset(
    "configure remember unpack unpack_ties unpack_log unpack_figures mark drop_schedules put_schedules remove".split()
)


class Failing:
    """Both stores behind a line that breaks at the n-th write: before it happens, or when only its answer is lost."""

    def __init__(self, left: int, *, after: bool) -> None:
        self.left = left
        self._after = after

    def behind(self, store: Movable) -> Movable:
        failing = self

        class Line:
            def __getattr__(self, name: str) -> Callable[..., object]:
                verb: Callable[..., object] = getattr(store, name)
                return failing.breaking(verb) if name in WRITES else verb

        return Line()  # type: ignore[return-value]

    def breaking(self, verb: Callable[..., object]) -> Callable[..., object]:
        async def call(*args: object, **named: object) -> object:
            self.left -= 1
            if self.left < 0 and not self._after:
                raise StorageUnavailableError("the line is down")
            answer = await verb(*args, **named)  # type: ignore[misc]
            if self.left < 0:
                raise StorageUnavailableError("the line is down")
            return answer

        return call


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_move_that_is_broken_off_again_and_again_comes_to_the_same_end(
    source: Movable, target: Movable, after: bool
) -> None:
    await fill(source)
    before = await content(source, QUEUE), await content(source, FAR_QUEUE)
    writes = 0
    while True:
        line = Failing(writes, after=after)
        try:
            await Mover(line.behind(source), line.behind(target)).run(timeout=0)
            break
        except StorageUnavailableError:
            writes += 1
    assert writes > 15
    assert (await content(target, QUEUE), await content(target, FAR_QUEUE)) == before
    assert (await paused(source), await paused(target)) == ((True, f"{REASON} to elsewhere"), (False, ""))


# -- a source that goes on ---------------------------------------------------------------------------------------------


async def test_a_first_pass_leaves_the_source_running_and_a_second_one_brings_what_has_changed(
    source: Movable, target: Movable
) -> None:
    await fill(source)
    await source.configure(QUEUE, QueueSettings(rate_limit=None, concurrency=None, name_concurrency={}))
    await carry(source, target, keep_running=True)
    assert (await paused(source))[0] is False
    assert (await paused(target))[0] is True
    assert (await target.schedules(queue=QUEUE)).items == ()
    now = T0 + 300_000
    await run_through(source, Completed("1", Keep(count=0)), now=now)
    await run_through(source, Completed("2"), now=now)
    await run_through(source, Failed("oh", None), now=now)
    await add(source, new_job("front", lifo=True), new_job("end"), new_job("urgent", priority=10), now=now)
    await run_through(source, Released(), now=now)
    await source.promote(QUEUE, these("late"), now=now)
    await source.retry(QUEUE, these("plain"), now=now)
    await source.remove(QUEUE, these("second"), now=now)
    await source.log(QUEUE, "low", ["one more"])
    await source.remember(QUEUE, "sent:1", "again", replace=True)
    await source.remember(QUEUE, "sent:3", "yes")
    reports = await carry(source, target)
    assert reports[0].complete
    assert reports[0].stale == 2
    assert await content(target, QUEUE) == await content(source, QUEUE)
    assert await content(target, FAR_QUEUE) == await content(source, FAR_QUEUE)


async def test_a_source_that_is_added_to_all_the_time_is_reported(source: Movable, target: Movable) -> None:
    await add(source, new_job())

    class Busy:
        """A store to which somebody adds a job whenever it is asked for its counts."""

        def __getattr__(self, name: str) -> object:
            return getattr(source, name)

        async def counts(self, queues: Sequence[str]) -> list[QueueCounts]:
            await add(source, new_job())
            return await source.counts(queues)

    [done] = await Mover(Busy(), target).run(timeout=0)  # type: ignore[arg-type]
    assert (done.settled, done.complete) == (False, False)
    assert (await tally(target)).waiting == (await tally(source)).waiting == done.new
    assert (await paused(target))[0] is False


# -- running jobs ------------------------------------------------------------------------------------------------------


async def test_what_runs_stays_behind_and_comes_with_the_next_run(source: Movable, target: Movable) -> None:
    await add(source, new_job("runs"), new_job("waits"))
    run = await start_one(source, now=now_ms(), lease_ms=HOUR)
    [done] = await carry(source, target)
    assert (done.running, done.new, done.complete) == (1, 1, False)
    assert await gone(target, "runs")
    assert (await paused(source), await paused(target)) == ((True, f"{REASON} to elsewhere"), (False, ""))
    # The target goes on meanwhile, and forgets what it has done.
    assert await run_through(target, Completed("1", Keep(count=0)), now=now_ms()) == "waits"
    await end(source, run, Completed('"ran here"'), now=now_ms())
    [done] = await carry(source, target)
    assert (done.new, done.there, done.complete) == (1, 1, True)
    assert (await the(target, "runs")).result == '"ran here"'
    assert await gone(target, "waits")
    assert (await tally(target)).completed_total == 2


async def test_a_running_job_is_waited_for(source: Movable, target: Movable) -> None:
    await add(source, new_job("runs"))
    run = await start_one(source, now=now_ms(), lease_ms=HOUR)
    _, cursor = await source.events(QUEUE, after="$")
    moving = asyncio.create_task(Mover(source, target).run(timeout=60))
    heard, _ = await source.events(QUEUE, after=cursor, timeout=60)
    assert [event.type for event in heard] == [EventType.PAUSED]
    await end(source, run, Completed('"done"'), now=now_ms())
    [done] = await moving
    assert (done.new, done.complete) == (1, True)
    assert (await the(target, "runs")).result == '"done"'


async def test_a_job_whose_worker_is_dead_is_put_back_and_moved(source: Movable, target: Movable) -> None:
    await add(source, new_job("lost"))
    await start_one(source, now=T0)
    [done] = await carry(source, target)
    assert done.complete
    job = await the(target, "lost")
    assert (job.state, job.crashes) == (JobState.WAITING, 1)


async def test_children_of_a_running_parent_stay_with_it(source: Movable, target: Movable) -> None:
    ref = ParentRef(queue=QUEUE, id="top")
    await add(source, new_job("top", children=1), new_job("mid", parent=ref))
    await run_through(source, Completed("1"), now=T0)
    top = await start_one(source, now=now_ms(), lease_ms=HOUR)
    below = new_job("low", queue=OTHER, parent=ref, children=1)
    lowest = new_job("lowest", queue=OTHER, parent=ParentRef(queue=OTHER, id="low"))
    await add(source, below, lowest, new_job("stranger", queue=OTHER), now=now_ms())
    reports = {one.queue: one for one in await carry(source, target)}
    assert (reports[OTHER].running, reports[OTHER].new) == (2, 1)
    await end(source, top, Parked(), now=now_ms())
    assert all(one.complete for one in await carry(source, target))
    for _ in range(3):
        await target.claim(OTHER, wish(0))
        for run in await start(target, 9, queue=OTHER, now=now_ms()):
            await end(target, run, Completed('"yes"'), now=now_ms())
    assert (await target.children(QUEUE, "top")).completed == {"mid": "1", "low": '"yes"'}
    assert (await the(target, "top")).state is JobState.WAITING


async def test_a_child_that_ended_in_the_target_counts_for_a_parent_that_comes_later(
    source: Movable, target: Movable
) -> None:
    await add(source, new_job("top", queue=OTHER, children=1))
    await add(source, new_job("low", parent=ParentRef(queue=OTHER, id="top")))
    [done] = await carry(source, target, QUEUE)
    assert (done.complete, done.elsewhere) == (False, (OTHER,))
    await run_through(target, Completed('"alone"'), now=now_ms())
    await carry(source, target, OTHER)
    assert (await the(target, "top", queue=OTHER)).state is JobState.WAITING
    assert (await target.children(OTHER, "top")).completed == {"low": '"alone"'}


# -- what the target has of its own ------------------------------------------------------------------------------------


async def test_a_job_that_ran_on_in_the_target_is_left_alone(source: Movable, target: Movable) -> None:
    await add(source, new_job("a"), new_job("b"), new_job("c"))
    await carry(source, target)
    assert await run_through(target, Completed('"there"'), now=now_ms()) == "a"
    await source.configure(QUEUE, QueueSettings(paused=False))
    await run_through(source, Failed("here"), now=now_ms())
    await target.cancel(QUEUE, these("b"), reason="not wanted")
    await source.promote(QUEUE, these("c"))
    await source.retry(QUEUE, these("a"))
    [done] = await carry(source, target)
    assert (done.newer, done.new, done.updated) == (1, 0, 0)
    assert (await the(target, "a")).result == '"there"'
    assert (await the(target, "b")).state is JobState.FAILED
    assert (await the(target, "c")).state is JobState.WAITING


async def test_another_job_under_the_same_id_is_not_overwritten(source: Movable, target: Movable) -> None:
    await add(source, new_job(name="mine"), new_job("free"), now=T0)
    await add(target, new_job(name="other"), now=T0 + 1)
    [done] = await carry(source, target)
    assert (done.conflicts, done.new, done.complete) == (("1",), 1, False)
    assert (await the(target, "1")).name == "other"


async def test_totals_are_added_once(source: Movable, target: Movable) -> None:
    for store, count in ((source, 3), (target, 2)):
        await add(store, *(new_job(f"{count}-{number}") for number in range(count)), now=T0)
        for _ in range(count):
            await run_through(store, Completed("1"), now=T0 + count)
    await carry(source, target)
    await carry(source, target)
    assert (await tally(target)).completed_total == 5
    [minute] = await target.metrics(QUEUE, since=0, until=T0 + HOUR)
    assert minute.completed == 3


@pytest.mark.parametrize("reason", ["lunch", ""])
async def test_a_queue_that_people_paused_is_paused_in_the_target(
    source: Movable, target: Movable, reason: str
) -> None:
    await source.configure(QUEUE, QueueSettings(paused=True, pause_reason=reason))
    await target.configure(OTHER, QueueSettings(paused=True, pause_reason="there"))
    await add(source, new_job("a"), new_job("b", queue=OTHER))
    for _ in range(2):
        await carry(source, target)
        assert (await paused(source), await paused(target)) == ((True, reason), (True, reason))
        assert await paused(target, OTHER) == (True, "there")
    await target.configure(QUEUE, QueueSettings(paused=False))
    await carry(source, target)
    assert (await paused(target))[0] is False  # it took over: whether it runs is its own affair


# -- there and back ----------------------------------------------------------------------------------------------------


async def test_on_the_way_back_old_copies_do_not_run_again(source: Movable, target: Movable) -> None:
    await fill(source)
    await source.configure(QUEUE, QueueSettings(rate_limit=None, concurrency=None, name_concurrency={}))
    await carry(source, target)
    now = T0 + 300_000
    forgotten = await run_through(target, Completed("1", Keep(count=0)), now=now)
    kept = await run_through(target, Completed("2"), now=now)
    await add(target, new_job("young", lifo=True), now=now)
    await target.remember(QUEUE, "sent:1", "twice", replace=True)
    await target.drop_schedules(QUEUE, ["tick"])
    await target.log(QUEUE, kept, ["after"])
    reports = await carry(target, source)
    assert [one.complete for one in reports] == [True, True]
    assert reports[0].stale == 1
    assert await gone(source, forgotten)
    assert await content(source, QUEUE) == await content(target, QUEUE)
    assert (await paused(source), await paused(target)) == ((False, ""), (True, f"{REASON} to elsewhere"))
    assert await run_through(source, Completed("3", Keep(count=0)), now=now) == "high"
    reports = await carry(source, target)
    assert reports[0].stale == 1
    assert await content(target, QUEUE) == await content(source, QUEUE)


async def test_a_first_pass_back_and_then_the_last_one(source: Movable, target: Movable) -> None:
    await fill(source)
    await source.configure(QUEUE, QueueSettings(rate_limit=None, concurrency=None, name_concurrency={}))
    await carry(source, target)
    now = T0 + 300_000
    await target.drop_schedules(QUEUE, ["tick"])
    for _ in range(2):
        await run_through(target, Completed("1", Keep(count=0)), now=now)
        await run_through(target, Completed("2"), now=now)
        await carry(target, source, keep_running=True)
    assert (await paused(source))[0] is True
    await run_through(target, Completed("1", Keep(count=0)), now=now)
    assert all(one.complete for one in await carry(target, source))
    assert await content(source, QUEUE) == await content(target, QUEUE)


# -- how it is called --------------------------------------------------------------------------------------------------


async def test_a_dry_run_changes_nothing(source: Movable, target: Movable) -> None:
    await fill(source)
    before = await content(source, QUEUE)
    reports = await carry(source, target, dry_run=True)
    assert [(one.new, one.schedules, one.notes) for one in reports] == [(25, 2, 2), (1, 0, 0)]
    assert await target.queues() == []
    assert await content(source, QUEUE) == before
    assert await paused(source) == (False, "")


async def test_only_the_queues_that_are_named(source: Movable, target: Movable) -> None:
    await add(source, new_job("a"), new_job("b", queue=OTHER))
    assert [one.queue for one in await carry(source, target, OTHER)] == [OTHER]
    assert [info.name for info in await target.queues()] == [OTHER]
    assert (await paused(source))[0] is False
    with pytest.raises(QueueNotFoundError):
        await carry(source, target, "report")


async def test_a_move_by_urls(urls: Pair) -> None:
    async with movable(urls.source) as store:
        await add(store, new_job("a"))
    [done] = await move(urls.source, urls.target, timeout=0)
    assert done.complete
    async with movable(urls.target) as store:
        assert (await the(store, "a")).state is JobState.WAITING
    with pytest.raises(ConfigError, match="to itself"):
        await move(urls.source, urls.source)


async def test_two_names_of_one_store_are_found_out(source: Movable, urls: Pair) -> None:
    await add(source, new_job("a"))
    async with movable(urls.source) as again:
        with pytest.raises(ConfigError, match="one store"):
            await carry(source, again)
    assert await paused(source) == (False, "")
