"""BullQueue: a queue with the methods that code written for Bull or BullMQ calls, over any of corral's stores."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias, cast

from corral.app.app import Corral
from corral.app.definition import DeclareKeywords, make_handler
from corral.compat.events import Listener, Listeners
from corral.compat.job import BullJob
from corral.compat.jobs import job_options
from corral.compat.reading import Options, options_of, seconds, whole, with_dates
from corral.compat.repeats import Repeat, as_repeatable, repeat
from corral.compat.states import COUNTED, states_of
from corral.errors import ConfigError, PayloadError, RegistrationError, UnknownOptionError
from corral.job import Job, JobState, NewJob
from corral.keywords import new_job
from corral.options import JobOptions
from corral.payload import to_json
from corral.queue import Queue
from corral.schedule import Schedule
from corral.scheduler import Scheduler
from corral.storage.insight import Page
from corral.storage.port import Storage
from corral.timing import now_ms
from corral.worker.context import JobContext, SyncJobContext
from corral.worker.handler import Handler, is_async
from corral.worker.lane import Lane
from corral.worker.worker import BaseWorker, WorkerOptions

#: What handles a job: it gets a `BullJob`, and what it returns is the result.
Processor: TypeAlias = Callable[[BullJob], Any]
#: The name Bull gives jobs that are added without one, and the handler for jobs whose name has none.
DEFAULT, ANY = "__default__", "*"


class BullQueue:
    """A queue by its name, on an application or an open store. Bull's camelCase names work beside these.

    On an application `process` declares handlers that the application's worker runs. On a store `worker()` makes one.
    """

    def __init__(self, name: str, home: Corral | Storage, options: Options | None = None) -> None:
        self.name = name
        self._app = home if isinstance(home, Corral) else None
        self._storage = None if isinstance(home, Corral) else home
        self._defaults = job_options(options_of((options or {}).get("defaultJobOptions", {}), "defaultJobOptions"))
        self._handlers: dict[str, Handler] = {}
        self._listeners = Listeners()
        if self._app is not None and name not in self._app.queues:
            self._app.queue(name)

    def __repr__(self) -> str:
        return f"BullQueue({self.name!r})"

    async def __aenter__(self) -> Self:
        await self.queue()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def queue(self) -> Queue:
        """corral's own queue, for everything that Bull does not have."""
        if self._app is not None:
            live = await self._app.open_queue(self.name)
        else:
            live = Queue(self.name, cast(Storage, self._storage))
        await self._listeners.listen(live)
        return live

    async def close(self) -> None:
        """Stop listening to events. The application or store is closed by whoever opened it."""
        await self._listeners.close()

    # -- adding ----------------------------------------------------------------------------------------------------

    async def add(self, *arguments: object) -> BullJob:
        """`add(name, data, options)`, `add(name, data)`, or Bull's `add(data, options)` for a job without a name.

        With `repeat` among the options it makes a schedule; the answer is its first job to come.

        Raises:
            UnknownOptionError: an option neither Bull nor BullMQ has. ConfigError, PayloadError: as for `Queue.add`.
        """
        name, data, options = _split(arguments)
        if options.get("repeat") is not None:
            return await self._repeat(name, data, options)
        live = await self.queue()
        job = self._new(name, data, options)
        [handle] = await live.add_jobs([job])
        return BullJob(_as_added(job, handle.id), live)

    async def add_bulk(self, jobs: Sequence[Mapping[str, object]]) -> list[BullJob]:
        """`[{name, data, opts}, …]`: all of them or, on any error, none."""
        live = await self.queue()
        made = [
            self._new(str(one.get("name", DEFAULT)), one.get("data"), options_of(one.get("opts") or {}, "opts"))
            for one in jobs
        ]
        handles = await live.add_jobs(made)
        return [BullJob(_as_added(job, handle.id), live) for job, handle in zip(made, handles, strict=True)]

    def _new(self, name: str, data: object, options: Options) -> NewJob:
        text = to_json({} if data is None else with_dates(data), "payload")
        limit = options.get("sizeLimit")
        if limit is not None and len(text.encode()) > whole(limit, "sizeLimit"):
            raise PayloadError(f"payload has {len(text.encode()):,} bytes, more than its sizeLimit of {limit:,}")
        keywords = {**self._defaults, **job_options(options)}
        if self._app is None:
            return new_job(self.name, name, text, cast(Any, keywords), JobOptions())
        queue = self._app.queues[self.name]
        declared = queue.definitions.get(name)
        if declared is None:
            return new_job(self.name, name, text, cast(Any, keywords), queue.options, queue.priority)
        return new_job(self.name, name, text, cast(Any, keywords), declared.handler.options, declared.priority)

    # -- handling ----------------------------------------------------------------------------------------------------

    def process(self, *arguments: object) -> None:
        """Bull's `process(fn)`, `process(name, fn)`, `process(concurrency, fn)`, `process(name, concurrency, fn)`.

        The number is how many jobs of this name run at once over all workers: in Bull such numbers add up.

        Raises:
            RegistrationError: something else, or the name has a handler already.
        """
        *front, function = arguments
        names = [one for one in front if isinstance(one, str)]
        numbers = [one for one in front if isinstance(one, int) and not isinstance(one, bool)]
        if not callable(function) or len(names) > 1 or len(numbers) > 1 or len(names) + len(numbers) < len(front):
            raise RegistrationError("process takes a name, a concurrency (each may be left out) and a function")
        self._register(names[0] if names else DEFAULT, cast(Processor, function), numbers[0] if numbers else None)

    def _register(self, name: str, processor: Processor, concurrency: int | None) -> None:
        keywords = DeclareKeywords() if concurrency is None else DeclareKeywords(concurrency=concurrency)
        if self._app is not None:
            if name == ANY:
                raise RegistrationError("an application's handlers have names: process('*') needs a queue on a store")
            self._app.queues[self.name].job(name, **keywords)(_adapted(processor))
            return
        if name in self._handlers:
            raise RegistrationError(f"queue {self.name!r} has a handler named {name!r} already")
        self._handlers[name] = make_handler("any" if name == ANY else name, _adapted(processor), keywords, JobOptions())

    async def worker(self, *, concurrency: int = 10, options: WorkerOptions | None = None) -> BaseWorker:
        """A worker for the handlers of this queue: `async with await queue.worker(): …`."""
        if self._app is not None:
            return await self._app.worker(queues={self.name: concurrency}, options=options)
        lane = Lane(
            queue=self.name, slots=concurrency, find=lambda name: self._handlers.get(name) or self._handlers.get(ANY),
            known=lambda: list(self._handlers),
        )  # fmt: skip
        return BaseWorker((await self.queue()).storage, [lane], options=options or WorkerOptions())

    def on(self, event: str, listener: Listener | None = None) -> Any:  # noqa: ANN401  # itself, or the decorated function
        """Call `listener` for an event, wherever the job runs: `completed`, `failed`, `global:completed` …

        Listening begins with the first awaited call of this object. As a decorator: `@queue.on("failed")`.

        Raises:
            ConfigError: no such event.
        """
        if listener is None:

            def declare(function: Listener) -> Listener:
                self._listeners.add(event, function)
                return function

            return declare
        self._listeners.add(event, listener)
        return self

    def off(self, event: str, listener: Listener) -> Self:
        """Call it no more."""
        self._listeners.remove(event, listener)
        return self

    # -- looking -----------------------------------------------------------------------------------------------------

    async def get_job(self, job_id: str) -> BullJob | None:
        """The job, or None."""
        live = await self.queue()
        [job] = await live.storage.get(self.name, [str(job_id)])
        return None if job is None else BullJob(job, live)

    async def get_jobs(
        self, types: str | Sequence[str], start: int = 0, end: int = -1, asc: bool = False
    ) -> list[BullJob]:
        """Jobs in these states, from `start` to `end` (both included, -1 is the last), newest first unless `asc`."""
        live = await self.queue()
        states = states_of([types] if isinstance(types, str) else types)
        limit = 10_000 if end < 0 else max(0, end - start + 1)
        page: Page[Job] = await live.page(*states, start=start, limit=limit, newest_first=not asc)
        return [BullJob(job, live) for job in page.items]

    async def get_waiting(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Waiting jobs, the next one first."""
        return await self.get_jobs("waiting", start, end, True)

    async def get_active(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Running jobs."""
        return await self.get_jobs("active", start, end, True)

    async def get_delayed(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Delayed jobs, the next one first."""
        return await self.get_jobs("delayed", start, end, True)

    async def get_completed(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Completed jobs that are kept, newest first."""
        return await self.get_jobs("completed", start, end)

    async def get_failed(self, start: int = 0, end: int = -1) -> list[BullJob]:
        """Failed jobs that are kept, newest first."""
        return await self.get_jobs("failed", start, end)

    async def get_job_counts(self, *types: str) -> dict[str, int]:
        """How many jobs are in each state. `paused`: those that wait in a paused queue; they are in `waiting` too."""
        counts = await (await self.queue()).counts()
        every = {key: getattr(counts, field) for key, field in COUNTED.items()}
        shown = types or ("waiting", "active", "completed", "failed", "delayed", "paused")
        for name in shown:
            if name not in every:
                raise UnknownOptionError(name, every)
        return {name: every[name] for name in shown}

    # -- the queue ---------------------------------------------------------------------------------------------------

    async def pause(self, is_local: bool = False, do_not_wait_active: bool = True) -> None:
        """Stop handing out jobs, on every worker. Bull's local pause is a worker that is stopped."""
        if is_local:
            raise ConfigError("a local pause does not exist: stop that worker", key="isLocal")
        await (await self.queue()).pause()

    async def resume(self, is_local: bool = False) -> None:
        """Hand out jobs again."""
        await (await self.queue()).resume()

    async def is_paused(self) -> bool:
        """Whether it is paused."""
        return (await (await self.queue()).info()).paused

    async def empty(self) -> None:
        """Delete what waits and what is due later, as Bull does; what runs and what has ended stays."""
        await (await self.queue()).drain(delayed=True)

    async def drain(self, delayed: bool = False) -> None:
        """Delete what waits and, with `delayed`, what is due later."""
        await (await self.queue()).drain(delayed=delayed)

    async def clean(self, grace: float, status: str | int = "completed", limit: int | str = 0) -> list[str]:
        """Bull's `clean(grace, status, limit)` or BullMQ's `clean(grace, limit, type)`; grace in ms, 0 is no limit.

        Of `active` jobs those that lost their worker go back into the queue; Bull would delete them.
        """
        if isinstance(status, int):
            status, limit = (limit or "completed") if isinstance(limit, str) else "completed", status
        if isinstance(limit, str):
            raise ConfigError(f"limit must be a number, not {limit!r}", key="limit")
        live = await self.queue()
        states = states_of([status])
        if states == [JobState.ACTIVE]:
            return list((await live.storage.recover(self.name)).requeued)
        return await live.clean(*states, older_than=seconds(grace, "grace"), limit=limit or 1_000_000)

    async def obliterate(self, options: Options | None = None) -> None:
        """Delete the queue and everything in it; `{force: true}` also while jobs run."""
        await (await self.queue()).obliterate(force=bool((options or {}).get("force")))

    async def retry_jobs(self, options: Options | None = None) -> None:
        """Run finished jobs again: `{state: "failed", count: 1000}`."""
        said = options or {}
        live = await self.queue()
        await live.retry(
            states=states_of([str(said.get("state", "failed"))]), limit=whole(said.get("count", 1_000), "count")
        )

    # -- schedules ---------------------------------------------------------------------------------------------------

    async def _repeat(self, name: str, data: object, options: Options) -> BullJob:
        when = repeat(options_of(options["repeat"], "repeat"))
        rest = {key: value for key, value in options.items() if key not in ("repeat", "jobId", "delay")}
        key = str(options["jobId"]) if options.get("jobId") else when.key_for(name)
        return await self._schedule(key, when, name, data, rest)

    async def upsert_job_scheduler(
        self, scheduler_id: str, repeat_options: Options, template: Mapping[str, object] | None = None
    ) -> BullJob:
        """Create or change the schedule of this id; `template` is `{name, data, opts}`."""
        made = template or {}
        opts = options_of(made.get("opts") or {}, "opts")
        return await self._schedule(
            scheduler_id, repeat(repeat_options), str(made.get("name", scheduler_id)), made.get("data"), opts
        )

    async def _schedule(self, key: str, when: Repeat, name: str, data: object, options: Options) -> BullJob:
        job = self._new(name, data, options)
        live = await self.queue()
        scheduler = Scheduler(live.storage)
        stored = await scheduler.put(
            Schedule(
                key=key, queue=self.name, name=name, timing=when.timing, data=job.data, options=job.options,
                priority=job.priority, start_at=when.start_at, end_at=when.end_at, limit=when.limit,
            )
        )  # fmt: skip
        if when.immediately:
            await scheduler.run_now(self.name, key)
        first = Job(
            id=f"repeat:{key}:{stored.next_at}", queue=self.name, name=name, state=JobState.DELAYED, data=job.data,
            options=job.options, priority=job.priority, created_at=now_ms(), run_at=stored.next_at, schedule=key,
        )  # fmt: skip
        return BullJob(first, live)

    async def get_repeatable_jobs(self, start: int = 0, end: int = -1, asc: bool = True) -> list[dict[str, object]]:
        """The queue's schedules, each with its `key`."""
        live = await self.queue()
        found = (await live.storage.schedules(queue=self.name, limit=100_000)).items
        shown = [as_repeatable(one) for one in (found if asc else found[::-1])]
        return shown[start:] if end < 0 else shown[start : end + 1]

    async def remove_repeatable_by_key(self, key: str) -> bool:
        """Delete the schedule with this key; False when there is none."""
        return bool(await (await self.queue()).storage.drop_schedules(self.name, [key]))

    async def remove_repeatable(self, name: str, repeat_options: Options) -> bool:
        """Delete the schedule that `add(name, …, {repeat})` made; False when there is none."""
        return await self.remove_repeatable_by_key(repeat(repeat_options).key_for(name))

    # -- Bull's spellings ----------------------------------------------------------------------------------------------

    addBulk = add_bulk
    getJob = get_job
    getJobs = get_jobs
    getWaiting = get_waiting
    getActive = get_active
    getDelayed = get_delayed
    getCompleted = get_completed
    getFailed = get_failed
    getJobCounts = get_job_counts
    isPaused = is_paused
    retryJobs = retry_jobs
    upsertJobScheduler = upsert_job_scheduler
    getRepeatableJobs = getJobSchedulers = get_job_schedulers = get_repeatable_jobs
    removeRepeatableByKey = removeJobScheduler = remove_job_scheduler = remove_repeatable_by_key
    removeRepeatable = remove_repeatable


def _split(arguments: Sequence[object]) -> tuple[str, object, Options]:
    if arguments and isinstance(arguments[0], str):
        name, rest = arguments[0], list(arguments[1:])
    else:
        name, rest = DEFAULT, list(arguments)
    if len(rest) > 2:
        raise ConfigError("add takes a name, data and options; name and options may be left out", key="add")
    data, options = [*rest, None, None][:2]
    return name, data, options_of(options or {}, "options")


def _as_added(job: NewJob, job_id: str) -> Job:
    """The job as it was written, without asking the store for it."""
    later = job.delay_ms > 0 or job.run_at is not None
    return Job(
        id=job_id, queue=job.queue, name=job.name, state=JobState.DELAYED if later else JobState.WAITING, data=job.data,
        options=job.options, priority=job.priority, created_at=now_ms(), parent=job.parent, group=job.group,
        run_at=job.run_at if job.run_at is not None else now_ms() + job.delay_ms if later else None,
    )  # fmt: skip


def _adapted(processor: Processor) -> Callable[..., object]:
    """A handler of corral's for one of Bull's."""
    if is_async(processor):

        async def asynchronous(ctx: JobContext) -> object:
            return await cast(Awaitable[object], processor(BullJob(ctx.job, None, ctx)))

        return asynchronous

    def blocking(ctx: SyncJobContext) -> object:
        return processor(BullJob(ctx.job, None, ctx))

    return blocking
