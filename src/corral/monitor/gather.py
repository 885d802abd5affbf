"""Collecting what the overview shows: few calls at a time, at most once a second, within a budget of time."""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence

from msgspec import Struct

from corral.job import JobState
from corral.monitor.about import About, all_about
from corral.monitor.indexes import IndexAges
from corral.monitor.memory import Memory, MemoryWatch
from corral.monitor.numbers import SAMPLE, means, rates, sampled
from corral.monitor.objects import Limit, QueueRow, Rates, Spread
from corral.monitor.percentiles import MINUTE, WINDOW_MS, Percentiles
from corral.monitor.rules import ENOUGH
from corral.monitor.running import Running
from corral.options import RateLimit
from corral.storage.port import QueueCounts, QueueInfo, Storage, WorkerInfo
from corral.timing import Millis

#: Questions asked together, and for how long one round asks for rates (seconds).
TOGETHER = 50
RATES_S = 0.25
#: Workers are asked for as long as people want to know of them; one that beats is seen every few seconds.
STALE_MS: Millis = 300_000
ALIVE_MS: Millis = 30_000
#: How long the backlog is watched for a forecast, and from when on there is one.
WATCH_MS: Millis = 300_000
ENOUGH_MS: Millis = 30_000
#: Samples of queues that only Node works on are taken again after this.
RESAMPLE_MS: Millis = 10_000


class Pace(Struct, frozen=True):
    """How fast one queue works."""

    rates: Rates
    wait: Spread = Spread()
    run: Spread = Spread()


class Facts(Struct, frozen=True, kw_only=True):
    """Everything about all queues at one moment."""

    at: Millis
    infos: tuple[QueueInfo, ...]
    counts: Mapping[str, QueueCounts]
    workers: tuple[WorkerInfo, ...]
    rows: tuple[QueueRow, ...]
    memory: Memory = Memory()
    wait: Spread
    run: Spread
    spreads_of: int
    worked: int
    took_ms: float


class Gatherer:
    """Remembers between two rounds what is dear to ask for: percentiles, samples, and the backlog's course."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._percentiles = Percentiles(storage)
        self._memory = MemoryWatch(storage)
        self._indexes = IndexAges(storage)
        self._running = Running(storage)
        self._samples: dict[str, tuple[Millis, Pace]] = {}
        self._course: dict[str, deque[tuple[Millis, int]]] = {}

    async def facts(self, at: Millis, now: Millis | None) -> Facts:
        """Ask for everything; `now` is the store's time in tests."""
        began = time.perf_counter()
        infos, workers, said, memory = await asyncio.gather(
            self._storage.queues(), self._storage.workers(stale_ms=STALE_MS, now=now), all_about(self._storage, now),
            self._memory.look(at),
        )  # fmt: skip
        names = [one.name for one in infos]
        counts = {one.queue: one for one in await self._storage.counts(names)}
        self._forget(names)
        paces = await self._paces(counts, at)
        known = await self._percentiles.learn({name: pace.rates for name, pace in paces.items()}, at)
        judged = [name for name, (_, run) in known.items() if counts[name].active and run.count >= ENOUGH]
        oldest, ages = await asyncio.gather(
            self._running.learn(judged, at), self._indexes.learn(names, at, now)
        )  # fmt: skip
        rows = tuple(
            self._row(
                info, counts[info.name], paces.get(info.name), known.get(info.name), workers, at,
                said.get(info.name, About()), oldest.get(info.name), ages.get(info.name),
            )
            for info in infos
        )  # fmt: skip
        wait, run = self._percentiles.all_together()
        return Facts(
            at=at, infos=tuple(infos), counts=counts, workers=tuple(workers), rows=rows,
            memory=memory,
            wait=wait, run=run,
            spreads_of=sum(bool(row.run.count and row.run.p50 is not None) for row in rows),
            worked=sum(row.rates.source != "none" for row in rows),
            took_ms=round((time.perf_counter() - began) * 1000, 1),
        )  # fmt: skip

    def _forget(self, names: Sequence[str]) -> None:
        there = set(names)
        for memory in (self._samples, self._course):
            for gone in [name for name in memory if name not in there]:
                del memory[gone]

    # -- rates -----------------------------------------------------------------------------------------------------

    async def _paces(self, counts: Mapping[str, QueueCounts], at: Millis) -> dict[str, Pace]:
        """The pace of each queue in which anything ever ended, the busiest first, as far as the time goes."""
        worked = [one for one in counts.values() if one.completed_total + one.failed_total + one.completed + one.failed]
        worked.sort(key=lambda one: (-one.active, -one.waiting, one.queue))
        deadline = time.perf_counter() + RATES_S
        found: dict[str, Pace] = {}
        for begin in range(0, len(worked), TOGETHER):
            some = worked[begin : begin + TOGETHER]
            paces = await asyncio.gather(*(self._pace(one, at) for one in some))
            found.update(zip((one.queue for one in some), paces, strict=True))
            if time.perf_counter() > deadline:
                break
        return found

    async def _pace(self, counts: QueueCounts, at: Millis) -> Pace:
        buckets = await self._storage.metrics(counts.queue, since=at - WINDOW_MS, until=at + 1)
        if buckets:
            return Pace(rates(buckets, WINDOW_MS), *means(buckets))
        if not counts.completed + counts.failed:
            return Pace(Rates(window_ms=WINDOW_MS))
        taken, pace = self._samples.get(counts.queue, (at - RESAMPLE_MS - 1, Pace(Rates(window_ms=WINDOW_MS))))
        if not 0 <= at - taken <= RESAMPLE_MS:
            states = [JobState.COMPLETED, JobState.FAILED]
            page = await self._storage.page(counts.queue, states, limit=SAMPLE, lean=True)
            pace = Pace(*sampled(page.items, at, WINDOW_MS))
            self._samples[counts.queue] = at, pace
        return pace

    # -- one row ---------------------------------------------------------------------------------------------------

    def _row(
        self, info: QueueInfo, counts: QueueCounts, pace: Pace | None, spreads: tuple[Spread, Spread] | None,
        workers: Sequence[WorkerInfo], at: Millis, said: About, oldest_active_ms: Millis | None,
        index_age_ms: Millis | None,
    ) -> QueueRow:  # fmt: skip
        known = pace or Pace(Rates(window_ms=WINDOW_MS))
        wait, run = spreads if spreads is not None and spreads[1].count else (known.wait, known.run)
        serving = [one for one in workers if info.name in one.queues and at - one.seen_at <= ALIVE_MS]
        oldest = counts.oldest_waiting_at
        grows = self._grows(info.name, counts.waiting, at)
        return QueueRow(
            name=info.name,
            state=state_of(info, at),
            waiting=counts.waiting,
            active=counts.active,
            delayed=counts.delayed,
            waiting_children=counts.waiting_children,
            completed=counts.completed,
            failed=counts.failed,
            paused_jobs=counts.paused,
            completed_total=counts.completed_total,
            failed_total=counts.failed_total,
            oldest_waiting_ms=None if oldest is None else max(0, at - oldest),
            workers=len(serving),
            slots=sum(slots_in(one, info.name) for one in serving),
            busy=counts.active,
            rates=known.rates,
            wait=wait,
            run=run,
            pause_reason=info.pause_reason,
            held_until=_to_come(info.held_until, at),
            hold_reason=info.hold_reason,
            concurrency=info.concurrency,
            rate_limit=limit_of(info.rate_limit),
            limited_until=_to_come(info.limited_until, at),
            grows_per_minute=grows,
            empty_in_ms=round(counts.waiting / -grows * MINUTE) if grows is not None and grows < 0 else None,
            oldest_active_ms=oldest_active_ms,
            index_age_ms=index_age_ms,
            description=said.description,
            slo_ms=said.slo_ms,
        )

    def _grows(self, name: str, waiting: int, at: Millis) -> float | None:
        """How many waiting jobs more there are each minute, over the last minutes; None before that is known."""
        course = self._course.setdefault(name, deque(maxlen=400))
        if course and at < course[-1][0]:
            course.clear()
        course.append((at, waiting))
        while at - course[0][0] > WATCH_MS:
            course.popleft()
        since, before = course[0]
        return None if at - since < ENOUGH_MS else round((waiting - before) * MINUTE / (at - since), 2)


def _to_come(moment: Millis | None, at: Millis) -> Millis | None:
    return moment if moment is not None and moment > at else None


def slots_in(worker: WorkerInfo, queue: str) -> int:
    """How many jobs of a queue the worker runs at once; of one that does not tell its queues apart, of all."""
    if len(worker.slots_of) != len(worker.queues):
        return worker.slots
    return sum(slots for name, slots in zip(worker.queues, worker.slots_of, strict=True) if name == queue)


def state_of(info: QueueInfo, at: Millis) -> str:
    """A queue's state in a word."""
    if info.paused:
        return "paused"
    if info.held_until is not None and info.held_until > at:
        return "held"
    return "probing" if info.probing else "active"


def limit_of(limit: RateLimit | None) -> Limit | None:
    """A window, in milliseconds."""
    return None if limit is None else Limit(limit.count, limit.per_ms)


def alive(workers: Sequence[WorkerInfo], at: Millis) -> list[WorkerInfo]:
    """Those that were seen lately."""
    return [one for one in workers if at - one.seen_at <= ALIVE_MS]
