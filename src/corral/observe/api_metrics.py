"""What the API's process tells Prometheus about the store: the monitor's numbers, and what the API itself did."""

import asyncio
import time
from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from corral._version import __version__
from corral.admin.admin import Admin
from corral.admin.objects import Actor
from corral.errors import CorralError
from corral.job import JobState
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Overview, QueueRow, ScheduleRow, Workers
from corral.observe.adds import AddMetrics
from corral.observe.names import OTHER, QUEUES, SCHEDULES, SECONDS, Names
from corral.observe.pages import page
from corral.observe.series import Counter, Gauge, Histogram, Labels, counter, gauge
from corral.storage.insight import Engine
from corral.timing import now_ms

#: How long each part of the page may take (seconds).
PATIENCE = 2.0
#: Kinds of failures are asked for of so many queues, those with the most failed jobs, and as many as a queue keeps.
FAILING, KINDS = 50, 1_000
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STATES = ("waiting", "active", "delayed", "waiting_children", "completed", "failed")


class ApiMetrics:
    """The page `/metrics` of an API process. Its numbers are as old as the monitor's snapshot: a second at most.

    Args:
        bullmq: whether BullMQ's own names are there too, so that dashboards made for it work.
        community: whether the names of the older community exporter (`bull_queue_waiting` …) are there too.
        labels: further labels of BullMQ's names, as its `exportPrometheusMetrics` takes them.
        adds: counts the jobs that this process adds.
    """

    def __init__(
        self, monitor: Monitor, *, bullmq: bool = True, community: bool = False, labels: dict[str, str] | None = None,
        adds: AddMetrics | None = None,
    ) -> None:  # fmt: skip
        self._monitor = monitor
        self._adds = adds
        self._bullmq = bullmq
        self._community = community
        self._labels = dict(labels or {})
        self._routes = Names(QUEUES)
        self._requests = Counter(
            "corral_http_requests", "Requests to the API.", ("method", "route", "status")
        )  # fmt: skip
        self._durations = Histogram(
            "corral_http_request_duration_seconds", "How long requests took.", ("method", "route", "status"), SECONDS
        )
        self._streams = Gauge("corral_sse_clients", "Event streams that are open.", ())
        self._limited = Counter("corral_rate_limited", "Requests that were refused as too many.", ("class",))
        self._denied = Counter("corral_auth_failures", "Requests without a valid proof of who asks.", ("method",))
        self._audited = Counter("corral_audit_entries", "Entries of the audit log.", ("action",))
        self._errors = Counter("corral_scrape_errors", "Parts of this page that could not be had.", ("part",))
        self._streams.add((), 0)
        self._kind = "unknown"

    # -- what is told ------------------------------------------------------------------------------------------------

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is its template, `""` when there was none."""
        labels = (method if method in _METHODS else OTHER, self._routes.of(route) if route else OTHER, str(status))
        self._requests.add(labels)
        self._durations.observe(labels, seconds)

    def streams(self, change: int) -> None:
        """So many event streams more, or fewer."""
        self._streams.add((), change)

    def limited(self, which: str) -> None:
        """A request was refused by this class of limits."""
        self._limited.add((which,))

    def denied(self, method: str) -> None:
        """Somebody could not say who they are, by this method."""
        self._denied.add((method,))

    def audited(self, action: str) -> None:
        """An entry was written to the audit log."""
        self._audited.add((action,))

    # -- what is read ------------------------------------------------------------------------------------------------

    async def render(self, accept: str = "") -> tuple[str, str]:
        """The page and its content type, in the format that `accept` asks for. It is there also without the store."""
        metrics: list[Metric] = [gauge("corral_build_info", "About this process.", ("version",), {(__version__,): 1})]
        took: dict[Labels, float] = {}
        for part, collect in (
            ("engine", self._engine), ("queues", self._queues), ("workers", self._workers),
            ("schedules", self._schedules), ("failures", self._failures),
        ):  # fmt: skip
            began = time.perf_counter()
            try:
                async with asyncio.timeout(PATIENCE):
                    metrics += await collect()
            except (CorralError, TimeoutError):
                self._errors.add((part,))
                if part == "engine":  # nothing else will be answered either, and each question would take its time
                    metrics.append(_up(self._kind, False))
                    break
            took[(part,)] = time.perf_counter() - began
        metrics.append(gauge("corral_scrape_duration_seconds", "How long this page took.", ("part",), took))
        for series in (
            self._requests, self._durations, self._streams, self._limited, self._denied, self._audited, self._errors
        ):  # fmt: skip
            metrics += series.collect()
        if self._adds is not None:
            metrics += self._adds.collect()
        return page(metrics, accept)

    async def _queues(self) -> list[Metric]:
        overview = await self._monitor.overview()
        rows = sorted(overview.queues, key=lambda row: row.name)[:QUEUES]
        found = list(_queues(overview, rows))
        if self._bullmq:
            found += _bullmq(rows, self._labels)
        if self._community:
            found += _community(rows)
        return found

    async def _workers(self) -> list[Metric]:
        workers = await self._monitor.workers()
        return [_oldest_active(workers)]

    async def _schedules(self) -> list[Metric]:
        found = await self._monitor.schedules(limit=SCHEDULES)
        return list(_schedules(found.items))

    async def _failures(self) -> list[Metric]:
        """Kinds by whether somebody has set them aside."""
        rows = [row for row in (await self._monitor.overview()).queues if row.failed]
        rows.sort(key=lambda row: -row.failed)
        storage = self._monitor.storage
        silence = await Admin(storage, self._monitor).by(Actor(sub="metrics")).silence("failure")
        values: dict[Labels, float] = {}
        for row in rows[:FAILING]:
            kinds = await storage.failures(row.name, limit=KINDS if silence.mutes else 1)
            aside = sum(silence.until(one.fingerprint, row.name) is not None for one in kinds.items)
            values[row.name, "open"], values[row.name, "muted"] = kinds.total - aside, aside
        return [gauge("corral_failure_groups", "Kinds of failures that are remembered.", ("queue", "state"), values)]

    async def _engine(self) -> list[Metric]:
        began = time.perf_counter()
        engine = await self._monitor.storage.engine()
        self._kind = engine.kind
        return list(_engine(engine, time.perf_counter() - began))


def _queues(overview: Overview, rows: Sequence[QueueRow]) -> Iterator[Metric]:
    jobs: dict[Labels, float] = {
        (row.name, state.replace("_", "-")): getattr(row, state) for row in rows for state in _STATES
    }
    jobs |= {(row.name, "paused"): row.paused_jobs for row in rows}
    queue = ("queue",)
    yield gauge(
        "corral_queue_jobs", 'Jobs by state. "paused" are the waiting ones of a paused queue: they are counted twice.',
        ("queue", "state"), jobs,
    )  # fmt: skip
    yield gauge(
        "corral_queue_oldest_waiting_seconds", "How long the oldest waiting job has waited; 0 when none waits.", queue,
        {(row.name,): (row.oldest_waiting_ms or 0) / 1000 for row in rows},
    )  # fmt: skip
    yield gauge(
        "corral_queue_paused", "1 when the queue is paused.", queue,
        {(row.name,): float(row.state == "paused") for row in rows},
    )  # fmt: skip
    yield gauge("corral_queue_workers", "Workers that serve it.", queue, {(row.name,): row.workers for row in rows})
    yield gauge("corral_queue_slots", "Their slots for it.", queue, {(row.name,): row.slots for row in rows})
    yield gauge("corral_queue_slots_busy", "Jobs that run.", queue, {(row.name,): row.busy for row in rows})
    yield gauge(
        "corral_queue_concurrency_limit", "Jobs at once over all workers, where that is limited.", queue,
        {(row.name,): row.concurrency for row in rows if row.concurrency is not None},
    )  # fmt: skip
    yield gauge(
        "corral_queue_rate_limited_seconds",
        "For how long nothing starts, because the queue is held or its rate limit is used up.", queue,
        {
            (row.name,): max(0, max(row.held_until or 0, row.limited_until or 0) - overview.at) / 1000 for row in rows
        },
    )  # fmt: skip
    yield counter(
        "corral_queue_completed", "Jobs that completed, ever, whoever ran them.", queue,
        {(row.name,): row.completed_total for row in rows},
    )  # fmt: skip
    yield counter(
        "corral_queue_failed", "Jobs that failed for good, ever, whoever ran them.", queue,
        {(row.name,): row.failed_total for row in rows},
    )  # fmt: skip


def _oldest_active(workers: Workers) -> Metric:
    oldest: dict[Labels, float] = {}
    now = now_ms()
    for job in (*workers.elsewhere, *(job for worker in workers.items for job in worker.jobs)):
        if job.started_at is not None:
            key = (job.queue,)
            oldest[key] = max(oldest.get(key, 0.0), (now - job.started_at) / 1000)
    return gauge(
        "corral_queue_oldest_active_seconds", "For how long the oldest running job has run.", ("queue",), oldest
    )


def _schedules(rows: Sequence[ScheduleRow]) -> Iterator[Metric]:
    labels = ("queue", "schedule")
    yield gauge(
        "corral_schedule_next_run_timestamp_seconds", "When it runs next.", labels,
        {(row.queue, row.key): row.next_at / 1000 for row in rows if row.next_at is not None},
    )  # fmt: skip
    yield gauge(
        "corral_schedule_last_run_timestamp_seconds", "When it ran last.", labels,
        {(row.queue, row.key): row.last_at / 1000 for row in rows if row.last_at is not None},
    )  # fmt: skip
    yield gauge(
        "corral_schedule_overdue_seconds", "How late it is; 0 when it is not.", labels,
        {(row.queue, row.key): row.overdue_ms / 1000 for row in rows},
    )  # fmt: skip
    ended = (JobState.COMPLETED, JobState.FAILED)
    yield gauge(
        "corral_schedule_last_success", "1 when its last run completed, 0 when it failed.", labels,
        {(row.queue, row.key): float(row.last_state is ended[0]) for row in rows if row.last_state in ended},
    )  # fmt: skip


def _up(kind: str, value: bool) -> Metric:
    return gauge("corral_engine_up", "Whether the store answers.", ("engine",), {(kind,): float(value)})


def _engine(engine: Engine, seconds: float) -> Iterator[Metric]:
    kind, label = engine.kind, ("engine",)
    yield _up(kind, True)
    yield gauge("corral_engine_ping_seconds", "How long it took to answer.", label, {(kind,): seconds})
    for name, text, value in (
        ("memory_bytes", "Memory that the server holds.", engine.memory_bytes),
        ("memory_limit_bytes", "Memory that it may hold; 0 is no limit.", engine.memory_limit_bytes),
        ("db_bytes", "Size of the file.", engine.db_bytes),
        ("wal_bytes", "Size of the log beside the file.", engine.wal_bytes),
    ):
        if value is not None:
            yield gauge(f"corral_engine_{name}", text, label, {(kind,): value})
    if engine.evicted_keys is not None:
        yield counter(
            "corral_engine_evicted_keys", "Keys that the server threw away for want of memory.", label,
            {(kind,): engine.evicted_keys},
        )  # fmt: skip


def _bullmq(rows: Sequence[QueueRow], more: dict[str, str]) -> Iterator[Metric]:
    """As BullMQ's exportPrometheusMetrics names them. Its `paused` jobs are not among its `waiting` ones."""
    extra = tuple(more.values())
    names = ("queue", *more)
    values: dict[Labels, float] = {}
    for row in rows:
        states = {state.replace("_", "-"): getattr(row, state) for state in _STATES}
        states |= {"waiting": row.waiting - row.paused_jobs, "paused": row.paused_jobs}
        values |= {(row.name, state, *extra): count for state, count in states.items()}
    yield gauge("bullmq_job_count", "Number of jobs in the queue by state", ("queue", "state", *more), values)
    yield counter(
        "bullmq_job_completed", "Jobs that completed", names,
        {(row.name, *extra): row.completed_total for row in rows},
    )  # fmt: skip
    yield counter(
        "bullmq_job_failed", "Jobs that failed", names, {(row.name, *extra): row.failed_total for row in rows}
    )  # fmt: skip


def _community(rows: Sequence[QueueRow]) -> Iterator[Metric]:
    for state in ("waiting", "active", "delayed", "failed", "completed"):
        values: dict[Labels, float] = {(row.name,): getattr(row, state) for row in rows}
        yield gauge(f"bull_queue_{state}", f"Jobs that are {state}", ("queue",), values)
