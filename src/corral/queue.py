"""The queue: what a producer or an operator can do with it. Bull's verbs, asynchronous, over any store."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, TypeAlias, TypeVar, Unpack

from msgspec import UNSET, UnsetType

from corral.errors import ConfigError, JobFailedError, JobNotFoundError, JobTimeoutError
from corral.event import NOW, Event
from corral.job import (
    FINISHED,
    NO_OPTIONS,
    Job,
    JobId,
    JobState,
    NewJob,
    check_job_id,
    check_name,
)
from corral.listener import Endings
from corral.listener import events as listen
from corral.options import (
    ADD_KEYWORDS,
    AddKeywords,
    JobOptions,
    Keep,
    QueueSettings,
    RateLimit,
    check_keywords,
    check_priority,
    job_options,
)
from corral.payload import from_json, to_json
from corral.storage.insight import Page
from corral.storage.port import JobPatch, QueueCounts, QueueInfo, Selection, Storage
from corral.timing import Seconds, instant_ms, to_ms, to_seconds

logger = logging.getLogger("corral.queue")
R = TypeVar("R")

#: Looks at a job before it is added; what it raises refuses the whole call.
Guard: TypeAlias = Callable[[NewJob], None]

#: One bulk is one atomic step; more than this would hold the store for too long.
MAX_BULK = 10_000


def new_job(
    queue: str, name: str, data: str, keywords: AddKeywords, defaults: JobOptions = NO_OPTIONS, priority: int = 0
) -> NewJob:
    """The checked form of one `add`. `keywords` win over `defaults` and `priority`.

    Raises:
        ConfigError: an option out of range or unknown; the message names it.
    """
    if not keywords:
        return NewJob(queue=queue, name=name, data=data, options=defaults, priority=priority)
    check_keywords(keywords, ADD_KEYWORDS)  # type: ignore[arg-type]  # a TypedDict is a dict
    if "delay" in keywords and "at" in keywords:
        raise ConfigError("give delay or at, not both", key="delay")
    at = keywords.get("at")
    return NewJob(
        queue=queue,
        name=name,
        data=data,
        id=check_job_id(keywords["id"]) if "id" in keywords else None,
        delay_ms=to_ms(keywords.get("delay", 0), "delay"),
        run_at=None if at is None else instant_ms(at, "at"),
        priority=check_priority(keywords["priority"]) if "priority" in keywords else priority,
        lifo=bool(keywords.get("lifo", False)),
        options=job_options(keywords).over(defaults),
    )


class JobHandle(Generic[R]):
    """What `add` returns: the job's id, and the way back to it."""

    __slots__ = ("fresh", "id", "queue")

    def __init__(self, queue: "Queue", id: JobId, fresh: bool) -> None:
        self.queue = queue
        self.id = id
        self.fresh = fresh  #: False: a job with this id was there already

    def __repr__(self) -> str:
        return f"JobHandle({self.queue.name!r}, {self.id!r})"

    async def get(self) -> Job:
        """The job as it stands now. Raises: JobNotFoundError."""
        return await self.queue.get(self.id)

    async def result(self, timeout: Seconds | None = None) -> R:
        """Wait for the job's end, in whatever process it runs, and give what the handler returned (as plain JSON).

        Raises:
            JobFailedError: it failed for good. JobNotFoundError: it is gone. JobTimeoutError: not within `timeout`.
        """
        value: R = await self.queue.result(self.id, timeout=timeout)  # type: ignore[assignment]  # JSON of the declared type
        return value

    async def cancel(self, reason: str = "") -> bool:
        """Stop it: a pending job fails as cancelled, a running one is told to stop. False when it had ended."""
        return bool(await self.queue.cancel(self.id, reason=reason))


class Queue:
    """A named queue in a store. Makes no connection of its own: `storage` is opened by whoever made it."""

    def __init__(self, name: str, storage: Storage, *, guards: Sequence[Guard] = ()) -> None:
        self.name = check_name(name, "queue name")
        self.storage = storage
        self._guards = guards
        self._endings = Endings(storage, self.name)

    def __repr__(self) -> str:
        return f"Queue({self.name!r})"

    # -- adding --------------------------------------------------------------------------------------------------

    async def add(self, name: str, data: object = None, /, **options: Unpack[AddKeywords]) -> JobHandle[object]:
        """Add one job. When this returns, the job is stored durably.

        Raises:
            ConfigError: a bad option. PayloadError: data that is not JSON. Nothing is written then.
        """
        name = check_name(name, "job name")
        job = new_job(self.name, name, to_json({} if data is None else data, "payload"), options)
        return (await self.add_jobs([job]))[0]

    async def add_bulk(
        self, jobs: Iterable[tuple[str, object] | tuple[str, object, AddKeywords]]
    ) -> list[JobHandle[object]]:
        """Add many jobs as `(name, data)` or `(name, data, options)`: all of them or, on any error, none."""
        made: list[NewJob] = []
        for entry in jobs:
            name, data, options = entry if len(entry) == 3 else (*entry, AddKeywords())
            name = check_name(name, "job name")
            made.append(new_job(self.name, name, to_json({} if data is None else data, "payload"), options))
        return await self.add_jobs(made)

    async def add_jobs(self, jobs: Sequence[NewJob]) -> list[JobHandle[object]]:
        """Add jobs that are checked already: what `add` and `add_bulk` end in."""
        if len(jobs) > MAX_BULK:
            raise ConfigError(f"a bulk is at most {MAX_BULK:,} jobs, not {len(jobs):,}: add in parts", key="jobs")
        for guard in self._guards:
            for job in jobs:
                guard(job)
        added = await self.storage.add(jobs) if jobs else []
        if logger.isEnabledFor(logging.INFO):
            for answer, job in zip(added, jobs, strict=True):
                logger.info(
                    "Job added to queue",
                    extra={"event": "job.added", "queue": self.name, "job": job.name, "jobId": answer.id},
                )
        return [JobHandle(self, answer.id, answer.fresh) for answer in added]

    # -- one job -------------------------------------------------------------------------------------------------

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
        return await self.storage.cancel(self.name, _these(job_ids), reason=reason)

    async def logs(self, job_id: JobId, *, start: int = 0, limit: int = 100) -> Page[str]:
        """The job's log lines, oldest first."""
        return await self.storage.logs(self.name, job_id, start=start, limit=limit)

    async def log(self, job_id: JobId, line: str) -> int:
        """Append a line to the job's log; answers how many there are."""
        return await self.storage.log(self.name, job_id, [line])

    async def update(
        self, job_id: JobId, *, data: object = UNSET, priority: int | None = None, delay: Seconds | None = None
    ) -> None:
        """Change a job that has not ended. Raises: JobNotFoundError."""
        patch = JobPatch(
            job_id=job_id,
            data=UNSET if data is UNSET else to_json(data, "payload"),
            priority=UNSET if priority is None else check_priority(priority),
            delay_ms=UNSET if delay is None else to_ms(delay, "delay"),
        )
        if not await self.storage.update(self.name, [patch]):
            raise JobNotFoundError(self.name, job_id)

    # -- many jobs -----------------------------------------------------------------------------------------------

    async def page(
        self, *states: JobState, start: int = 0, limit: int = 50, newest_first: bool = True, name: str | None = None
    ) -> Page[Job]:
        """Jobs in these states (all states when none is named)."""
        return await self.storage.page(
            self.name, states or tuple(JobState), start=start, limit=limit, newest_first=newest_first, name=name
        )

    async def retry(
        self, *job_ids: JobId, states: Iterable[JobState] = (JobState.FAILED,), limit: int = 1000
    ) -> list[JobId]:
        """Run finished jobs again: these, or the oldest in these states."""
        which = _these(job_ids) if job_ids else Selection(states=frozenset(states), limit=limit)
        return await self.storage.retry(self.name, which)

    async def promote(self, *job_ids: JobId, limit: int = 1000) -> list[JobId]:
        """Let delayed jobs run now: these, or all up to `limit`."""
        which = _these(job_ids) if job_ids else Selection(states=frozenset({JobState.DELAYED}), limit=limit)
        return await self.storage.promote(self.name, which)

    async def remove(self, *job_ids: JobId) -> list[JobId]:
        """Delete these jobs. Active ones are spared: cancel them first."""
        return await self.storage.remove(self.name, _these(job_ids))

    async def clean(
        self, *states: JobState, older_than: Seconds = 0, limit: int = 10_000, name: str | None = None
    ) -> list[JobId]:
        """Delete finished jobs (or those in `states`) that ended at least `older_than` seconds ago."""
        return await self._remove_all(frozenset(states) or FINISHED, to_ms(older_than, "older_than"), limit, name)

    async def drain(self, *, delayed: bool = False, limit: int = 1_000_000) -> list[JobId]:
        """Delete what waits (and, with `delayed`, what is due later). Running jobs go on."""
        states = {JobState.WAITING, JobState.DELAYED} if delayed else {JobState.WAITING}
        return await self._remove_all(frozenset(states), None, limit, None)

    async def _remove_all(
        self, states: frozenset[JobState], older_ms: int | None, limit: int, name: str | None
    ) -> list[JobId]:
        removed: list[JobId] = []
        while len(removed) < limit:
            size = min(1000, limit - len(removed))  # a slice at a time: other callers get their turn in between
            which = Selection(states=states, older_than_ms=older_ms, limit=size, name=name)
            batch = await self.storage.remove(self.name, which)
            removed += batch
            if len(batch) < size:
                break
        return removed

    async def obliterate(self, *, force: bool = False) -> None:
        """Delete the queue and everything in it. Raises: StorageError while jobs run, unless `force`."""
        await self.storage.obliterate(self.name, force=force)

    # -- the queue itself ----------------------------------------------------------------------------------------

    async def counts(self) -> QueueCounts:
        """How many jobs are in each state, and how many ever completed and failed."""
        return (await self.storage.counts([self.name]))[0]

    async def pause(self, reason: str = "") -> None:
        """Stop handing out jobs, on every worker. Running ones finish; adding goes on."""
        await self.storage.configure(self.name, QueueSettings(paused=True, pause_reason=reason))

    async def resume(self) -> None:
        """Hand out jobs again."""
        await self.storage.configure(self.name, QueueSettings(paused=False, pause_reason=""))

    async def limit(
        self, rate: RateLimit | None | UnsetType = UNSET, *, concurrency: int | None | UnsetType = UNSET
    ) -> QueueInfo:
        """Change the rate limit or the concurrency over all workers, at once; None lifts it, left out it stays."""
        settings = QueueSettings(rate_limit=rate, concurrency=concurrency)
        return await self.storage.configure(self.name, settings)

    async def retain(self, *, completed: Keep | None = None, failed: Keep | None = None) -> QueueInfo:
        """Set how long finished jobs stay; a sweeper enforces it on an idle queue too."""
        settings = QueueSettings(keep_completed=completed or UNSET, keep_failed=failed or UNSET)
        return await self.storage.configure(self.name, settings)

    async def info(self) -> QueueInfo:
        """The queue's settings."""
        return await self.storage.configure(self.name, QueueSettings())

    def events(self, *, after: str = NOW) -> AsyncIterator[Event]:
        """Everything that happens to the queue's jobs from now on (or from a cursor), in any process."""
        return listen(self.storage, self.name, after=after)


def _these(job_ids: Sequence[JobId]) -> Selection:
    return Selection(ids=tuple(job_ids), limit=len(job_ids))
