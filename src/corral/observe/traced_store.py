"""A store that has whoever adds jobs leave a span, and the jobs carry the trace on."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind

from corral.job import JobId, NewJob
from corral.observe.carrier import packed
from corral.observe.run_spans import RunSpans
from corral.observe.spans import Attributes, Tracing, carrying, failed
from corral.options import QueueSettings
from corral.outcome import Completed, Failed
from corral.storage.passing import Passing
from corral.storage.port import Added, Claim, JobPatch, QueueInfo, Selection, Settled, Settlement, Storage
from corral.timing import Millis

#: Nodes of a flow that have a span each, and names of a bulk that are told.
NODES, NAMES = 100, 20


class TracedStorage(Passing):
    """Passes everything on. What only housekeeping asks for leaves no span."""

    def __init__(self, inner: Storage, tracing: Tracing, runs: RunSpans) -> None:
        super().__init__(inner)
        self._tracing = tracing
        self._runs = runs

    def sibling(self) -> Storage:
        return TracedStorage(self.inner.sibling(), self._tracing, self._runs)

    # -- adding ------------------------------------------------------------------------------------------------------

    async def add(self, jobs: Sequence[NewJob], *, now: Millis | None = None) -> list[Added]:
        if not jobs:
            return await self.inner.add(jobs, now=now)
        with self._producing(jobs) as (span, marked):
            added = await self.inner.add(marked, now=now)
            _tell_ids(span, added)
        self._sent(jobs)
        return added

    async def fire_schedule(
        self, queue: str, key: str, *, slot: Millis, jobs: Sequence[NewJob], next_at: Millis | None,
        now: Millis | None = None,
    ) -> list[Added] | None:  # fmt: skip
        if not jobs:
            return await self.inner.fire_schedule(queue, key, slot=slot, jobs=jobs, next_at=next_at, now=now)
        span = self._tracing.tracer.start_span(*_title(jobs), attributes=self._about(jobs))
        span.set_attribute("bullmq.job.scheduler.id", key)
        marked = self._carried(jobs, span)
        try:
            added = await self.inner.fire_schedule(queue, key, slot=slot, jobs=marked, next_at=next_at, now=now)
        except BaseException as error:
            failed(span, error)
            span.end()
            raise
        if added is None:  # another scheduler was first. A span that does not end is none
            return None
        _tell_ids(span, added)
        span.end()
        self._sent(jobs)
        return added

    async def settle(
        self, queue: str, settlements: Sequence[Settlement], *, then: Claim | None = None, now: Millis | None = None
    ) -> Settled:
        return await self.inner.settle(queue, [self._tied(queue, one) for one in settlements], then=then, now=now)

    def _tied(self, queue: str, settlement: Settlement) -> Settlement:
        """What a run adds with its verdict goes on in the trace of the run."""
        outcome = settlement.outcome
        if not isinstance(outcome, Completed | Failed) or not outcome.adds:
            return settlement
        span = self._runs.span_of(queue, settlement.job_id, settlement.token)
        if span is None:
            return settlement
        text = packed(trace.set_span_in_context(span, otel.Context()), self._tracing.baggage)
        adds = tuple(carrying(job, text) for job in outcome.adds)
        return replace(settlement, outcome=replace(outcome, adds=adds))

    async def update(self, queue: str, patches: Sequence[JobPatch], *, now: Millis | None = None) -> list[JobId]:
        for patch in patches:
            if patch.token is not None and isinstance(patch.progress, str):
                self._runs.progressed(queue, patch.job_id, patch.token, patch.progress)
        return await self.inner.update(queue, patches, now=now)

    @contextmanager
    def _producing(self, jobs: Sequence[NewJob]) -> Iterator[tuple[Span, Sequence[NewJob]]]:
        tracer = self._tracing.tracer
        name, context, kind = _title(jobs)
        began = time.perf_counter()
        with tracer.start_as_current_span(
            name, context, kind, attributes=self._about(jobs), record_exception=False, set_status_on_exception=False
        ) as span:
            nodes: list[Span] = []
            try:
                yield span, self._carried(jobs, span, nodes)
            except BaseException as error:
                failed(span, error)
                raise
            finally:
                for node in nodes:
                    node.end()
                about = {"messaging.operation.name": name.partition(" ")[0], **_where(jobs, self._tracing.names.system)}
                self._tracing.meters.operation.record(time.perf_counter() - began, about)

    def _carried(self, jobs: Sequence[NewJob], span: Span, nodes: list[Span] | None = None) -> Sequence[NewJob]:
        tracing = self._tracing
        text = packed(trace.set_span_in_context(span), tracing.baggage)
        if nodes is None or not _is_family(jobs):
            return [carrying(job, text) for job in jobs]
        marked = []
        for job in jobs[:NODES]:
            about = {**tracing.about(job.queue, "addNode", "send"), "bullmq.job.name": job.name}
            node = tracing.tracer.start_span(f"addNode {job.queue}", kind=SpanKind.PRODUCER, attributes=about)
            nodes.append(node)
            marked.append(carrying(job, packed(trace.set_span_in_context(node), tracing.baggage)))
        return [*marked, *(carrying(job, text) for job in jobs[NODES:])]

    def _about(self, jobs: Sequence[NewJob]) -> Attributes:
        first = jobs[0]
        name = _title(jobs)[0].partition(" ")[0]
        about = self._tracing.about(first.queue, name, "send")
        if len(jobs) > 1:
            about["messaging.batch.message_count"] = about["bullmq.job.bulk.count"] = len(jobs)
            about["bullmq.job.bulk.names"] = list(dict.fromkeys(job.name for job in jobs))[:NAMES]
            return about
        about["bullmq.job.name"] = first.name
        about["corral.job.priority"] = first.priority
        if first.delay_ms:
            about["corral.job.delay_ms"] = first.delay_ms
        if first.options.tags:
            about["corral.job.tags"] = first.options.tags
        if first.parent is not None:
            about["corral.job.parent"] = f"{first.parent.queue}/{first.parent.id}"
        if first.dedup is not None:
            about["bullmq.job.deduplication.key"] = first.dedup.id
        if self._tracing.sizes:
            about["messaging.message.body.size"] = len(first.data.encode())
        return about

    def _sent(self, jobs: Sequence[NewJob]) -> None:
        meters = self._tracing.meters
        counts: dict[str, int] = {}
        for job in jobs:
            counts[job.queue] = counts.get(job.queue, 0) + 1
            state = "delayed" if job.delay_ms or job.run_at is not None else "waiting"
            meters.jobs["waiting_children" if job.children or job.after else state].add(
                1, {"bullmq.queue.name": job.queue, "bullmq.job.name": job.name}
            )
        for queue, count in counts.items():
            meters.sent.add(
                count, {"messaging.system": self._tracing.names.system, "messaging.destination.name": queue}
            )

    # -- commands ----------------------------------------------------------------------------------------------------

    async def retry(
        self, queue: str, which: Selection, *, reset_attempts: bool = True, after_ms: Millis = 0, every_ms: Millis = 0,
        now: Millis | None = None,
    ) -> list[JobId]:  # fmt: skip
        with self._commanding("retryJobs", queue):
            return await self.inner.retry(
                queue, which, reset_attempts=reset_attempts, after_ms=after_ms, every_ms=every_ms, now=now
            )

    async def promote(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        with self._commanding("promoteJobs", queue):
            return await self.inner.promote(queue, which, now=now)

    async def remove(self, queue: str, which: Selection, *, now: Millis | None = None) -> list[JobId]:
        with self._commanding("clean" if which.states else "remove", queue):
            return await self.inner.remove(queue, which, now=now)

    async def configure(self, queue: str, settings: QueueSettings, *, now: Millis | None = None) -> QueueInfo:
        if not isinstance(settings.paused, bool):
            return await self.inner.configure(queue, settings, now=now)
        with self._commanding("pause" if settings.paused else "resume", queue):
            return await self.inner.configure(queue, settings, now=now)

    async def obliterate(self, queue: str, *, force: bool = False) -> None:
        with self._commanding("obliterate", queue):
            await self.inner.obliterate(queue, force=force)

    @contextmanager
    def _commanding(self, operation: str, queue: str) -> Iterator[None]:
        """A span below the one of whoever asks. Without one it is housekeeping, which would only make noise."""
        if not trace.get_current_span().is_recording():
            yield
            return
        about = self._tracing.about(queue, operation)
        with self._tracing.tracer.start_as_current_span(f"{operation} {queue}", attributes=about):
            yield


def _is_family(jobs: Sequence[NewJob]) -> bool:
    return len(jobs) > 1 and any(job.children or job.after for job in jobs)


def _title(jobs: Sequence[NewJob]) -> tuple[str, otel.Context, SpanKind]:
    first = jobs[0]
    if len(jobs) == 1:
        name = f"add {first.queue}.{first.name}"
    else:
        name = f"{'addFlow' if _is_family(jobs) else 'addBulk'} {first.queue}"
    return name, otel.get_current(), SpanKind.PRODUCER


def _where(jobs: Sequence[NewJob], system: str) -> Mapping[str, str]:
    return {"messaging.system": system, "messaging.destination.name": jobs[0].queue}


def _tell_ids(span: Span, added: Sequence[Added]) -> None:
    if len(added) == 1:
        span.set_attribute("messaging.message.id", added[0].id)
        span.set_attribute("bullmq.job.id", added[0].id)
    kept_out = sum(one.deduplicated for one in added)
    if kept_out:
        span.add_event("deduplicated", {"count": kept_out})
