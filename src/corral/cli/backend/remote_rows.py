"""What the HTTP API answers, as rows: the same fields as `rows` makes from the monitor."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeAlias, cast

from corral.cli.backend.rows import PREVIEW
from corral.cli.text import cut
from corral.monitor.preview import preview
from corral.sensitive import shown

Json: TypeAlias = Mapping[str, object]


def of(value: object, key: str) -> Json:
    """A table inside of a table; an empty one when it is not there."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return cast(Json, found) if isinstance(found, Mapping) else {}


def items(value: object, key: str = "items") -> list[Json]:
    """A list of tables inside of a table."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def table(value: object) -> Json:
    """An answer that is a table."""
    return cast(Json, value) if isinstance(value, Mapping) else {}


def seconds(ms: object) -> float | None:
    """Milliseconds as seconds."""
    return round(ms / 1000, 3) if isinstance(ms, int | float) else None


def since(at: object) -> float | None:
    """How many seconds have passed since an instant; never below zero."""
    if not isinstance(at, str):
        return None
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(at)).total_seconds())


def queue_row(queue: Json) -> dict[str, object]:
    """A queue with its numbers."""
    counts, rates, paused = of(queue, "counts"), of(queue, "rates"), of(queue, "paused")
    minutes = cast(float, rates.get("window_ms") or 60_000) / 60_000
    return {
        "queue": queue["name"],
        "state": queue["state"],
        "attention": queue["attention"],
        **{
            key: counts.get(key)
            for key in (
                "waiting", "active", "delayed", "waiting_children", "completed", "failed", "completed_total",
                "failed_total",
            )
        },
        "oldest_s": queue["oldest_waiting_seconds"],
        "window_s": seconds(rates.get("window_ms")),
        "done_per_min": round(cast(int, rates.get("completed") or 0) / minutes, 2),
        "failed_per_min": round(cast(int, rates.get("failed") or 0) / minutes, 2),
        "retried_per_min": round(cast(int, rates.get("retried") or 0) / minutes, 2),
        "failed_rate": _rounded(rates.get("failure_ratio")),
        "mean_wait_s": seconds(of(queue, "wait_ms").get("mean")),
        "mean_run_s": seconds(of(queue, "run_ms").get("mean")),
        "p95_wait_s": seconds(of(queue, "wait_ms").get("p95")),
        "p95_run_s": seconds(of(queue, "run_ms").get("p95")),
        "workers": queue["workers"],
        "slots": queue["slots"],
        "busy": queue["busy"],
        "paused_reason": paused.get("reason") or "",
    }  # fmt: skip


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, int | float) else None


def queue_detail(queue: Json) -> dict[str, object]:
    """A queue with its settings."""
    details, hold = of(queue, "details"), of(queue, "hold")
    return {
        **queue_row(queue),
        "description": queue.get("description") or "",
        "slo_s": queue.get("slo_seconds"),
        "held_until": hold.get("until"),
        "hold_reason": hold.get("reason") or "",
        "rate_limit": limit_text(of(queue, "rate_limit")),
        "concurrency": queue["global_concurrency"],
        "name_concurrency": dict(of(details, "name_concurrency")),
        "priorities": dict(of(details, "priorities")),
        "groups": of(details, "groups").get("total", 0),
        "schedules": details.get("schedules", 0),
        "keep_completed": _keep(of(details, "keep_completed")),
        "keep_failed": _keep(of(details, "keep_failed")),
    }


def limit_text(limit: Json) -> str | None:
    """A rate limit in words; None when there is none."""
    return f"{limit['max']} / {cast(int, limit['duration_ms']) / 1000:g} s" if limit else None


def _keep(keep: Json) -> dict[str, object] | None:
    return {"age_s": seconds(keep.get("age_ms")), "count": keep.get("count")} if keep else None


def finding_row(one: Json) -> dict[str, object]:
    """Something that wants attention."""
    keys = ("id", "rule", "severity", "queue", "message")
    return {**{key: one.get(key) for key in keys}, "remedy": of(one, "remedy").get("text"), "since": one.get("since")}


def job_row(job: Json) -> dict[str, object]:
    """A job as a line of a list."""
    return {
        "queue": job["queue"],
        "id": job["id"],
        "name": job["name"],
        "state": job["state"],
        "priority": job["priority"],
        "tags": job["tags"],
        "attempts_made": job["attempts_made"],
        "created_at": job["created_at"],
        "age_s": since(job["created_at"]),
        "run_at": job["run_at"],
        "started_at": job["processed_at"],
        "finished_at": job["finished_at"],
        "wait_s": seconds(job["wait_ms"]),
        "run_s": seconds(job["run_ms"]),
        "worker": job["worker"],
        "fingerprint": job["fingerprint"],
        "failed_reason": job["failed_reason"],
        "preview": cut(_preview(str(job["payload_preview"]), cast(int, job["size_bytes"])), PREVIEW),
        "size": job["size_bytes"],
    }


def _preview(text: str, size: int) -> str:
    """An administrator's token is shown everything; on a screen it is hidden all the same."""
    try:
        json.loads(text)
    except ValueError:
        return preview(text, size)  # it breaks off
    return preview(text, 0)


def job_detail(job: Json, *, reveal: bool = False) -> dict[str, object]:
    """Everything about a job. What is sensitive is hidden also from those who may see it, as it is in a store."""
    paths = of(job, "opts").get("sensitive")
    hidden = [str(one) for one in paths] if isinstance(paths, list) else []
    parent, error = of(job, "parent"), of(job, "error")
    traces = [
        stack for one in items(job, "attempts") if isinstance(stack := of(one, "error").get("stack"), str) and stack
    ]
    return {
        "queue": job["queue"],
        "id": job["id"],
        "name": job["name"],
        "state": job["state"],
        "priority": job["priority"],
        "tags": job["tags"],
        "created_at": job["created_at"],
        "run_at": job["run_at"],
        "started_at": job["processed_at"],
        "finished_at": job["finished_at"],
        "wait_s": seconds(job["wait_ms"]),
        "run_s": seconds(job["run_ms"]),
        "attempts_made": job["attempts_made"],
        "attempts": job["attempts_max"],
        "crashes": job["stalled"],
        "worker": job["worker"],
        "group": job["group"],
        "dedup": job["dedup"],
        "schedule": job["schedule"],
        "scheduled_for": job.get("scheduled_for"),
        "parent": f"{parent['queue']}/{parent['id']}" if parent else None,
        "pending_children": job["children_pending"],
        "rerun_of": job["rerun_of"],
        "trace_id": job["trace_id"],
        "fingerprint": job["fingerprint"],
        "size": job["size_bytes"],
        "progress": shown(job["progress"], hidden, by_name=not reveal),
        "data": shown(job.get("data"), hidden, by_name=not reveal),
        "result": shown(job.get("result"), hidden, by_name=not reveal),
        "failed_reason": job["failed_reason"],
        "history": [_attempt(one) for one in items(job, "attempts")],
        "traces": traces or ([error["stack"]] if error.get("stack") else []),
        "whole": job.get("whole", True),
    }


def _attempt(one: Json) -> dict[str, object]:
    error = of(one, "error")
    kind, said = error.get("type"), error.get("message")
    return {
        "n": one["n"],
        "outcome": one["outcome"],
        "started_at": one["started_at"],
        "finished_at": one["finished_at"],
        "run_s": seconds(one["run_ms"]),
        "worker": one["worker"],
        "reason": f"{kind}: {said}" if kind else said,
        "retry_delay_s": seconds(one.get("retry_delay_ms")),
    }


def why_row(why: Json) -> dict[str, object]:
    """Why a job does not run."""
    estimate = of(why, "estimate")
    return {
        "queue": why["queue"],
        "id": why["id"],
        "state": why["state"],
        "starts_at": estimate.get("start_at"),
        "assumptions": estimate.get("assumptions") or [],
        "reasons": [
            {
                "code": one["code"], "message": one["message"], "remedy": one.get("remedy") or None,
                "until": one.get("until"),
            }
            for one in items(why, "reasons")
        ],
    }  # fmt: skip
