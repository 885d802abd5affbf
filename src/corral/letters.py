"""Dead letters: copies of jobs that failed for good, in a queue of their own, ready to be put back. Pure."""

import hashlib
import re

from msgspec.structs import replace

from corral.job import Job, JobId, NewJob
from corral.options import JobOptions, Letter

_NOT_IN_IDS = re.compile(r"[\s:*?\[\]{}\\\x00-\x20\x7f-\x9f]")
_LONGEST_ID = 256


def letter_id(queue: str, job_id: JobId, run: int) -> JobId:
    """The id of the dead letter that run number `run` (the job's fence) of a job left: one for each final failure."""
    name = _NOT_IN_IDS.sub("_", f"dead-{queue}-{job_id}-{run}")
    if len(name) <= _LONGEST_ID:
        return name
    return f"dead-{hashlib.sha256(name.encode()).hexdigest()[:32]}"


def letter(job: Job, queue: str, reason: str, *, attempts: int) -> NewJob:
    """A copy of `job` for the queue `queue`: same name, data and options; `options.letter` says where it came from.

    It expires never and leaves no letter of its own, and it belongs to no group: nothing holds it back.
    """
    mine = job.options
    origin = Letter(job.queue, job.id, reason, attempts, job.group, mine.dead_letter, mine.lifespan_ms)
    options = replace(mine, letter=origin, dead_letter=None, lifespan_ms=None)
    return NewJob(
        queue=queue, name=job.name, data=job.data, id=letter_id(job.queue, job.id, job.fence), priority=job.priority,
        options=options,
    )  # fmt: skip


def original(copy: Job, origin: Letter, job_id: JobId | None) -> NewJob:
    """The job that a letter is a copy of, to be added again under `job_id`."""
    options: JobOptions = replace(
        copy.options, letter=None, dead_letter=origin.dead_letter, lifespan_ms=origin.lifespan_ms
    )
    return NewJob(
        queue=origin.queue, name=copy.name, data=copy.data, id=job_id, priority=copy.priority, options=options,
        group=origin.group,
    )  # fmt: skip
