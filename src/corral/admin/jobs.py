"""The write model's verbs about jobs that are there: run again, run now, stop, delete, change, annotate."""

from collections.abc import Awaitable, Callable, Sequence

from msgspec import UNSET, UnsetType

from corral.admin.base import DeskBase, Note
from corral.admin.hiding import kept_text
from corral.admin.payloads import checked
from corral.admin.problems import refusal
from corral.errors import ConfigError, JobNotFoundError, JobStateError
from corral.flow.flow import Flow
from corral.job import PENDING, Job, JobId, JobState
from corral.options import check_priority
from corral.storage.port import JobPatch, Selection
from corral.storage.sealed import sealed_in
from corral.timing import MAX_DURATION_MS, Millis

#: The most jobs of one call, and how many go into one step of the store.
MOST, SLICE = 10_000, 500
#: Characters of an operator's note.
NOTE = 10_000


class JobVerbs(DeskBase):
    """What people do with jobs. Answers are the ids that were reached; a single job that was not is an error.

    Raises (each verb):
        JobNotFoundError: no job has the id. JobStateError: it is in a state in which that cannot be done.
    """

    async def retry(
        self, queue: str, ids: Sequence[JobId], *, reset_attempts: bool = True, data: str | None = None
    ) -> list[JobId]:
        """Run finished jobs again. With `data` (JSON text, of a single job) with another payload.

        Raises:
            PayloadError: the handler's type refuses it.
        """

        async def act(which: Selection) -> list[JobId]:
            return await self.storage.retry(
                queue, which, reset_attempts=reset_attempts, now=self.ground.store_now()
            )  # fmt: skip

        async with self._noting("job.retry", queue=queue, job=_single(ids)) as note:
            if data is not None:
                await self._change_payload(note, queue, ids, data)
            return await self._reach(note, "retry", queue, ids, act)

    async def promote(self, queue: str, ids: Sequence[JobId]) -> list[JobId]:
        """Let delayed jobs run now."""

        async def act(which: Selection) -> list[JobId]:
            return await self.storage.promote(queue, which, now=self.ground.store_now())

        async with self._noting("job.promote", queue=queue, job=_single(ids)) as note:
            return await self._reach(note, "promote", queue, ids, act)

    async def cancel(self, queue: str, ids: Sequence[JobId]) -> list[JobId]:
        """Stop jobs: pending ones fail as cancelled, running ones are told to stop. The reason is kept with them."""

        async def act(which: Selection) -> list[JobId]:
            return await self.storage.cancel(queue, which, reason=self.reason, now=self.ground.store_now())

        async with self._noting("job.cancel", queue=queue, job=_single(ids)) as note:
            return await self._reach(note, "cancel", queue, ids, act)

    async def remove(self, queue: str, ids: Sequence[JobId], *, children: bool = False) -> list[JobId]:
        """Delete jobs, with `children` also all below them. Active ones are spared."""

        async def act(which: Selection) -> list[JobId]:
            return await self.storage.remove(queue, which, now=self.ground.store_now())

        async with self._noting("job.remove", queue=queue, job=_single(ids)) as note:
            if not children:
                return await self._reach(note, "remove", queue, ids, act)
            _check_ids(ids)
            gone = await Flow(self.storage).remove_all([(queue, job_id) for job_id in ids])
            note.touched([job_id for _, job_id in gone])
            if len(ids) == 1 and (queue, ids[0]) not in gone:
                raise await self._refusal("remove", queue, ids[0])
            return [job_id for home, job_id in gone if home == queue]

    async def log(self, queue: str, job_id: JobId, message: str) -> int:
        """Write an operator's note into a job's log; answers how many lines there are.

        Raises:
            ConfigError: nothing to write, or more than 10,000 characters.
        """
        async with self._noting("job.log", queue=queue, job=job_id) as note:
            if not isinstance(message, str) or not message.strip() or len(message) > NOTE:
                raise ConfigError(f"a note must be a text of 1 to {NOTE:,} characters", key="message")
            lines = await self.storage.log(queue, job_id, [f"[{self.actor.sub}] {message}"])
            if not lines:
                raise JobNotFoundError(queue, job_id)
            note.count = 1
            return lines

    async def edit(
        self, queue: str, job_id: JobId, *, data: str | UnsetType = UNSET, priority: int | UnsetType = UNSET,
        delay_ms: Millis | UnsetType = UNSET,
    ) -> Job:  # fmt: skip
        """Change a job that has not been started; answers it as it is then. `delay_ms`: of a delayed job, from now.

        The payload that it had stands in the audit log, without what is sensitive.

        Raises:
            PayloadError: the handler's type refuses the payload. ConfigError: nothing to change, or a value out of
                range.
        """
        async with self._noting("job.edit", queue=queue, job=job_id) as note:
            job = await self._job(queue, job_id)
            if job.state not in PENDING:
                raise JobStateError(queue, job_id, state=job.state, wanted="pending")
            patch = JobPatch(
                job_id=job_id,
                data=UNSET if isinstance(data, UnsetType) else checked(self.ground.app, queue, job.name, data),
                priority=UNSET if isinstance(priority, UnsetType) else check_priority(priority),
                delay_ms=UNSET if isinstance(delay_ms, UnsetType) else _check_delay(job, delay_ms),
            )
            if patch == JobPatch(job_id=job_id):
                raise ConfigError("give data, priority or delay_ms: nothing is to be changed", key="data")
            note.before = await self._patched(job, patch)
            if not await self.storage.update(queue, [patch], now=self.ground.store_now()):
                raise JobNotFoundError(queue, job_id)
            after = await self._job(queue, job_id)
            note.after = await self._patched(after, patch)
            note.count = 1
            return after

    # -- between them ------------------------------------------------------------------------------------------------

    async def _job(self, queue: str, job_id: JobId) -> Job:
        [job] = await self.storage.get(queue, [job_id])
        if job is None:
            raise JobNotFoundError(queue, job_id)
        return job

    async def _reach(
        self, note: Note, action: str, queue: str, ids: Sequence[JobId],
        act: Callable[[Selection], Awaitable[list[JobId]]],
    ) -> list[JobId]:  # fmt: skip
        wanted = _check_ids(ids)
        reached: list[JobId] = []
        for begin in range(0, len(wanted), SLICE):  # a slice at a time: other callers get their turn in between
            some = wanted[begin : begin + SLICE]
            reached += await act(Selection(ids=some, limit=len(some)))
            note.touched(reached)
        if len(wanted) == 1 and not reached:
            raise await self._refusal(action, queue, wanted[0])
        return reached

    async def _refusal(self, action: str, queue: str, job_id: JobId) -> Exception:
        [job] = await self.storage.get(queue, [job_id], lean=True)
        return refusal(action, queue, job_id, job)

    async def _change_payload(self, note: Note, queue: str, ids: Sequence[JobId], data: str) -> None:
        if len(ids) != 1:
            raise ConfigError("another payload is for a single job", key="data")
        job = await self._job(queue, ids[0])
        if not job.state.finished:
            raise refusal("retry", queue, ids[0], job)
        patch = JobPatch(job_id=job.id, data=checked(self.ground.app, queue, job.name, data))
        note.before = await self._patched(job, patch)
        if await self.storage.update(queue, [patch], now=self.ground.store_now()):
            note.after = await self._patched(await self._job(queue, job.id), patch)

    async def _patched(self, job: Job, patch: JobPatch) -> dict[str, object]:
        """What a patch changes of a job, as it is now: for the audit log."""
        facts: dict[str, object] = {}
        if not isinstance(patch.data, UnsetType):
            facts["data"] = kept_text(
                await self._stored_text(job), (*self.ground.sensitive, *job.options.sensitive)
            )  # fmt: skip
        if not isinstance(patch.priority, UnsetType):
            facts["priority"] = job.priority
        if not isinstance(patch.delay_ms, UnsetType):
            facts["run_at"] = job.run_at
        return facts

    async def _stored_text(self, job: Job) -> str:
        """The payload as it stands in the store: what is sealed there does not stand open in the audit log."""
        sealed = sealed_in(self.storage)
        if sealed is None:
            return job.data
        [stored] = await sealed.inner.get(job.queue, [job.id])
        return job.data if stored is None else stored.data


def _single(ids: Sequence[JobId]) -> JobId | None:
    return ids[0] if len(ids) == 1 else None


def _check_ids(ids: Sequence[JobId]) -> tuple[JobId, ...]:
    if isinstance(ids, str) or not all(isinstance(one, str) for one in ids):
        raise ConfigError(f"ids must be several job ids, not {ids!r}", key="ids")
    if not 1 <= len(ids) <= MOST:
        raise ConfigError(f"ids must be 1 to {MOST:,} jobs, not {len(ids):,}: start an operation for more", key="ids")
    return tuple(dict.fromkeys(ids))


def _check_delay(job: Job, delay_ms: object) -> Millis:
    if isinstance(delay_ms, bool) or not isinstance(delay_ms, int) or not 0 <= delay_ms <= MAX_DURATION_MS:
        raise ConfigError(f"delay_ms must be 0 or more, at most ten years, not {delay_ms!r}", key="delay_ms")
    if job.state is not JobState.DELAYED:
        raise JobStateError(job.queue, job.id, state=job.state, wanted="delayed")
    return delay_ms
