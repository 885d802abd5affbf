"""One batch handler alone: called with a batch as a worker would call it; what became of each job is answered."""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from corral.app.definition import JobDefinition
from corral.errors import ConfigError
from corral.job import Job, JobState
from corral.payload import from_json, result_json
from corral.testing.handler import Recorded, RecordedContext, call_handler
from corral.timing import now_ms
from corral.worker.batch import BatchContext, BatchJob, Settled, SyncBatchJob
from corral.worker.context import SyncJobContext

D = TypeVar("D")
R = TypeVar("R")


class Verdict:
    """What a batch handler decided about one job: a `result`, or the `error` it failed with."""

    def __init__(self, data: object, result: object = None, error: BaseException | None = None) -> None:
        self.data = data
        self.result = result
        self.error = error

    def __repr__(self) -> str:
        return f"Verdict({self.data!r}, {'error=' if self.error else 'result='}{self.error or self.result!r})"


async def run_batch(
    job: JobDefinition[D, R], payloads: Iterable[D], /, *, group: str | None = None, recorded: Recorded | None = None,
    services: Mapping[type, object] | None = None,
) -> list[Verdict]:  # fmt: skip
    """Run a batch handler once, with a job per payload and without a store; answers the verdicts in that order.

    What the handler raises is the error of the jobs it left open, `Retry`, `Snooze` and `Discard` included.

    Args:
        recorded: keeps what the jobs' contexts are told.
        services: instances for what the handler asks for, by type; otherwise they are its application's.

    Raises:
        ConfigError: the handler takes no batches, or smaller ones. PayloadError, ResultError: what is refused.
    """
    values = list(payloads)
    if job.handler.batch is None or len(values) > job.handler.batch.size:
        what = "takes no batches" if job.handler.batch is None else f"takes at most {job.handler.batch.size} jobs"
        raise ConfigError(f"job {job.name!r} {what}", key="job")
    recorded = recorded or Recorded()
    settled: dict[int, Settled] = {}
    jobs = [_batch_job(job, data, number, group, recorded, settled) for number, data in enumerate(values)]
    context = BatchContext(job.queue, job.name, group, len(jobs))
    try:
        rest = Settled(await call_handler(job, context, jobs, {}, services or {}))
    except BaseException as error:  # what a handler raises is its jobs' failure, whatever it is
        rest = Settled(error=error)
    ends = [settled.get(number, rest) for number in range(len(jobs))]
    return [
        Verdict(one.data, None if end.error else from_json(result_json(end.value)), end.error)
        for one, end in zip(jobs, ends, strict=True)
    ]


def _batch_job(
    job: JobDefinition[D, R], data: D, number: int, group: str | None, recorded: Recorded, settled: dict[int, Settled]
) -> BatchJob[Any] | SyncBatchJob[Any]:
    handler = job.handler
    at = now_ms()
    stored = Job(
        id=str(number + 1), queue=job.queue, name=job.name, state=JobState.ACTIVE, data=handler.payload.encode(data),
        options=handler.options, group=group, created_at=recorded.added_at, started_at=at, attempts_started=1,
    )  # fmt: skip
    context = RecordedContext(stored, handler.options.attempts or 1, recorded)
    settle = partial(settled.__setitem__, number)
    value = handler.payload.decode(stored.data)
    if handler.asynchronous:
        return BatchJob(context, value, settle)
    return SyncBatchJob(SyncJobContext(context, asyncio.get_running_loop()), value, settle)
