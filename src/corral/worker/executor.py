"""The executor: decode the payload, call the handler, stop it in time, decide. It never raises."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Hashable
from contextvars import copy_context
from functools import partial
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from corral.codec.chain import MARKS, refuse_sealed
from corral.error_text import trace_of
from corral.errors import JobTimeoutError, RegistrationError, ResultError, UnknownJobError
from corral.intake import OPEN, Intake
from corral.job import Job
from corral.options import KEEP_COMPLETED, KEEP_FAILED, JobOptions
from corral.outcome import Completed, Outcome, Parked, Snoozed
from corral.payload import NULL, from_json, result_json
from corral.retry import MAX_CRASHES, Ending, Interrupted, Raised, RetryPolicy, Returned, decide, died_before, unknown
from corral.storage.port import Storage
from corral.worker.batches import Batches
from corral.worker.children import Children
from corral.worker.context import Facts, JobContext, SyncJobContext
from corral.worker.handler import Handler, Mode
from corral.worker.inject import Injector, bridge_to
from corral.worker.middleware import Middleware, chained
from corral.worker.parks import Parks
from corral.worker.run import Run, WorkerStoppingError, current_job
from corral.worker.threads import Threads
from corral.worker.wire import ChildRequest, HandlerRef

#: A worker of another version may know the handler: an unknown job is put back this often before it fails.
UNKNOWN_TRIES = 5
UNKNOWN_AFTER_MS = 5_000


class Plan(Struct, frozen=True):
    """What a job's options and its handler's defaults say together. Computed once per pair."""

    options: JobOptions
    policy: RetryPolicy
    timeout: float | None
    keep_logs: int
    direct: bool  #: an `async def` function that gets one job and no services: it is simply called


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
    keep_logs = 1000 if resolved.keep_logs is None else resolved.keep_logs
    direct = handler.mode is Mode.ASYNC and handler.batch is None and not handler.needs and not handler.middlewares
    return Plan(options, policy, timeout, keep_logs, direct)


class Executor:
    """Runs jobs of one queue. `find` gives the handler of a name."""

    def __init__(
        self, queue: str, find: Callable[[str], Handler | None], known: Callable[[], list[str]], storage: Storage,
        middlewares: tuple[Middleware, ...], threads: Threads, children: Callable[[], Children], *,
        intake: Intake = OPEN, injector: Injector | None = None, batches: Batches | None = None,
    ) -> None:  # fmt: skip
        self._intake = intake
        self._injector = injector or Injector()
        self.batches = batches  #: where batch handlers share the slots with others, or None
        self._queue = queue
        self._find = find
        self._known = known
        self._storage = storage
        self._middlewares = middlewares
        self._threads = threads
        self._children = children
        self._plans: dict[tuple[str, int], Plan] = {}
        self._parks = Parks(storage)

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
            if job.data.startswith(MARKS):
                refuse_sealed(job.data)  # before middleware sees it, and whether the handler takes data or not
            if self.batches is not None:
                result = await self._call_beside_batches(run, handler, chosen, self.batches)
            elif not chosen.direct or self._middlewares:
                self._begin(run, handler, chosen)
                result = await self._call(run, handler, chosen)
            else:  # usual: each coroutine in between costs as much as all of the bookkeeping
                run.begun = True
                if chosen.timeout is not None:
                    self._begin(run, handler, chosen)
                data = handler.payload.decode(job.data) if handler.takes_data else None
                context = self._context(run, chosen) if handler.takes_context else None
                result = await cast(Awaitable[object], handler.call(context, data))
            ending: Ending = Returned(NULL if result is None else _result_text(result, handler.max_result))
        except BaseException as error:  # SystemExit and its like, raised by a handler, are that job's failure alone
            ending = _ending(run, error)
        finally:
            run.clear()
            try:
                current_job.reset(variable)
            except ValueError:  # a handler that never ended is closed with the process, in another context
                pass
        outcome = decide(job, ending, chosen.policy)
        context = run.context
        if isinstance(outcome, Parked) or self._parks:
            outcome = await self._unless_in_vain(job, outcome, chosen.policy)
        if context is not None and context.errands is not None and isinstance(outcome, Completed):
            return replace(outcome, adds=(*outcome.adds, *context.errands.later))
        return outcome

    async def _unless_in_vain(self, job: Job, outcome: Outcome, policy: RetryPolicy) -> Outcome:
        """A job that keeps waiting for nothing is stopped: its attempt fails."""
        if not isinstance(outcome, Parked):
            self._parks.forget(job)
            return outcome
        mistake = await self._parks.in_vain(job)
        return outcome if mistake is None else decide(job, Raised(mistake), policy)

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
        return unknown(job, error)

    def _begin(self, run: Run, handler: Handler, chosen: Plan) -> None:
        """The handler is about to be called, unless it has to wait for a thread: from here on its time counts."""
        if handler.mode is Mode.PROCESS:
            run.begun = True
        elif handler.mode is not Mode.THREAD or self._threads.turns is None:
            self._begin_now(run, chosen)

    @staticmethod
    def _begin_now(run: Run, chosen: Plan) -> None:
        run.begun = True
        if chosen.timeout is not None:
            loop = asyncio.get_running_loop()
            run.timer = loop.call_later(chosen.timeout, run.stop, JobTimeoutError(chosen.timeout))

    async def _call_beside_batches(self, run: Run, handler: Handler, chosen: Plan, batches: Batches) -> object:
        """More jobs are held than handlers may run. A job of a batch begins with its batch, any other one waits."""
        if handler.batch is not None:
            return await self._call(run, handler, chosen)
        ticket = await batches.permit(run)
        try:
            self._begin(run, handler, chosen)
            return await self._call(run, handler, chosen)
        finally:
            ticket.release()
            batches.ended(run)

    async def _call(self, run: Run, handler: Handler, chosen: Plan) -> object:
        middlewares = self._middlewares + handler.middlewares
        if not middlewares:
            return await self._invoke(run, handler, chosen)

        async def innermost() -> object:
            result = await self._invoke(run, handler, chosen)
            return from_json(result.text) if isinstance(result, _Encoded) else result

        return await chained(middlewares, self._context(run, chosen), innermost)()

    async def _invoke(self, run: Run, handler: Handler, chosen: Plan) -> object:
        if handler.mode is Mode.PROCESS:
            return _Encoded(await self._in_process(run, handler, chosen))
        data = handler.payload.decode(run.job.data) if handler.takes_data else None
        context = self._context(run, chosen)
        if handler.batch is not None:
            if self.batches is None:
                raise RegistrationError(f"batch handler {handler.name!r} was registered after its worker had started")
            return await self.batches.join(run, handler, context, data, chosen.timeout)
        if handler.mode is Mode.THREAD and self._threads.turns is not None:
            async with self._threads.turns:
                self._begin_now(run, chosen)
                return await self._invoke_here(run, handler, context, data)
        return await self._invoke_here(run, handler, context, data)

    async def _invoke_here(self, run: Run, handler: Handler, context: JobContext, data: object) -> object:
        if handler.needs:
            return await self._invoke_with_services(run, handler, context, data)
        if handler.mode is Mode.ASYNC:
            return await cast(Awaitable[object], handler.call(context, data))
        sync = run.sync_context = SyncJobContext(context, asyncio.get_running_loop())
        return await self._threads.run(copy_context(), lambda: handler.call(sync, data))

    async def _invoke_with_services(self, run: Run, handler: Handler, context: JobContext, data: object) -> object:
        given: dict[Hashable, object] = {JobContext: context, Facts: context}
        if handler.mode is Mode.ASYNC:
            return await self._injector.call(handler, given, partial(handler.call, context, data))
        loop = asyncio.get_running_loop()
        sync = run.sync_context = given[SyncJobContext] = SyncJobContext(context, loop)
        call = partial(handler.call, sync, data)
        return await self._threads.run(
            copy_context(), lambda: self._injector.call_blocking(handler, given, call, bridge_to(loop))
        )

    async def _in_process(self, run: Run, handler: Handler, chosen: Plan) -> str:
        handler.payload.decode(run.job.data)  # a refused payload must not cost a child process
        request = ChildRequest(handler_ref(handler), run.job, chosen.policy.attempts)
        return await self._children().run(request, self._context(run, chosen), timeout=chosen.timeout)

    def _context(self, run: Run, chosen: Plan) -> JobContext:
        """One for all of the run: its middleware and its handler share what it remembers of steps."""
        if run.context is None:
            run.context = JobContext(
                run.job, chosen.policy.attempts, self._storage, run.token, chosen.keep_logs, self._threads, self._intake
            )
        return run.context


class _Encoded(Struct, frozen=True):
    """A result that is JSON text already: what a child process sends."""

    text: str


def _result_text(result: object, limit: int) -> str:
    if not isinstance(result, _Encoded):
        return result_json(result, limit)
    if len(result.text) > limit // 4 and (size := len(result.text.encode())) > limit:  # at most 4 bytes a character
        raise ResultError(f"result has {size:,} bytes, more than the limit of {limit:,}")
    return result.text


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
    module = getattr(function if handler.owner is None else handler.owner, "__module__", "")
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None) if module == "__main__" else None
    qualname = getattr(function, "__qualname__", "")
    if handler.owner is not None:  # a method may be inherited: it is looked up where it was registered
        qualname = f"{handler.owner.__qualname__}.{qualname.rpartition('.')[2]}"
    return HandlerRef(module, qualname, path)
