"""Producers, workers and people at the storage port, who write down every answer they get."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable
from typing import TypeVar

from msgspec.structs import replace

from corral.errors import JobNotFoundError
from corral.event import NOW
from corral.job import After, Job, JobId, JobState, NewJob, ParentRef
from corral.options import (
    Dedup,
    GroupChange,
    GroupLimits,
    Hold,
    Keep,
    ParentPolicy,
    QueueSettings,
    RateLimit,
)
from corral.outcome import Completed, Failed, Failure, Limited, Outcome, Released, Retried, Snoozed
from corral.schedule import Every, Schedule
from corral.storage.port import Added, Claim, Lease, Selection, Settlement, Storage, Token, WorkerInfo
from corral.timing import now_ms
from tests.faults.history import Answers

T = TypeVar("T")

QUEUE = "main"
LEASE_MS = 400
#: Producers rest while so many jobs wait.
BACKLOG = 150
#: Ids that people choose from: the latest ones.
RECENT = 300
GROUPS = ("ant", "bee", "cat")
FREE = GroupChange(paused=False, hold=None, limits=None)
FAILURE = Failure(fingerprint="f", type="ValueError", message="no")
POLICIES = (ParentPolicy.IGNORE, ParentPolicy.CONTINUE, ParentPolicy.REMOVE, ParentPolicy.FAIL)
KEEP = Keep()


class Crowd:
    """`calm`: nobody makes trouble any more, the workers finish. `over`: the workers stop too."""

    def __init__(self, answers: Answers, rng: random.Random) -> None:
        self.calm = asyncio.Event()
        self.over = asyncio.Event()
        self.calls: Counter[str] = Counter()
        self._answers = answers
        self._random = rng
        self._number = 0
        self._known: list[JobId] = []

    async def _called(self, name: str, call: Awaitable[T]) -> T:
        self.calls[name] += 1
        return await call

    def _next(self) -> int:
        self._number += 1
        return self._number

    # -- producers -----------------------------------------------------------------------------------------------------

    async def produce(self, storage: Storage) -> None:
        """Add in every way there is."""
        while not self.calm.is_set():
            counts = (await storage.counts([QUEUE]))[0]
            if counts.waiting + counts.delayed > BACKLOG:
                await asyncio.sleep(0.005)
                continue
            ways = (
                self._one,
                self._at_once,
                self._bulk,
                self._own_id,
                self._family,
                self._unique,
                self._last,
                self._after,
            )
            await self._random.choice(ways)(storage)

    async def _add(self, storage: Storage, jobs: list[NewJob]) -> list[Added]:
        self._answers.requested += len(jobs)
        try:
            added = await self._called("add", storage.add(jobs))
        except JobNotFoundError:  # it comes after one that somebody removed: nothing was added
            self._answers.requested -= len(jobs)
            return []
        if len(added) != len(jobs):
            self._answers.wrong.append(f"lost: add of {len(jobs)} jobs answered {len(added)}")
        for job, one in zip(jobs, added, strict=False):
            if job.id is None and not one.fresh and job.dedup is None:
                self._answers.wrong.append(f"twice: add of a job without an id answered that {one.id} was there")
            if one.fresh:
                self._answers.added[one.id] += 1
                self._known.append(one.id)
        return added

    def _job(self) -> NewJob:
        delay = self._random.choice((0, 0, 0, self._random.randrange(300)))
        return NewJob(
            queue=QUEUE, name="job", data=f'{{"n":{self._next()}}}', delay_ms=delay,
            priority=self._random.choice((0, 0, 1, 10)), lifo=self._random.random() < 0.1,
            group=self._random.choice((None, None, *GROUPS)),
        )  # fmt: skip

    async def _one(self, storage: Storage) -> None:
        await self._add(storage, [self._job()])

    async def _at_once(self, storage: Storage) -> None:
        await asyncio.gather(*(self._add(storage, [self._job()]) for _ in range(8)))

    async def _bulk(self, storage: Storage) -> None:
        await self._add(storage, [self._job() for _ in range(self._random.randint(2, 30))])

    async def _own_id(self, storage: Storage) -> None:
        job = NewJob(queue=QUEUE, name="own", id=f"own-{self._next()}")
        if not (await self._add(storage, [job]))[0].fresh:
            self._answers.wrong.append(f"twice: add of {job.id}, which was new, answered that it was there")
        await self._add(storage, [job])  # fresh only when somebody removed it meanwhile: the events know

    async def _family(self, storage: Storage) -> None:
        parent = f"family-{self._next()}"
        reference = ParentRef(QUEUE, parent, self._random.choice(POLICIES))
        children = [NewJob(queue=QUEUE, name="child", parent=reference) for _ in range(3)]
        await self._add(storage, [NewJob(queue=QUEUE, name="parent", id=parent, children=3), *children])

    async def _unique(self, storage: Storage) -> None:
        """Of several with one deduplication id the first one is fresh, and the others while it has not ended."""
        dedup = Dedup(f"unique-{self._next()}", ttl=self._random.choice((None, 0.05)))
        await self._add(storage, [replace(self._job(), dedup=dedup) for _ in range(2)])
        await self._add(storage, [replace(self._job(), dedup=dedup)])

    async def _last(self, storage: Storage) -> None:
        """What comes while the first one runs may be added when that has ended, and nobody is told."""
        dedup = Dedup(f"last-{self._next()}", keep_last=True)
        for _ in range(3):
            job = replace(self._job(), dedup=dedup, delay_ms=0, id=f"last-{self._next()}")
            added = await self._add(storage, [job])
            if not added[0].fresh:
                self._answers.kept_back.add(job.id or "")
            await asyncio.sleep(self._random.uniform(0, 0.02))

    async def _after(self, storage: Storage) -> None:
        """After one that may be anywhere by now, or gone, and before another one."""
        first = self._random.choice(self._known[-RECENT:] or ["1"])
        name = f"after-{self._next()}"
        policy = self._random.choice((ParentPolicy.FAIL, ParentPolicy.IGNORE, ParentPolicy.REMOVE))
        second = replace(self._job(), id=name, after=(After(QUEUE, first, policy),))
        await self._add(storage, [second, replace(self._job(), after=(After(QUEUE, name, policy),))])

    # -- workers -------------------------------------------------------------------------------------------------------

    async def work(self, storage: Storage) -> None:
        """Claim, run, settle and claim again. Sometimes forget a job, and be late with another."""
        name = f"worker-{self._next()}"
        info = WorkerInfo(id=name, name=name, host="here", pid=os.getpid(), queues=(QUEUE,), slots=8, started_at=1)
        running: dict[JobId, tuple[Job, Token]] = {}
        while not self.over.is_set():
            if running:
                await self._beat(storage, info, running)
            await self._turn(storage, name, running)

    async def _turn(self, storage: Storage, name: str, running: dict[JobId, tuple[Job, Token]]) -> None:
        token = Token(f"{name}-{self._next()}")
        claim = Claim(count=self._random.randint(0, 8 - len(running)), token=token, lease_ms=LEASE_MS, worker=name)
        done = self._random.sample(sorted(running), self._random.randint(0, len(running)))
        if done:
            claimed = await self._settle(storage, [running.pop(job_id) for job_id in done], claim)
        else:
            claimed = (await self._called("claim", storage.claim(QUEUE, claim))).jobs
        for job in claimed:
            self._answers.claimed[job.id, job.fence] += 1
            if self.calm.is_set() or self._random.random() > 0.03:  # else forgotten, until its lease is over
                running[job.id] = (job, token)
        if not claimed and not running:
            await self._called("wait", storage.wait([QUEUE], timeout=0.05))
        elif self._random.random() < 0.02 and not self.calm.is_set():
            await asyncio.sleep(1.5 * LEASE_MS / 1000)  # all of them are late
        else:
            await asyncio.sleep(self._random.uniform(0, 0.004))

    async def _settle(self, storage: Storage, done: list[tuple[Job, Token]], then: Claim) -> tuple[Job, ...]:
        outcomes = {job.id: self._outcome() for job, _ in done}
        verdicts = [Settlement(job_id=job.id, token=token, outcome=outcomes[job.id]) for job, token in done]
        settled = await self._called("settle", storage.settle(QUEUE, verdicts, then=then))
        for job_id, outcome in outcomes.items():
            if job_id in settled.refused:
                continue
            if isinstance(outcome, Completed):
                self._answers.completed[job_id] += 1
                self._answers.requested += len(outcome.adds)
                for more in outcome.adds:
                    assert more.id is not None
                    self._answers.added[more.id] += 1
                    self._known.append(more.id)
            elif isinstance(outcome, Failed):
                self._answers.failed[job_id] += 1
        return settled.claimed.jobs

    def _outcome(self) -> Outcome:
        draw = self._random.random()
        if self.calm.is_set() or draw < 0.65:
            return Completed(result="1", keep=KEEP)
        if draw < 0.75:
            return Completed(result="1", keep=KEEP, adds=(replace(self._job(), id=f"more-{self._next()}"),))
        if draw < 0.76:
            return Limited(10)
        return self._random.choice(
            (
                Failed("no", keep=KEEP, failure=FAILURE), Retried(10, "not yet"), Snoozed(20), Released(),
                Retried(0, "at once", failure=FAILURE),
            )
        )  # fmt: skip

    async def _beat(self, storage: Storage, info: WorkerInfo, running: dict[JobId, tuple[Job, Token]]) -> None:
        leases = [Lease(queue=QUEUE, job_id=job_id, token=token) for job_id, (_, token) in running.items()]
        pulse = await self._called("heartbeat", storage.heartbeat(info, leases, lease_ms=LEASE_MS))
        for lost in pulse.lost:
            running.pop(lost.job_id, None)

    async def recover(self, storage: Storage) -> None:
        """Take back the forgotten."""
        while not self.over.is_set():
            found = await self._called("recover", storage.recover(QUEUE, max_crashes=5))
            self._answers.recovered.update((*found.requeued, *found.quarantined))
            await asyncio.sleep(0.05)

    async def read(self, storage: Storage) -> None:
        """Follow the events: no cursor comes twice, and none goes back."""
        cursor, seen = NOW, ""
        while not self.over.is_set():
            events, cursor = await self._called("events", storage.events(QUEUE, after=cursor, timeout=0.2))
            cursors = [event.cursor for event in events]
            if len(set(cursors)) != len(cursors) or (cursors and cursors[0] == seen):
                self._answers.wrong.append(f"twice: the reader of events was told {cursors[0]} again")
            seen = cursors[-1] if cursors else seen

    # -- people --------------------------------------------------------------------------------------------------------

    async def meddle(self, storage: Storage) -> None:
        """Do what an operator may do."""
        while not self.calm.is_set():
            if self._known:
                ways = (
                    self._remove, self._retry, self._cancel, self._promote, self._log, self._note, self._pause,
                    self._fire, self._mood,
                )  # fmt: skip
                await self._random.choice(ways)(storage)
            await asyncio.sleep(self._random.uniform(0, 0.02))

    def _some(self, *states: JobState) -> Selection:
        """Some jobs by their ids, or the first few of a state."""
        if self._random.random() < 0.5:
            return Selection(states=frozenset(states), limit=3)
        recent = self._known[-RECENT:]
        return Selection(ids=tuple(dict.fromkeys(self._random.choices(recent, k=3))))

    async def _remove(self, storage: Storage) -> None:
        which = self._some(JobState.COMPLETED, JobState.FAILED, JobState.WAITING, JobState.DELAYED)
        self._answers.removed.update(await self._called("remove", storage.remove(QUEUE, which)))

    async def _retry(self, storage: Storage) -> None:
        which = self._some(JobState.FAILED, JobState.COMPLETED)
        self._answers.retried.update(await self._called("retry", storage.retry(QUEUE, which)))

    async def _cancel(self, storage: Storage) -> None:
        which = self._some(JobState.WAITING, JobState.ACTIVE)
        self._answers.cancelled.update(await self._called("cancel", storage.cancel(QUEUE, which, reason="why not")))

    async def _promote(self, storage: Storage) -> None:
        promoted = await self._called("promote", storage.promote(QUEUE, self._some(JobState.DELAYED)))
        if len(set(promoted)) != len(promoted):
            self._answers.wrong.append(f"twice: promote answered {promoted}")

    async def _log(self, storage: Storage) -> None:
        job_id, line = self._random.choice(self._known[-RECENT:]), f"line {self._next()}"
        if await self._called("log", storage.log(QUEUE, job_id, [line])):
            self._answers.lines[line] = job_id

    async def _note(self, storage: Storage) -> None:
        key = f"note-{self._next()}"
        before = await self._called("remember", storage.remember(QUEUE, key, '"first"'))
        after = await self._called("remember", storage.remember(QUEUE, key, '"second"'))
        if (before, after) != (None, '"first"'):
            self._answers.wrong.append(f"twice: a note was answered with {before}, then with {after}")

    async def _pause(self, storage: Storage) -> None:
        paused = await self._called("configure", storage.configure(QUEUE, QueueSettings(paused=True)))
        resumed = await self._called("configure", storage.configure(QUEUE, QueueSettings(paused=False)))
        if not isinstance(paused.paused, bool) or resumed.paused is None:
            self._answers.wrong.append("wrong: a queue's settings were not answered")

    async def _mood(self, storage: Storage) -> None:
        """A group is paused, held or limited, and soon let go again."""
        change = self._random.choice(
            (
                GroupChange(paused=True), GroupChange(hold=Hold(for_ms=20, probe=True)),
                GroupChange(limits=GroupLimits(concurrency=1, rate_limits=(RateLimit(3, per=0.02),))),
            )
        )  # fmt: skip
        group = self._random.choice(GROUPS)
        await self._called("configure", storage.configure(QUEUE, QueueSettings(groups={group: change})))
        await self._called("groups", storage.groups(QUEUE))
        await self._called("configure", storage.configure(QUEUE, QueueSettings(groups={group: FREE})))

    async def _fire(self, storage: Storage) -> None:
        key, slot = f"schedule-{self._next()}", now_ms() - 5
        schedule = Schedule(key=key, queue=QUEUE, name="job", timing=Every(60), next_at=slot, computed=True)
        await self._called("put_schedules", storage.put_schedules([schedule]))
        self._answers.requested += 1
        jobs = [NewJob(queue=QUEUE, name="job", schedule=key, scheduled_for=slot)]
        added = await self._called(
            "fire", storage.fire_schedule(QUEUE, key, slot=slot, jobs=jobs, next_at=slot + 60_000)
        )
        if added is None or len(added) != 1:
            self._answers.wrong.append(f"twice: firing {key} for the first time answered {added}")
        else:
            self._answers.added[added[0].id] += 1
        if await self._called("drop", storage.drop_schedules(QUEUE, [key])) != [key]:
            self._answers.wrong.append(f"twice: dropping {key} for the first time found none")
