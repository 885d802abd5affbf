"""Between corral's jobs and the hashes BullMQ keeps them in. Nobody else but `options` knows its short names."""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from corral.job import NO_OPTIONS, Job, JobId, JobState, ParentRef, PastAttempt, Sizes
from corral.options import JobOptions
from corral.storage.port import PREVIEW, REASON
from corral.storage.redis.options import UnreadableJobError, read_options, read_parent
from corral.storage.redis.texts import text
from corral.timing import Millis

pack = msgspec.msgpack.Encoder().encode
_decode_traces = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_past = msgspec.json.Decoder(tuple[PastAttempt, ...]).decode


# -- jobs --------------------------------------------------------------------------------------------------------------


def pairs(fields: Sequence[str]) -> dict[str, str]:
    """A hash as the scripts send it: names and values by turns."""
    return dict(zip(fields[::2], fields[1::2], strict=True))


def _number(text: str | None) -> int | None:
    """A stored number. BullMQ's may have a fraction; what is no number counts as absent, as it does for BullMQ."""
    if text is None:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def claimed_job(
    queue: str, prefix: str, job_id: JobId, attempts_started: int, stored: Mapping[str, str], worker: str, now: Millis
) -> Job:
    """A job as its worker gets it.

    Raises:
        UnreadableJobError: its hash lacks a name or has options or a parent that mean nothing.
    """
    name = stored.get("name")
    if name is None:
        raise UnreadableJobError("it has no name")
    if len(stored) == _PLAIN and stored.get("priority") == "0":
        # Most jobs: a first attempt with nothing special.
        return Job(
            id=job_id, queue=queue, name=name, state=JobState.ACTIVE, data=stored.get("data") or "{}",
            options=read_options(stored["opts"]), created_at=_number(stored["timestamp"]) or 0,
            started_at=now, attempts_started=attempts_started, worker=worker,
        )  # fmt: skip
    present = {**stored, "processedOn": str(now), "pb": worker}
    pending = _number(stored.get("pending")) or 0
    return _job(queue, prefix, job_id, JobState.ACTIVE, present, attempts_started, strict=True, pending=pending)


_PLAIN = len(("name", "data", "opts", "timestamp", "delay", "priority"))


def _job(
    queue: str, prefix: str, job_id: JobId, state: JobState, stored: Mapping[str, str], started: int, *, strict: bool,
    due: Millis | None = None, pending: int = 0,
) -> Job:  # fmt: skip
    parent = stored.get("parent")
    schedule = stored.get("rjk") or stored.get("sched")
    traces, past = stored.get("stacktrace"), stored.get("past")
    progress = stored.get("progress")
    finished = state.finished
    return Job(
        id=job_id,
        queue=queue,
        name=stored.get("name", ""),
        state=state,
        data=stored.get("data") or "{}",
        options=read_options(stored.get("opts") or "{}") if strict else _shown_options(stored.get("opts") or "{}"),
        priority=_number(stored.get("priority")) or 0,
        created_at=_number(stored.get("timestamp")) or 0,
        run_at=_ready_since(stored) if state is JobState.ACTIVE else due,
        started_at=_number(stored.get("processedOn")),
        finished_at=_number(stored.get("finishedOn")) if finished else None,
        attempts_started=started,
        attempts_made=_number(stored.get("attemptsMade")) or _number(stored.get("atm")) or 0,
        crashes=_number(stored.get("stc")) or 0,
        progress=progress,
        result=stored.get("returnvalue") if state is JobState.COMPLETED else None,
        failed_reason=stored.get("failedReason"),
        traces=_shown_traces(traces) if traces else (),
        past=_shown_past(past) if past else (),
        worker=stored.get("pb"),
        parent=_parent(parent, prefix, strict=strict) if parent else None,
        pending_children=pending,
        group=stored.get("gid"),
        dedup_id=stored.get("deid"),
        fingerprint=stored.get("fp"),
        schedule=schedule,
        scheduled_for=_slot(job_id, stored) if schedule else None,
    )


def _ready_since(stored: Mapping[str, str]) -> Millis | None:
    """When a running job was ready to run, if that was later than when it was added."""
    ready = _number(stored.get("rdy")) or 0
    return ready if ready > (_number(stored.get("timestamp")) or 0) else None


def shown_job(
    queue: str, prefix: str, job_id: JobId, state: JobState, fields: Sequence[str], *, due: Millis | None = None,
    pending: int = 0,
) -> Job:  # fmt: skip
    """A job for people to read. What cannot be read is left out: a whole page must not fail because of one job."""
    stored = pairs(fields)
    started = _number(stored.get("ats")) or 0
    job = _job(queue, prefix, job_id, state, stored, started, strict=False, due=due, pending=pending)
    return _cut(job, stored) if "lean" in stored else job


def _cut(job: Job, stored: Mapping[str, str]) -> Job:
    """A job that was read lean, by `lib/lean.lua`."""
    data, progress, result = (int(stored.get(f"{field}:size", 0)) for field in ("data", "progress", "returnvalue"))
    return replace(
        job,
        data=stored.get("data", "{}")[:PREVIEW],
        progress=None if job.progress is None else job.progress[:PREVIEW],
        result=None if job.result is None else job.result[:PREVIEW],
        failed_reason=None if job.failed_reason is None else job.failed_reason[:REASON],
        sizes=Sizes(data, 0 if job.result is None else result, progress),
    )


def _shown_options(text: str) -> JobOptions:
    try:
        return read_options(text)
    except UnreadableJobError:
        return NO_OPTIONS


def _shown_traces(text: str) -> tuple[str, ...]:
    try:
        return _decode_traces(text)
    except msgspec.MsgspecError:
        return ()


def _shown_past(text: str) -> tuple[PastAttempt, ...]:
    try:
        return _decode_past(text)
    except msgspec.MsgspecError:
        return ()


def _parent(text: str, prefix: str, *, strict: bool) -> ParentRef | None:
    try:
        return read_parent(text, prefix)
    except UnreadableJobError:
        if strict:
            raise
        return None


def _slot(job_id: JobId, stored: Mapping[str, str]) -> Millis | None:
    """Which slot a scheduled job was made for: corral notes it, BullMQ has it in the id."""
    if "slot" in stored or not job_id.startswith("repeat:"):
        return _number(stored.get("slot")) or None
    return _number(job_id.rpartition(":")[2])


# -- replies -----------------------------------------------------------------------------------------------------------


class ClaimedReply(Struct):
    """What `claim.lua` answers. Each job is decoded by itself: one that is no UTF-8 must not spoil the others."""

    jobs: list[Raw] = []
    new: list[Raw] = []  #: of new jobs with nothing special: name, opts, [id, data, timestamp, ...], and again
    now: float = 0
    next_at: float | None = None
    freed_at: float | None = None
    held_until: float | None = None
    paused: bool = False


class SettledReply(Struct):
    """What `settle.lua` answers: `(job id, Refusal)` for verdicts that changed nothing, and the claim."""

    refused: list[tuple[JobId, str]] = []
    claimed: ClaimedReply | None = None


#: The texts of a job with nothing special: values alone, without their names.
_COMPACT = len(("name", "data", "opts", "timestamp", "delay"))
_decode_row = msgspec.msgpack.Decoder(tuple[str, int, list[str]]).decode
_decode_id = msgspec.msgpack.Decoder(tuple[Raw, int, Raw]).decode


_decode_text = msgspec.msgpack.Decoder(str).decode
_decode_texts = msgspec.msgpack.Decoder(list[str]).decode
_decode_raws = msgspec.msgpack.Decoder(list[Raw]).decode


def new_jobs(queue: str, runs: Sequence[Raw], worker: str, now: Millis) -> list[Job]:
    """Claimed jobs that are new and plain, as their worker gets them.

    Raises:
        UnreadableJobError: one of them is no text or has options that mean nothing; `new_rows` has them one by one.
    """
    jobs: list[Job] = []
    state = JobState.ACTIVE
    try:
        for at in range(0, len(runs), 3):
            name, options = _decode_text(runs[at]), read_options(_decode_text(runs[at + 1]))
            texts = iter(_decode_texts(runs[at + 2]))
            jobs += [
                Job(
                    id=job_id, queue=queue, name=name, state=state, data=data or "{}", options=options,
                    created_at=int(timestamp), started_at=now, attempts_started=1, worker=worker,
                )
                for job_id, data, timestamp in zip(texts, texts, texts, strict=True)
            ]  # fmt: skip
    except (msgspec.MsgspecError, ValueError) as error:  # not UTF-8, or a timestamp with a fraction
        raise UnreadableJobError(f"{error}") from None
    return jobs


def new_rows(runs: Sequence[Raw]) -> list[tuple[JobId, int, dict[str, str]]]:
    """What `read_row` says of each of them."""
    rows: list[tuple[JobId, int, dict[str, str]]] = []
    for at in range(0, len(runs), 3):
        values = _decode_raws(runs[at + 2])
        for job_id, *texts in zip(values[::3], values[1::3], values[2::3], strict=True):
            try:
                name, opts, data, timestamp = (_decode_text(raw) for raw in (runs[at], runs[at + 1], *texts))
            except (msgspec.MsgspecError, UnicodeDecodeError):
                rows.append((text(job_id), 1, {}))
            else:
                stored = {
                    "name": name,
                    "data": data,
                    "opts": opts,
                    "timestamp": timestamp,
                    "delay": "0",
                    "priority": "0",
                }
                rows.append((text(job_id), 1, stored))
    return rows


def read_row(row: Raw) -> tuple[JobId, int, dict[str, str]]:
    """Id, attempts started and hash of a claimed job; an empty hash when it is not text."""
    try:
        job_id, started, fields = _decode_row(row)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raw_id, started, _ = _decode_id(row)
        return text(raw_id), started, {}
    if len(fields) == _COMPACT:
        name, data, opts, timestamp, delay = fields
        stored = {"name": name, "data": data, "opts": opts, "timestamp": timestamp, "delay": delay, "priority": "0"}
        return job_id, started, stored
    return job_id, started, pairs(fields)


def millis(value: float | None, shift: Millis = 0) -> Millis | None:
    """A time out of a script, where all numbers are doubles, moved by `shift`."""
    return None if value is None else int(value) + shift
