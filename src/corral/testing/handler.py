"""One handler alone: called as a worker would call it, with a context that keeps what it is told."""

import asyncio
from collections.abc import Mapping
from contextvars import copy_context
from datetime import datetime
from typing import TypeVar, cast

from corral.app.definition import JobDefinition
from corral.effects import AT_ONCE_MS
from corral.errors import ConfigError
from corral.job import Job, JobState
from corral.payload import from_json, result_json
from corral.storage.port import Children
from corral.timing import Millis, Seconds, instant_ms, now_ms, to_ms
from corral.worker.context import MAX_LOG_LINE, Facts, JobContext, SyncJobContext
from corral.worker.handler import is_async
from corral.worker.run import current_job
from corral.worker.threads import Threads

D = TypeVar("D")
R = TypeVar("R")


class Recorded:
    """What a handler told its context, and what its context tells it. Give one to `run_job` and read it afterwards.

    Args:
        notes: what earlier attempts left with `ctx.note`; the handler's own are added.
        children: what `ctx.children()` answers.
    """

    def __init__(self, *, notes: Mapping[str, str] | None = None, children: Children | None = None) -> None:
        self.progress: list[object] = []  #: every value reported, oldest first
        self.logs: list[str] = []
        self.notes: dict[str, str] = dict(notes or {})
        self.children = children or Children()
        self.ledger: dict[tuple[str, str], str] = {}  #: what steps and effects have left; for a second run to find

    def __repr__(self) -> str:
        return f"Recorded(progress={self.progress!r}, logs={self.logs!r}, notes={self.notes!r})"


class _Context(JobContext):
    """A context that writes into a `Recorded` where the real one writes into the store."""

    __slots__ = ("_recorded",)

    def __init__(self, job: Job, attempts: int, recorded: Recorded) -> None:
        Facts.__init__(self, job, attempts)  # there is no store, no token
        self._recorded = recorded

    async def progress_json(self, text: str) -> None:
        self._recorded.progress.append(from_json(text))

    async def log(self, line: str) -> None:
        self._recorded.logs.append(str(line)[:MAX_LOG_LINE])

    async def children(self) -> Children:
        return self._recorded.children

    async def recall(self, key: str) -> str | None:
        return self._recorded.notes.get(key)

    async def note(self, key: str, value: str, *, keep: Seconds = 7 * 86_400) -> None:
        to_ms(keep, "keep")
        self._recorded.notes[key] = value

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None
    ) -> str | None:
        before = self._recorded.ledger.get((ledger, key))
        if value is not None and (before is None or replace):
            self._recorded.ledger[ledger, key] = value
            if ttl_ms == AT_ONCE_MS:
                del self._recorded.ledger[ledger, key]
        return before

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool:
        return False  # nothing runs but this handler


async def run_job(
    job: JobDefinition[D, R], data: D | None = None, /, *, id: str = "1", attempt: int = 1, attempts: int | None = None,
    scheduled_for: datetime | float | None = None, recorded: Recorded | None = None,
) -> R:  # fmt: skip
    """Run one handler without a store: payload checked, context and all; answers what awaiting the job would give.

    It runs once. What it raises comes out as it is, `Retry`, `Snooze` and `Discard` included. Time limits, middleware
    and hooks are the worker's and do not apply; `process=True` handlers run in this process.

    Args:
        attempt: which one this is, from 1; `attempts` is how many there are (the declaration's number).
        recorded: keeps the progress, log lines and notes.

    Raises:
        PayloadError, ResultError: the data or the result is refused. ConfigError: attempts that do not add up.
    """
    total = job.handler.options.attempts or 1 if attempts is None else attempts
    if not 1 <= attempt <= total:
        raise ConfigError(f"attempt must be from 1 to attempts ({total}), not {attempt!r}", key="attempt")
    at = now_ms()
    stored = Job(
        id=id, queue=job.queue, name=job.name, state=JobState.ACTIVE, data=job.handler.payload.encode(data),
        options=job.handler.options, priority=job.priority, created_at=at, started_at=at,
        attempts_started=attempt, attempts_made=attempt - 1,
        scheduled_for=None if scheduled_for is None else instant_ms(scheduled_for, "scheduled_for"),
    )  # fmt: skip
    context = _Context(stored, total, recorded or Recorded())
    variable = current_job.set(stored)
    try:
        result = await _call(job, context)
    finally:
        current_job.reset(variable)
    return cast(R, from_json(result_json(result)))


async def _call(job: JobDefinition[D, R], context: JobContext) -> object:
    handler = job.handler
    data = handler.payload.decode(context.job.data) if handler.takes_data else None
    if is_async(handler.function):
        return await handler.call(context, data)  # type: ignore[misc]  # a coroutine: the function is `async def`
    threads = Threads()
    sync = SyncJobContext(context, asyncio.get_running_loop())
    try:
        return await threads.run(copy_context(), lambda: handler.call(sync, data))
    finally:
        threads.close()
