"""Failures, schedules, workers and flows as the monitor answers them, as rows."""

from collections.abc import Iterator

from corral.cli.backend.port import Row
from corral.cli.backend.rows import seconds
from corral.cli.cells import ago, iso
from corral.monitor.objects import (
    FailureRow,
    FlowNode,
    FlowRow,
    Run,
    ScheduleRow,
    WorkerRow,
)


def failure_row(row: FailureRow) -> dict[str, object]:
    """One kind of failure."""
    group = row.group
    return {
        "fingerprint": group.fingerprint,
        "queue": row.queue,
        "type": group.type,
        "message": group.message,
        "jobs": group.jobs,
        "recent": row.recent,
        "trend": list(row.trend),
        "first_at": iso(group.first_at),
        "last_at": iso(group.last_at),
        "last_s": ago(group.last_at),
        "last_job_id": group.last_job_id,
    }


def schedule_row(row: ScheduleRow) -> dict[str, object]:
    """A schedule."""
    return {
        "key": row.key,
        "queue": row.queue,
        "job": row.name,
        "when": f"{row.when} ({row.tz})" if row.tz != "UTC" and not row.when.startswith("every") else row.when,
        "in_words": row.words,
        "next_at": iso(row.next_at),
        "last_at": iso(row.last_at),
        "last_state": None if row.last_state is None else str(row.last_state),
        "last_job_id": row.last_job_id,
        "fired": row.fired,
        "state": row.state,
        "overdue_s": seconds(row.overdue_ms),
        "missed": row.missed_policy,
        "overlap": row.overlap,
        "start_at": iso(row.start_at),
        "end_at": iso(row.end_at),
        "limit": row.limit,
        "owner": row.owner or None,
        "data": row.preview,
    }


def run_row(run: Run) -> dict[str, object]:
    """A run to come."""
    return {"at": iso(run.at), "local": run.there, "here": run.here, "note": run.mark or None}


def worker_row(row: WorkerRow) -> dict[str, object]:
    """A worker."""
    return {
        "id": row.id,
        "name": row.name,
        "host": row.host,
        "pid": row.pid,
        "state": row.state,
        "queues": list(row.queues),
        "running": row.busy,
        "slots": row.slots,
        "started_at": iso(row.started_at),
        "up_s": ago(row.started_at),
        "seen_at": iso(row.seen_at),
        "seen_s": seconds(row.silent_ms),
        "version": row.version,
        "tags": [f"{name}={value}" for name, value in row.tags],
        "jobs": [
            {"queue": job.queue, "id": job.id, "name": job.name, "run_s": seconds(job.run_ms)} for job in row.jobs
        ],
    }


def flow_row(row: FlowRow) -> dict[str, object]:
    """The top of a flow."""
    return {
        "queue": row.job.queue, "id": row.job.id, "name": row.job.name, "state": str(row.job.state),
        "done": row.done, "failed": row.failed, "pending": row.pending, "complete": row.complete,
        "created_at": iso(row.job.created_at), "age_s": ago(row.job.created_at),
    }  # fmt: skip


def node_row(node: FlowNode) -> dict[str, object]:
    """A job of a flow with all below it. Its depth is that of the walk, which is bounded."""
    return {
        "queue": node.queue,
        "id": node.id,
        "name": None if node.job is None else node.job.name,
        "state": None if node.state is None else str(node.state),
        "reason": node.reason,
        "left_out": node.left_out,
        "repeated": node.repeated,
        "children": [node_row(one) for one in node.children],
    }


def lines_of(node: Row, depth: int = 0) -> Iterator[tuple[int, Row]]:
    """The rows of a tree, each with its depth."""
    yield depth, node
    children = node["children"]
    assert isinstance(children, list)
    for one in children:
        yield from lines_of(one, depth + 1)
