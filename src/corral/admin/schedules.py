"""The write model's verbs about schedules."""

from collections.abc import Mapping

from msgspec import UNSET, UnsetType
from msgspec.structs import asdict, replace

from corral.admin.base import DeskBase
from corral.admin.hiding import changed, kept_text
from corral.admin.payloads import checked
from corral.errors import ConfigError, ScheduleNotFoundError
from corral.job import check_name
from corral.options import JobOptions, check_priority
from corral.schedule import Cron, Every, Missed, Overlap, Schedule
from corral.slots import armed
from corral.storage.port import Added
from corral.timing import Millis

#: What of a schedule people decide; the rest is its history.
_SAID = ("name", "timing", "data", "options", "priority", "start_at", "end_at", "limit", "missed", "overlap")


class ScheduleVerbs(DeskBase):
    """What people do with schedules. A schedule that an application declares in code is as declared at its next start.

    Raises (each verb but `put_schedule`):
        ScheduleNotFoundError: no such schedule in this queue.
    """

    async def run_schedule(self, queue: str, key: str) -> Added:
        """Add a job of the schedule at once, paused or not, without moving its next run.

        Raises:
            ConfigError: its payload is made by an application that is not this one.
        """
        async with self._noting("schedule.run", queue=queue, schedule=key) as note:
            added = await self.ground.scheduler().run_now(queue, key, now=self.ground.store_now())
            note.touched([added.id])
            return added

    async def pause_schedule(self, queue: str, key: str) -> Schedule:
        """Let no slot run until it is resumed; a restart of the application does not undo it."""
        async with self._noting("schedule.pause", queue=queue, schedule=key):
            return await self.ground.scheduler().pause(queue, key, now=self.ground.store_now())

    async def resume_schedule(self, queue: str, key: str) -> Schedule:
        """Go on with the next slot from now; those that came during the pause are not made up for."""
        async with self._noting("schedule.resume", queue=queue, schedule=key):
            return await self.ground.scheduler().resume(queue, key, now=self.ground.store_now())

    async def put_schedule(self, schedule: Schedule) -> Schedule:
        """Create a schedule, or change the one with its queue and key. Its history and its pause stay as they are.

        Raises:
            ConfigError, PayloadError: a name, a payload or a priority that cannot be meant.
        """
        async with self._noting("schedule.put", queue=schedule.queue, schedule=schedule.key) as note:
            before = await self._found(schedule.queue, schedule.key)
            made = self._checked(schedule if before is None else replace(schedule, owner=before.owner))
            after = await self.ground.scheduler().put(made, now=self.ground.store_now())
            note.before, note.after = self._told(before, after)
            return after

    async def edit_schedule(
        self, queue: str, key: str, *, timing: Cron | Every | UnsetType = UNSET, name: str | UnsetType = UNSET,
        data: str | UnsetType = UNSET, options: JobOptions | UnsetType = UNSET, priority: int | UnsetType = UNSET,
        start_at: Millis | None | UnsetType = UNSET, end_at: Millis | None | UnsetType = UNSET,
        limit: int | None | UnsetType = UNSET, missed: Missed | UnsetType = UNSET,
        overlap: Overlap | UnsetType = UNSET,
    ) -> Schedule:  # fmt: skip
        """Change what is given of a schedule that is there. `data` is JSON text.

        A changed timing takes effect from now on. A payload makes one that was computed by the application a fixed one.

        Raises:
            ConfigError, PayloadError: a name, a payload or a priority that cannot be meant.
        """
        given = {
            "timing": timing, "name": name, "data": data, "options": options, "priority": priority,
            "start_at": start_at, "end_at": end_at, "limit": limit, "missed": missed, "overlap": overlap,
        }  # fmt: skip
        said = {field: value for field, value in given.items() if not isinstance(value, UnsetType)}
        async with self._noting("schedule.edit", queue=queue, schedule=key) as note:
            scheduler = self.ground.scheduler()
            before = await scheduler.get(queue, key)
            if not said:
                raise ConfigError(f"nothing is to be changed: give one of {', '.join(_SAID)}", key="schedule")
            if "data" in said:
                said["computed"] = False
            after = await scheduler.put(self._checked(replace(before, **said)), now=self.ground.store_now())
            note.before, note.after = self._told(before, after)
            return after

    async def drop_schedule(self, queue: str, key: str) -> None:
        """Delete a schedule; jobs that it has made stay."""
        async with self._noting("schedule.drop", queue=queue, schedule=key) as note:
            scheduler = self.ground.scheduler()
            before = await scheduler.get(queue, key)
            note.before = self._facts(before)
            await scheduler.drop(queue, key)

    async def repair_schedule(self, queue: str, key: str) -> Schedule:
        """Give a schedule that has not ended and has no next run its next run; any other one stays as it is."""
        async with self._noting("schedule.repair", queue=queue, schedule=key) as note:
            scheduler = self.ground.scheduler()
            before = await scheduler.get(queue, key)
            if before.paused or before.next_at is not None:
                return before
            healed = armed(before, before, self.ground.at())
            [after] = await self.storage.put_schedules([healed], now=self.ground.store_now())
            note.before, note.after = {"next_at": before.next_at}, {"next_at": after.next_at}
            return after

    # -- between them ------------------------------------------------------------------------------------------------

    async def _found(self, queue: str, key: str) -> Schedule | None:
        try:
            return await self.ground.scheduler().get(queue, key)
        except ScheduleNotFoundError:
            return None

    def _checked(self, schedule: Schedule) -> Schedule:
        check_name(schedule.queue, "queue name")
        check_name(schedule.key, "schedule key")
        check_name(schedule.name, "job name")
        check_priority(schedule.priority)
        if schedule.limit is not None and (isinstance(schedule.limit, bool) or schedule.limit < 1):
            raise ConfigError(f"limit must be a number of runs, 1 or more, not {schedule.limit!r}", key="limit")
        if schedule.computed:
            return schedule
        return replace(schedule, data=checked(self.ground.app, schedule.queue, schedule.name, schedule.data))

    def _told(
        self, before: Schedule | None, after: Schedule
    ) -> tuple[Mapping[str, object] | None, Mapping[str, object]]:
        """What differs between two of them."""
        if before is None:
            return None, self._facts(after)
        old, new = changed(before, after)
        return self._shown(old, before), self._shown(new, after)

    def _facts(self, schedule: Schedule) -> Mapping[str, object]:
        said = {field: value for field, value in asdict(schedule).items() if field in _SAID and value is not None}
        return self._shown(said, schedule)

    def _shown(self, facts: dict[str, object], schedule: Schedule) -> Mapping[str, object]:
        """The facts as the audit log may have them: of a payload what is not sensitive, of a sealed one nothing."""
        if "data" not in facts:
            return facts
        if self.ground.is_sealed(schedule.queue):
            return {**facts, "data": {"omitted": "sealed"}}
        return {**facts, "data": kept_text(schedule.data, (*self.ground.sensitive, *schedule.options.sensitive))}
