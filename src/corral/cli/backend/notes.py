"""What the admin keeps, as rows: operations, audit entries, marks, tokens."""

from collections.abc import Mapping

from msgspec.structs import asdict

from corral.admin.objects import AuditEntry, Mark, Operation, Token
from corral.cli.backend.rows import seconds
from corral.cli.cells import iso


def operation_row(one: Operation) -> dict[str, object]:
    """A long operation."""
    return {
        "id": one.id, "action": one.action, "state": one.state, "query": one.query, "total": one.total,
        "done": one.done, "failed": one.failed, "skipped": one.skipped,
        "examined": one.examined, "candidates": one.candidates, "capped": one.capped,
        "errors": [asdict(problem) for problem in one.errors], "by": one.by, "reason": one.reason,
        "created_at": iso(one.created_at), "finished_at": iso(one.finished_at), "eta_s": seconds(one.eta_ms),
        "problem": one.problem,
    }  # fmt: skip


def audit_row(one: AuditEntry) -> dict[str, object]:
    """One thing that somebody did."""
    return {
        "id": one.id, "at": iso(one.at), "actor": one.actor.sub, "method": one.actor.method, "via": one.actor.via,
        "ip": one.actor.ip, "action": one.action, "target": dict(one.target), "count": one.count, "query": one.query,
        "reason": one.reason, "outcome": one.outcome, "problem": one.problem, "before": _dict(one.before),
        "after": _dict(one.after),
    }  # fmt: skip


def _dict(value: Mapping[str, object] | None) -> dict[str, object] | None:
    return None if value is None else dict(value)


def mark_row(one: Mark) -> dict[str, object]:
    """A mark on the charts."""
    return {"id": one.id, "label": one.label, "at": iso(one.at), "url": one.url, "color": one.color, "by": one.by}


def token_row(one: Token) -> dict[str, object]:
    """A token, without what it is."""
    return {
        "id": one.id, "name": one.name, "role": one.role, "queues": list(one.queues),
        "created_at": iso(one.created_at), "created_by": one.created_by, "expires_at": iso(one.expires_at),
        "used_at": iso(one.used_at),
    }  # fmt: skip
