"""What the monitor answers, as rows."""

import json

from corral.cli.cells import ago, iso
from corral.cli.text import cut
from corral.monitor.attempts import AttemptRow
from corral.monitor.objects import (
    Finding,
    JobDetail,
    JobRow,
    Limit,
    Overview,
    Point,
    QueueDetail,
    QueueRow,
    Setting,
)
from corral.timing import Millis
from corral.why import Why

PREVIEW = 60  #: characters of a payload in a list: lists never show whole payloads


def seconds(ms: float | None) -> float | None:
    """Milliseconds as seconds."""
    return None if ms is None else round(ms / 1000, 3)


def parsed(text: str | None) -> object:
    """JSON text as a value."""
    return None if text is None else json.loads(text)


def queue_row(row: QueueRow) -> dict[str, object]:
    """A queue with its numbers."""
    minutes = row.rates.window_ms / 60_000 or 1
    return {
        "queue": row.name,
        "state": row.state,
        "attention": row.attention,
        "waiting": row.waiting,
        "active": row.active,
        "delayed": row.delayed,
        "waiting_children": row.waiting_children,
        "completed": row.completed,
        "failed": row.failed,
        "completed_total": row.completed_total,
        "failed_total": row.failed_total,
        "oldest_s": seconds(row.oldest_waiting_ms),
        "window_s": seconds(row.rates.window_ms),
        "done_per_min": round(row.rates.completed / minutes, 2),
        "failed_per_min": round(row.rates.failed / minutes, 2),
        "retried_per_min": round(row.rates.retried / minutes, 2),
        "failed_rate": None if row.rates.failure_share is None else round(row.rates.failure_share, 4),
        "mean_wait_s": seconds(row.wait.mean),
        "mean_run_s": seconds(row.run.mean),
        "p95_wait_s": seconds(row.wait.p95),
        "p95_run_s": seconds(row.run.p95),
        "workers": row.workers,
        "slots": row.slots,
        "busy": row.busy,
        "paused_reason": row.pause_reason,
    }


def queue_detail(detail: QueueDetail) -> dict[str, object]:
    """A queue with its settings."""
    row = detail.queue
    return {
        **queue_row(row),
        "description": row.description,
        "slo_s": seconds(row.slo_ms),
        "held_until": iso(row.held_until),
        "hold_reason": row.hold_reason,
        "rate_limit": _limit(row.rate_limit),
        "concurrency": row.concurrency,
        "name_concurrency": dict(detail.name_concurrency),
        "priorities": {str(priority): count for priority, count in detail.priorities.items()},
        "groups": detail.groups.total,
        "schedules": detail.schedules,
        "keep_completed": _keep(detail.keep_completed),
        "keep_failed": _keep(detail.keep_failed),
    }


def _limit(limit: Limit | None) -> str | None:
    return None if limit is None else f"{limit.count} / {limit.per_ms / 1000:g} s"


def _keep(keep: Setting | None) -> dict[str, object] | None:
    return None if keep is None else {"age_s": seconds(keep.age_ms), "count": keep.count}


def overview_row(found: Overview) -> dict[str, object]:
    """Everything in a few numbers."""
    total = found.totals
    minutes = found.rates.window_ms / 60_000 or 1
    return {
        "waiting": total.waiting,
        "active": total.active,
        "delayed": total.delayed,
        "completed": total.completed,
        "failed": total.failed,
        "done_per_min": round(found.rates.completed / minutes, 2),
        "failed_per_min": round(found.rates.failed / minutes, 2),
        "oldest_s": seconds(found.oldest_waiting_ms),
        "workers": found.workers,
        "slots": found.slots,
        "busy": found.busy,
        "attention": [finding_row(one) for one in found.attention],
    }


def finding_row(one: Finding) -> dict[str, object]:
    """Something that wants attention."""
    return {
        "id": one.id, "rule": one.rule, "severity": one.severity, "queue": one.queue or None, "message": one.message,
        "remedy": one.remedy, "since": iso(one.since),
    }  # fmt: skip


def point_row(point: Point) -> dict[str, object]:
    """One minute of a chart."""
    return {"at": iso(point.at), "completed": point.completed, "failed": point.failed, "retried": point.retried}


def job_row(job: JobRow) -> dict[str, object]:
    """A job as a line of a list."""
    return {
        "queue": job.queue,
        "id": job.id,
        "name": job.name,
        "state": str(job.state),
        "priority": job.priority,
        "tags": list(job.tags),
        "attempts_made": job.attempts_made,
        "created_at": iso(job.created_at),
        "age_s": ago(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "wait_s": seconds(job.wait_ms),
        "run_s": seconds(job.run_ms),
        "worker": job.worker,
        "fingerprint": job.fingerprint,
        "failed_reason": job.reason,
        "preview": cut(job.preview, PREVIEW),
        "size": job.data_bytes,
    }


def job_detail(detail: JobDetail) -> dict[str, object]:
    """Everything about a job."""
    job = detail.row
    return {
        "queue": job.queue,
        "id": job.id,
        "name": job.name,
        "state": str(job.state),
        "priority": job.priority,
        "tags": list(job.tags),
        "created_at": iso(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "wait_s": seconds(job.wait_ms),
        "run_s": seconds(job.run_ms),
        "attempts_made": job.attempts_made,
        "attempts": job.attempts,
        "crashes": job.crashes,
        "worker": job.worker,
        "group": job.group,
        "dedup": job.dedup_id,
        "schedule": job.schedule,
        "scheduled_for": iso(detail.scheduled_for),
        "parent": job.parent,
        "pending_children": job.pending_children,
        "rerun_of": job.rerun_of,
        "trace_id": job.trace_id,
        "fingerprint": job.fingerprint,
        "size": job.data_bytes,
        "progress": parsed(detail.progress),
        "data": parsed(detail.data),
        "result": parsed(detail.result),
        "failed_reason": detail.reason,
        "traces": list(detail.traces),
        "history": [attempt(one) for one in detail.attempts],
        "whole": detail.whole,
    }


def attempt(one: AttemptRow) -> dict[str, object]:
    """One attempt of a job; its traceback stands among the others."""
    began, ended = one.started_at, one.ended_at
    return {
        "n": one.number,
        "outcome": one.outcome,
        "started_at": iso(one.started_at),
        "finished_at": iso(one.ended_at),
        "run_s": None if began is None or ended is None else seconds(max(0, ended - began)),
        "worker": one.worker,
        "reason": one.reason,
        "retry_delay_s": seconds(one.retry_delay_ms),
    }


def why_row(found: Why) -> dict[str, object]:
    """Why a job does not run."""
    return {
        "queue": found.queue,
        "id": found.job_id,
        "state": str(found.state),
        "starts_at": iso(found.starts_at),
        "assumptions": list(found.assumptions),
        "reasons": [
            {"code": str(one.cause), "message": one.text, "remedy": one.remedy or None, "until": iso(one.until)}
            for one in found.reasons
        ],
    }


def at_ms(at: float | None) -> Millis | None:
    """Epoch seconds as milliseconds."""
    return None if at is None else round(at * 1000)
