"""Jobs as they are printed."""

import json

from corral.cli.cells import Column, ago, iso, plain, span
from corral.cli.text import cut
from corral.job import Job
from corral.sensitive import shown_text

PREVIEW = 60  #: characters of a payload in a list: lists never show whole payloads

JOB_COLUMNS = (
    Column("queue", "QUEUE"),
    Column("id", "ID"),
    Column("name", "NAME"),
    Column("state", "STATE"),
    Column("priority", "PRIO", plain, True, rank=4),
    Column("attempts_made", "TRIES", plain, True, rank=3),
    Column("age_s", "AGE", span, True),
    Column("failed_reason", "REASON", lambda value: cut(plain(value), PREVIEW), rank=1, wrap=True),
    Column("preview", "DATA", rank=2, wrap=True),
)


def job_row(job: Job) -> dict[str, object]:
    """A job as a line of a list."""
    return {
        "queue": job.queue,
        "id": job.id,
        "name": job.name,
        "state": str(job.state),
        "priority": job.priority,
        "attempts_made": job.attempts_made,
        "created_at": iso(job.created_at),
        "age_s": ago(job.created_at),
        "run_at": iso(job.run_at),
        "finished_at": iso(job.finished_at),
        "failed_reason": job.failed_reason,
        "preview": cut(shown_text(job.data, job.options.sensitive), PREVIEW),
        "size": len(job.data.encode(errors="replace")),
    }


def details(job: Job, *, text: bool, reveal: bool = False) -> dict[str, object]:
    """Everything about a job; `text` keeps payload and result as the JSON text that is stored, for people to read.

    What is sensitive is `••••`; `reveal` shows what only its name makes sensitive.
    """

    def value(stored: str | None) -> object:
        if stored is None:
            return None
        made = shown_text(stored, job.options.sensitive, by_name=not reveal)
        return made if text else json.loads(made)

    record: dict[str, object] = {
        "queue": job.queue,
        "id": job.id,
        "name": job.name,
        "state": str(job.state),
        "priority": str(job.priority) if text else job.priority,
        "created_at": iso(job.created_at),
        "run_at": iso(job.run_at),
        "started_at": iso(job.started_at),
        "finished_at": iso(job.finished_at),
        "attempts_made": job.attempts_made,
        "attempts_started": job.attempts_started,
        "attempts": job.options.attempts,
        "crashes": job.crashes,
        "worker": job.worker,
        "schedule": job.schedule,
        "scheduled_for": iso(job.scheduled_for),
        "parent": f"{job.parent.queue}/{job.parent.id}" if job.parent else None,
        "progress": value(job.progress),
        "data": value(job.data),
        "result": value(job.result),
        "failed_reason": job.failed_reason,
    }
    if text:
        # People see what there is; scripts see every field.
        return {key: shown for key, shown in record.items() if shown not in (None, 0, "0")}
    return {**record, "traces": list(job.traces)}
