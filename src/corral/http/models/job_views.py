"""Jobs of the monitor as the API shows them."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from corral.http.models.base import NULL, moment, plain, when
from corral.http.models.jobs import (
    Attempt,
    ErrorInfo,
    Estimate,
    FlowNode,
    Job,
    JobRef,
    JobStateInfo,
    JobSummary,
    Reason,
    Why,
)
from corral.http.models.links import job_path
from corral.http.rendering import encoded
from corral.job import Job as StoredJob
from corral.job import JobState
from corral.monitor.attempts import AttemptRow
from corral.monitor.objects import FlowNode as FlowRow
from corral.monitor.objects import JobDetail, JobRow
from corral.options import JobOptions
from corral.sensitive import HIDDEN, MAX_DEPTH
from corral.why import Cause
from corral.why import Why as WhyRow

#: Whether a queue is there for who reads.
Sees: TypeAlias = Callable[[str], bool]

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
    flow: FlowNode | None = None, raw: msgspec.Raw = NULL, sees: Sees = everything,
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
        opts=options_of(_named(detail.options, sees)),
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
        raw=raw,
    )


def raw_of(job: StoredJob, sees: Sees, hide: Callable[[str], str] | None) -> msgspec.Raw:
    """A job's fields as the store has them. `hide`: takes what is sensitive out of a text; None: all may be seen."""
    fields = msgspec.structs.asdict(job)
    del fields["sizes"]  # nothing of it was cut
    for name in ("data", "result", "progress"):
        text = fields[name]
        if text is not None and hide is not None:
            fields[name] = hide(text)
    fields["options"] = _named(job.options, sees)
    if job.parent is not None and not sees(job.parent.queue):
        fields["parent"] = None
    return msgspec.Raw(encoded(fields))


def _named(options: JobOptions, sees: Sees) -> JobOptions:
    """The options without what names jobs of queues that are not there for who reads them."""
    if options.rerun_of is not None and _ref(options.rerun_of, sees) is None:
        options = replace(options, rerun_of=None)
    if options.letter is not None and not sees(options.letter.queue):
        options = replace(options, letter=None)
    return options


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


def attempt_of(row: AttemptRow) -> Attempt:
    """One attempt of a job."""
    said = row.reason if row.reason is not None or row.trace is None else row.trace.rstrip().rsplit("\n", 1)[-1]
    began, ended = row.started_at, row.ended_at
    return Attempt(
        n=row.number,
        outcome=row.outcome,
        error=None if said is None or row.outcome in ("completed", "running") else error_of(said, row.trace),
        fingerprint=row.fingerprint,
        started_at=when(row.started_at),
        finished_at=when(row.ended_at),
        worker=row.worker,
        run_ms=None if began is None or ended is None else max(0, ended - began),
        retry_delay_ms=row.retry_delay_ms,
    )


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


def flow_of(node: FlowRow, base: str, sees: Sees = everything, owner: str | None = None) -> FlowNode:
    """A job of a flow and what is below it. Jobs of queues that are not there for who reads it are left out.

    Args:
        owner: the tag of those jobs that may be read; None: all.
    """
    shown = [
        one
        for one in node.children
        if sees(one.queue) and (owner is None or (one.job is not None and owner in one.job.tags))
    ]
    return FlowNode(
        queue=node.queue,
        id=node.id,
        state=None if node.state is None else str(node.state),
        name=None if node.job is None else node.job.name,
        job=None if node.job is None else summary_of(node.job, base, (), sees),
        reason=node.reason,
        children=[flow_of(one, base, sees, owner) for one in shown],
        left_out=node.left_out + len(node.children) - len(shown),
        repeated=node.repeated,
    )


def state_of(job: StoredJob, progress: str | None) -> JobStateInfo:
    """Where a job is; `progress` as it may be shown."""
    return JobStateInfo(
        queue=job.queue, id=job.id, state=str(job.state), progress=json_or_text(progress),
        attempts_made=job.attempts_made, finished_at=when(job.finished_at),
    )  # fmt: skip
