"""Workers and how many of them there should be. Pure."""

import math
from collections.abc import Sequence

from corral.job import Job
from corral.monitor.gather import ALIVE_MS
from corral.monitor.objects import Autoscale, QueueRow, WorkerRow, Workers
from corral.monitor.preview import job_row
from corral.storage.port import WorkerInfo
from corral.timing import Millis


def worker_row(worker: WorkerInfo, jobs: Sequence[Job], now: Millis) -> WorkerRow:
    """A worker with what it runs."""
    silent = max(0, now - worker.seen_at)
    return WorkerRow(
        id=worker.id,
        name=worker.name,
        host=worker.host,
        pid=worker.pid,
        state=_state(worker, silent),
        queues=worker.queues,
        slots=worker.slots,
        busy=worker.running,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        silent_ms=silent,
        version=worker.version,
        slots_of=worker.slots_of,
        rss=worker.rss,
        lag_ms=worker.lag_ms,
        cpu=worker.cpu,
        handlers=worker.handlers,
        tags=worker.tags,
        jobs=tuple(job_row(job, now) for job in jobs),
    )


def _state(worker: WorkerInfo, silent: Millis) -> str:
    if silent > ALIVE_MS:
        return "stale"
    if worker.running:
        return "busy"
    return "quiet" if worker.quiet else "idle"


def staffed(workers: Sequence[WorkerInfo], active: Sequence[Job], now: Millis, *, complete: bool) -> Workers:
    """Each worker with its jobs. Those of nobody who is listed run on Node's workers, or on one that is gone."""
    by_name: dict[str, list[Job]] = {}
    for job in active:
        by_name.setdefault(job.worker or "", []).append(job)
    rows = tuple(worker_row(one, [*by_name.get(one.id, ()), *by_name.get(one.name, ())], now) for one in workers)
    known = {name for one in workers for name in (one.id, one.name)}
    elsewhere = tuple(job_row(job, now) for job in active if (job.worker or "") not in known)
    return Workers(items=rows, elsewhere=elsewhere, complete=complete)


def autoscale(row: QueueRow, *, target_ms: Millis) -> Autoscale:
    """How many workers a queue wants, so that new jobs are served as they come and the backlog is gone in `target_ms`.

    `ceil((arrivals · service + backlog · service / target) / slots of a worker)`. Jobs arrive as fast as they end, and
    as the backlog grows. When nobody knows how long a job takes, one worker is wanted where something waits.
    """
    arrivals = max(0.0, row.rates.per_second + (row.grows_per_minute or 0.0) / 60)
    slots = row.slots / row.workers if row.workers else float(row.concurrency or 1)
    service = row.run.mean
    backlog = 0 if row.state == "paused" else row.waiting
    if service is None:
        load = float(row.workers or 1) if backlog else 0.0
    else:
        load = (arrivals + backlog * 1000 / target_ms) * service / 1000 / max(1.0, slots)
    wanted = math.ceil(round(load, 6))
    return Autoscale(
        queue=row.name, backlog=backlog, active=row.active, oldest_waiting_ms=row.oldest_waiting_ms,
        arrivals_per_second=round(arrivals, 4), service_ms_mean=service, slots_per_worker=slots, workers=row.workers,
        utilization=round(row.active / row.slots, 4) if row.slots else 0.0,
        desired_workers=max(wanted, 1) if backlog or row.active else wanted, load=round(load, 4), target_ms=target_ms,
    )  # fmt: skip
