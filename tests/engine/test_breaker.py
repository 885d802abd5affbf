"""The circuit breaker over a store: several workers, one hold, and people who have the last word."""

import asyncio
from itertools import count

import pytest

from corral import Breaker, Corral, Event, Job, JobContext, JobState, Queue
from corral.errors import ConfigError, StorageUnavailableError
from corral.event import EventType
from corral.job import NewJob
from corral.options import GroupChange, Hold, QueueSettings
from corral.outcome import Completed, Failed, Failure, Limited, Outcome, Retried, Snoozed
from corral.storage.port import Claim, Settlement, Storage, Token
from corral.testing import FakeClock
from corral.testing.store import ClockedStorage
from corral.worker.fuse import Fuse, counts_as
from corral.worker.hooks import HookCalls, Hooks
from corral.worker.run import Run
from tests.engine.helpers import GUARD, next_event, past, working

BROKEN = Failure("f00", "builtins.ConnectionError", "no line")
BREAKER = Breaker(share=0.5, minimum=4, window=60, cooldown=30)
tokens = count(1)


class Bench:
    """Workers' verdicts one by one, on a clock of the test's."""

    def __init__(self, store: ClockedStorage, breaker: Breaker = BREAKER) -> None:
        self.store = store
        self.breaker = breaker

    def fuse(self) -> Fuse:
        """Another worker's."""
        return Fuse(self.store, "work", self.breaker, HookCalls(Hooks()), clock=lambda: 0.0)

    async def start(self, group: str | None = None) -> Run | None:
        """Add a job and claim what may run; None when nothing may."""
        await self.store.add([NewJob(queue="work", name="call", group=group)])
        token = Token(f"t{next(tokens)}")
        claimed = await self.store.claim("work", Claim(count=1, token=token, lease_ms=600_000))
        return Run("work", claimed.jobs[0], token, 0.0, lambda _: None) if claimed.jobs else None

    async def end(self, run: Run | None, fuse: Fuse, outcome: Outcome) -> None:
        assert run is not None
        await self.store.settle("work", [Settlement(job_id=run.job.id, token=run.token, outcome=outcome)])
        fuse.told(run, outcome)
        await fuse.attend()

    async def attempt(self, fuse: Fuse, *, fails: bool, group: str | None = None) -> None:
        """One run from its start to its verdict."""
        await self.end(await self.start(group), fuse, Failed("no line", failure=BROKEN) if fails else Completed())

    async def trip(self, fuse: Fuse, *, group: str | None = None) -> None:
        """As many failures as it takes."""
        for _ in range(self.breaker.minimum):
            await self.attempt(fuse, fails=True, group=group)

    async def hold(self) -> tuple[str, bool]:
        info = await self.store.configure("work", QueueSettings())
        return info.hold_reason, info.probing


@pytest.fixture
def store(storage: Storage) -> ClockedStorage:
    return ClockedStorage(storage, FakeClock())


@pytest.fixture
def bench(store: ClockedStorage) -> Bench:
    return Bench(store)


async def test_too_many_failures_stop_the_queue_and_one_success_after_the_pause_lets_it_go_on(bench: Bench) -> None:
    fuse = bench.fuse()
    await bench.trip(fuse)
    assert await bench.hold() == ("breaker[1]: 4 of 4 attempts failed within 60 s", True)
    assert await bench.start() is None
    bench.store.clock.advance(30)
    probe = await bench.start()
    assert await bench.start() is None  # one at a time
    await bench.end(probe, fuse, Completed())
    assert await bench.hold() == ("", False)
    assert [await bench.start() is not None for _ in range(2)] == [True, True]
    kinds = [event.type for event in await past(Queue("work", bench.store))]
    assert kinds.count(EventType.BREAKER_OPENED) == kinds.count(EventType.BREAKER_CLOSED) == 1


async def test_a_failed_probe_stops_it_for_twice_as_long(bench: Bench) -> None:
    fuse = bench.fuse()
    await bench.trip(fuse)
    bench.store.clock.advance(30)
    await bench.attempt(fuse, fails=True)
    assert await bench.hold() == ("breaker[2]: the probe failed", True)
    bench.store.clock.advance(59)
    assert await bench.start() is None
    bench.store.clock.advance(1)
    await bench.attempt(fuse, fails=False)
    assert await bench.hold() == ("", False)


async def test_whichever_worker_gets_the_probe_closes_what_another_one_opened(bench: Bench) -> None:
    opener, other = bench.fuse(), bench.fuse()
    await bench.trip(opener)
    bench.store.clock.advance(30)
    await bench.attempt(other, fails=False)
    assert await bench.hold() == ("", False)
    await bench.attempt(opener, fails=True)  # it learns that it is closed, and counts from the beginning
    assert await bench.hold() == ("", False)


async def test_a_failed_probe_of_another_worker_counts_on(bench: Bench) -> None:
    await bench.trip(bench.fuse())
    bench.store.clock.advance(30)
    await bench.attempt(bench.fuse(), fails=True)
    assert await bench.hold() == ("breaker[2]: the probe failed", True)


async def test_runs_that_were_under_way_change_nothing_once_it_is_open(bench: Bench) -> None:
    fuse, other = bench.fuse(), bench.fuse()
    late = [await bench.start() for _ in range(6)]
    await bench.trip(fuse)
    before = await bench.hold()
    bench.store.clock.advance(31)  # the pause is over, but these began before it
    for run in late[:5]:
        await bench.end(run, other, Failed("no line", failure=BROKEN))
    await bench.end(late[5], fuse, Completed())
    assert await bench.hold() == before


async def test_a_hold_that_a_person_set_is_left_alone(bench: Bench) -> None:
    fuse = bench.fuse()
    runs = [await bench.start() for _ in range(5)]
    hold = Hold(for_ms=600_000, reason="maintenance", probe=True)
    await bench.store.configure("work", QueueSettings(hold=hold))
    for run in runs[:4]:
        await bench.end(run, fuse, Failed("no line", failure=BROKEN))
    assert await bench.hold() == ("maintenance", True)
    bench.store.clock.advance(601)
    await bench.end(runs[4], fuse, Completed())
    await bench.store.configure("work", QueueSettings())
    assert await bench.hold() == ("maintenance", True)


async def test_a_person_may_lift_the_hold_of_a_breaker(bench: Bench) -> None:
    fuse = bench.fuse()
    await bench.trip(fuse)
    await bench.store.configure("work", QueueSettings(hold=None))
    for _ in range(3):
        await bench.attempt(fuse, fails=True)
        assert await bench.hold() == ("", False)
    await bench.attempt(fuse, fails=True)
    assert (await bench.hold())[0].startswith("breaker[1]")


async def test_a_pause_that_the_probe_asks_for_does_not_hide_the_breaker(bench: Bench) -> None:
    fuse = bench.fuse()
    await bench.trip(fuse)
    bench.store.clock.advance(30)
    await bench.end(await bench.start(), fuse, Limited(5_000, False, "429"))
    assert await bench.hold() == ("429", True)
    bench.store.clock.advance(5)
    await bench.attempt(fuse, fails=False)
    assert await bench.hold() == ("", False)


async def test_each_group_may_have_a_breaker_of_its_own(store: ClockedStorage) -> None:
    bench = Bench(store, Breaker(share=0.5, minimum=4, cooldown=30, by="group"))
    fuse, other = bench.fuse(), bench.fuse()
    await bench.trip(fuse, group="a")
    await bench.attempt(fuse, fails=True)  # of no group: nobody's
    assert await bench.hold() == ("", False)
    groups = {one.id: one for one in (await store.groups("work")).items}
    assert groups["a"].hold_reason.startswith("breaker[1]: 4 of 4 attempts failed")
    await bench.attempt(fuse, fails=False, group="b")
    store.clock.advance(30)
    await bench.attempt(other, fails=False, group="a")
    left = {one.id: one.probing for one in (await store.groups("work")).items}
    assert left.get("a", False) is False


async def test_a_hold_of_a_persons_on_a_group_is_left_alone(store: ClockedStorage) -> None:
    bench = Bench(store, Breaker(minimum=2, by="group"))
    fuse = bench.fuse()
    runs = [await bench.start("a") for _ in range(2)]
    change = GroupChange(hold=Hold(for_ms=600_000, reason="their own"))
    await store.configure("work", QueueSettings(groups={"a": change}))
    for run in runs:
        await bench.end(run, fuse, Failed("no line", failure=BROKEN))
    [group] = (await store.groups("work")).items
    assert group.hold_reason == "their own"


@pytest.mark.parametrize(
    ("outcome", "counts"),
    [
        (Completed(), False),
        (Failed("x", failure=BROKEN), True),
        (Retried(0, "x", failure=BROKEN), True),
        (Failed("cancelled"), None),
        (Failed("no", failure=Failure("f", "corral.signals.Discard", "no")), None),
        (Retried(0, "later", failure=Failure("f", "corral.signals.Retry", "later")), None),
        (Failed("x", failure=Failure("f", "corral.errors.PayloadError", "x")), None),
        (Snoozed(0), None),
        (Limited(0), None),
    ],
)
def test_only_errors_and_successes_count(outcome: Outcome, counts: bool | None) -> None:
    assert counts_as(outcome) is counts


async def test_what_could_not_be_judged_while_the_store_was_away_is_judged_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fuse = bench.fuse()
    for _ in range(3):
        await bench.attempt(fuse, fails=True)
    run = await bench.start()
    with monkeypatch.context() as patch:

        async def away(*_: object, **__: object) -> None:
            raise StorageUnavailableError("no line to the store")

        patch.setattr(bench.store, "configure", away)
        with pytest.raises(StorageUnavailableError):
            await bench.end(run, fuse, Failed("no line", failure=BROKEN))
    await fuse.attend()
    assert (await bench.hold())[0].startswith("breaker[1]")


# -- in a worker -------------------------------------------------------------------------------------------------------


async def test_a_worker_opens_and_closes_the_breaker_of_its_queue_and_tells_hooks(app: Corral) -> None:
    rules = Breaker(share=0.5, minimum=5, window=60, cooldown=0.05)
    queue = app.queue("work", concurrency=5, breaker=rules)
    told: list[tuple[str, str]] = []
    healthy = asyncio.Event()

    @queue.job("call")
    async def call(ctx: JobContext) -> None:
        if not healthy.is_set():
            raise ConnectionError("no line")

    @app.on("breaker-opened", "breaker-closed")
    async def hook(event: Event, job: Job) -> None:
        told.append((event.type.value, job.name))
        healthy.set()

    live = await app.open_queue("work")
    async with asyncio.timeout(GUARD), working(app):
        await call.add_bulk([None] * 10)
        await next_event(live, EventType.BREAKER_OPENED)
        last = await call.add()
        await last.result(timeout=GUARD)
        await next_event(live, EventType.BREAKER_CLOSED)
    assert (await live.info()).hold_reason == ""
    assert told[0] == ("breaker-opened", "call")
    assert (await last.get()).state is JobState.COMPLETED


def test_the_keyword_wants_a_breaker() -> None:
    with pytest.raises(ConfigError, match=r"breaker must be Breaker\(share=…, minimum=…\), not 0.5"):
        Corral("sqlite:///:memory:").queue("work", breaker=0.5)  # type: ignore[arg-type]
