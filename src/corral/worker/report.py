"""Reporting: log lines, hooks and counters for what happens to a worker's jobs."""

import logging
import time
from collections import Counter

import msgspec

from corral.event import Event, EventType
from corral.job import Job
from corral.outcome import Completed, Crashed, Failed, Failure, Limited, Outcome, Parked, Released, Retried, Snoozed
from corral.storage.port import Refusal
from corral.timing import now_ms
from corral.worker.fuse import Fuse
from corral.worker.hooks import HookCalls
from corral.worker.recorder import Recorder
from corral.worker.run import Run
from corral.worker.watch import Watcher, end_of

logger = logging.getLogger("corral.worker")
_DONE = EventType.COMPLETED
_DEBUG = logging.DEBUG

KIND: dict[type[Outcome], EventType] = {
    Completed: EventType.COMPLETED,
    Failed: EventType.FAILED,
    Retried: EventType.RETRYING,
    Snoozed: EventType.SNOOZED,
    Parked: EventType.WAITING_CHILDREN,
    Released: EventType.RELEASED,
    Limited: EventType.LIMITED,
    Crashed: EventType.STALLED,
}


class Reporter:
    """Told by the fetchers; tells logs and hooks. Costs next to nothing while nobody listens."""

    def __init__(self, calls: HookCalls) -> None:
        self._calls = calls
        self._wants = calls.wants
        self.recorder: Recorder | None = None
        self.fuses: dict[str, Fuse] = {}  #: by queue
        self.watchers: tuple[Watcher, ...] = ()
        self.totals: Counter[tuple[str, EventType]] = Counter()
        self.finished = 0

    def started(self, run: Run) -> None:
        """A handler is about to be called."""
        if self.watchers:
            for watcher in self.watchers:
                watcher.started(run)
        if logger.isEnabledFor(_DEBUG):
            job = run.job
            logger.debug(
                "job started",
                extra={
                    "event": "job.started", "queue": run.queue, "job": job.name, "jobId": job.id,
                    "attempt": job.attempts_made + 1, "priority": job.priority or None,
                    "wait_ms": max(0, (job.started_at or 0) - (job.run_at or job.created_at)), **_further(job),
                },
            )  # fmt: skip

    def ended(self, run: Run, outcome: Outcome, refusal: Refusal | None) -> None:
        """A verdict was handed in, and accepted unless there is a refusal."""
        if self.watchers:
            for watcher in self.watchers:
                watcher.ended(run, outcome, refusal)
        if refusal is not None:
            logger.warning(
                "verdict refused: another run owns the job",
                extra={"event": "worker.lock_lost", "queue": run.queue, "jobId": run.job.id, "reason": refusal.value},
            )
            return
        kind = KIND[type(outcome)]  # from here on by names of the module, which are found sooner than an enum's
        self.finished += 1
        self.totals[run.queue, kind] += 1
        if self.recorder is not None:
            self.recorder.note(run, kind)
        if self.fuses and (fuse := self.fuses.get(run.queue)) is not None:
            fuse.told(run, outcome)
        if kind is not _DONE or logger.isEnabledFor(_DEBUG):
            self._log(run, outcome, kind)
        if self._wants(kind):
            event = Event(
                type=kind, queue=run.queue, at=now_ms(), job_id=run.job.id, name=run.job.name, detail=_detail(outcome)
            )
            self._calls.put(event, run.job)

    def lost(self, run: Run) -> None:
        """No verdict on this run will be handed in: the store can hold none."""
        for watcher in self.watchers:
            watcher.ended(run, Released(), Refusal.LEASE_LOST)

    def _log(self, run: Run, outcome: Outcome, kind: EventType) -> None:
        facts: dict[str, object] = {
            "event": f"job.{kind.value}", "queue": run.queue, "job": run.job.name, "jobId": run.job.id,
            "duration_ms": round((time.monotonic() - run.started) * 1000), **_further(run.job),
        }  # fmt: skip
        match outcome:
            case Completed():
                logger.debug("job completed", extra=facts)
            case Failed(reason=reason, trace=trace, failure=failure):
                facts |= {"event": f"job.{end_of(run, outcome)}", "attempt": run.job.attempts_made + 1, "error": reason}
                logger.error("Job failed", extra={**facts, **_kind(failure), "stack": trace})
            case Retried(after_ms=after_ms, reason=reason, failure=failure):
                facts |= {"attempt": run.job.attempts_made + 1, "error": reason, "delay_ms": after_ms}
                logger.warning("job retrying", extra={**facts, **_kind(failure)})
            case Crashed(reason=reason):
                logger.error("job crashed its process", extra={**facts, "error": reason})
            case _:
                logger.info("job %s", kind.value, extra=facts)


def _further(job: Job) -> dict[str, object]:
    """What only some jobs have. Fields without a value are left out of a line."""
    parent = None if job.parent is None else f"{job.parent.queue}/{job.parent.id}"
    return {
        "tags": list(job.options.tags) or None, "parent": parent, "schedule": job.schedule,
        "trace_id": job.options.trace_id,
    }  # fmt: skip


def _kind(failure: Failure | None) -> dict[str, object]:
    return {} if failure is None else {"error_type": failure.type, "fingerprint": failure.fingerprint}


def _detail(outcome: Outcome) -> str | None:
    match outcome:
        case Completed(result=result):
            return result
        case Failed(reason=reason) | Retried(reason=reason) | Crashed(reason=reason):
            return msgspec.json.encode(reason).decode()
        case _:
            return None
