"""The worker's answers to what a handler in a child process asks of its context."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Protocol

import msgspec

from corral.errors import CorralError, PayloadError
from corral.job import JobId, NewJob
from corral.storage.port import Added, Children
from corral.timing import Millis, Seconds
from corral.worker.remote import refuse
from corral.worker.wire import (
    AddJobs,
    Answer,
    Ask,
    Collect,
    FrameTooLongError,
    ListChildren,
    Log,
    NamesOf,
    Note,
    Progress,
    Question,
    Recall,
    Remember,
    StillRuns,
    pack,
)


class Verbs(Protocol):
    """What a handler may do with its job: a `JobContext`."""

    async def progress_json(self, text: str) -> None: ...

    async def log(self, line: str) -> None: ...

    async def children(self) -> Children: ...

    async def recall(self, key: str) -> str | None: ...

    async def note(self, key: str, value: str, *, keep: Seconds) -> None: ...

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None
    ) -> str | None: ...

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool: ...

    async def add_jobs(self, jobs: Sequence[NewJob], patience: float = 0.0) -> list[Added]: ...

    async def collect(self, jobs: Sequence[NewJob]) -> None: ...

    async def names_of(self, queue: str, ids: Sequence[JobId]) -> Mapping[JobId, str]: ...


async def answer_frame(ask: Ask, verbs: Verbs) -> bytes:
    """Do what was asked; the answer as a message. corral's own errors are part of it, any other is raised."""
    try:
        value = await _do(ask.question, verbs)
    except CorralError as error:
        return pack(Answer(ask.id, refused=refuse(error)))
    try:
        return pack(Answer(ask.id, value))
    except FrameTooLongError as error:
        return pack(Answer(ask.id, refused=refuse(PayloadError(f"the answer has {error}"))))


async def _do(question: Question, verbs: Verbs) -> str | Children | None:
    match question:
        case Progress(value):
            await verbs.progress_json(value)
        case Log(line):
            await verbs.log(line)
        case ListChildren():
            return await verbs.children()
        case Recall(key):
            return await verbs.recall(key)
        case Note(key, value, keep_ms):
            await verbs.note(key, value, keep=timedelta(milliseconds=keep_ms))
        case Remember(ledger, key, value, replace, ttl_ms):
            return await verbs.remember(ledger, key, value, replace=replace, ttl_ms=ttl_ms)
        case StillRuns(queue, job_id, run):
            return "true" if await verbs.still_runs(queue, job_id, run) else "false"
        case AddJobs(jobs, patience):
            return msgspec.json.encode(await verbs.add_jobs(jobs, patience)).decode()
        case Collect(jobs):
            await verbs.collect(jobs)
        case NamesOf(queue, ids):
            return msgspec.json.encode(await verbs.names_of(queue, ids)).decode()
    return None
