"""The executor: decode the payload, call the handler, stop it in time, decide. It never raises."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import cast

from corral.codec.chain import refuse_sealed
from corral.error_text import trace_of
from corral.errors import JobTimeoutError, UnknownJobError
from corral.job import Job
from corral.options import KEEP_COMPLETED, KEEP_FAILED, JobOptions
from corral.outcome import Failed, Outcome, Snoozed
from corral.payload import from_json, result_json
from corral.retry import MAX_CRASHES, Ending, Interrupted, Raised, RetryPolicy, Returned, decide, died_before
from corral.storage.port import Storage
from corral.worker.children import Children
from corral.worker.context import JobContext, SyncJobContext
from corral.worker.handler import Handler, Mode
from corral.worker.hooks import Middleware
from corral.worker.run import Run, WorkerStoppingError, current_job
from corral.worker.threads import Threads
from corral.worker.wire import ChildRequest, HandlerRef

#: A worker of another version may know the handler: an unknown job is put back this often before it fails.
UNKNOWN_TRIES = 5
UNKNOWN_AFTER_MS = 5_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What a job's options and its handler's defaults say together. Computed once per pair."""

    options: JobOptions
    policy: RetryPolicy
    timeout: float | None
    keep_logs: int


def plan(handler: Handler, options: JobOptions) -> Plan:
    """Resolve options: the job's own first, then the handler's, then corral's."""
    resolved = options.over(handler.options)
    once = any(one.attempts in (None, 1) and one.max_crashes == 1 for one in (resolved, handler.options))
    policy = RetryPolicy(
        attempts=1 if once else resolved.attempts or 1,
        backoff=resolved.backoff,
        custom=handler.custom_backoff,
        retry_on=handler.retry_on,
        give_up_on=handler.give_up_on,
        retry_if=handler.retry_if,
        keep_completed=resolved.keep_completed or KEEP_COMPLETED,
        keep_failed=resolved.keep_failed or KEEP_FAILED,
        max_crashes=1 if once else resolved.max_crashes or MAX_CRASHES,
        at_most_once=once,
        dead_letter=resolved.dead_letter,
    )
    timeout = None if resolved.timeout_ms is None else resolved.timeout_ms / 1000
    return Plan(options, policy, timeout, 1000 if resolved.keep_logs is None else resolved.keep_logs)


class Executor:
    """Runs jobs of one queue. `find` gives the handler of a name."""

    def __init__(
        self, queue: str, find: Callable[[str], Handler | None], known: Callable[[], list[str]], storage: Storage,
        middlewares: tuple[Middleware, ...], threads: Threads, children: Callable[[], Children],
    ) -> None:  # fmt: skip
        self._queue = queue
        self._find = find
        self._known = known
        self._storage = storage
        self._middlewares = middlewares
        self._threads = threads
        self._children = children
        self._plans: dict[tuple[str, int], Plan] = {}

    async def run(self, run: Run) -> Outcome:
        """Run the job to its end and say what becomes of it."""
        job = run.job
        handler = self._find(job.name)
        if handler is None:
            return self._unknown(job)
        chosen = self._plan(handler, job.options)
        if chosen.policy.at_most_once and job.crashes:  # added without its handler's options: the store gave it back
            return died_before(job, chosen.policy)
        variable = current_job.set(job)
        try:
            if run.stopped is not None:  # cancelled or interrupted before it began
                raise run.stopped
            refuse_sealed(job.data)  # before middleware sees it, and whether the handler takes data or not
            run.begun = True
            if chosen.timeout is not None and handler.mode is not Mode.PROCESS:
                loop = asyncio.get_running_loop()
                run.timer = loop.call_later(chosen.timeout, run.stop, JobTimeoutError(chosen.timeout))
            result = await self._call(run, handler, chosen)
            ending: Ending = Returned(result.text if isinstance(result, _Encoded) else result_json(result))
        except BaseException as error:  # SystemExit and its like, raised by a handler, are that job's failure alone
            ending = _ending(run, error)
        finally:
            run.clear()
            try:
                current_job.reset(variable)
            except ValueError:  # a handler that never ended is closed with the process, in another context
                pass
        return decide(job, ending, chosen.policy)

    def give_up(self, run: Run) -> Outcome:
        """What becomes of a run whose handler ignores that it was told to stop."""
        handler = self._find(run.job.name)
        if handler is None or run.stopped is None:
            return Snoozed(0)
        return decide(run.job, _ending(run, run.stopped), self._plan(handler, run.job.options).policy)

    def failed(self, run: Run, error: BaseException) -> Outcome:
        """What becomes of a run that ended outside of `run`."""
        handler = self._find(run.job.name)
        if handler is None:
            return Snoozed(0)
        return decide(run.job, Raised(error, trace_of(error)), self._plan(handler, run.job.options).policy)

    def _plan(self, handler: Handler, options: JobOptions) -> Plan:
        # Equal options are one object (the adapter caches them by text), so their identity is the key; the plan holds
        # on to it, which keeps the identity from being reused.
        key = (handler.name, id(options))
        found = self._plans.get(key)
        if found is None or found.options is not options:
            if len(self._plans) > 1000:
                self._plans.clear()
            found = self._plans[key] = plan(handler, options)
        return found

    def _unknown(self, job: Job) -> Outcome:
        error = UnknownJobError(self._queue, job.name, self._known())
        if job.attempts_started < UNKNOWN_TRIES:
            return Snoozed(UNKNOWN_AFTER_MS)
        return Failed(f"UnknownJobError: {error}", None, job.options.keep_failed or KEEP_FAILED)

    async def _call(self, run: Run, handler: Handler, chosen: Plan) -> object:
        if not self._middlewares:
            return await self._invoke(run, handler, chosen)
        context = self._context(run, chosen)

        async def innermost() -> object:
            return await self._invoke(run, handler, chosen)

        call: Callable[[], Awaitable[object]] = innermost
        for middleware in reversed(self._middlewares):
            call = _wrapped(middleware, context, call)
        return await call()

    async def _invoke(self, run: Run, handler: Handler, chosen: Plan) -> object:
        if handler.mode is Mode.PROCESS:
            text = await self._in_process(run, handler, chosen)
            return from_json(text) if self._middlewares else _Encoded(text)
        data = handler.payload.decode(run.job.data) if handler.takes_data else None
        context = self._context(run, chosen)
        if handler.mode is Mode.ASYNC:
            return await cast(Awaitable[object], handler.call(context, data))
        sync = run.sync_context = SyncJobContext(context, asyncio.get_running_loop())
        return await self._threads.run(copy_context(), lambda: handler.call(sync, data))

    async def _in_process(self, run: Run, handler: Handler, chosen: Plan) -> str:
        handler.payload.decode(run.job.data)  # a refused payload must not cost a child process
        request = ChildRequest(handler_ref(handler), run.job, chosen.policy.attempts)
        return await self._children().run(request, self._context(run, chosen), timeout=chosen.timeout)

    def _context(self, run: Run, chosen: Plan) -> JobContext:
        """One for all of the run: its middleware and its handler share what it remembers of steps."""
        if run.context is None:
            run.context = JobContext(
                run.job, chosen.policy.attempts, self._storage, run.token, chosen.keep_logs, self._threads
            )
        return run.context


@dataclass(frozen=True, slots=True)
class _Encoded:
    """A result that is JSON text already: what a child process sends."""

    text: str


def _wrapped(
    middleware: Middleware, context: JobContext, call: Callable[[], Awaitable[object]]
) -> Callable[[], Awaitable[object]]:
    return lambda: middleware(context, call)


def _ending(run: Run, error: BaseException) -> Ending:
    """What ended the run: the reason it was told to stop, when that is what the error came from."""
    stopped = run.stopped
    if stopped is not None and isinstance(error, asyncio.CancelledError | type(stopped)):
        if isinstance(stopped, WorkerStoppingError):
            return Interrupted(run.begun)
        return Raised(stopped, str(stopped))
    return Raised(error, trace_of(error))


def handler_ref(handler: Handler) -> HandlerRef:
    """Where a child process finds the handler: named by the code that registered it, never by a payload."""
    function = handler.function
    module = getattr(function, "__module__", "")
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) if module == "__main__" else None
    return HandlerRef(module, getattr(function, "__qualname__", ""), path)
