"""The scheduler: turns the slots of schedules into jobs, and changes schedules.

Any number of schedulers may run on one store: firing a slot makes its jobs and arms the next slot in one step, and only
the first to ask for it gets it.
"""

import asyncio
import inspect
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from corral.errors import ConfigError, RegistrationError, ScheduleNotFoundError, StorageError
from corral.intake import OPEN, Intake
from corral.job import NewJob
from corral.schedule import Schedule
from corral.slots import GRACE_MS, armed, due_slots, next_slot, slot_id
from corral.storage.port import BATCH, Added, Storage
from corral.timing import Millis, now_ms

log = logging.getLogger("corral.scheduler")

#: How long a change made by another process may go unnoticed, and how long a broken schedule rests.
POLL_S = 2.0
REST_MS: Millis = 5_000
HEAL_S = 30.0
#: A store that does not answer is left to the other schedulers; what was asked of it is asked again.
PATIENCE_S = 10.0
#: Schedules fired at once: enough that the store can commit them together.
TOGETHER = 64

#: (queue, key)
Name: TypeAlias = tuple[str, str]
#: Makes a payload, as JSON text, when its schedule runs.
PayloadFunction: TypeAlias = Callable[[], str | Awaitable[str]]


#: Schedules read at once.
PAGE = 1_000


class Fired(Struct, frozen=True, kw_only=True):
    """What became of a schedule that was due. No jobs: its slots were forgotten, or the previous run is not over."""

    queue: str
    key: str
    slots: tuple[Millis, ...]
    jobs: tuple[Added, ...]
    next_at: Millis | None
    missed: int


class Reconciled(Struct, frozen=True, kw_only=True):
    """What a reconciliation did, as (queue, key)."""

    added: tuple[Name, ...] = ()
    changed: tuple[Name, ...] = ()
    removed: tuple[Name, ...] = ()
    unchanged: int = 0


class Scheduler:
    """Fires schedules, and changes them.

    Args:
        storage: an open store.
        payloads: (queue, key) -> the function that makes the payload, for schedules declared with one.
        owner: the application in whose name schedules are declared.
        intake: the application's, which every job passes on its way.
    """

    def __init__(
        self, storage: Storage, payloads: Mapping[Name, PayloadFunction] | None = None, *, owner: str = "",
        intake: Intake = OPEN,
    ) -> None:  # fmt: skip
        self._storage = storage
        self._payloads = payloads if payloads is not None else {}
        self._owner = owner
        self._intake = intake
        self._resting: dict[Name, Millis] = {}
        #: Told of every schedule that was fired here.
        self.told: Callable[[Fired], None] | None = None

    # -- firing ------------------------------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Fire schedules as they fall due, until `stop` is set. A store that cannot be reached is waited for."""
        clock = asyncio.get_running_loop().time
        healed = looked = -HEAL_S
        alarms: list[Millis] = []
        while not stop.is_set():
            at = now_ms()
            wake = at + int(POLL_S * 1000)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    if clock() - healed >= HEAL_S:
                        await self.heal()
                        healed = clock()
                    # The next few seconds are looked at once; until then only what is due is read.
                    if clock() - looked >= POLL_S:
                        alarms = [item.next_at for item in await self._list(due_by=wake) if item.next_at is not None]
                        heapify(alarms)
                        looked = clock()
                    due = [item for item in await self._due(at) if self._resting.get(_name(item), 0) <= at]
                for fired in await self._fire(due, at, None):
                    if fired.next_at is not None:
                        heappush(alarms, fired.next_at)
            except (StorageError, TimeoutError) as error:
                log.warning("schedules wait for the store: %s", error or "it does not answer")
            while alarms and alarms[0] <= at:
                heappop(alarms)
            await _nap(stop, min([wake, *alarms[:1]]) - now_ms())

    async def tick(self, now: Millis | None = None) -> list[Fired]:
        """Fire what is due. A schedule that cannot be computed is logged, keeps its slot, and stops no other one."""
        at = now_ms() if now is None else now
        return await self._fire(await self._due(at), at, now)

    async def _due(self, at: Millis) -> list[Schedule]:
        """What is due and can be served here: a computed payload only where its function is."""
        return [item for item in await self._list(due_by=at) if not item.computed or _name(item) in self._payloads]

    async def _fire(self, due: list[Schedule], at: Millis, now: Millis | None) -> list[Fired]:
        fired: list[Fired] = []
        waiting = random.sample(due, len(due))  # in another order than other schedulers, so that they share the work
        while waiting:
            some, waiting = waiting[:TOGETHER], waiting[TOGETHER:]
            answers = await asyncio.gather(*(self._fire_one(item, at, now) for item in some), return_exceptions=True)
            for item, answer in zip(some, answers, strict=True):
                if isinstance(answer, BaseException):
                    self._resting[_name(item)] = at + REST_MS
                    log.error("schedule %r of queue %r waits: %r", item.key, item.queue, answer, exc_info=answer)
                elif answer is not None:
                    fired.append(answer)
            if waiting and answers.count(None) > len(some) // 4:
                still = {_name(item) for item in await self._list(due_by=at)}
                waiting = [item for item in waiting if _name(item) in still]
        return sorted(fired, key=lambda one: (one.queue, one.key))

    async def _fire_one(self, schedule: Schedule, at: Millis, now: Millis | None) -> Fired | None:
        """None when another scheduler was first."""
        slots, next_at, missed = due_slots(schedule, at)
        assert schedule.next_at is not None  # it is due
        async with asyncio.timeout(PATIENCE_S):
            jobs = [await self._job(schedule, slot, id=slot_id(schedule.key, slot)) for slot in slots]
            added = await self._storage.fire_schedule(
                schedule.queue, schedule.key, slot=schedule.next_at, jobs=jobs, next_at=next_at, now=now
            )
        if added is None:
            return None
        self._resting.pop(_name(schedule), None)
        # An interval of a second that swallowed another while the process was busy is no news.
        if missed and at - schedule.next_at > GRACE_MS:
            log.warning(
                "schedule %r of queue %r missed %d runs, policy %s: %d jobs made",
                schedule.key, schedule.queue, missed, schedule.missed, len(added),
                extra={"event": "schedule.missed", "queue": schedule.queue, "schedule": schedule.key, "count": missed},
            )  # fmt: skip
        if log.isEnabledFor(logging.DEBUG):
            facts = {"event": "schedule.fired", "queue": schedule.queue, "schedule": schedule.key, "job": schedule.name}
            log.debug("schedule fired", extra={**facts, "count": len(added)})
        fired = Fired(
            queue=schedule.queue,
            key=schedule.key,
            slots=tuple(slots),
            jobs=tuple(added),
            next_at=next_at,
            missed=missed,
        )
        if self.told is not None:
            self.told(fired)
        return fired

    async def _job(self, schedule: Schedule, slot: Millis, *, id: str | None) -> NewJob:
        data = schedule.data
        if schedule.computed:
            answer = self._payloads[_name(schedule)]()
            data = await answer if inspect.isawaitable(answer) else answer
        job = NewJob(
            queue=schedule.queue, name=schedule.name, data=data, id=id, priority=schedule.priority,
            options=schedule.options, schedule=schedule.key, scheduled_for=slot,
        )  # fmt: skip
        return (await self._intake.admit([job], guarded=False))[0]

    # -- changing ----------------------------------------------------------------------------------------------------

    async def reconcile(
        self, declared: Sequence[Schedule], *, prune: bool = True, now: Millis | None = None
    ) -> Reconciled:
        """Bring the store in line with what the application declares: safe at every start of every process.

        Unchanged schedules keep their next run. With `prune`, schedules of this owner that are no longer declared are
        dropped. People's schedules and other applications' are left alone, and a declared one stays paused.

        Raises:
            RegistrationError: the same key twice in one queue.
        """
        at = now_ms() if now is None else now
        stored = {_name(item): item for item in await self._list()}
        wanted: dict[Name, Schedule] = {}
        for item in declared:
            name = _name(item)
            if name in wanted:
                raise RegistrationError(f"schedule {item.key!r} of queue {item.queue!r} is declared twice")
            wanted[name] = armed(replace(item, owner=self._owner), stored.get(name), at)
        new = [name for name in wanted if name not in stored]
        changed = [name for name in wanted if name in stored and wanted[name] != stored[name]]
        gone = [
            name for name, item in stored.items() if name not in wanted and self._owner and item.owner == self._owner
        ]
        await self._put([wanted[name] for name in (*new, *changed)], now)
        removed = await self._drop(gone) if prune else []
        return Reconciled(
            added=tuple(new),
            changed=tuple(changed),
            removed=tuple(removed),
            unchanged=len(wanted) - len(new) - len(changed),
        )

    async def heal(self, now: Millis | None = None) -> list[Name]:
        """Arm the schedules that have no next run although they have not ended; answers which those were."""
        at = now_ms() if now is None else now
        found = []
        for item in await self._list():
            if item.next_at is None and not item.paused:
                try:
                    healed = armed(item, item, at)
                except ConfigError as error:  # one that cannot be computed must not keep the others down
                    log.error("schedule %r of queue %r cannot be armed: %s", item.key, item.queue, error)
                    continue
                if healed.next_at is not None:
                    found.append(healed)
        await self._put(found, now)
        return [_name(item) for item in found]

    async def put(self, schedule: Schedule, *, now: Millis | None = None) -> Schedule:
        """Create a schedule, or change the one with its queue and key; answers it as stored.

        A changed timing takes effect from now on; otherwise the next run stays. History and pause are kept.
        """
        before = await self._find(schedule.queue, schedule.key)
        [stored] = await self._put([armed(schedule, before, now_ms() if now is None else now)], now)
        return stored

    async def edit(self, schedule: Schedule, *, now: Millis | None = None) -> Schedule:
        """As `put`, for a schedule that must exist. Raises: ScheduleNotFoundError."""
        await self.get(schedule.queue, schedule.key)
        return await self.put(schedule, now=now)

    async def pause(self, queue: str, key: str, *, now: Millis | None = None) -> Schedule:
        """Let no slot run until `resume`. Raises: ScheduleNotFoundError."""
        [stored] = await self._put([replace(await self.get(queue, key), paused=True)], now)
        return stored

    async def resume(self, queue: str, key: str, *, now: Millis | None = None) -> Schedule:
        """Go on with the next slot from now; those that came during the pause are not missed, they are not wanted.

        Raises:
            ScheduleNotFoundError: no such schedule.
        """
        schedule = await self.get(queue, key)
        if not schedule.paused:
            return schedule
        going = replace(schedule, paused=False, next_at=next_slot(schedule, now_ms() if now is None else now))
        [stored] = await self._put([going], now)
        return stored

    async def drop(self, queue: str, key: str) -> None:
        """Delete a schedule; jobs it has made stay. Raises: ScheduleNotFoundError."""
        if not await self._drop([(queue, key)]):
            await self.get(queue, key)

    async def run_now(self, queue: str, key: str, *, now: Millis | None = None) -> Added:
        """Add a job of this schedule at once, paused or not, without moving its next run.

        Raises:
            ScheduleNotFoundError: no such schedule. ConfigError: its payload is made by another application.
        """
        schedule = await self.get(queue, key)
        if schedule.computed and _name(schedule) not in self._payloads:
            raise ConfigError(
                f"schedule {key!r} makes its payload in application {schedule.owner!r}: run it from there",
                key="computed",
            )
        job = await self._job(schedule, now_ms() if now is None else now, id=None)
        [added] = await self._storage.add([job], now=now)
        return added

    async def get(self, queue: str, key: str) -> Schedule:
        """A schedule as it stands. Raises: ScheduleNotFoundError."""
        found = await self._find(queue, key)
        if found is None:
            raise ScheduleNotFoundError(key, [item.key for item in await self._list(queue=queue)])
        return found

    # -- the store ---------------------------------------------------------------------------------------------------

    async def _find(self, queue: str, key: str) -> Schedule | None:
        return next((item for item in await self._list(queue=queue) if item.key == key), None)

    async def _list(self, *, queue: str | None = None, due_by: Millis | None = None) -> list[Schedule]:
        found: list[Schedule] = []
        start = 0
        while True:  # in steps of the page's size: what cannot be read is left out of a page, and still counts
            page = await self._storage.schedules(queue=queue, due_by=due_by, start=start, limit=PAGE)
            found.extend(page.items)
            start += PAGE
            if start >= page.total:
                return found

    async def _put(self, schedules: Sequence[Schedule], now: Millis | None) -> list[Schedule]:
        stored: list[Schedule] = []
        for start in range(0, len(schedules), BATCH):
            stored += await self._storage.put_schedules(schedules[start : start + BATCH], now=now)
        return stored

    async def _drop(self, names: Iterable[Name]) -> list[Name]:
        keys: dict[str, list[str]] = {}
        for queue, key in names:
            keys.setdefault(queue, []).append(key)
        return [(queue, key) for queue in keys for key in await self._storage.drop_schedules(queue, keys[queue])]


def _name(schedule: Schedule) -> Name:
    return schedule.queue, schedule.key


async def _nap(stop: asyncio.Event, for_ms: Millis) -> None:
    """Sleep, up to 50 ms longer than asked so that schedulers do not step on each other; wakes at once on `stop`."""
    try:
        async with asyncio.timeout(max(for_ms, 0) / 1000 + random.random() * 0.05):
            await stop.wait()
    except TimeoutError:
        pass
