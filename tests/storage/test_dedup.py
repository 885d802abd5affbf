"""Deduplication: of the jobs with one deduplication id one is there, in every mode, and the id never stays taken."""

import json
from typing import Any

import pytest

from corral.event import EventType
from corral.job import JobState, NewJob, ParentRef
from corral.options import Dedup, JobOptions, Keep, ParentPolicy
from corral.outcome import Completed, Crashed, Failed, Outcome, Released, Retried, Snoozed
from corral.storage.port import Added, Storage

from .helpers import (
    LEASE,
    QUEUE,
    T0,
    Tape,
    add_ids,
    end,
    gone,
    new_job,
    run_through,
    served,
    start_one,
    tally,
    the,
    these,
    wish,
)

#: Long enough that no slow machine's clock reaches it: the tests' own clock jumps over it.
TTL_MS = 600_000
TTL = TTL_MS / 1000
SIMPLE = Dedup("report")
THROTTLE = Dedup("report", ttl=TTL)
EXTEND = Dedup("report", ttl=TTL, extend=True)
REPLACE = Dedup("report", replace=True)
DEBOUNCE = Dedup("report", ttl=TTL, extend=True, replace=True)
KEEP_LAST = Dedup("report", keep_last=True)
RESCHEDULE = Dedup("report", reschedule=True)
MODES = {
    "simple": SIMPLE, "throttle": THROTTLE, "extend": EXTEND, "replace": REPLACE, "debounce": DEBOUNCE,
    "keep_last": KEEP_LAST, "reschedule": RESCHEDULE,
}  # fmt: skip
every_mode = pytest.mark.parametrize("dedup", MODES.values(), ids=MODES)
lasting_mode = pytest.mark.parametrize("dedup", [SIMPLE, REPLACE, KEEP_LAST, RESCHEDULE])


def job(id: str | None, dedup: Dedup = SIMPLE, **fields: Any) -> NewJob:
    return new_job(id, dedup=dedup, **fields)


async def offer(storage: Storage, id: str | None, dedup: Dedup = SIMPLE, *, now: int = T0, **fields: object) -> Added:
    """Add one job and give the answer."""
    [added] = await storage.add([job(id, dedup, **fields)], now=now)
    return added


def kept_out_by(owner: str) -> Added:
    return Added(owner, False, True)


async def owner(storage: Storage, *, now: int = T0) -> str | None:
    return await storage.deduplication(QUEUE, "report", now=now)


# -- the first one and the second --------------------------------------------------------------------------------------


@every_mode
async def test_the_first_one_is_added_and_owns_the_id(storage: Storage, tape: Tape, dedup: Dedup) -> None:
    assert await offer(storage, "a", dedup) == Added("a", True)
    assert await tape.told() == [(EventType.ADDED, "a")]
    assert (await the(storage, "a")).dedup_id == "report"
    assert await owner(storage) == "a"


async def test_a_plain_job_has_no_deduplication_id(storage: Storage) -> None:
    await add_ids(storage, "a")
    assert (await the(storage, "a")).dedup_id is None
    assert await owner(storage) is None


@every_mode
async def test_the_second_one_is_kept_out_while_the_first_one_waits(storage: Storage, tape: Tape, dedup: Dedup) -> None:
    await offer(storage, "a", dedup)
    await tape.events()
    assert await offer(storage, "b", dedup, data='{"n":2}') == kept_out_by("a")
    assert await gone(storage, "b")
    assert (await the(storage, "a")).data == "{}"
    assert (await tally(storage)).waiting == 1


@pytest.mark.parametrize("dedup", [SIMPLE, THROTTLE, EXTEND, KEEP_LAST, RESCHEDULE])
async def test_an_event_tells_which_job_was_kept_out_and_by_which(storage: Storage, tape: Tape, dedup: Dedup) -> None:
    await offer(storage, "a", dedup)
    await tape.events()
    await offer(storage, "b", dedup)
    [event] = await tape.events()
    assert (event.type, event.job_id) == (EventType.DEDUPLICATED, "a")
    assert json.loads(event.detail or "") == {"dedup": "report", "kept_out": "b"}


@every_mode
async def test_a_claimed_job_shows_its_deduplication_id(storage: Storage, dedup: Dedup) -> None:
    await offer(storage, "a", dedup)
    assert (await start_one(storage)).job.dedup_id == "report"


async def test_numbered_jobs_are_kept_out_too(storage: Storage) -> None:
    first = await offer(storage, None)
    assert await offer(storage, None) == kept_out_by(first.id)
    assert (await tally(storage)).waiting == 1


async def test_other_ids_and_other_queues_are_not_kept_out(storage: Storage) -> None:
    await offer(storage, "a")
    assert (await offer(storage, "b", Dedup("other"))).fresh
    [added] = await storage.add([new_job("a", queue="other", dedup=SIMPLE)], now=T0)
    assert added.fresh
    assert await storage.deduplication("other", "report", now=T0) == "a"


async def test_of_two_in_one_call_the_second_is_kept_out(storage: Storage) -> None:
    assert await storage.add([job("a"), job("b")], now=T0) == [Added("a", True), kept_out_by("a")]
    assert await gone(storage, "b")


async def test_an_id_that_is_there_wins(storage: Storage, tape: Tape) -> None:
    await offer(storage, "a")
    await add_ids(storage, "plain")
    await tape.events()
    assert await offer(storage, "a") == Added("a", False)
    assert await offer(storage, "plain") == Added("plain", False)
    assert await tape.told() == [(EventType.DUPLICATED, "a"), (EventType.DUPLICATED, "plain")]
    assert await owner(storage) == "a"


@pytest.mark.parametrize("dedup", [SIMPLE, THROTTLE, KEEP_LAST])
async def test_a_delayed_owner_keeps_others_out(storage: Storage, dedup: Dedup) -> None:
    await offer(storage, "a", dedup, delay_ms=5_000)
    assert await offer(storage, "b", dedup) == kept_out_by("a")
    assert (await the(storage, "a")).run_at == T0 + 5_000


@pytest.mark.parametrize("dedup", [SIMPLE, THROTTLE, REPLACE, RESCHEDULE])
async def test_a_running_owner_keeps_others_out(storage: Storage, dedup: Dedup) -> None:
    await offer(storage, "a", dedup)
    run = await start_one(storage)
    assert await offer(storage, "b", dedup) == kept_out_by("a")
    await end(storage, run, Completed())
    assert await gone(storage, "b")
    assert (await tally(storage)).waiting == 0


# -- the end of the owner ----------------------------------------------------------------------------------------------


@lasting_mode
@pytest.mark.parametrize("outcome", [Completed(), Failed("no"), Completed(keep=Keep(count=0)), Crashed("oom", 1)])
async def test_the_end_of_the_owner_frees_the_id(storage: Storage, dedup: Dedup, outcome: Outcome) -> None:
    await offer(storage, "a", dedup)
    await run_through(storage, outcome)
    assert await owner(storage) is None
    assert await offer(storage, "b", dedup) == Added("b", True)
    assert await owner(storage) == "b"


@pytest.mark.parametrize(
    "outcome", [Retried(0, "busy"), Retried(5_000, "busy"), Snoozed(5_000), Released(), Crashed("oom", 3)]
)
async def test_an_owner_that_comes_back_still_owns(storage: Storage, outcome: Outcome) -> None:
    await offer(storage, "a")
    await run_through(storage, outcome)
    assert await offer(storage, "b") == kept_out_by("a")


async def test_a_cancelled_owner_frees_the_id(storage: Storage) -> None:
    await offer(storage, "a")
    await storage.cancel(QUEUE, these("a"), now=T0)
    assert (await offer(storage, "b")).fresh


async def test_an_expired_owner_frees_the_id(storage: Storage) -> None:
    await offer(storage, "a", options=JobOptions(lifespan_ms=10))
    assert await served(storage, now=T0 + 11) == []
    assert (await offer(storage, "b", now=T0 + 12)).fresh


async def test_a_quarantined_owner_frees_the_id_and_a_recovered_one_does_not(storage: Storage) -> None:
    await offer(storage, "a")
    await start_one(storage)
    await storage.recover(QUEUE, now=T0 + LEASE + 1)
    assert await offer(storage, "b", now=T0 + LEASE + 1) == kept_out_by("a")
    await start_one(storage, now=T0 + LEASE + 1)
    assert (await storage.recover(QUEUE, now=T0 + 3 * LEASE)).quarantined == ("a",)
    assert (await offer(storage, "b", now=T0 + 3 * LEASE)).fresh


async def test_an_owner_failed_by_its_child_frees_the_id(storage: Storage) -> None:
    child = new_job("child", queue="kids", parent=ParentRef(QUEUE, "a", ParentPolicy.FAIL))
    await storage.add([job("a", children=1), child], now=T0)
    await run_through(storage, Failed("no"), queue="kids")
    assert (await the(storage, "a")).state is JobState.FAILED
    assert (await offer(storage, "b")).fresh


@every_mode
async def test_a_removed_owner_frees_the_id(storage: Storage, dedup: Dedup) -> None:
    await offer(storage, "a", dedup)
    assert await storage.remove(QUEUE, these("a"), now=T0) == ["a"]
    assert await owner(storage) is None
    assert (await offer(storage, "b", dedup)).fresh


async def test_removing_a_former_owner_leaves_the_new_one(storage: Storage) -> None:
    await offer(storage, "a")
    await run_through(storage, Completed())
    await offer(storage, "b")
    await storage.remove(QUEUE, these("a"), now=T0)
    assert await offer(storage, "c") == kept_out_by("b")


async def test_a_retried_former_owner_does_not_own_again(storage: Storage) -> None:
    await offer(storage, "a")
    await run_through(storage, Failed("no"))
    await storage.retry(QUEUE, these("a"), now=T0)
    assert await owner(storage) is None
    assert (await offer(storage, "b")).fresh
    assert (await the(storage, "a")).dedup_id == "report"
    await run_through(storage, Completed())
    assert await owner(storage) == "b"


async def test_obliterating_frees_all_ids(storage: Storage) -> None:
    await offer(storage, "a", THROTTLE)
    await storage.obliterate(QUEUE)
    assert await owner(storage) is None
    assert (await offer(storage, "b", THROTTLE)).fresh


# -- throttling --------------------------------------------------------------------------------------------------------


async def test_a_throttled_id_stays_taken_after_the_end_of_its_job(storage: Storage) -> None:
    await offer(storage, "a", THROTTLE)
    await run_through(storage, Completed(), now=T0 + 1)
    assert await offer(storage, "b", THROTTLE, now=T0 + TTL_MS - 1) == kept_out_by("a")
    assert await owner(storage, now=T0 + TTL_MS - 1) == "a"
    assert await owner(storage, now=T0 + TTL_MS + 1) is None
    assert (await offer(storage, "b", THROTTLE, now=T0 + TTL_MS + 1)).fresh


async def test_a_throttled_id_is_free_after_its_time_though_its_job_still_waits(storage: Storage) -> None:
    await offer(storage, "a", THROTTLE)
    assert (await offer(storage, "b", THROTTLE, now=T0 + TTL_MS + 1)).fresh
    assert await served(storage, now=T0 + TTL_MS + 1) == ["a", "b"]


async def test_retention_does_not_end_the_time_of_a_throttled_id(storage: Storage) -> None:
    await offer(storage, "a", THROTTLE)
    await run_through(storage, Completed(keep=Keep(count=0)), now=T0 + 1)
    assert await gone(storage, "a")
    assert await offer(storage, "b", THROTTLE, now=T0 + 2) == kept_out_by("a")


async def test_those_kept_out_do_not_lengthen_the_time(storage: Storage) -> None:
    await offer(storage, "a", THROTTLE)
    await offer(storage, "b", THROTTLE, now=T0 + TTL_MS - 1)
    assert (await offer(storage, "c", THROTTLE, now=T0 + TTL_MS + 1)).fresh


async def test_extending_begins_the_time_again_with_each_one_kept_out(storage: Storage) -> None:
    await offer(storage, "a", EXTEND)
    await offer(storage, "b", EXTEND, now=T0 + TTL_MS - 1)
    assert await offer(storage, "c", EXTEND, now=T0 + TTL_MS + 1) == kept_out_by("a")
    assert (await offer(storage, "d", EXTEND, now=T0 + 3 * TTL_MS)).fresh


# -- replacing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dedup", [REPLACE, DEBOUNCE])
async def test_a_delayed_owner_gives_way(storage: Storage, tape: Tape, dedup: Dedup) -> None:
    await offer(storage, "a", dedup, delay_ms=5_000)
    await tape.events()
    assert await offer(storage, "b", dedup, delay_ms=5_000, now=T0 + 1_000) == Added("b", True)
    assert await gone(storage, "a")
    assert (await the(storage, "b")).run_at == T0 + 6_000
    assert await owner(storage, now=T0 + 1_000) == "b"
    events = [event for event in await tape.events() if event.type is not EventType.DELAYED]
    assert [(event.type, event.job_id) for event in events] == [
        (EventType.REMOVED, "a"),
        (EventType.DEDUPLICATED, "b"),
        (EventType.ADDED, "b"),
    ]
    assert json.loads(events[1].detail or "") == {"dedup": "report", "kept_out": "a"}
    assert (await tally(storage)).delayed == 1


@pytest.mark.parametrize("running", [False, True])
async def test_an_owner_that_is_not_delayed_stays_without_an_event(storage: Storage, tape: Tape, running: bool) -> None:
    await offer(storage, "a", REPLACE)
    if running:
        await start_one(storage)
    await tape.events()
    assert await offer(storage, "b", REPLACE, delay_ms=5) == kept_out_by("a")
    assert await tape.everything() == []


async def test_replacing_alone_keeps_the_time_that_is_left(storage: Storage) -> None:
    dedup = Dedup("report", ttl=TTL, replace=True)
    far = 10 * TTL_MS
    await offer(storage, "a", dedup, delay_ms=far)
    await offer(storage, "b", dedup, delay_ms=far, now=T0 + TTL_MS - 10)
    assert await owner(storage, now=T0 + TTL_MS - 1) == "b"
    assert await owner(storage, now=T0 + TTL_MS + 1) is None


async def test_replacing_an_owner_without_a_time_gives_it_none(storage: Storage) -> None:
    await offer(storage, "a", SIMPLE, delay_ms=5_000)
    await offer(storage, "b", Dedup("report", ttl=TTL, replace=True))
    assert await owner(storage, now=T0 + TTL_MS + 1) == "b"


async def test_debouncing_begins_the_time_again(storage: Storage) -> None:
    far = 10 * TTL_MS
    await offer(storage, "a", DEBOUNCE, delay_ms=far)
    await offer(storage, "b", DEBOUNCE, delay_ms=far, now=T0 + TTL_MS - 10)
    assert await owner(storage, now=T0 + TTL_MS + 1) == "b"
    assert await owner(storage, now=T0 + 2 * TTL_MS) is None


async def test_a_replaced_child_is_no_longer_waited_for(storage: Storage) -> None:
    parent = ParentRef("up", "parent")
    await storage.add(
        [new_job("parent", queue="up", children=1), job("a", REPLACE, delay_ms=5_000, parent=parent)], now=T0
    )
    await offer(storage, "b", REPLACE, delay_ms=5_000)
    assert (await the(storage, "parent", queue="up")).state is JobState.WAITING


async def test_an_id_whose_job_was_replaced_in_the_same_call_is_not_taken(storage: Storage) -> None:
    first, second = job("a", RESCHEDULE, delay_ms=700), job("b", DEBOUNCE, delay_ms=700)
    answers = await storage.add([first, second, job("a", THROTTLE)], now=T0)
    assert answers == [Added("a", True), Added("b", True), kept_out_by("b")]
    assert await gone(storage, "a")
    answers = await storage.add([job("c", DEBOUNCE, delay_ms=700), new_job("b"), new_job("b")], now=T0)
    assert answers == [Added("c", True), Added("b", True), Added("b", False)]
    assert (await tally(storage)).waiting == 1


# -- rescheduling ------------------------------------------------------------------------------------------------------


async def test_a_delayed_owner_takes_the_newcomers_time(storage: Storage, tape: Tape) -> None:
    await offer(storage, "a", RESCHEDULE, delay_ms=5_000, data="1")
    await tape.events()
    assert await offer(storage, "b", RESCHEDULE, delay_ms=7_000, data="2", now=T0 + 1_000) == kept_out_by("a")
    job = await the(storage, "a")
    assert (job.state, job.run_at, job.data) == (JobState.DELAYED, T0 + 8_000, "1")
    assert set(await tape.everything()) == {(EventType.DEDUPLICATED, "a"), (EventType.DELAYED, "a")}
    assert (await storage.claim(QUEUE, wish(0), now=T0 + 1_000)).next_at == T0 + 8_000


async def test_a_newcomer_without_a_delay_lets_the_owner_run_now(storage: Storage) -> None:
    await offer(storage, "a", RESCHEDULE, delay_ms=5_000)
    await offer(storage, "b", RESCHEDULE, now=T0 + 10)
    assert await served(storage, now=T0 + 11) == ["a"]


# -- looking and letting go --------------------------------------------------------------------------------------------


@every_mode
async def test_a_person_may_free_an_id(storage: Storage, tape: Tape, dedup: Dedup) -> None:
    await offer(storage, "a", dedup)
    await tape.events()
    assert await storage.deduplication(QUEUE, "report", remove=True, now=T0) == "a"
    assert await storage.deduplication(QUEUE, "report", remove=True, now=T0) is None
    assert await tape.everything() == []
    assert (await the(storage, "a")).state is JobState.WAITING
    assert (await offer(storage, "b", dedup)).fresh
    await run_through(storage, Completed())
    assert await owner(storage) == "b"


async def test_looking_at_an_unknown_id_or_queue_tells_of_nobody(storage: Storage) -> None:
    assert await storage.deduplication("ghost", "report", now=T0) is None
    assert await storage.deduplication("ghost", "report", remove=True, now=T0) is None
    assert "ghost" not in [info.name for info in await storage.queues()]
