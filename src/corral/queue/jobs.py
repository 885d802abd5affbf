"""The verbs for single jobs and for many of them."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from msgspec import UNSET

from corral.errors import JobFailedError, JobNotFoundError, JobStateError, JobTimeoutError
from corral.job import FINISHED, PENDING, Job, JobId, JobState
from corral.keywords import check_group
from corral.listener import Endings
from corral.options import check_priority
from corral.payload import from_json, to_json
from corral.queue.base import QueueBase, these
from corral.storage.insight import Page, Place
from corral.storage.port import Children, JobPatch, Selection, Storage
from corral.timing import Seconds, to_ms, to_seconds


class JobVerbs(QueueBase):
    """What can be asked about one job, and done with it."""

    def __init__(self, name: str, storage: Storage) -> None:
        super().__init__(name, storage)
        self._endings = Endings(storage, self.name)

    async def get(self, job_id: JobId) -> Job:
        """The job as it stands now. Raises: JobNotFoundError."""
        job = (await self.storage.get(self.name, [job_id]))[0]
        if job is None:
            raise JobNotFoundError(self.name, job_id)
        return job

    async def result(self, job_id: JobId, *, timeout: Seconds | None = None) -> object:
        """Wait until the job has ended and give its result. See `JobHandle.result` for what it raises."""
        seconds = None if timeout is None else to_seconds(timeout, "timeout")
        try:
            async with asyncio.timeout(seconds):
                return await self._await_result(job_id)
        except TimeoutError:
            raise JobTimeoutError(seconds or 0.0) from None

    async def _await_result(self, job_id: JobId) -> object:
        async with self._endings.watch(job_id) as ended:
            while True:
                job = await self.get(job_id)
                if job.state is JobState.COMPLETED:
                    return from_json(job.result or "null")
                if job.state is JobState.FAILED:
                    raise JobFailedError(self.name, job_id, job.failed_reason or "")
                with suppress(
                    TimeoutError
                ):  # a look every 5 s besides: a busy queue may trim events before a slow reader
                    async with asyncio.timeout(5.0):
                        await ended.wait()
                ended.clear()

    async def cancel(self, *job_ids: JobId, reason: str = "") -> list[JobId]:
        """Stop jobs: pending ones fail as cancelled, running ones are told to stop. Answers those it reached."""
        return await self.storage.cancel(self.name, these(job_ids), reason=reason)

    async def logs(self, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        """The job's log lines, oldest first."""
        return await self.storage.logs(self.name, job_id, start=start, limit=limit)

    async def log(self, job_id: JobId, line: str) -> int:
        """Append a line to the job's log; answers how many there are."""
        return await self.storage.log(self.name, job_id, [line])

    async def clear_logs(self, job_id: JobId, *, keep: int = 0) -> int:
        """Drop the job's log lines but for the newest `keep`; answers how many are left."""
        return await self.storage.log(self.name, job_id, [], keep=keep)

    async def update(
        self, job_id: JobId, *, data: object = UNSET, priority: int | None = None, delay: Seconds | None = None,
        progress: object = UNSET,
    ) -> None:  # fmt: skip
        """Change a job that has not ended. `delay` is of a delayed job, from now on. Raises: JobNotFoundError."""
        patch = JobPatch(
            job_id=job_id,
            data=UNSET if data is UNSET else to_json(data, "payload"),
            priority=UNSET if priority is None else check_priority(priority),
            delay_ms=UNSET if delay is None else to_ms(delay, "delay"),
            progress=UNSET if progress is UNSET else to_json(progress, "progress"),
        )
        if not await self.storage.update(self.name, [patch]):
            raise JobNotFoundError(self.name, job_id)

    async def place(self, job_id: JobId) -> Place | None:
        """How many jobs stand before a waiting or delayed one; None when it is neither."""
        return await self.storage.place(self.name, job_id)

    # -- its children --------------------------------------------------------------------------------------------

    async def children(self, job_id: JobId) -> Children:
        """How the job's children, and the jobs it comes after, stand: results and reasons by id."""
        return await self.storage.children(self.name, job_id)

    async def remove_pending_children(self, job_id: JobId) -> list[tuple[str, JobId]]:
        """Delete the children that have not started; those that run or have ended stay. Answers (queue, id)."""
        removed: list[tuple[str, JobId]] = []
        pending = (await self.storage.children(self.name, job_id)).pending
        for queue in dict.fromkeys(queue for queue, _ in pending):
            ids = [child for home, child in pending if home == queue]
            for begin in range(0, len(ids), 1000):  # a slice at a time: other callers get their turn in between
                slice_ = these(ids[begin : begin + 1000])
                gone = await self.storage.remove(queue, Selection(ids=slice_.ids, states=PENDING, limit=slice_.limit))
                removed += [(queue, child) for child in gone]
        return removed

    async def detach(self, job_id: JobId) -> None:
        """Let the job's parent wait for it no longer; the job itself stays, without a parent.

        Raises:
            JobNotFoundError: it is gone. JobStateError: it has ended, and its parent has its result already.
        """
        if not await self.storage.update(self.name, [JobPatch(job_id=job_id, detach=True)]):
            job = await self.get(job_id)
            raise JobStateError(self.name, job_id, state=job.state, wanted="pending or active")


class ManyVerbs(QueueBase):
    """What can be done with many jobs at once."""

    async def page(
        self, *states: JobState, start: int = 0, limit: int = 50, newest_first: bool = True, name: str | None = None,
        group: str | None = None,
    ) -> Page[Job]:  # fmt: skip
        """Jobs in these states (all states when none is named)."""
        return await self.storage.page(
            self.name, states or tuple(JobState), start=start, limit=limit, newest_first=newest_first, name=name,
            group=_checked(group),
        )  # fmt: skip

    async def retry(
        self, *job_ids: JobId, states: Iterable[JobState] = (JobState.FAILED,), limit: int = 1000,
        name: str | None = None, group: str | None = None, reset_attempts: bool = True, after: Seconds = 0,
        every: Seconds = 0,
    ) -> list[JobId]:  # fmt: skip
        """Run finished jobs again: these, or the oldest in these states.

        Args:
            reset_attempts: count attempts from the beginning; otherwise the job has those it has left.
            after, every: seconds until the first one, and between one and the next: a drip instead of a flood.
        """
        which = (
            these(job_ids)
            if job_ids
            else Selection(states=frozenset(states), limit=limit, name=name, group=_checked(group))
        )  # fmt: skip
        return await self.storage.retry(
            self.name, which, reset_attempts=reset_attempts, after_ms=to_ms(after, "after"),
            every_ms=to_ms(every, "every"),
        )  # fmt: skip

    async def promote(self, *job_ids: JobId, limit: int = 1000) -> list[JobId]:
        """Let delayed jobs run now: these, or all up to `limit`."""
        which = these(job_ids) if job_ids else Selection(states=frozenset({JobState.DELAYED}), limit=limit)
        return await self.storage.promote(self.name, which)

    async def remove(self, *job_ids: JobId) -> list[JobId]:
        """Delete these jobs. Active ones are spared: cancel them first."""
        return await self.storage.remove(self.name, these(job_ids))

    async def clean(
        self, *states: JobState, older_than: Seconds = 0, limit: int = 10_000, name: str | None = None,
        group: str | None = None,
    ) -> list[JobId]:  # fmt: skip
        """Delete finished jobs (or those in `states`) that ended at least `older_than` seconds ago."""
        older_ms = to_ms(older_than, "older_than")
        return await self._remove_all(frozenset(states) or FINISHED, older_ms, limit, name, group)

    async def drain(self, *, delayed: bool = False, group: str | None = None, limit: int = 1_000_000) -> list[JobId]:
        """Delete what waits (and, with `delayed`, what is due later). Running jobs go on."""
        states = {JobState.WAITING, JobState.DELAYED} if delayed else {JobState.WAITING}
        return await self._remove_all(frozenset(states), None, limit, None, group)

    async def _remove_all(
        self, states: frozenset[JobState], older_ms: int | None, limit: int, name: str | None, group: str | None
    ) -> list[JobId]:
        group = _checked(group)
        removed: list[JobId] = []
        while len(removed) < limit:
            size = min(1000, limit - len(removed))  # a slice at a time: other callers get their turn in between
            which = Selection(states=states, older_than_ms=older_ms, limit=size, name=name, group=group)
            batch = await self.storage.remove(self.name, which)
            removed += batch
            if len(batch) < size:
                break
        return removed

    async def obliterate(self, *, force: bool = False) -> None:
        """Delete the queue and everything in it. Raises: StorageError while jobs run, unless `force`."""
        await self.storage.obliterate(self.name, force=force)


def _checked(group: str | None) -> str | None:
    return None if group is None else check_group(group)
