"""Between corral's structs and what BullMQ keeps in a job's hash. The only place that knows BullMQ's short names."""

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from corral.job import NO_OPTIONS, Job, JobId, JobState, ParentRef, PastAttempt, Sizes
from corral.options import Backoff, CustomBackoff, Dedup, Exponential, Fixed, JobOptions, Keep, ParentPolicy
from corral.storage.port import PREVIEW, REASON
from corral.storage.redis.texts import text
from corral.timing import Millis

logger = logging.getLogger("corral.storage")

pack = msgspec.msgpack.Encoder().encode
to_json = msgspec.json.Encoder().encode
_decode_options = msgspec.json.Decoder(JobOptions).decode
_decode_object = msgspec.json.Decoder(dict[str, object]).decode
_decode_traces = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_past = msgspec.json.Decoder(tuple[PastAttempt, ...]).decode

#: BullMQ's four flags for what a child's failure means. None of them: the parent waits.
FLAGS = {
    ParentPolicy.FAIL: "fpof",
    ParentPolicy.CONTINUE: "cpof",
    ParentPolicy.IGNORE: "idof",
    ParentPolicy.REMOVE: "rdof",
}


class UnreadableJobError(ValueError):
    """A stored job that means nothing here. Never leaves the adapter."""


# -- options -----------------------------------------------------------------------------------------------------------


def options_text(
    options: JobOptions, priority: int = 0, lifo: bool = False, delay_ms: Millis = 0, parent: ParentRef | None = None,
    prefix: str = "", dedup: Dedup | None = None, group: str | None = None,
) -> str:  # fmt: skip
    """A job's options as BullMQ stores them. What it has no word for is kept, whole, under `corral`."""
    if options.trace is None and not options.omit_trace:
        text = _usual_options(options, priority, lifo)
    else:  # each trace is another one: what jobs of one handler share is written once all the same
        text = _traced(options, _usual_options(replace(options, trace=None, omit_trace=False), priority, lifo))
    if not delay_ms and parent is None and dedup is None and group is None:
        return text
    stored = _decode_object(text)
    if delay_ms:
        stored["delay"] = delay_ms
    if parent is not None:
        stored["parent"] = {"id": parent.id, "queue": f"{prefix}:{parent.queue}"}
        if parent.policy in FLAGS:
            stored[FLAGS[parent.policy]] = True
    if dedup is not None:
        stored["de"] = _deduplication(dedup)
    if group is not None:
        stored["group"] = {"id": group}
    return to_json(stored).decode()


def _traced(options: JobOptions, text: str) -> str:
    """Such options with `telemetry.metadata` and `telemetry.omitContext`, as BullMQ calls them."""
    told: dict[str, object] = {}
    if options.trace is not None:
        told["tm"] = options.trace
    if options.omit_trace:
        told["omc"] = True
    more = to_json(told).decode()
    return more if text == "{}" else f"{text[:-1]},{more[1:]}"


def _deduplication(dedup: Dedup) -> dict[str, object]:
    stored: dict[str, object] = {"id": dedup.id}
    if dedup.ttl_ms is not None:
        stored["ttl"] = dedup.ttl_ms
    for name, wanted in (
        ("extend", dedup.extend), ("replace", dedup.replace), ("keepLastIfActive", dedup.keep_last),
        ("reschedule", dedup.reschedule),
    ):  # fmt: skip
        if wanted:
            stored[name] = True
    return stored


@lru_cache(maxsize=1024)
def _usual_options(options: JobOptions, priority: int, lifo: bool) -> str:
    """Jobs of one handler share these, so they are written once."""
    stored = _in_their_words(options)
    if options != NO_OPTIONS and _options_of(stored) != options:
        stored["corral"] = options
    if priority:
        stored["priority"] = priority
    if lifo:
        stored["lifo"] = True
    return to_json(stored).decode()


def _in_their_words(options: JobOptions) -> dict[str, object]:
    stored: dict[str, object] = {}
    if options.attempts is not None:
        stored["attempts"] = options.attempts
    match options.backoff:
        case Fixed(delay) | Exponential(delay):
            kind = "fixed" if isinstance(options.backoff, Fixed) else "exponential"
            stored["backoff"] = {"type": kind, "delay": round(delay * 1000)}
        case CustomBackoff():
            stored["backoff"] = {"type": "custom"}
    for name, keep in (("removeOnComplete", options.keep_completed), ("removeOnFail", options.keep_failed)):
        if keep is not None:
            stored[name] = _keep(keep)
    if options.keep_logs is not None:
        stored["kl"] = options.keep_logs
    return stored


def _keep(keep: Keep) -> object:
    if keep.age is None:
        return False if keep.count is None else True if keep.count == 0 else keep.count
    age = {"age": keep.age if keep.age % 1 else int(keep.age)}
    return age if keep.count is None else {**age, "count": keep.count}


@lru_cache(maxsize=4096)
def read_options(text: str) -> JobOptions:
    """The options in a job's `opts`.

    Raises:
        UnreadableJobError: not a JSON object, or options that cannot be meant.
    """
    try:
        stored = _decode_object(text)
        ours = stored.get("corral")
        if isinstance(ours, dict):
            options = msgspec.convert(ours, JobOptions)
            if "tm" in stored or "omc" in stored:
                options = replace(options, trace=_text_or_none(stored.get("tm")), omit_trace=stored.get("omc") is True)
            return options
        return _options_of(stored)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise UnreadableJobError(f"opts: {error}") from None


def _options_of(stored: Mapping[str, object]) -> JobOptions:
    attempts = stored.get("attempts")
    log_lines = stored.get("kl")
    return JobOptions(
        attempts=int(attempts) if isinstance(attempts, int | float) and attempts >= 1 else None,
        backoff=_read_backoff(stored.get("backoff")),
        keep_completed=_read_keep(stored.get("removeOnComplete")),
        keep_failed=_read_keep(stored.get("removeOnFail")),
        keep_logs=int(log_lines) if isinstance(log_lines, int | float) and log_lines >= 0 else None,
        trace=_text_or_none(stored.get("tm")),
        omit_trace=stored.get("omc") is True,
    )


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _read_backoff(value: object) -> Backoff | None:
    """A number, or `{type, delay (ms), jitter}`. Types that only a Node worker knows the function of are left open."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Fixed(max(0.0, value / 1000))
    if not isinstance(value, dict):
        return None
    delay = value.get("delay")
    seconds = max(0.0, delay / 1000) if isinstance(delay, int | float) else 0.0
    match value.get("type"):
        case "fixed":
            return Fixed(seconds)
        case "exponential":
            return Exponential(seconds, maximum=max(86_400.0, seconds))
    return None


def _read_keep(value: object) -> Keep | None:
    match value:
        case True:
            return Keep(count=0)
        case False:
            return Keep()
        case int() | float():
            return Keep() if value < 0 else Keep(count=int(value))
        case dict():
            age, count = value.get("age"), value.get("count")
            return Keep(
                age=max(0.0, float(age)) if isinstance(age, int | float) else None,
                count=int(count) if isinstance(count, int | float) and count >= 0 else None,
            )
    return None


# -- parents -----------------------------------------------------------------------------------------------------------


def parent_text(parent: ParentRef, prefix: str) -> str:
    """The `parent` field of a child."""
    stored: dict[str, object] = {"id": parent.id, "queueKey": f"{prefix}:{parent.queue}"}
    if parent.policy in FLAGS:
        stored[FLAGS[parent.policy]] = True
    return to_json(stored).decode()


def read_parent(text: str, prefix: str) -> ParentRef:
    """The parent in a `parent` field.

    Raises:
        UnreadableJobError: it names none.
    """
    try:
        stored = _decode_object(text)
    except msgspec.MsgspecError as error:
        raise UnreadableJobError(f"parent: {error}") from None
    base, job_id = stored.get("queueKey"), stored.get("id")
    if not isinstance(base, str) or not isinstance(job_id, str):
        raise UnreadableJobError(f"parent: {text[:100]!r} names no job")
    policy = next((policy for policy, flag in FLAGS.items() if stored.get(flag)), ParentPolicy.WAIT)
    return ParentRef(queue=base.removeprefix(f"{prefix}:"), id=job_id, policy=policy)


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
