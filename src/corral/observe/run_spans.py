"""The span of a run: begun when its handler is, ended with the verdict, so that it says what became of the job."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from opentelemetry import context as otel
from opentelemetry import propagate, trace
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode

from corral.errors import CorralError
from corral.job import Job
from corral.observe.carrier import packed, unpacked
from corral.observe.spans import Attributes, Tracing
from corral.outcome import Crashed, Failed, Outcome, Parked, Retried, Snoozed
from corral.storage.port import Refusal, Token
from corral.worker.context import JobContext
from corral.worker.run import Run
from corral.worker.watch import Watcher, end_of

PARENTS = ("auto", "parent", "link")
#: A job that waited longer than this (milliseconds) begins a trace of its own: one that lasts for days is of no use.
LONG_MS = 3_600_000
#: Events of progress in one span.
EVENTS = 20
#: Under which key an attempt leaves its trace for the next one.
NOTE = "corral.trace"
#: What each end is called in BullMQ's spans.
_ENDS = {"completed": "complete", "failed": "fail", "timeout": "fail", "cancelled": "fail", "retried": "retry"}


class _Entry:
    """A run under way."""

    __slots__ = ("context", "events", "noted", "span")

    def __init__(self, span: Span, context: otel.Context) -> None:
        self.span = span
        self.context = context
        self.events = 0
        self.noted = False


class RunSpans(Watcher):
    """Watches a worker's runs; `around` is the middleware that makes a run's span the current one for its handler."""

    def __init__(self, tracing: Tracing, *, parent: str, outcomes: bool) -> None:
        self._tracing = tracing
        self._parent = parent
        self._outcomes = outcomes
        self._by_job: dict[int, _Entry] = {}
        self._by_lease: dict[tuple[str, str, Token], _Entry] = {}
        self._notes: set[asyncio.Task[None]] = set()

    # -- a run -------------------------------------------------------------------------------------------------------

    def started(self, run: Run) -> None:
        job = run.job
        context, links = self._origin(job)
        span = self._tracing.tracer.start_span(
            f"process {run.queue}", context, SpanKind.CONSUMER, attributes=self._about(job), links=links
        )
        entry = _Entry(span, trace.set_span_in_context(span, context))
        self._by_job[id(job)] = self._by_lease[run.queue, job.id, run.token] = entry
        self._tracing.meters.consumed.add(
            1, {"messaging.system": self._tracing.names.system, "messaging.destination.name": run.queue}
        )

    async def around(self, ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        """The middleware."""
        entry = self._by_job.get(id(ctx.job))
        if entry is None:
            return await call_next()
        token = otel.attach(entry.context)
        try:
            if ctx.job.attempts_made and not ctx.job.options.omit_trace:
                await self._link_to_last(ctx, entry)
            return await call_next()
        except BaseException as error:
            entry.span.record_exception(error)
            entry.span.set_attribute("error.type", type(error).__qualname__)
            if not ctx.is_last_attempt:
                await self._leave_note(ctx, entry, error)
            raise
        finally:
            otel.detach(token)

    def ended(self, run: Run, outcome: Outcome, refusal: Refusal | None) -> None:
        entry = self._by_job.pop(id(run.job), None)
        self._by_lease.pop((run.queue, run.job.id, run.token), None)
        if entry is None:
            return
        span = entry.span
        end = end_of(run, outcome)
        seconds = time.monotonic() - run.started
        if refusal is not None:
            span.add_event("lock_lost", {"reason": refusal.value})
            end = "lost"
        span.set_attribute("corral.outcome", end)
        span.set_attribute("bullmq.job.attempt_finished_timestamp", time.time_ns() // 1_000_000)
        match outcome:
            case Failed(reason=reason) | Retried(reason=reason) | Crashed(reason=reason):
                span.set_attribute("bullmq.job.failed.reason", reason)
                span.set_status(Status(StatusCode.ERROR, reason[:500]))
        self._tell_end(entry, run, outcome, end)
        span.end()
        self._measure(run, end, seconds)

    # -- what others ask ---------------------------------------------------------------------------------------------

    def span_of(self, queue: str, job_id: str, token: Token) -> Span | None:
        """The span of a run that is under way."""
        entry = self._by_lease.get((queue, job_id, token))
        return None if entry is None else entry.span

    def progressed(self, queue: str, job_id: str, token: Token, progress: str) -> None:
        """A handler told how far it is. Values that are no plain number may hold anything: they are left out."""
        entry = self._by_lease.get((queue, job_id, token))
        if entry is not None and entry.events < EVENTS:
            entry.events += 1
            number = progress.replace(".", "", 1).isdigit() and len(progress) < 20
            entry.span.add_event("progress", {"progress": float(progress)} if number else {})

    # -- where it comes from -----------------------------------------------------------------------------------------

    def _origin(self, job: Job) -> tuple[otel.Context, list[Link]]:
        carrier = None if job.options.omit_trace else unpacked(job.options.trace)
        context = otel.Context() if carrier is None else propagate.extract(carrier, otel.Context())
        origin = trace.get_current_span(context).get_span_context()
        if not origin.is_valid:
            if job.options.trace and not job.options.omit_trace:
                self._tracing.meters.unreadable.add(1, {"messaging.destination.name": job.queue})
            return otel.Context(), []
        waited = (job.started_at or job.created_at) - job.created_at
        goes_on = self._parent == "parent" or (self._parent == "auto" and waited < LONG_MS)
        return (context if goes_on else otel.Context()), [Link(origin)]

    def _about(self, job: Job) -> Attributes:
        about = self._tracing.about(job.queue, "process", "process")
        about["messaging.message.id"] = about["bullmq.job.id"] = job.id
        about["bullmq.job.name"] = job.name
        about["bullmq.job.attempts.made"] = job.attempts_made
        about["corral.job.priority"] = job.priority
        if job.worker:
            about["messaging.client.id"] = about["bullmq.worker.id"] = job.worker
            about["bullmq.worker.name"] = job.worker.rpartition("-")[0] or job.worker
        if job.started_at is not None:
            about["bullmq.job.processed.timestamp"] = job.started_at
            about["corral.job.wait_ms"] = max(0, job.started_at - (job.run_at or job.created_at))
        for key, value in (
            ("corral.attempt.max", job.options.attempts), ("bullmq.job.scheduler.id", job.schedule),
            ("bullmq.job.deduplication.key", job.dedup_id), ("corral.job.tags", job.options.tags or None),
            ("corral.job.parent", None if job.parent is None else f"{job.parent.queue}/{job.parent.id}"),
        ):  # fmt: skip
            if value is not None:
                about[key] = value
        if self._tracing.sizes:
            about["messaging.message.body.size"] = len(job.data.encode())
        return about

    async def _link_to_last(self, ctx: JobContext, entry: _Entry) -> None:
        """An earlier attempt, perhaps on another machine, left its trace."""
        try:
            carrier = unpacked(await ctx.recall(NOTE))
        except CorralError:  # a link is not worth a failure
            return
        if carrier is not None:
            origin: SpanContext = trace.get_current_span(propagate.extract(carrier, otel.Context())).get_span_context()
            if origin.is_valid:
                entry.span.add_link(origin, {"corral.link": "previous attempt"})

    async def _leave_note(self, ctx: JobContext, entry: _Entry, error: BaseException) -> None:
        text = packed(entry.context)
        if text is None:
            return
        task = asyncio.ensure_future(_noted(ctx, text))
        self._notes.add(task)  # a task that nobody holds may vanish
        task.add_done_callback(self._notes.discard)
        if not isinstance(error, asyncio.CancelledError):  # one that is being stopped has no time to wait
            await task

    # -- where it goes -----------------------------------------------------------------------------------------------

    def _tell_end(self, entry: _Entry, run: Run, outcome: Outcome, end: str) -> None:
        name = "delay" if isinstance(outcome, Snoozed) else _ENDS.get(end, end)
        if isinstance(outcome, Parked):
            name = "waitForChildren"
        if isinstance(outcome, Retried):
            entry.span.add_event("retry_scheduled", {"delay_ms": outcome.after_ms})
        if isinstance(outcome, Crashed):
            entry.span.add_event("stalled", {"reason": outcome.reason})
        if self._outcomes:
            about = {**self._tracing.about(run.queue, name), "bullmq.job.id": run.job.id}
            self._tracing.tracer.start_span(f"{name} {run.queue}", entry.context, attributes=about).end()
        elif end != "retried":
            entry.span.add_event(name)

    def _measure(self, run: Run, end: str, seconds: float) -> None:
        meters = self._tracing.meters
        about = {"bullmq.queue.name": run.queue, "bullmq.job.name": run.job.name}
        meters.process.record(
            seconds, {
                "messaging.system": self._tracing.names.system, "messaging.destination.name": run.queue,
                "messaging.operation.name": "process", **({} if end == "completed" else {"error.type": end}),
            },
        )  # fmt: skip
        meters.duration.record(seconds * 1000, about)
        counted = {"completed": "completed", "retried": "retried", "failed": "failed", "timeout": "failed"}
        if end in counted:
            meters.jobs[counted[end]].add(1, about)


async def _noted(ctx: JobContext, text: str) -> None:
    try:
        await ctx.note(NOTE, text)
    except CorralError:  # the store is away, or the job is somebody else's: a link is not worth a failure
        return
