"""The monitor's verbs about schedules and flows."""

import asyncio
from collections.abc import Sequence
from fnmatch import fnmatchcase

from corral.errors import ConfigError, JobNotFoundError, ScheduleNotFoundError
from corral.flow.flow import Flow
from corral.flow.read import FlowTree, Ref, Walk
from corral.job import Job, JobId, JobState
from corral.monitor.agenda import runs, schedule_row
from corral.monitor.base import MonitorBase
from corral.monitor.lean import LeanStorage
from corral.monitor.objects import FlowNode, FlowRow, Flows, Run, ScheduleRow, Schedules
from corral.monitor.preview import job_row
from corral.schedule import Schedule
from corral.storage.port import QueueCounts
from corral.timing import Millis

#: Schedules that are read for one answer.
SCHEDULES = 5_000
PAGE = 1_000
STATES = ("active", "paused", "overdue", "lost", "ended")
#: Waiting parents of one queue that are looked at, and jobs of one flow that are counted for its bar.
PARENTS, COUNTED = 200, 200
#: Finished jobs that are looked at for flows, of one queue at least so many, and so many are asked for their children
#: at a time: nothing says of a finished job whether it was the top of a flow.
FINISHED, AT_LEAST, TOGETHER = 300, 10, 32


class PlanVerbs(MonitorBase):
    """What runs when, and what waits for what."""

    async def schedules(
        self, *, queue: str | None = None, match: str = "*", state: str | None = None, start: int = 0, limit: int = 100
    ) -> Schedules:
        """Schedules by queue and key, those whose key fits the pattern and that are in this state.

        Raises:
            ConfigError: a state that is not one of `STATES`.
        """
        if state is not None and state not in STATES:
            raise ConfigError(f"a schedule is {', '.join(STATES)}, not {state!r}", key="state")
        at = self.at()
        found, complete = await self._schedules(queue)
        chosen = [
            one
            for one in found
            if fnmatchcase(one.key, match) and (state is None or schedule_row(one, None, at).state == state)
        ]
        begin = max(0, start)
        shown = chosen[begin : begin + max(0, limit)]
        rows = tuple([await self._row(one, at) for one in shown])
        return Schedules(items=rows, total=len(chosen), complete=complete)

    async def schedule(self, queue: str, key: str) -> ScheduleRow:
        """One schedule. Raises: ScheduleNotFoundError."""
        return await self._row(await self._schedule(queue, key), self.at())

    async def planned(self, queue: str, key: str) -> Schedule:
        """A schedule as it is stored, nothing hidden. Raises: ScheduleNotFoundError."""
        return await self._schedule(queue, key)

    async def runs(self, queue: str, key: str, *, count: int = 10, tz: str = "UTC") -> tuple[Run, ...]:
        """The next runs of a schedule (at most 100), in its zone and in `tz`, marked where clocks change.

        Raises:
            ScheduleNotFoundError: no such schedule. ConfigError: a zone that is not known.
        """
        return runs(await self._schedule(queue, key), count=count, now=self.at(), tz=tz)

    async def _schedules(self, queue: str | None) -> tuple[list[Schedule], bool]:
        found: list[Schedule] = []
        for start in range(0, SCHEDULES, PAGE):
            page = await self.storage.schedules(queue=queue, start=start, limit=PAGE)
            found += page.items
            if start + PAGE >= page.total:
                return found, True
        return found, False

    async def _schedule(self, queue: str, key: str) -> Schedule:
        found, _ = await self._schedules(queue)
        for one in found:
            if one.key == key:
                return one
        raise ScheduleNotFoundError(key, [one.key for one in found])

    async def _row(self, schedule: Schedule, at: Millis) -> ScheduleRow:
        last: Job | None = None
        if schedule.last_job_id is not None:
            [last] = await self.storage.get(schedule.queue, [schedule.last_job_id], lean=True)
        return schedule_row(schedule, last, at, sensitive=self._sensitive)

    # -- flows -----------------------------------------------------------------------------------------------------

    async def flows(self, *, queue: str | None = None, limit: int = 20, finished: bool = False) -> Flows:
        """Flows whose top still waits for others, newest first, with how far they are.

        Args:
            finished: those whose top is among the newest 300 finished jobs instead.
        """
        at = self.at()
        facts, _ = await self.snapshot()
        asked = [one.queue for one in facts.counts.values() if queue in (None, one.queue) and _may_have(one, finished)]
        most = max(AT_LEAST, FINISHED // max(1, len(asked))) if finished else PARENTS
        states = [JobState.COMPLETED, JobState.FAILED] if finished else [JobState.WAITING_CHILDREN]
        some = asked[: FINISHED // AT_LEAST] if finished else asked
        pages = await asyncio.gather(*(self.storage.page(name, states, limit=most, lean=True) for name in some))
        tops = [job for page in pages for job in page.items if job.parent is None]
        tops = await self._parents(tops) if finished else tops
        tops.sort(key=lambda job: (-job.created_at, job.queue, job.id))
        rows = tuple(await asyncio.gather(*(self._flow(job, at) for job in tops[:limit])))
        complete = len(tops) <= limit and len(some) == len(asked) and all(len(one.items) >= one.total for one in pages)
        return Flows(items=rows, examined=sum(len(page.items) for page in pages), complete=complete)

    async def _parents(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of these jobs that came after others."""
        found: list[Job] = []
        for begin in range(0, len(jobs), TOGETHER):
            some = jobs[begin : begin + TOGETHER]
            below = await asyncio.gather(*(self.storage.children(job.queue, job.id, lean=True) for job in some))
            found += [job for job, children in zip(some, below, strict=True) if children.queues or children.pending]
        return found

    async def _flow(self, job: Job, at: Millis) -> FlowRow:
        ref: Ref = job.queue, job.id
        progress = (await Walk(LeanStorage(self.storage), depth=2, limit=COUNTED).down([ref])).progress()
        return FlowRow(
            job=job_row(job, at, sensitive=self._sensitive), done=progress.done, failed=progress.failed,
            pending=progress.pending, complete=progress.complete,
        )  # fmt: skip

    async def flow(self, queue: str, job_id: JobId, *, depth: int = 10, limit: int = 500) -> FlowNode:
        """A job and all below it, at most `limit` jobs and `depth` levels. Raises: JobNotFoundError."""
        tree = await Flow(LeanStorage(self.storage)).tree(queue, job_id, depth=depth, limit=limit)
        if tree.job is None:
            raise JobNotFoundError(queue, job_id)
        return _node(tree, self.at(), self._sensitive)


def _may_have(counts: QueueCounts, finished: bool) -> bool:
    """Whether a queue has jobs of the state in which tops of flows are looked for."""
    return bool(counts.completed + counts.failed if finished else counts.waiting_children)


def _node(tree: FlowTree, at: Millis, sensitive: Sequence[str]) -> FlowNode:
    """The tree as it is shown. Its depth is bounded by that of the walk."""
    return FlowNode(
        queue=tree.queue,
        id=tree.id,
        state=tree.state,
        job=None if tree.job is None else job_row(tree.job, at, sensitive=sensitive),
        reason=tree.reason,
        children=tuple(_node(one, at, sensitive) for one in tree.children),
        left_out=tree.left_out,
        repeated=tree.repeated,
    )
