"""Jobs as the API shows them."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from corral.http.models.base import NULL, Json, Time, config, moment, plain, when
from corral.http.models.links import job_path
from corral.job import Job as StoredJob
from corral.job import JobState
from corral.monitor.objects import FlowNode as FlowRow
from corral.monitor.objects import JobDetail, JobRow
from corral.options import JobOptions
from corral.sensitive import HIDDEN, MAX_DEPTH
from corral.why import Cause
from corral.why import Why as WhyRow


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
    """One attempt of a job. Of older ones only the trace is kept, and of those the last ten."""

    __pydantic_config__ = config(
        {
            "n": 3, "outcome": "failed", "started_at": "2026-11-23T05:13:25.000Z",
            "finished_at": "2026-11-23T05:13:55.000Z", "worker": "web-1/2211", "run_ms": 30000,
            "error": {"type": "SMTPTimeout", "message": "connection timed out", "stack": None}, "fingerprint": "9f31c2",
        }
    )  # fmt: skip
    n: int
    outcome: str
    """`completed`, `failed`, `running`."""
    started_at: Time | None = None
    finished_at: Time | None = None
    worker: str | None = None
    run_ms: int | None = None
    error: ErrorInfo | None = None
    fingerprint: str | None = None


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


#: Whether a queue is there for who reads.
Sees: TypeAlias = Callable[[str], bool]

# -- from the monitor ----------------------------------------------------------------------------------------------

_TYPED = re.compile(r"([A-Za-z_][\w.]*(?:Error|Exception|Timeout|Warning|Interrupt|Exit|Failed|[A-Z]\w*)): ")
_TRACED = re.compile(r"^([A-Za-z_][\w.]*)(?:: (.*))?$", re.DOTALL)


def error_of(reason: str | None, trace: str | None = None) -> ErrorInfo | None:
    """A reason, taken apart as far as it says which exception it was."""
    if reason is None:
        return None
    named = _TYPED.match(reason)
    if named is not None:
        return ErrorInfo(type=named[1], message=reason[named.end() :], stack=trace)
    last = (trace or "").rstrip().rsplit("\n", 1)[-1]
    told = _TRACED.match(last)
    kind = told[1] if told is not None and (told[2] or "") and reason.startswith((told[2] or "")[:200]) else None
    return ErrorInfo(type=kind, message=reason, stack=trace)


def json_or_text(text: str | None) -> msgspec.Raw:
    """JSON that a list may have cut off: as it is when it is whole, else as a string."""
    if not text:
        return NULL
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        return plain(text.encode("utf-8", "replace").decode())
    return msgspec.Raw(text.encode())


def links_of(queue: str, job_id: str, base: str) -> dict[str, str]:
    """Where a job and its parts are."""
    here = job_path(queue, job_id, base)
    return {"self": here, "payload": f"{here}/payload", "result": f"{here}/result/raw", "logs": f"{here}/logs"}


def everything(queue: str) -> bool:
    """Sees every queue."""
    return True


def _ref(text: str | None, sees: Sees) -> JobRef | None:
    """A job elsewhere, unless its queue is not there for who reads it. A queue's name may have slashes, an id too."""
    if text is None:
        return None
    queue, _, job_id = text.partition("/") if text.count("/") == 1 else text.rpartition("/")
    return JobRef(queue=queue, id=job_id) if sees(queue) else None


def summary_of(row: JobRow, base: str, actions: Sequence[str] = (), sees: Sees = everything) -> JobSummary:
    """A job in a list. `sees`: which queues there are for who reads it."""
    return JobSummary(**_fields(row, base, actions, sees))  # type: ignore[arg-type]  # made for it below


def _fields(row: JobRow, base: str, actions: Sequence[str], sees: Sees) -> dict[str, object]:
    origin = _ref(row.rerun_of, sees)
    return {
        "queue": row.queue,
        "id": row.id,
        "name": row.name,
        "state": str(row.state),
        "priority": row.priority,
        "tags": row.tags,
        "created_at": moment(row.created_at),
        "run_at": when(row.run_at),
        "processed_at": when(row.started_at),
        "finished_at": when(row.finished_at),
        "wait_ms": row.wait_ms,
        "run_ms": row.run_ms,
        "attempts_made": row.attempts_made,
        "attempts_max": row.attempts,
        "stalled": row.crashes,
        "progress": json_or_text(row.progress),
        "worker": row.worker,
        "group": row.group,
        "dedup": row.dedup_id,
        "parent": _ref(row.parent, sees),
        "children_pending": row.pending_children,
        "schedule": row.schedule,
        "rerun_of": None if origin is None else row.rerun_of,
        "trace_id": row.trace_id,
        "size_bytes": row.data_bytes,
        "result_bytes": row.result_bytes,
        "payload_preview": row.preview,
        "failed_reason": row.reason,
        "fingerprint": row.fingerprint,
        "actions": tuple(actions),
        "links": {"self": job_path(row.queue, row.id, base)},
    }


def job_of(
    detail: JobDetail, base: str, actions: Sequence[str] = (), *, effective: Mapping[str, msgspec.Raw] | None = None,
    deduplicated: bool | None = None, why: Why | None = None, attempts: Sequence[Attempt] | None = None,
    flow: FlowNode | None = None, sees: Sees = everything,
) -> Job:  # fmt: skip
    """A job with its texts."""
    row = detail.row
    fields = _fields(row, base, actions, sees)
    failed = row.state is JobState.FAILED
    fields |= {
        "links": links_of(row.queue, row.id, base),
        "progress": json_or_text(detail.progress or row.progress),
        "failed_reason": detail.reason,
    }
    return Job(
        **fields,  # type: ignore[arg-type]  # made for it above
        data=json_or_text(detail.data),
        result=json_or_text(detail.result),
        redacted=hidden_in(detail),
        whole=detail.whole,
        error=error_of(detail.reason, detail.traces[-1] if detail.traces else None) if failed else None,
        opts=options_of(detail.options),
        effective_opts=effective or {},
        timeout_ms=detail.timeout_ms,
        lifespan_ms=detail.lifespan_ms,
        scheduled_for=when(detail.scheduled_for),
        attempts_started=detail.attempts_started,
        on_failure=None if detail.parent is None else str(detail.parent.policy),
        deduplicated=deduplicated,
        why=why,
        attempts=attempts,
        flow=flow,
    )


def options_of(options: JobOptions) -> msgspec.Raw:
    """The stored options; what is not said is left out."""
    return plain(options)


def hidden_in(detail: JobDetail) -> tuple[str, ...]:
    """The paths at which something is hidden, at most 100."""
    found: list[str] = []
    for text in (detail.data, detail.result, detail.progress):
        if text is not None and HIDDEN in text:
            try:
                _walk(msgspec.json.decode(text), "$", found, 0)
            except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
                continue
    return tuple(dict.fromkeys(found))[:100]


def _walk(value: object, path: str, found: list[str], depth: int) -> None:
    if value == HIDDEN:
        found.append(path)
    elif depth > MAX_DEPTH or len(found) > 100:
        return
    elif isinstance(value, dict):
        for key, item in value.items():
            _walk(item, f"{path}.{key}", found, depth + 1)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _walk(item, f"{path}[{number}]", found, depth + 1)


def attempts_of(detail: JobDetail) -> tuple[Attempt, ...]:
    """The attempts of a job, oldest first, as far as anything of them is kept."""
    row, traces = detail.row, detail.traces
    running = row.state is JobState.ACTIVE
    completed = row.state is JobState.COMPLETED
    failures = row.attempts_made - completed
    first = max(0, failures - len(traces))
    made: list[Attempt] = []
    for n in range(first, failures):
        trace = traces[n - failures + len(traces)] if failures - n <= len(traces) else None
        newest = n == failures - 1
        over = newest and not running and not completed
        made.append(
            Attempt(
                n=n + 1, outcome="failed", error=_failure(trace, detail.reason if newest else None),
                fingerprint=row.fingerprint if newest else None,
                started_at=when(row.started_at) if over else None, finished_at=when(row.finished_at) if over else None,
                worker=row.worker if over else None, run_ms=row.run_ms if over else None,
            )
        )  # fmt: skip
    if running or completed:
        made.append(
            Attempt(
                n=row.attempts_made + running, outcome="running" if running else "completed",
                started_at=when(row.started_at), finished_at=when(row.finished_at), worker=row.worker,
                run_ms=row.run_ms,
            )
        )  # fmt: skip
    return tuple(made)


def _failure(trace: str | None, reason: str | None) -> ErrorInfo | None:
    if reason is not None:
        return error_of(reason, trace)
    if trace is None:
        return None
    return error_of(trace.rstrip().rsplit("\n", 1)[-1], trace)


def why_of(found: WhyRow, *, others: bool = True) -> Why:
    """Why a job is not running. Without `others`, what it waits for in other queues is not named."""
    return Why(
        queue=found.queue,
        id=found.job_id,
        state=str(found.state),
        reasons=[
            Reason(
                code=str(one.cause),
                message=one.text if others or one.cause not in _ELSEWHERE else "it waits for other jobs",
                remedy=one.remedy, until=when(one.until), certain=one.certain,
            )
            for one in found.reasons
        ],
        estimate=None
        if found.starts_at is None
        else Estimate(start_at=moment(found.starts_at), assumptions=found.assumptions),
    )  # fmt: skip


_ELSEWHERE = (Cause.CHILDREN, Cause.FAILED_CHILDREN)


def flow_of(node: FlowRow, base: str, sees: Sees = everything) -> FlowNode:
    """A job of a flow and what is below it. Jobs of queues that are not there for who reads it are left out."""
    shown = [one for one in node.children if sees(one.queue)]
    return FlowNode(
        queue=node.queue,
        id=node.id,
        state=None if node.state is None else str(node.state),
        name=None if node.job is None else node.job.name,
        job=None if node.job is None else summary_of(node.job, base, (), sees),
        reason=node.reason,
        children=[flow_of(one, base, sees) for one in shown],
        left_out=node.left_out + len(node.children) - len(shown),
        repeated=node.repeated,
    )


def state_of(job: StoredJob, progress: str | None) -> JobStateInfo:
    """Where a job is; `progress` as it may be shown."""
    return JobStateInfo(
        queue=job.queue, id=job.id, state=str(job.state), progress=json_or_text(progress),
        attempts_made=job.attempts_made, finished_at=when(job.finished_at),
    )  # fmt: skip
