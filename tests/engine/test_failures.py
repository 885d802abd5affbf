"""Failures by kind, their retry at a bearable rate, and dead letters."""

import asyncio
from itertools import pairwise

import pytest

from corral import Corral, Discard, JobCancelledError, JobContext, JobState, Retry
from corral.errors import ConfigError, WorkerCrashedError
from corral.event import EventType
from corral.options import Letter
from corral.storage.port import Claim, Token
from corral.sync import Queue as BlockingQueue
from corral.timing import now_ms
from corral.worker.hooks import HookCalls, Hooks
from corral.worker.upkeep import Recovery
from tests.engine.helpers import GUARD, next_event, on_clock, work_off, working


@pytest.mark.mission("M-GL-85")
async def test_failures_are_grouped_by_their_kind_with_counts_and_the_last_job(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0, concurrency=1)

    @queue.job("pay")
    async def pay(ctx: JobContext, data: int) -> None:
        if data < 3:
            raise ValueError(f"account {data} is closed")
        raise Discard("no such account")

    handles = await pay.add_bulk([1, 2, 3])
    await work_off(app)
    page = await (await app.open_queue("work")).failures()
    kinds = {(one.type, one.message): one for one in page.items}
    closed = kinds["ValueError", "account # is closed"]
    assert (closed.attempts, closed.jobs, closed.last_name) == (4, 2, "pay")
    assert (page.total, kinds["corral.signals.Discard", "no such account"].last_job_id) == (2, handles[2].id)
    assert (await handles[0].get()).fingerprint == closed.fingerprint


async def test_one_kind_is_run_again_one_every_so_often_and_the_others_stay(app: Corral) -> None:
    queue = app.queue("work", concurrency=1)
    broken = True

    @queue.job("pay")
    async def pay(ctx: JobContext, data: int) -> None:
        if data < 0:
            raise KeyError("another kind")
        if broken:
            raise ConnectionError("no line")

    handles = await pay.add_bulk([*range(5), -1])
    await work_off(app)
    broken = False
    live = await app.open_queue("work")
    [kind] = [one for one in (await live.failures()).items if one.type == "ConnectionError"]
    before = now_ms()
    assert await live.retry_failures(kind.fingerprint, rate=0.5, after=60) == [handle.id for handle in handles[:5]]
    due = [(await handle.get()).run_at or 0 for handle in handles[:5]]
    assert due[0] - before >= 60_000
    assert [later - sooner for sooner, later in pairwise(due)] == [2_000] * 4
    assert (await live.counts()).failed == 1
    await live.promote()
    await work_off(app)
    assert (await live.counts()).completed == 5


@pytest.mark.slow  # runs 1,203 jobs
async def test_more_failures_than_fit_into_one_step_keep_their_distance(app: Corral) -> None:
    queue = app.queue("work", keep_failed=True, concurrency=200)

    @queue.job("pay")
    async def pay(ctx: JobContext) -> None:
        raise ConnectionError("no line")

    await pay.add_bulk([None] * 1_203)
    await work_off(app)
    live = await app.open_queue("work")
    [kind] = (await live.failures()).items
    assert len(await live.retry_failures(kind.fingerprint, every=0.01, after=3_600)) == 1_203
    delayed = (await live.page(JobState.DELAYED, limit=2_000, newest_first=False)).items
    due = sorted(job.run_at or 0 for job in delayed)
    assert len(due) == 1_203
    assert due[-1] - due[0] >= 1_202 * 10
    gaps = [later - sooner for sooner, later in pairwise(due)]
    assert min(gaps) >= 10


async def test_failures_of_one_kind_can_be_deleted(app: Corral) -> None:
    queue = app.queue("work")

    @queue.job("pay")
    async def pay(ctx: JobContext, data: int) -> None:
        raise (ValueError if data else KeyError)("x")

    handles = await pay.add_bulk([0, 1, 1])
    await work_off(app)
    live = await app.open_queue("work")
    [kind] = [one for one in (await live.failures()).items if one.type == "ValueError"]
    assert sorted(await live.remove_failures(kind.fingerprint)) == sorted(handle.id for handle in handles[1:])
    assert [job.id for job in (await live.page(JobState.FAILED)).items] == [handles[0].id]


@pytest.mark.parametrize("keywords", [{"every": 1, "rate": 1}, {"rate": 0}, {"rate": -1}, {"every": -1}])
async def test_a_rate_that_cannot_be_meant_is_refused(app: Corral, keywords: dict[str, float]) -> None:
    app.queue("work")
    with pytest.raises(ConfigError):
        await (await app.open_queue("work")).retry_failures("f", **keywords)  # type: ignore[arg-type]


# -- pauses ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pause", ["group", "queue"])
async def test_a_handler_that_is_told_to_slow_down_pauses_its_group_or_its_queue(app: Corral, pause: str) -> None:
    queue = app.queue("work", concurrency=1)
    runs: list[str] = []

    @queue.job("call")
    async def call(ctx: JobContext) -> None:
        runs.append(ctx.id)
        if ctx.fence == 1 and ctx.id == "a1":
            raise Retry("429", after=3_600, pause=pause)  # type: ignore[arg-type]

    for job_id, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        await call.add(id=job_id, group=group)
    live = await app.open_queue("work")
    async with working(app):
        await next_event(live, EventType.LIMITED, job_id="a1")
        assert (await live.get("a1")).attempts_made == 0
        held = {"": (await live.info()).hold_reason}
        held |= {one.id: one.hold_reason for one in (await (await app.open()).groups("work")).items}
        served = {"group": ["a1", "b1"], "queue": ["a1"]}[pause]
        for job_id in served[1:]:
            await live.result(job_id, timeout=GUARD)
    assert held[{"group": "a", "queue": ""}[pause]] == "429"
    assert runs == served


# -- dead letters ------------------------------------------------------------------------------------------------------


async def test_a_job_that_fails_for_good_leaves_a_readable_letter_and_can_be_put_back(app: Corral) -> None:
    queue = app.queue("work", attempts=2, backoff=0, dead_letter="dead")
    app.queue("dead")
    broken = True

    @queue.job("pay")
    async def pay(ctx: JobContext, data: dict[str, int]) -> str:
        if broken:
            raise ValueError("no line")
        return "paid"

    handle = await pay.add({"amount": 7}, priority=3)
    await work_off(app)
    dead, live = await app.open_queue("dead"), await app.open_queue("work")
    [letter] = (await dead.page(JobState.WAITING)).items
    assert (letter.name, letter.data, letter.priority) == ("pay", '{"amount":7}', 3)
    assert letter.id == f"dead-work-{handle.id}-2"
    assert letter.options.letter == Letter("work", handle.id, "ValueError: no line", 2, None, "dead")
    broken = False
    assert await dead.redrive() == [("work", handle.id)]
    assert (await dead.counts()).waiting == 0
    await work_off(app)
    assert await live.result(handle.id, timeout=5) == "paid"


@pytest.mark.parametrize("job_id", ["invoice-7", None])
async def test_a_letter_whose_job_is_gone_is_added_again(app: Corral, job_id: str | None) -> None:
    queue = app.queue("work", dead_letter="dead", keep_failed=False)
    app.queue("dead")

    @queue.job("pay")
    async def pay(ctx: JobContext, data: int) -> None:
        raise ValueError("no line")

    options = {"id": job_id} if job_id else {}
    await pay.add(7, group="acme", **options)  # type: ignore[arg-type]
    await work_off(app)
    dead, live = await app.open_queue("dead"), await app.open_queue("work")
    [(back, again)] = await dead.redrive()
    job = await live.get(again)
    assert (back, job.data, job.group, job.options.dead_letter, job.options.letter) == (
        "work",
        "7",
        "acme",
        "dead",
        None,
    )
    assert again == (job_id or "again-dead-work-1-1")
    assert await dead.redrive() == []


async def test_only_letters_are_put_back_and_only_those_that_are_named(app: Corral) -> None:
    queue = app.queue("work", dead_letter="dead")
    app.queue("dead")

    @queue.job("pay")
    async def pay(ctx: JobContext) -> None:
        raise ValueError("no line")

    first, second = await pay.add_bulk([None, None])
    await work_off(app)
    dead = await app.open_queue("dead")
    other = await dead.add("something-else")
    assert await dead.redrive(f"dead-work-{second.id}-1", other.id, "nobody") == [("work", second.id)]
    assert {job.id for job in (await dead.page(JobState.WAITING)).items} == {other.id, f"dead-work-{first.id}-1"}
    assert await dead.redrive() == [("work", first.id)]


async def test_expired_and_cancelled_jobs_leave_no_letter(app: Corral) -> None:
    queue = app.queue("work", dead_letter="dead", lifespan=1)
    app.queue("dead")

    @queue.job("pay")
    async def pay(ctx: JobContext, data: int) -> None:
        raise JobCancelledError("by Ada")

    async with on_clock(app):
        live = await app.open_queue("work")
        cancelled = await pay.add(1)
        await live.cancel(cancelled.id)
        await pay.add(2)
        await work_off(app)
        assert (await (await app.open_queue("dead")).counts()).waiting == 0


async def test_a_job_that_is_quarantined_with_its_worker_leaves_a_letter_too(app: Corral) -> None:
    queue = app.queue("work", dead_letter="dead", at_most_once=True)
    app.queue("dead")

    @queue.job("pay")
    async def pay(ctx: JobContext) -> None:
        raise AssertionError("it never runs")

    store = await app.open()
    handle = await pay.add()
    await store.claim("work", Claim(count=1, token=Token("dead"), lease_ms=1_000), now=now_ms() - 60_000)
    recovery = Recovery(store, ["work"], HookCalls(Hooks()), lease=1, failed_at=lambda: 0.0)
    await recovery()
    [letter] = (await (await app.open_queue("dead")).page(JobState.WAITING)).items
    assert letter.options.letter is not None
    assert (letter.options.letter.id, letter.id) == (handle.id, f"dead-work-{handle.id}-1")
    assert letter.options.letter.reason.startswith("quarantined after 1 crash")


async def test_a_job_whose_process_dies_leaves_a_letter_at_the_last_crash(app: Corral) -> None:
    queue = app.queue("work", dead_letter="dead")
    app.queue("dead")

    @queue.job("pay")
    async def pay(ctx: JobContext) -> None:
        raise WorkerCrashedError("killed by signal 9")

    handle = await pay.add()
    await work_off(app)
    await work_off(app)
    [letter] = (await (await app.open_queue("dead")).page(JobState.WAITING)).items
    assert letter.options.letter is not None
    assert letter.options.letter.reason == "quarantined after 2 crashes: WorkerCrashedError: killed by signal 9"
    assert (await handle.get()).failed_reason == letter.options.letter.reason


# -- without an event loop ---------------------------------------------------------------------------------------------


def test_scripts_look_at_failures_and_put_letters_back(url: str) -> None:
    app = Corral(url)
    queue = app.queue("work", dead_letter="dead")

    @queue.job("pay")
    async def pay(ctx: JobContext) -> None:
        raise ValueError("no line")

    async def fail() -> None:
        async with app:
            await pay.add()
            await work_off(app)

    asyncio.run(fail())
    with BlockingQueue("work", url) as work, BlockingQueue("dead", url) as dead:
        [kind] = work.failures().items
        assert work.retry_failures(kind.fingerprint, after=60) == ["1"]
        assert dead.redrive() == []  # it is to run again already: its letter is thrown away
        assert dead.counts().waiting == 0
