"""The numbers of each queue: what `stats`, `queues` and `doctor` print."""

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from corral.cli.cells import Column, ago, plain, share, span
from corral.storage.port import Bucket, QueueCounts, QueueInfo, Storage, WorkerInfo
from corral.timing import Millis, now_ms

WINDOW = 900.0  #: seconds that rates and means look back
#: A worker unseen for two leases is gone: it says that it lives every half of one.
ALIVE_MS: Millis = 30_000


class Figures(Struct, frozen=True, kw_only=True):
    """One queue in numbers. Rates and means are those of the last `window_s` seconds."""

    queue: str
    state: str
    waiting: int
    active: int
    delayed: int
    waiting_children: int
    completed: int
    failed: int
    completed_total: int
    failed_total: int
    oldest_s: float | None
    window_s: float
    done_per_min: float
    failed_per_min: float
    retried_per_min: float
    failed_rate: float | None  #: of the jobs that ended in the window; None when none did
    mean_wait_s: float | None  #: from ready to claimed: too few workers make it grow
    mean_run_s: float | None  #: from claimed to settled: the handler and what it calls
    workers: int
    paused_reason: str = ""

    def row(self) -> dict[str, object]:
        """The figures as they are printed."""
        return {name: getattr(self, name) for name in self.__struct_fields__}


async def figures(storage: Storage, *, queue: str | None = None, window: float = WINDOW) -> list[Figures]:
    """The numbers of one queue, or of all of them by name."""
    infos = [info for info in await storage.queues() if queue is None or info.name == queue]
    if not infos:
        return []
    counts = await storage.counts([info.name for info in infos])
    serving = Counter(name for worker in await storage.workers(stale_ms=ALIVE_MS) for name in worker.queues)
    now = now_ms()
    since = now - int(window * 1000)
    return [
        _figures(info, count, await storage.metrics(info.name, since=since, until=now), window, serving[info.name])
        for info, count in zip(infos, counts, strict=True)
    ]


def _figures(info: QueueInfo, counts: QueueCounts, buckets: Sequence[Bucket], window: float, workers: int) -> Figures:
    completed = sum(bucket.completed for bucket in buckets)
    failed = sum(bucket.failed for bucket in buckets)
    retried = sum(bucket.retried for bucket in buckets)
    attempts = completed + failed + retried
    minutes = window / 60
    return Figures(
        queue=info.name,
        state="paused" if info.paused else "active",
        waiting=counts.waiting,
        active=counts.active,
        delayed=counts.delayed,
        waiting_children=counts.waiting_children,
        completed=counts.completed,
        failed=counts.failed,
        completed_total=counts.completed_total,
        failed_total=counts.failed_total,
        oldest_s=ago(counts.oldest_waiting_at),
        window_s=window,
        done_per_min=round(completed / minutes, 2),
        failed_per_min=round(failed / minutes, 2),
        retried_per_min=round(retried / minutes, 2),
        failed_rate=round(failed / (completed + failed), 4) if completed + failed else None,
        mean_wait_s=round(sum(bucket.wait_ms for bucket in buckets) / attempts / 1000, 3) if attempts else None,
        mean_run_s=round(sum(bucket.run_ms for bucket in buckets) / attempts / 1000, 3) if attempts else None,
        workers=workers,
        paused_reason=info.pause_reason,
    )


def served(workers: Sequence[WorkerInfo]) -> set[str]:
    """The queues that a living worker takes jobs from."""
    return {name for worker in workers for name in worker.queues}


QUEUE_COLUMNS = (
    Column("queue", "QUEUE"),
    Column("state", "STATE"),
    Column("waiting", "WAITING", plain, True),
    Column("active", "ACTIVE", plain, True, rank=2),
    Column("delayed", "DELAYED", plain, True, rank=4),
    Column("completed", "COMPLETED", plain, True, rank=6),
    Column("failed", "FAILED", plain, True, rank=3),
    Column("oldest_s", "OLDEST", span, True),
    Column("workers", "WORKERS", plain, True),
)

STATS_COLUMNS = (
    *QUEUE_COLUMNS[:-1],
    Column("done_per_min", "DONE/MIN", plain, True, rank=1),
    Column("failed_per_min", "FAIL/MIN", plain, True, rank=5),
    Column("failed_rate", "FAILED%", share, True),
    Column("mean_wait_s", "WAIT", span, True),
    Column("mean_run_s", "RUN", span, True),
    QUEUE_COLUMNS[-1],
)
