"""A job between BullMQ's hash and `Stored`. What only BullMQ knows is kept, whole."""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from corral.job import Job, JobId, JobState
from corral.storage.redis.codec import pairs, shown_job
from corral.storage.redis.followers import follower_of
from corral.storage.redis.options import options_text, parent_text, to_json
from corral.storage.transfer import DEDUPLICATION, Stored
from corral.timing import Millis


def stored_job(
    queue: str, prefix: str, job_id: JobId, state: JobState, score: float, fields: Sequence[str], *,
    owns_until: str | None = None, kept: Sequence[str] = (),
) -> Stored:  # fmt: skip
    """A job as it stands in its hash and container; `score` is that of the container."""
    raw = pairs(fields)
    due = int(score / 4096) if state is JobState.DELAYED else None
    job = replace(shown_job(queue, prefix, job_id, state, fields, due=due), pending_children=0)
    if job.schedule is not None and ("slot" in raw or not job_id.startswith("repeat:")):  # 0: made out of turn
        job = replace(job, scheduled_for=_whole(raw.get("slot", ""), 0) or None)
    if state.finished and job.finished_at is None:
        job = replace(job, finished_at=int(score))
    known = Stored(
        job=job,
        ready_at=_whole(raw.get("rdy", ""), _usual_ready(job)),
        expires_at=_whole(raw["exp"], 0) if "exp" in raw else None,
        since=int(score) if state is JobState.WAITING_CHILDREN else None,
        cancel=raw.get("cancel"),
        delay_ms=_later(raw) if state is JobState.WAITING_CHILDREN else None,
        follower=follower_of(queue, prefix, pairs(kept)) if kept else None,
    )
    ours = fields_of(known, prefix, tied="parentKey" in raw)
    foreign: dict[str, tuple[str | None, str | None]] = {
        name: (ours.get(name), raw.get(name))
        for name in sorted({*ours, *raw})
        if ours.get(name) != raw.get(name) and not _passed_over(name, raw)
    }
    if owns_until is not None:
        foreign[DEDUPLICATION] = (None, owns_until)
    return replace(known, foreign=foreign) if foreign else known


def _passed_over(name: str, raw: Mapping[str, str]) -> bool:
    """Whether a field was written by what carries jobs and their ties."""
    if name in ("defa", "mild") and "mild" in raw:  # what became of its children tells
        return True
    return name in ("moved", "then", "gat", "dep") or name.startswith("kid:") or f"kid:{name}" in raw


def _later(raw: Mapping[str, str]) -> Millis | None:
    """When a job runs once its children have ended: so much later, or, below 0, at that time."""
    if "at" in raw:
        return -_whole(raw["at"], 0) or None
    return _whole(raw.get("delay", ""), 0) or None


def _usual_ready(job: Job) -> Millis:
    return job.created_at if job.run_at is None else job.run_at


def _whole(text: str, default: Millis) -> Millis:
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return default


def fields_of(stored: Stored, prefix: str, *, tied: bool) -> dict[str, str]:
    """The hash of a job: as corral would have written it, with what BullMQ had there as long as that still holds."""
    job = stored.job
    delay = job.run_at - job.created_at if job.run_at is not None else 0
    later = stored.delay_ms
    if later is not None and job.state is JobState.WAITING_CHILDREN:
        delay = later if later >= 0 else -later - job.created_at
    fields: dict[str, str | None] = {
        "name": job.name,
        "data": job.data,
        "opts": options_text(job.options, job.priority, parent=job.parent, prefix=prefix, group=job.group),
        "timestamp": str(job.created_at),
        "delay": str(max(0, delay)),
        "priority": str(job.priority),
        "processedOn": _text(job.started_at),
        "pb": job.worker,
        "ats": _text(job.attempts_started or None),
        "atm": _text(job.attempts_made or None),
        "stc": _text(job.crashes or None),
        "progress": job.progress,
        "returnvalue": job.result,
        "failedReason": job.failed_reason,
        "stacktrace": to_json(job.traces).decode() if job.traces else None,
        "past": to_json(job.past).decode() if job.past else None,
        "finishedOn": _text(job.finished_at),
        "sched": job.schedule,  # `rjk` is for what a job scheduler of BullMQ made: it has more to say
        "slot": None if job.schedule is None else str(job.scheduled_for or 0),
        "rdy": None if stored.ready_at == _usual_ready(job) else str(stored.ready_at),
        "exp": _text(stored.expires_at),
        "cancel": stored.cancel,
        "deid": job.dedup_id,
        "gid": job.group,
        "fp": job.fingerprint,
        "at": str(-later) if later is not None and later < 0 else None,
    }
    if job.parent is not None:
        fields["parent"] = parent_text(job.parent, prefix)
        fields["parentKey"] = f"{prefix}:{job.parent.queue}:{job.parent.id}" if tied else None
    return _with_foreign(fields, stored.foreign)


def _with_foreign(
    fields: dict[str, str | None], foreign: Mapping[str, tuple[str | None, str | None]]
) -> dict[str, str]:
    ended = fields.get("finishedOn") is not None
    for name, (instead_of, value) in foreign.items():
        spent = name == DEDUPLICATION or (name == "defa" and ended)
        if not spent and fields.get(name) == instead_of:
            fields[name] = value
    return {name: value for name, value in fields.items() if value is not None}


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
