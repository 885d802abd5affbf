"""Hurrying schedules: what comes daily comes every few seconds, so many times and no more."""

from msgspec.structs import replace

from corral import Corral, Cron, Every
from corral.schedule import Schedule
from corral.scheduler import Scheduler

from .plan import Plan

PAGE = 1_000


class Hurry:
    """Knows the schedules of one application, also those that it stores while it runs."""

    def __init__(self, app: Corral, plan: Plan) -> None:
        self._app = app
        self._plan = plan
        self.fired: dict[str, int] = {}
        self.late: dict[str, int] = {}  #: due, and not fired: for how many milliseconds

    async def look(self, now: int) -> None:
        """Hurry those that are new, and see how far the others are."""
        storage = await self._app.open()
        scheduler = self._app.scheduler(storage)
        found = (await storage.schedules(limit=PAGE)).items
        self.fired = {f"{one.queue}/{one.key}": one.fired for one in found}
        self.late = {
            f"{one.queue}/{one.key}": now - one.next_at
            for one in found
            if one.next_at is not None and one.next_at < now
        }
        for schedule in found:
            await self._hurry(scheduler, schedule)

    async def _hurry(self, scheduler: Scheduler, schedule: Schedule) -> None:
        # A cron line, or an interval of the platform's own that is longer than ours.
        timing = schedule.timing
        slow = isinstance(timing, Cron) or timing.seconds > self._plan.period
        if slow or schedule.limit is None:
            every = Every(self._plan.period if slow or isinstance(timing, Cron) else timing.seconds)
            hurried = replace(schedule, timing=every, limit=self._plan.fires, start_at=None, end_at=None)
            await scheduler.put(hurried)

    @property
    def over(self) -> bool:
        """Whether every schedule has run as often as it should, and there is one."""
        return all(count >= self._plan.fires for count in self.fired.values())

    def problems(self) -> list[str]:
        """Schedules that ran another number of times than they should."""
        return [
            f"schedule {name} ran {count} times of {self._plan.fires}"
            + (f", and is late by {self.late[name] / 1000:.1f} s" if name in self.late else "")
            for name, count in self.fired.items()
            if count != self._plan.fires
        ]
