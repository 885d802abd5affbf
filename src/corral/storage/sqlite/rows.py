"""Rows to structs, and the JSON that stands in single columns."""

from functools import lru_cache

import msgspec
from msgspec.structs import replace

from corral.job import MAX_PAST, MAX_PAST_REASON, NO_OPTIONS, Job, JobState, ParentRef, PastAttempt, Sizes
from corral.options import JobOptions
from corral.storage.port import LOOK, PREVIEW, REASON
from corral.storage.sqlite.unit import Row, id_of

#: What `to_job` reads, in order.
JOB_COLUMNS = (
    "pk, id, state, k1, name, data, options, priority, created_at, ready_at, started_at, attempts_started, "
    "attempts_made, crashes, progress, result, reason, traces, worker, schedule, scheduled_for, parent_ref, pending, "
    "dedup, fingerprint, gid, past"
)


def _cut(column: str, length: int) -> str:
    return f"CASE WHEN octet_length({column}) <= {LOOK} THEN substr({column}, 1, {length}) ELSE '' END"


#: The same for lists, and the sizes. `octet_length` is in the row's head: nothing of the text is read for it.
LEAN_COLUMNS = (
    "pk, id, state, k1, name, " + _cut("data", PREVIEW) + ", options, priority, created_at, ready_at, started_at, "
    "attempts_started, attempts_made, crashes, "
    f"iif(progress IS NULL, NULL, {_cut('progress', PREVIEW)}), iif(result IS NULL, NULL, {_cut('result', PREVIEW)}), "
    f"iif(reason IS NULL, NULL, {_cut('reason', REASON)}), NULL, worker, schedule, scheduled_for, parent_ref, pending, "
    "dedup, fingerprint, gid, NULL, octet_length(data), octet_length(result), octet_length(progress)"
)

STATES = (
    JobState.WAITING,
    JobState.DELAYED,
    JobState.ACTIVE,
    JobState.WAITING_CHILDREN,
    JobState.COMPLETED,
    JobState.FAILED,
    JobState.WAITING,
    JobState.WAITING,
)

_decode_options = msgspec.json.Decoder(JobOptions).decode
_decode_parent = msgspec.json.Decoder(ParentRef).decode
read_traces = msgspec.json.Decoder(tuple[str, ...]).decode
read_past = msgspec.json.Decoder(tuple[PastAttempt, ...]).decode
_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=1024)
def options_text(options: JobOptions) -> str | None:
    """Options as stored; None for none. Jobs of one handler share theirs, so this is computed once."""
    return None if options == NO_OPTIONS else _encode(options).decode()


@lru_cache(maxsize=1024)
def read_options(text: str) -> JobOptions:
    """The options of a stored text. Raises: msgspec.MsgspecError when another version wrote what this one lacks."""
    return _decode_options(text)


def shown_options(text: str | None) -> JobOptions:
    """The options for people to read: a whole page must not fail because of one job."""
    try:
        return NO_OPTIONS if text is None else read_options(text)
    except msgspec.MsgspecError:
        return NO_OPTIONS


def parent_text(parent: ParentRef) -> str:
    """A parent reference as stored."""
    return _encode(parent).decode()


def read_parent(text: str) -> ParentRef:
    """The parent reference of a stored text."""
    return _decode_parent(text)


def add_trace(stored: str | None, trace: str, keep: int = 10) -> str:
    """The stored traces with one more, the oldest dropped beyond `keep`."""
    traces = [*(read_traces(stored) if stored else ()), trace]
    return _encode(traces[-keep:]).decode()


def add_past(stored: str | None, attempt: PastAttempt) -> str:
    """The stored attempts with one more, the oldest dropped."""
    said = attempt.reason.encode()[:MAX_PAST_REASON].decode(errors="ignore")
    past = [*(read_past(stored) if stored else ()), replace(attempt, reason=said)]
    return _encode(past[-MAX_PAST:]).decode()


def to_lean_job(queue: str, row: Row) -> Job:
    """A job from its row (LEAN_COLUMNS)."""
    data, result, progress = row[-3:]
    return replace(to_job(queue, row[:-3]), sizes=Sizes(data or 0, result or 0, progress or 0))


def to_job(queue: str, row: Row) -> Job:
    """A job from its row (JOB_COLUMNS)."""
    (pk, id_, state, k1, name, data, options, priority, created_at, ready_at, started_at, started, made, crashes,
     progress, result, reason, traces, worker, schedule, scheduled_for, parent, pending, dedup, fingerprint,
     group, past) = row  # fmt: skip
    assert isinstance(state, int)
    return Job(
        id=id_of(pk, id_),
        queue=queue,
        name=name,
        state=STATES[state],
        data=data,
        options=shown_options(options),
        priority=priority,
        created_at=created_at,
        run_at=k1 if state == 1 else ready_at if state == 2 and ready_at > created_at else None,
        started_at=started_at,
        finished_at=k1 if state in (4, 5) else None,
        attempts_started=started,
        attempts_made=made,
        crashes=crashes,
        progress=progress,
        result=result,
        failed_reason=reason,
        traces=read_traces(traces) if traces else (),
        past=read_past(past) if past else (),
        worker=worker,
        parent=read_parent(parent) if parent else None,
        pending_children=pending,
        group=group,
        dedup_id=dedup,
        fingerprint=fingerprint,
        schedule=schedule,
        scheduled_for=scheduled_for,
    )
