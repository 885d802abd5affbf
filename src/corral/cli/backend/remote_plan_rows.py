"""Flows, failures, schedules, workers, operations and the like of the HTTP API, as rows."""

from corral.cli.backend.remote_rows import Json, items, of, since


def node_row(node: Json) -> dict[str, object]:
    """A job of a flow with all below it."""
    return {
        "queue": node["queue"],
        "id": node["id"],
        "name": node.get("name"),
        "state": node["state"],
        "reason": node.get("reason"),
        "left_out": node.get("left_out", 0),
        "repeated": node.get("repeated", False),
        "children": [node_row(one) for one in items(node, "children")],
    }


def flow_row(flow: Json) -> dict[str, object]:
    """A flow that is not finished."""
    job = of(flow, "job")
    keys = ("queue", "id", "name", "state", "done", "failed", "pending", "complete")
    created = job.get("created_at")
    return {**{key: flow.get(key) for key in keys}, "created_at": created, "age_s": since(created)}


def failure_row(group: Json, queue: str) -> dict[str, object]:
    """One kind of failure in one queue."""
    queues, example = of(group, "queues"), of(group, "example")
    return {
        "fingerprint": group["fingerprint"],
        "queue": queue,
        "type": group["type"],
        "message": group["message"],
        "jobs": queues.get(queue, group["count"]),
        "recent": group["recent"],
        "trend": group["buckets"],
        "first_at": group["first_at"],
        "last_at": group["last_at"],
        "last_s": since(group["last_at"]),
        "last_job_id": example.get("id") if example.get("queue") in (queue, None) else None,
    }


def schedule_row(one: Json) -> dict[str, object]:
    """A schedule."""
    last, when, tz = of(one, "last"), str(one["when"]), one["tz"]
    return {
        "key": one["id"],
        "queue": one["queue"],
        "job": one["name"],
        "when": f"{when} ({tz})" if tz != "UTC" and not when.startswith("every") else when,
        "in_words": one["text"],
        "next_at": one["next_at"],
        "last_at": last.get("at"),
        "last_state": last.get("state"),
        "last_job_id": last.get("job_id"),
        "fired": one["iterations"],
        "state": one["state"],
        "overdue_s": one["overdue_seconds"],
        "missed": one["missed_policy"],
        "overlap": one["overlap"],
        "start_at": one["start"],
        "end_at": one["end"],
        "limit": one["limit"],
        "owner": one["managed_by"],
        "data": one["payload_preview"],
    }


def run_row(run: Json) -> dict[str, object]:
    """A run to come."""
    return {"at": run["at"], "local": run["there"], "here": run["here"], "note": run.get("mark")}


def worker_row(worker: Json) -> dict[str, object]:
    """A worker, with what it runs."""
    return {
        "id": worker["id"],
        "name": worker["name"],
        "host": worker["host"],
        "pid": worker["pid"],
        "state": worker["state"],
        "queues": list(of(worker, "queues")),
        "running": worker["busy"],
        "slots": worker["slots"],
        "started_at": worker["started_at"],
        "up_s": since(worker["started_at"]),
        "seen_at": worker["beat_at"],
        "seen_s": worker["silent_seconds"],
        "version": worker["version"],
        "tags": [f"{name}={value}" for name, value in of(worker, "tags").items()],
        "jobs": [
            {"queue": job["queue"], "id": job["id"], "name": job["name"], "run_s": since(job["started_at"])}
            for job in items(worker, "jobs")
        ],
    }


def operation_row(one: Json) -> dict[str, object]:
    """A long operation."""
    keys = ("id", "action", "state", "query", "total", "done", "failed", "skipped", "examined", "candidates", "capped",
            "by", "reason", "created_at", "finished_at")  # fmt: skip
    return {
        **{key: one.get(key) for key in keys},
        "errors": [
            {"queue": bad["queue"], "id": bad["id"], "code": of(bad, "problem").get("code")}
            for bad in items(one, "errors")
        ],
        "eta_s": one.get("eta_seconds"),
        "problem": one.get("problem") or "",
    }


def audit_row(one: Json) -> dict[str, object]:
    """One thing that somebody did."""
    actor = of(one, "actor")
    keys = ("via", "ip", "action", "target", "count", "query", "reason", "outcome")
    return {
        "id": one["id"],
        "at": one["at"],
        "actor": actor.get("sub"),
        "method": actor.get("method"),
        **{key: one.get(key) for key in keys},
        "problem": one.get("problem") or "",
        "before": one.get("before"),
        "after": one.get("after"),
    }


def mark_row(one: Json) -> dict[str, object]:
    """A mark on the charts."""
    return {key: one.get(key) or "" for key in ("id", "label", "at", "url", "color", "by")}


def token_row(one: Json) -> dict[str, object]:
    """A token, without what it is."""
    keys = ("id", "name", "role", "queues", "created_at", "created_by", "expires_at", "used_at")
    return {key: one.get(key) for key in keys}
