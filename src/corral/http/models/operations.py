"""Operations, audit entries, tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import AwareDatetime, Field

from corral.admin.objects import SEARCH
from corral.admin.objects import AuditEntry as AuditRow
from corral.admin.objects import Operation as OperationRow
from corral.admin.objects import Token as TokenRow
from corral.http.models.base import Body, Json, Time, config, moment, plain, seconds, when
from corral.http.models.jobs import Refused
from corral.http.models.links import part


@dataclass(frozen=True, kw_only=True)
class OperationInfo:
    """A change to many jobs, or a search for them, carried out in the background."""

    __pydantic_config__ = config(
        {
            "id": "op_01jd8m3x5y6z7a8b9c0d1e2f3g", "action": "retry", "query": "fingerprint:9f31c2", "state": "running",
            "total": 409, "done": 120, "failed": 2, "skipped": 0, "examined": 5000, "candidates": 812000,
            "errors": [{"queue": "email", "id": "9", "problem": {"code": "duplicate-active"}}], "by": "ana",
            "reason": "SMTP back", "created_at": "2026-11-23T05:13:25.000Z", "finished_at": None, "eta_seconds": 4.0,
            "links": {"self": "/api/v1/operations/op_01jd8m3x5y6z7a8b9c0d1e2f3g"},
        }
    )  # fmt: skip
    id: str
    action: str
    query: str | None
    """With what is sensitive hidden; null: the jobs were named one by one."""
    state: str
    """`pending`, `collecting`, `running`, `done`, `aborted` or `failed`."""
    total: int | None
    done: int
    failed: int
    skipped: int
    """Jobs that changed after they had been chosen, and were left alone."""
    unread: int
    """Payloads too large to be searched."""
    examined: int
    """Jobs that its search has looked at …"""
    candidates: int | None
    """… of about so many."""
    capped: bool
    """A search found as many as it may and looked no further."""
    errors: Sequence[Refused]
    by: str
    reason: str
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    eta_seconds: float | None
    problem: str | None
    aborting: bool
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ActorInfo:
    """Who did it."""

    __pydantic_config__ = config()
    sub: str
    method: str
    role: str


@dataclass(frozen=True, kw_only=True)
class AuditInfo:
    """One thing that somebody did, or tried to do."""

    __pydantic_config__ = config(
        {
            "id": "01jd8m3x5y6z7a8b9c0d1e2f3g", "at": "2026-11-23T05:13:25.000Z",
            "actor": {"sub": "ana", "method": "session", "role": "operator"}, "action": "queue.pause",
            "target": {"queue": "cleanup"}, "count": 1, "query": None, "reason": "migration", "outcome": "ok",
            "problem": None, "before": None, "after": None, "request_id": "01jd8m3x", "ip": "10.0.0.7", "via": "ui",
            "ids": [],
        }
    )  # fmt: skip
    id: str
    at: Time
    actor: ActorInfo
    action: str
    target: Mapping[str, str]
    ids: Sequence[str]
    """Jobs that were touched, the first twenty."""
    count: int | None
    query: str | None
    reason: str
    outcome: str
    """`ok`, `refused` or `failed`."""
    problem: str | None
    before: Json | None
    after: Json | None
    request_id: str
    ip: str
    via: str


@dataclass(frozen=True, kw_only=True)
class TokenInfo:
    """What is kept of a token: everything but the token itself."""

    __pydantic_config__ = config(
        {"id": "8f3a91c2", "name": "ci", "role": "producer", "queues": ["email*"],
         "created_at": "2026-11-23T05:13:25.000Z", "created_by": "ana", "expires_at": None, "used_at": None,
         "parent": None}
    )  # fmt: skip
    id: str
    name: str
    role: str
    queues: Sequence[str]
    created_at: Time
    created_by: str
    expires_at: Time | None
    used_at: Time | None
    """The last time, to about a minute."""
    parent: str | None
    """The token by which it was made: it ends with that one."""


@dataclass(frozen=True, kw_only=True)
class NewToken(TokenInfo):
    """A token that was made. `token` is shown this once."""

    __pydantic_config__ = config()
    token: str


class TokenBody(Body):
    """A token as it is to be."""

    name: str = Field(min_length=1, max_length=100)
    role: str = "viewer"
    queues: list[str] = Field(default_factory=lambda: ["*"], min_length=1, max_length=100)
    expires_at: AwareDatetime | None = None


def operation_of(row: OperationRow, base: str) -> OperationInfo:
    """An operation as it is shown."""
    here = f"{base}/operations/{part(row.id)}"
    links = {"self": here, "abort": f"{here}/abort"}
    if row.action == SEARCH:
        links["results"] = f"{here}/results"
    return OperationInfo(
        id=row.id, action=row.action, query=row.query, state=row.state, total=row.total, done=row.done,
        failed=row.failed, skipped=row.skipped, unread=row.unread,
        examined=row.examined, candidates=row.candidates, capped=row.capped,
        errors=[Refused(queue=one.queue, id=one.id, problem={"code": one.code}) for one in row.errors],
        by=row.by, reason=row.reason, created_at=moment(row.created_at), started_at=when(row.started_at),
        finished_at=when(row.finished_at), eta_seconds=seconds(row.eta_ms), problem=row.problem or None,
        aborting=row.aborting, links=links,
    )  # fmt: skip


def audit_of(row: AuditRow) -> AuditInfo:
    """An audit entry as it is shown."""
    actor = row.actor
    return AuditInfo(
        id=row.id, at=moment(row.at), actor=ActorInfo(sub=actor.sub, method=actor.method, role=actor.role),
        action=row.action, target=row.target, ids=row.ids, count=row.count, query=row.query, reason=row.reason,
        outcome=row.outcome, problem=row.problem or None,
        before=None if row.before is None else plain(row.before), after=None if row.after is None else plain(row.after),
        request_id=actor.request_id, ip=actor.ip, via=actor.via,
    )  # fmt: skip


def token_of(row: TokenRow) -> TokenInfo:
    """A token as it is shown."""
    return TokenInfo(
        id=row.id, name=row.name, role=row.role, queues=row.queues, created_at=moment(row.created_at),
        created_by=row.created_by, expires_at=when(row.expires_at), used_at=when(row.used_at),
        parent=row.parent or None,
    )  # fmt: skip
