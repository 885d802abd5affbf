"""Effects that are to happen once, whoever asks for them, and handlers that may run only once."""

import asyncio
from typing import Any

import pytest

from corral import Corral, Discard, EventType, JobContext, JobState, Retry, SyncJobContext
from corral.effects import LEDGER
from corral.errors import ConfigError, EffectInProgressError, EffectUncertainError, WorkerCrashedError
from corral.outcome import Completed, Failed
from corral.storage.port import Claim, Settlement, Storage, Token
from corral.testing import run_job
from corral.timing import now_ms
from corral.worker.steps import Steps
from tests.engine.helpers import GUARD, ending, next_event, reason, work_off, working

DEAD = Token("a dead worker's")


@pytest.mark.parametrize("mode", ["async", "thread"])
async def test_any_job_gets_what_the_first_one_did_under_a_key(app: Corral, mode: str) -> None:
    queue = app.queue("work", concurrency=1)
    calls: list[int] = []

    def charge(amount: int) -> dict[str, int]:
        calls.append(amount)
        return {"charged": amount}

    async def asynchronous(ctx: JobContext, data: int) -> dict[str, int]:
        return await ctx.once("charge-42", charge, data)

    def threaded(ctx: SyncJobContext, data: int) -> dict[str, int]:
        return ctx.once("charge-42", charge, data)

    handler = queue.job("pay")({"async": asynchronous, "thread": threaded}[mode])  # type: ignore[call-overload]
    handles = await handler.add_bulk([10, 20])
    await work_off(app)
    assert [await handle.result(timeout=5) for handle in handles] == [{"charged": 10}] * 2
    assert calls == [10]


async def test_keys_of_one_queue_are_not_those_of_another_unless_the_scope_is_the_application(app: Corral) -> None:
    calls: list[str] = []
    for name in ("one", "two"):

        async def pay(ctx: JobContext) -> None:
            await ctx.once("k", calls.append, f"own of {ctx.queue}")
            await ctx.once("k", calls.append, f"all by {ctx.queue}", scope="app")

        await app.queue(name).job("pay")(pay).add()
    await work_off(app)
    assert sorted(calls)[0].startswith("all by")
    assert sorted(calls)[1:] == ["own of one", "own of two"]
    live = await app.open_queue("one")
    shared = await live.effect("k", scope="app")
    assert shared is not None
    assert shared.state == "done"
    assert (await (await app.open()).counts([LEDGER]))[0].waiting == 0


@pytest.mark.slow  # a snooze of a second
@pytest.mark.mission("M-GL-78")
async def test_the_second_of_two_at_once_is_snoozed_and_gets_the_result(app: Corral) -> None:
    queue = app.queue("work", concurrency=2)
    begun, go = asyncio.Event(), asyncio.Event()
    calls: list[str] = []

    async def slow(ctx: JobContext) -> str:
        calls.append(ctx.id)
        begun.set()
        await go.wait()
        return ctx.id

    @queue.job("pay")
    async def pay(ctx: JobContext) -> str:
        return await ctx.once("k", slow, ctx)

    async with asyncio.timeout(GUARD), working(app) as worker:
        first = await pay.add()
        await begun.wait()
        second = await pay.add()
        await next_event(second.queue, EventType.SNOOZED, job_id=second.id)
        go.set()
        assert await first.result(timeout=GUARD) == await second.result(timeout=GUARD) == first.id
        assert worker.reporter.finished == 3
    assert calls == [first.id]
    assert (await second.get()).attempts_made == 1


async def test_an_effect_that_raised_has_not_happened(app: Corral) -> None:
    queue = app.queue("work", attempts=3, backoff=0)
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("no line")
        return len(calls)

    @queue.job("pay")
    async def pay(ctx: JobContext) -> int:
        return await ctx.once("k", flaky)

    handle = await pay.add()
    await work_off(app)
    assert await handle.result(timeout=5) == 3


async def begun_by_a_dead_run(app: Corral, *, at_most_once: bool) -> list[str]:
    """A job whose first run dies within an effect; answers the calls of the effect in the runs that follow."""
    queue = app.queue("work", attempts=2, backoff=0)
    calls: list[str] = []

    class DyingError(BaseException):
        """Ends a run as a killed worker does: nothing of it is heard of again."""

    def done() -> str:
        calls.append("done")
        return "done"

    @queue.job("pay")
    async def pay(ctx: JobContext) -> str:
        def die() -> None:
            raise DyingError

        if ctx.fence == 1:
            try:
                await ctx.once("k", die, at_most_once=at_most_once)
            except DyingError:
                raise Retry("died", after=0) from None
        return await ctx.once("k", done, at_most_once=at_most_once)

    handle = await pay.add()
    await work_off(app)
    await ending(handle)
    return [*calls, (await handle.get()).failed_reason or ""]


async def test_an_effect_whose_run_died_is_done_by_the_next_one_to_ask(app: Corral) -> None:
    assert (await begun_by_a_dead_run(app, at_most_once=False))[0] == "done"


async def test_an_effect_that_may_happen_at_most_once_is_for_a_person_after_its_run_died(app: Corral) -> None:
    [why] = await begun_by_a_dead_run(app, at_most_once=True)
    assert why.startswith("EffectUncertainError: effect 'k' was begun in run 1 of job")
    live = await app.open_queue("work")
    effect = await live.effect("k")
    assert effect is not None
    assert (effect.state, effect.at_most_once, effect.run) == ("begun", True, 1)
    await live.resolve_effect("k", "it was charged")
    [job] = (await live.page(JobState.FAILED)).items
    await live.retry(job.id)
    await work_off(app)
    assert await live.result(job.id, timeout=5) == "it was charged"


async def test_a_person_may_decide_that_an_effect_has_not_happened(app: Corral) -> None:
    await begun_by_a_dead_run(app, at_most_once=True)
    live = await app.open_queue("work")
    assert await live.forget_effect("k") is True
    store = await app.open()
    assert await store.remember("work", "once/k", now=now_ms() + 60_000) is None  # over in a millisecond
    [job] = (await live.page(JobState.FAILED)).items
    await live.retry(job.id)
    await work_off(app)
    assert await live.result(job.id, timeout=5) == "done"


async def test_an_effect_that_failed_and_may_happen_at_most_once_is_not_tried_again(app: Corral) -> None:
    queue = app.queue("work", attempts=5, backoff=0)
    calls: list[int] = []

    def fails() -> None:
        calls.append(1)
        raise ConnectionError("timed out")

    @queue.job("pay")
    async def pay(ctx: JobContext) -> None:
        await ctx.once("k", fails, at_most_once=True)

    handle = await pay.add()
    await work_off(app)
    assert (await reason(handle)).startswith("EffectUncertainError")
    assert (calls, (await handle.get()).attempts_made) == ([1], 2)


@pytest.mark.slow  # a snooze of a second
async def test_of_several_that_find_a_dead_runs_effect_one_takes_it_over(app: Corral, storage: Storage) -> None:
    queue = app.queue("work", concurrency=20)
    store = await app.open()
    calls: list[str] = []

    async def slow(name: str) -> str:
        calls.append(name)
        await asyncio.sleep(0)
        return name

    @queue.job("pay")
    async def pay(ctx: JobContext) -> str:
        return await ctx.once("k", slow, ctx.id)

    # A run that died: claimed, marked, and given up by its worker without a word.
    victim = await pay.add(id="victim")
    [job] = (await store.claim("work", Claim(count=1, token=DEAD, lease_ms=30_000, worker="dead"))).jobs
    context = JobContext(job, 1, store, DEAD)
    assert await context.durable.claim("work", "k", 60_000, at_most_once=False) is None
    await store.recover("work", now=now_ms() + 60_000)
    handles = [victim, *await pay.add_bulk([None] * 20)]
    async with asyncio.timeout(GUARD), working(app):
        results = {await handle.result(timeout=GUARD) for handle in handles}
    assert len(calls) == 1
    assert results == set(calls)


async def test_a_run_that_looked_before_the_heir_had_finished_does_not_do_it_again(app: Corral) -> None:
    app.queue("work")
    store = await app.open()
    live = await app.open_queue("work")
    for name in ("victim", "heir", "late"):
        await live.add("pay", id=name)
    claimed = (await store.claim("work", Claim(count=3, token=DEAD, lease_ms=60_000))).jobs
    victim, heir, late = (JobContext(job, 1, store, DEAD) for job in claimed)
    assert await victim.durable.claim("work", "k", 60_000, at_most_once=False) is None
    dead_mark = await store.remember("work", "once/k")
    await store.settle("work", [Settlement(job_id="victim", token=DEAD, outcome=Failed("died"))])
    assert await heir.durable.claim("work", "k", 60_000, at_most_once=False) is None
    await heir.durable.settle("work", "k", "by the heir", 60_000)
    await store.settle("work", [Settlement(job_id="heir", token=DEAD, outcome=Completed())])

    class Behind:
        """What a run sees whose first look was made when the dead one's mark still stood there."""

        still_runs = late.still_runs
        looks = 0

        async def remember(self, ledger: str, key: str, value: str | None = None, **rest: Any) -> str | None:
            self.looks += 1
            return dead_mark if self.looks == 1 else await late.remember(ledger, key, value, **rest)

    mark = await Steps(late.job, Behind()).claim("work", "k", 60_000, at_most_once=False)
    assert mark is not None
    assert bytes(mark.result) == b'"by the heir"'


async def test_a_run_that_lost_its_job_neither_claims_an_effect_nor_says_that_it_happened(app: Corral) -> None:
    queue = app.queue("work")
    store = await app.open()
    errors: list[str] = []

    async def leave() -> None:
        await store.obliterate("work", force=True)

    @queue.job("zombie")
    async def zombie(ctx: JobContext) -> None:
        for key, work in (("late", leave), ("later", asyncio.Event().wait)):
            try:
                await ctx.once(key, work)
            except Exception as error:
                errors.append(type(error).__name__)

    await zombie.add()
    await work_off(app)
    assert errors == ["LeaseLostError", "LeaseLostError"]


async def test_one_key_at_once_in_one_run_is_refused() -> None:
    app = Corral("sqlite:///:memory:")

    @app.queue("work").job("twice")
    async def twice(ctx: JobContext) -> None:
        async def inner() -> None:
            await ctx.once("k", asyncio.sleep, 0)

        await ctx.once("k", inner)

    with pytest.raises(EffectInProgressError, match="another task of this very run"):
        await run_job(twice)


@pytest.mark.parametrize(
    "keywords", [{"key": ""}, {"key": "x" * 600}, {"key": "k", "scope": "world"}, {"key": "k", "ttl": 0}]
)
async def test_what_cannot_be_meant_is_refused(keywords: dict[str, object]) -> None:
    app = Corral("sqlite:///:memory:")
    key = str(keywords.pop("key"))

    @app.queue("work").job("wrong")
    async def wrong(ctx: JobContext) -> None:
        await ctx.once(key, asyncio.sleep, 0, **keywords)  # type: ignore[call-overload]

    with pytest.raises(ConfigError):
        await run_job(wrong)


def test_the_errors_name_the_effect_and_the_way_out() -> None:
    assert str(EffectInProgressError("k", "run 1 of job '7'")) == "effect 'k' is in progress in run 1 of job '7'"
    assert "queue.resolve_effect(key, result)" in str(EffectUncertainError("k", "run 1"))
    assert (EffectUncertainError("k", "run 1").key, EffectUncertainError("k", "run 1").owner) == ("k", "run 1")


# -- handlers that may run only once -----------------------------------------------------------------------------------


async def test_a_job_that_may_run_only_once_is_quarantined_by_the_first_crash(app: Corral) -> None:
    queue = app.queue("work", attempts=5)
    runs: list[str] = []

    @queue.job("fire", at_most_once=True)
    async def fire(ctx: JobContext) -> None:
        runs.append(ctx.id)

    store = await app.open()
    handle = await fire.add()
    assert (await handle.get()).options.max_crashes == 1
    await store.claim("work", Claim(count=1, token=DEAD, lease_ms=30_000, worker="dead"))
    recovered = await store.recover("work", now=now_ms() + 60_000)
    assert (recovered.requeued, recovered.quarantined) == ((), (handle.id,))
    await work_off(app)
    assert runs == []
    assert "quarantined after 1 crash" in await reason(handle)


async def test_one_that_was_added_by_its_name_alone_is_not_run_again_either(app: Corral) -> None:
    queue = app.queue("work", attempts=5)
    runs: list[str] = []

    @queue.job("fire", at_most_once=True)
    async def fire(ctx: JobContext) -> None:
        runs.append(ctx.id)

    store = await app.open()
    handle = await (await app.open_queue("work")).add("fire")
    await store.claim("work", Claim(count=1, token=DEAD, lease_ms=30_000, worker="dead"))
    assert (await store.recover("work", now=now_ms() + 60_000)).requeued == (handle.id,)
    await work_off(app)
    assert runs == []
    assert (await reason(handle)).startswith("quarantined after 1 crash")


@pytest.mark.parametrize("error", [ValueError("boom"), Retry("again"), Discard("no"), WorkerCrashedError("killed")])
async def test_it_has_one_attempt_whatever_its_caller_asks_for(app: Corral, error: Exception) -> None:
    queue = app.queue("work", attempts=5)
    runs: list[str] = []

    @queue.job("fire", at_most_once=True)
    async def fire(ctx: JobContext) -> None:
        runs.append(ctx.id)
        raise error

    handle = await fire.add(attempts=3)
    await work_off(app)
    assert (await handle.get()).state is JobState.FAILED
    assert runs == [handle.id]


async def test_it_is_not_handed_back_when_its_worker_stops_in_the_middle_of_it(app: Corral) -> None:
    queue = app.queue("work")
    begun = asyncio.Event()

    @queue.job("fire", at_most_once=True)
    async def fire(ctx: JobContext) -> None:
        begun.set()
        await asyncio.Event().wait()

    handle = await fire.add()
    async with asyncio.timeout(GUARD), working(app, shutdown_timeout=0):
        await begun.wait()
    assert await reason(handle) == "interrupted by the end of its worker; it may run only once"
