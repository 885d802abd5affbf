"""The worker's side of a circuit breaker: counts the verdicts on its runs, and opens and closes the hold in the store.

What it does is decided by `judge` on what the store says at that moment, so that several workers, and people, do not
work against each other. It asks at most once a second, and only while attempts end.
"""

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec
from msgspec import Struct, field

from corral.breaker import Attempt, Breaker, Gauge, Standing, judge
from corral.errors import StorageError
from corral.event import Event, EventType
from corral.job import Job
from corral.options import GroupChange, Hold, QueueSettings
from corral.outcome import Completed, Crashed, Failed, Limited, Outcome, Retried
from corral.storage.port import Storage
from corral.timing import now_ms
from corral.worker.hooks import HookCalls
from corral.worker.run import Run

logger = logging.getLogger("corral.breaker")

#: Seconds between two looks at the store while nothing is known to be wrong.
LOOK_EVERY = 1.0
#: The same where groups have breakers of their own: a look may then have to read many.
LOOK_AT_GROUPS_EVERY = 5.0
#: Groups whose gauges are kept; beyond it those go that have been idle for longest.
MOST_GROUPS = 10_000
_PAGE = 500
_MOST_PAGES = 40
#: Failures that say nothing about the other side.
_NOT_COUNTED = ("corral.signals.", "corral.errors.PayloadError", "corral.errors.UnknownJobError")


def counts_as(outcome: Outcome) -> bool | None:
    """Whether an attempt failed, for a breaker; None when it does not count."""
    match outcome:
        case Completed():
            return False
        case Failed(failure=failure) | Retried(failure=failure):
            return None if failure is None or failure.type.startswith(_NOT_COUNTED) else True
        case Crashed():
            return True
        case _:
            return None


class _Switch(Struct):
    """What this worker knows of one queue or group."""

    gauge: Gauge
    last: Attempt | None = None  #: not judged yet
    job: Job | None = None  #: that attempt's
    known: Standing = field(default_factory=Standing)  #: at the last look
    limited: str | None = None  #: reason of the last pause that a run of this worker asked for


class Fuse:
    """The breaker of one lane. `told` is cheap and never waits; a task beside the work talks to the store."""

    def __init__(
        self, storage: Storage, queue: str, breaker: Breaker, hooks: HookCalls, *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._storage = storage
        self._queue = queue
        self._breaker = breaker
        self._hooks = hooks
        self._clock = clock
        self._switches: dict[str, _Switch] = {}  #: by group; "" is the queue
        self._waiting: set[str] = set()
        self._bell = asyncio.Event()
        self._urgent = asyncio.Event()
        self._looked_at = -LOOK_AT_GROUPS_EVERY
        self._every = LOOK_EVERY if breaker.by == "queue" else LOOK_AT_GROUPS_EVERY

    def told(self, run: Run, outcome: Outcome) -> None:
        """A verdict of this worker was accepted."""
        key = run.job.group if self._breaker.by == "group" else ""
        if key is None:
            return
        if isinstance(outcome, Limited) and key in self._switches:
            self._switches[key].limited = outcome.reason
        failed = counts_as(outcome)
        if failed is None:
            return
        switch = self._switches.get(key) or self._add(key)
        # The store's clock said when it started, this worker's monotonic one how long it took.
        started_at = run.job.started_at or 0
        ended_at = started_at + max(0, round((self._clock() - run.started) * 1000))
        switch.last, switch.job = Attempt(started_at, ended_at, failed), run.job
        switch.gauge.note(ended_at, failed=failed)
        self._waiting.add(key)
        self._bell.set()
        # A known hold or one to be set does not wait; otherwise a look now and then finds what others have set.
        if switch.known.probing or (failed and switch.gauge.tripped(ended_at) is not None):
            self._urgent.set()

    async def serve(self) -> None:
        """Look at the store and act, as long as the worker lives."""
        while True:
            await self._bell.wait()
            try:
                async with asyncio.timeout(max(0.0, self._looked_at + self._every - self._clock())):
                    await self._urgent.wait()
            except TimeoutError:  # time for another look anyway
                pass
            self._bell.clear()
            self._urgent.clear()
            try:
                await self.attend()
            except StorageError as error:  # the attempts that were not judged stay for the next time
                logger.warning("breaker of queue %r could not reach the store, trying again: %s", self._queue, error)
                await asyncio.sleep(self._every)
                self._bell.set()

    async def attend(self) -> None:
        """Judge the attempts that ended since the last time."""
        keys = {key for key in self._waiting if key in self._switches}
        self._waiting.clear()
        if not keys:
            return
        try:
            standing = await self._look(keys)
        except StorageError:
            self._waiting |= keys
            raise
        self._looked_at = self._clock()
        for key in keys:
            await self._act(key, self._switches[key], standing.get(key, Standing()))

    async def _act(self, key: str, switch: _Switch, standing: Standing) -> None:
        before, attempt = switch.known, switch.last
        if attempt is None:
            return
        if before.streak and standing.probing and not standing.streak and standing.reason == switch.limited:
            # The pause that a run asked for lengthened our hold and has put its own reason in the place of ours.
            standing = Standing(standing.held_until, before.reason, True)
        switch.known = standing
        why = switch.gauge.tripped(attempt.ended_at)
        hold = judge(self._breaker, standing, attempt, why)
        if hold == "as it is":
            return
        switch.last = None
        switch.gauge.clear()
        if hold is None:
            await self._configure(key, None)
            switch.known = Standing()
            await self._tell(EventType.BREAKER_CLOSED, key, switch, "the probe went well")
        else:
            switch.known = await self._configure(key, hold)
            await self._tell(EventType.BREAKER_OPENED, key, switch, hold.reason)

    async def _configure(self, key: str, hold: Hold | None) -> Standing:
        if key:
            settings = QueueSettings(groups={key: GroupChange(hold=hold)})
            await self._storage.configure(self._queue, settings)
            return (await self._look({key})).get(key, Standing())
        info = await self._storage.configure(self._queue, QueueSettings(hold=hold))
        return Standing(info.held_until, info.hold_reason, info.probing)

    async def _look(self, keys: set[str]) -> dict[str, Standing]:
        if self._breaker.by == "queue":
            info = await self._storage.configure(self._queue, QueueSettings())
            return {"": Standing(info.held_until, info.hold_reason, info.probing)}
        found: dict[str, Standing] = {}
        for number in range(_MOST_PAGES):
            page = await self._storage.groups(self._queue, start=number * _PAGE, limit=_PAGE)
            for one in page.items:
                if one.id in keys:
                    found[one.id] = Standing(one.held_until, one.hold_reason, one.probing)
            if len(page.items) < _PAGE or len(found) == len(keys):
                break
        return found

    def _add(self, key: str) -> _Switch:
        if len(self._switches) >= MOST_GROUPS:
            oldest = min(self._switches, key=lambda one: self._switches[one].gauge.idle_since)
            del self._switches[oldest]
        switch = self._switches[key] = _Switch(Gauge(self._breaker))
        return switch

    async def _tell(self, kind: EventType, key: str, switch: _Switch, why: str) -> None:
        facts = {"event": kind.value.replace("-", "."), "queue": self._queue, "group": key, "reason": why}
        logger.warning("breaker %s: %s", "opened" if kind is EventType.BREAKER_OPENED else "closed", why, extra=facts)
        detail = msgspec.json.encode({"group": key or None, "reason": why}).decode()
        event = Event(type=kind, queue=self._queue, at=now_ms(), detail=detail)
        if switch.job is not None and self._hooks.wants(kind):
            self._hooks.put(event, switch.job)
        await self._storage.emit([event])
