"""Jobs as the API shows them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from corral.http.models.base import NULL, Json, Time, config


@dataclass(frozen=True, kw_only=True)
class JobRef:
    """A job: ids are unique only within a queue."""

    __pydantic_config__ = config()
    queue: str
    id: str


@dataclass(frozen=True, kw_only=True)
class ParentInfo(JobRef):
    """The job that waits for this one."""

    __pydantic_config__ = config()
    on_failure: str | None = None
    """What this job's failure means for it."""


@dataclass(frozen=True, kw_only=True)
class ErrorInfo:
    """Why an attempt failed."""

    __pydantic_config__ = config()
    type: str | None
    message: str
    stack: str | None = None


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a job: the last 25 are kept, the traces of the last ten.

    Of an attempt of Node's workers only its trace is known, and of the last one when it was.
    """

    __pydantic_config__ = config(
        {
            "n": 3, "outcome": "failed", "started_at": "2026-11-23T05:13:25.000Z",
            "finished_at": "2026-11-23T05:13:55.000Z", "worker": "web-1/2211", "run_ms": 30000,
            "error": {"type": "SMTPTimeout", "message": "connection timed out", "stack": None}, "fingerprint": "9f31c2",
            "retry_delay_ms": 2000,
        }
    )  # fmt: skip
    n: int
    outcome: str
    """`completed`, `failed`, `crashed` (its worker was lost; the next attempt has the same number), `running`."""
    started_at: Time | None = None
    finished_at: Time | None = None
    worker: str | None = None
    run_ms: int | None = None
    error: ErrorInfo | None = None
    fingerprint: str | None = None
    retry_delay_ms: int | None = None
    """After so long it was tried again; null: it was not, or nobody knows."""


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One thing in a job's way. `code` is stable; `message` and `remedy` are for people."""

    __pydantic_config__ = config()
    code: str
    message: str
    remedy: str = ""
    until: Time | None = None
    """When it goes away by itself, as far as is known."""
    certain: bool = True


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """When a job may start."""

    __pydantic_config__ = config()
    start_at: Time
    assumptions: Sequence[str] = ()
    """What is taken for granted."""


@dataclass(frozen=True, kw_only=True)
class Why:
    """Why a job is not running, the most decisive reason first."""

    __pydantic_config__ = config(
        {
            "queue": "email",
            "id": "12345",
            "state": "waiting",
            "reasons": [{"code": "paused", "message": "the queue is paused: migration", "remedy": "resume the queue",
                         "until": None, "certain": True}],
            "estimate": None,
        }
    )  # fmt: skip
    queue: str
    id: str
    state: str
    reasons: Sequence[Reason]
    estimate: Estimate | None = None


@dataclass(frozen=True, kw_only=True)
class FlowNode:
    """A job of a flow and what is below it. Without a `job` it is gone."""

    __pydantic_config__ = config()
    queue: str
    id: str
    state: str | None
    name: str | None = None
    job: "JobSummary | None" = None
    reason: str | None = None
    children: Sequence["FlowNode"] = ()
    left_out: int = 0
    """Children that are not shown."""
    repeated: bool = False
    """It stands elsewhere in the tree, with its children."""


@dataclass(frozen=True, kw_only=True)
class JobSummary:
    """A job in a list: without its payload and result."""

    __pydantic_config__ = config(
        {
            "queue": "email", "id": "12345", "name": "welcome", "state": "failed", "priority": 0,
            "tags": ["tenant-42"], "created_at": "2026-11-23T05:13:25.000Z", "attempts_made": 3, "attempts_max": 3,
            "payload_preview": "{\"to\":\"ana@example.com\"}", "failed_reason": "SMTPTimeout: connection timed out",
            "fingerprint": "9f31c2", "actions": ["retry", "rerun"],
            "links": {"self": "/api/v1/queues/email/jobs/12345"},
        }
    )  # fmt: skip
    queue: str
    id: str
    name: str
    state: str
    """`waiting`, `delayed`, `active`, `waiting-children`, `completed`, `failed`."""
    priority: int
    tags: Sequence[str]
    created_at: Time
    run_at: Time | None
    processed_at: Time | None
    """When its last attempt began."""
    finished_at: Time | None
    wait_ms: int | None
    run_ms: int | None
    attempts_made: int
    attempts_max: int | None
    """Null: its handler or queue says."""
    stalled: int
    """Workers that died with it."""
    progress: Json
    worker: str | None
    group: str | None
    dedup: str | None
    parent: JobRef | None
    children_pending: int
    schedule: str | None
    rerun_of: str | None
    trace_id: str | None
    size_bytes: int
    result_bytes: int
    payload_preview: str
    failed_reason: str | None
    fingerprint: str | None
    actions: Sequence[str]
    """What may be done with it now, by whom asked."""
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Job(JobSummary):
    """A job."""

    __pydantic_config__ = config(
        {
            "queue": "email", "id": "12345", "name": "welcome", "state": "failed", "priority": 0,
            "created_at": "2026-11-23T05:13:25.000Z", "attempts_made": 3, "attempts_max": 3,
            "data": {"to": "ana@example.com", "token": "••••"}, "redacted": ["$.token"], "result": None,
            "error": {"type": "SMTPTimeout", "message": "connection timed out", "stack": None},
            "effective_opts": {"attempts": {"value": 3, "from": "queue"}}, "whole": True,
            "actions": ["retry", "rerun"], "links": {"self": "/api/v1/queues/email/jobs/12345"},
        }
    )  # fmt: skip
    data: Json = field(default_factory=lambda: NULL)
    result: Json = field(default_factory=lambda: NULL)
    redacted: Sequence[str] = ()
    """Paths in payload and result that are hidden from you."""
    whole: bool = True
    """False: its texts are too large to be shown here; see `links.payload`."""
    error: ErrorInfo | None = None
    opts: Json = field(default_factory=lambda: NULL)
    """The options that are stored with it."""
    effective_opts: Mapping[str, Json] = field(default_factory=dict)
    """Each option as it holds, and where it comes from: `job`, `handler`, `queue` or `default`."""
    timeout_ms: int | None = None
    lifespan_ms: int | None = None
    scheduled_for: Time | None = None
    attempts_started: int = 0
    on_failure: str | None = None
    """What its failure means for its parent."""
    deduplicated: bool | None = None
    """Of an answer to an add: a job was there already, this one."""
    why: Why | None = None
    attempts: Sequence[Attempt] | None = None
    flow: FlowNode | None = None
    raw: Json = field(default_factory=lambda: NULL)
    """With `include=raw`: the fields as the store has them, texts whole, times in epoch milliseconds."""


@dataclass(frozen=True, kw_only=True)
class JobStateInfo:
    """Where a job is."""

    __pydantic_config__ = config(
        {"queue": "email", "id": "12345", "state": "active", "progress": 40, "attempts_made": 1, "finished_at": None}
    )
    queue: str
    id: str
    state: str
    progress: Json
    attempts_made: int
    finished_at: Time | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a job ended, or that it has not."""

    __pydantic_config__ = config(
        {"queue": "email", "id": "12345", "state": "completed", "result": {"sent": True}, "error": None}
    )
    queue: str
    id: str
    state: str
    result: Json
    error: ErrorInfo | None = None


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """A line of a job's log."""

    __pydantic_config__ = config({"n": 0, "message": "connecting", "ts": None, "level": None})
    n: int
    message: str
    ts: Time | None = None
    level: str | None = None


@dataclass(frozen=True, kw_only=True)
class Logs:
    """A stretch of a job's log."""

    __pydantic_config__ = config()
    items: Sequence[LogLine]
    total: int


@dataclass(frozen=True, kw_only=True)
class Logged:
    """How many lines there are now."""

    __pydantic_config__ = config({"total": 3})
    total: int


@dataclass(frozen=True, kw_only=True)
class AddedInfo:
    """A job of an array that was added."""

    __pydantic_config__ = config()
    queue: str
    id: str
    name: str
    deduplicated: bool
    """A job was there already, this one; it is as it was."""
    links: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class AddedList:
    """The jobs of an array, in its order."""

    __pydantic_config__ = config()
    items: Sequence[AddedInfo]


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A job that could not be touched, and why."""

    __pydantic_config__ = config()
    queue: str
    id: str
    problem: Mapping[str, str]
    """`code` and `detail`."""


@dataclass(frozen=True, kw_only=True)
class BulkDone:
    """What a bulk of up to 100 jobs did."""

    __pydantic_config__ = config(
        {"done": [{"queue": "email", "id": "1"}],
         "failed": [{"queue": "email", "id": "2", "problem": {"code": "job-not-found", "detail": "it is gone"}}]}
    )  # fmt: skip
    done: Sequence[JobRef]
    failed: Sequence[Refused]


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a bulk would do."""

    __pydantic_config__ = config({"count": 409, "exact": True, "sample": [{"queue": "email", "id": "1"}]})
    count: int
    exact: bool
    """False: there are at least so many."""
    sample: Sequence[JobRef]
