"""What the application under torture does beyond plain jobs: groups, holds, uniqueness, flows, steps, batches."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from itertools import count

from msgspec import UNSET

from corral import Batch, BatchContext, BatchJob, Corral, GroupLimits, JobContext, RateLimit, Retry, SyncJobContext
from corral import WaitForChildren as StillWaiting
from corral.app.queues import AppQueue
from corral.job import After, JobState, NewJob, ParentRef
from corral.keywords import AddKeywords
from corral.options import Dedup, GroupChange, ParentPolicy, QueueSettings
from corral.payload import to_json
from corral.queue import JobHandle, Queue
from corral.storage.port import Selection, Storage
from tests.faults.forks import Ledger
from tests.faults.scene import Scene

Data = dict[str, int | str]
Note = Callable[[JobContext | SyncJobContext], None]
Ack = Callable[..., None]

GROUPS = ("ant", "bee", "cat", "dog", "eel")
#: Every group may run so many jobs at once; one has limits of its own.
GROUP_LIMITS = GroupLimits(concurrency=2)
#: Starts of jobs with the name `metered`, over all workers.
METERED = RateLimit(20, per=0.05)
STEPS = 3
#: Looks at a job that is to run, 5 ms apart, before it is taken as it is.
LOOKS = 60


def declare(app: Corral, main: AppQueue, scene: Scene, effect: Note) -> None:
    """Add the handlers to `main`, and the queue `crates`, whose jobs come in batches."""

    async def metered(ctx: JobContext, data: Data) -> str:
        effect(ctx)
        return ctx.id

    async def weary(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        if ctx.fence == 1:
            raise Retry("too many requests", after=0.01, pause="group")

    main.job("metered", rate_limit=METERED)(metered)
    main.job("weary")(weary)
    _declare_durable(main, scene, effect)
    _declare_families(main, scene, effect)
    crates = app.queue("crates", concurrency=2, keep_completed=True, keep_failed=True)
    _declare_crates(crates, effect)


def _declare_durable(main: AppQueue, scene: Scene, effect: Note) -> None:
    """What goes on after a crash where it stopped, and what adds jobs together with its completion."""
    begun, done, numbers, pid = Ledger(scene.begun), Ledger(scene.done), count(), os.getpid()

    async def stepper(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        for step in map("step-{}".format, range(STEPS)):

            async def act(step: str = step) -> str:
                begun.write(ctx.queue, ctx.id, step, ctx.fence)
                await asyncio.sleep(random.uniform(0, 0.004))
                return f"{pid}-{next(numbers)}"

            done.write(ctx.queue, ctx.id, step, ctx.fence, await ctx.step(step, act))

    async def errand(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        more = {"bulk": f"errand-{ctx.id}", "size": 3}
        await ctx.add_on_complete("main", "quick", more)
        await ctx.add_on_complete("main", "nap", more, group=random.choice(GROUPS))
        await ctx.add_on_complete("main", "nap", more, after=("main", ctx.id))

    main.job("stepper")(stepper)
    main.job("errand")(errand)


def _declare_families(main: AppQueue, scene: Scene, effect: Note) -> None:
    """What waits for others, and looks at how they ended."""
    merges = Ledger(scene.merges)

    async def merge(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        seen = await ctx.children()
        merges.write(ctx.queue, ctx.id, data["expected"], len(seen.completed), len(seen.failed), len(seen.pending))

    async def spread(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        for _ in range(3):
            await ctx.add_child("main", "nap", {}, on_failure="ignore")
        seen = await ctx.children()
        if seen.pending:
            raise StillWaiting
        merges.write(ctx.queue, ctx.id, 3, len(seen.completed), len(seen.failed), len(seen.pending))

    main.job("merge")(merge)
    main.job("spread")(spread)


def _declare_crates(crates: AppQueue, effect: Note) -> None:
    """What comes in batches, and what a person has to say twice."""

    async def crate(ctx: BatchContext, jobs: list[BatchJob[Data]]) -> str:
        for job in jobs:
            effect(job.ctx)
        jobs[0].complete("first")
        await asyncio.sleep(random.uniform(0, 0.004))
        return "all"

    async def stubborn(ctx: JobContext, data: Data) -> None:
        effect(ctx)
        if ctx.fence == 1:
            raise ValueError("a person has to say it twice")

    crates.job("crate", batch=Batch(4, minimum=2, wait=0.02))(crate)
    crates.job("stubborn", attempts=1)(stubborn)


class Crafts:
    """A producer's ways of adding all that."""

    def __init__(self, main: Queue, crates: Queue, ack: Ack, kept: Ledger, tag: str) -> None:
        self._main = main
        self._crates = crates
        self._ack = ack
        self._kept = kept
        self._tag = tag
        self._numbers = count()

    @property
    def ways(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Each adds something or meddles with what is there."""
        return (
            self._grouped, self._grouped, self._rated, self._moods, self._hold, self._unique, self._throttled,
            self._last, self._debounced, self._diamond, self._late, self._elders, self._works, self._crate,
        )  # fmt: skip

    def _name(self, kind: str) -> str:
        return f"{kind}-{self._tag}-{next(self._numbers)}"

    # -- groups and limits ---------------------------------------------------------------------------------------------

    async def _grouped(self) -> None:
        names = random.choices(("quick", "nap", "capped", "metered", "flaky", "thread", "weary"), k=8)
        self._ack(*await asyncio.gather(*(self._in_group(name) for name in names)))

    async def _in_group(self, name: str) -> JobHandle[object]:
        delay = random.choice((0, 0, 0, 0.02))
        return await self._main.add(
            name, {}, group=random.choice(GROUPS), priority=random.choice((0, 0, 1)), delay=delay
        )

    async def _rated(self) -> None:
        for _ in range(4):
            self._ack(await self._main.add("nap", {}, limit=RateLimit(10, per=0.03), limit_key="rated"))

    async def _moods(self) -> None:
        """A group is paused, held or limited for a moment. Whoever is killed meanwhile leaves that to the next one."""
        group = self._main.group(random.choice(GROUPS))
        match random.randrange(3):
            case 0:
                await group.pause()
                self._ack(await self._main.add("nap", {}, group=group.id))
                await group.resume()
            case 1:
                await group.hold(0.02, "for a test", probe=random.random() < 0.5)
                self._ack(await self._main.add("nap", {}, group=group.id))
                await asyncio.sleep(0.01)
                await group.lift()
            case _:
                await group.limit(random.choice((None, GroupLimits(concurrency=1), GroupLimits(concurrency=3))))

    async def _hold(self) -> None:
        await self._main.hold(0.02, "for a test", probe=random.random() < 0.5)
        await asyncio.sleep(0.01)
        await self._main.lift()

    # -- uniqueness ----------------------------------------------------------------------------------------------------

    async def _unique(self) -> None:
        name = self._name("unique")
        self._ack(*await asyncio.gather(*(self._main.add("nap", {}, dedup=name) for _ in range(3))))

    async def _throttled(self) -> None:
        name = self._name("throttled")
        for _ in range(3):
            self._ack(await self._main.add("quick", {}, dedup=Dedup(name, ttl=0.2)))

    async def _last(self) -> None:
        """What comes while the first one runs is kept back, and then added once: each is a bulk of one."""
        name, turn = self._name("last"), _some_turn()
        unique: AddKeywords = {"dedup": Dedup(name, keep_last=True), **turn}
        owner = await self._main.add("long", {"bulk": name, "size": 1}, **unique)
        for _ in range(LOOKS):
            if (await owner.get()).state is JobState.ACTIVE:
                break
            await asyncio.sleep(0.005)
        await self._main.add("nap", {"bulk": f"{name}-0", "size": 1}, **unique)
        before = await owner.get()
        handle = await self._main.add("nap", {"bulk": f"{name}-1", "size": 1}, **unique)
        after = await owner.get()
        self._ack(owner, handle)
        if before.state is after.state is JobState.ACTIVE and before.fence == after.fence:
            self._kept.write(f"{name}-1")  # nothing came after it, so it is the one that is added

    async def _debounced(self) -> None:
        """Those that give way are gone: only the last one is acknowledged."""
        dedup = Dedup(self._name("debounced"), ttl=0.2, extend=True, replace=True)
        handles = [await self._main.add("quick", {}, delay=0.03, dedup=dedup) for _ in range(3)]
        self._ack(handles[-1])

    # -- flows ---------------------------------------------------------------------------------------------------------

    async def _diamond(self) -> None:
        name = self._name("diamond")
        data = to_json({"bulk": name, "size": 4, "expected": 2}, "data")
        policy = random.choice((ParentPolicy.FAIL, ParentPolicy.IGNORE))

        def node(part: str, job: str, *after: str) -> NewJob:
            ties = tuple(After("main", f"{name}-{one}", policy) for one in after)
            group = random.choice((None, *GROUPS))
            return NewJob(queue="main", name=job, id=f"{name}-{part}", data=data, after=ties, group=group)

        jobs = [node("a", "nap"), node("b", "nap", "a"), node("c", "quick", "a"), node("d", "merge", "b", "c")]
        self._ack(*await self._main.add_jobs(jobs))

    async def _late(self) -> None:
        """After one that may have ended by now."""
        first = await self._main.add("nap", {})
        await asyncio.sleep(random.uniform(0, 0.03))
        delay = random.choice((0, 0.02))
        self._ack(first, await self._main.add("merge", {"expected": 1}, after=first, delay=delay))

    async def _elders(self) -> None:
        """A parent waits for a child in another queue that a person has to retry."""
        name = self._name("elder")
        data = to_json({"bulk": name, "size": 3, "expected": 2}, "data")
        wait, ignore = (ParentRef("main", name, one) for one in (ParentPolicy.WAIT, ParentPolicy.IGNORE))
        jobs = [
            NewJob(queue="main", name="merge", id=name, data=data, children=2, group=random.choice((None, "ant"))),
            NewJob(queue="crates", name="stubborn", data=data, parent=wait),
            NewJob(queue="main", name="nap", data=data, parent=ignore, group="bee"),
        ]
        self._ack(*await self._main.add_jobs(jobs))
        await retry_stubborn(self._main.storage)

    # -- work of more than one kind ------------------------------------------------------------------------------------

    async def _works(self) -> None:
        for name in ("stepper", "errand", "spread", "stepper", "errand"):
            self._ack(await self._main.add(name, {}, **_some_turn()))

    async def _crate(self) -> None:
        self._ack(*await asyncio.gather(*(self._crates.add("crate", {}) for _ in range(random.randint(1, 9)))))


def _some_turn() -> AddKeywords:
    """In a group or in none."""
    return {"group": random.choice(GROUPS)} if random.random() < 0.7 else {}


# -- people ------------------------------------------------------------------------------------------------------------


async def retry_stubborn(storage: Storage) -> None:
    """Say it again to those who did not listen."""
    await storage.retry("crates", Selection(states=frozenset({JobState.FAILED}), name="stubborn", limit=100))


async def tidy(storage: Storage) -> None:
    """Lift what a producer that was killed left behind."""
    free = GroupChange(paused=False, hold=None, limits=UNSET)
    await storage.configure("main", QueueSettings(hold=None, groups=dict.fromkeys(GROUPS, free)))
    await retry_stubborn(storage)
