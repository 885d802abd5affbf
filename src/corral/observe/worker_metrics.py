"""What a worker tells Prometheus: counters that its own loop writes, read by the thread that is scraped."""

import platform
import time
from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from corral._version import __version__
from corral.job import JobId
from corral.observe.names import ATTEMPTS, NAMES, SCHEDULES, SECONDS, Names
from corral.observe.series import Counter, Gauge, Histogram, gauge, single
from corral.outcome import Outcome
from corral.storage.port import Lease, Pulse, Refusal
from corral.worker.run import Run
from corral.worker.vitals import memory
from corral.worker.watch import Watcher, end_of
from corral.worker.worker import BaseWorker

STATES = ("starting", "running", "quiet", "stopping")
_FINAL = ("completed", "failed", "cancelled", "timeout")


class WorkerMetrics(Watcher, Collector):
    """Watches one worker; a collector for a registry of prometheus_client.

    Names of jobs are those the worker has handlers for, 200 at most: whatever is in the store, the number of series
    stays. Counting a job costs eight microseconds.
    """

    def __init__(self, worker: BaseWorker, *, engine: str) -> None:
        self._worker = worker
        self._engine = engine
        self._names = Names(NAMES, [name for lane in worker.lanes for name in lane.known()])
        self._schedules = Names(SCHEDULES)
        self._begun: dict[Run, tuple[str, str]] = {}
        job = ("queue", "job")
        self.started_total = Counter("corral_jobs_started", "Runs of handlers that began.", job)
        self.finished_total = Counter("corral_jobs_finished", "Runs that ended, by how.", (*job, "outcome"))
        self.duration = Histogram(
            "corral_job_duration_seconds", "From claimed to ended.", (*job, "outcome"), SECONDS
        )  # fmt: skip
        self.wait = Histogram(
            "corral_job_wait_seconds", "From ready to claimed, of first attempts; delayed jobs are ready when due.",
            job, SECONDS,
        )  # fmt: skip
        self.attempts = Histogram(
            "corral_job_attempts", "Attempts that a job had when it ended for good.", job, ATTEMPTS
        )
        self.active = Gauge("corral_jobs_active", "Runs of handlers under way.", job)
        self.stalled_total = Counter(
            "corral_jobs_stalled", "Jobs of dead workers that were taken back here.", ("queue", "result")
        )
        self.renewals_total = Counter(
            "corral_lock_renewals", "Leases that were shown to the store, with each beat.", ("queue", "result")
        )
        schedule = ("queue", "schedule")
        self.schedule_runs_total = Counter("corral_schedule_runs", "Jobs that schedules made here.", schedule)
        self.schedule_missed_total = Counter("corral_schedule_missed", "Slots that had passed.", schedule)

    # -- what is told ------------------------------------------------------------------------------------------------

    def started(self, run: Run) -> None:
        labels = self._begun[run] = run.queue, self._names.of(run.job.name)
        self.started_total.add(labels)
        self.active.add(labels)
        job = run.job
        if job.attempts_started <= 1 and job.started_at is not None:
            self.wait.observe(labels, max(0, job.started_at - (job.run_at or job.created_at)) / 1000)

    def ended(self, run: Run, outcome: Outcome, refusal: Refusal | None) -> None:
        labels = self._begun.pop(run, None)
        if labels is not None:
            self.active.add(labels, -1)
        if refusal is not None:  # another run's verdict counts
            return
        queue, name = labels or (run.queue, self._names.of(run.job.name))
        end = end_of(run, outcome)
        self.finished_total.add((queue, name, end))
        if labels is not None:
            self.duration.observe((queue, name, end), time.monotonic() - run.started)
        if end in _FINAL:
            self.attempts.observe((queue, name), run.job.attempts_made + 1)

    def recovered(self, queue: str, requeued: Sequence[JobId], quarantined: Sequence[JobId]) -> None:
        for result, jobs in (("requeued", requeued), ("quarantined", quarantined)):
            if jobs:
                self.stalled_total.add((queue, result), len(jobs))

    def beaten(self, leases: Sequence[Lease], pulse: Pulse) -> None:
        lost = set(pulse.lost)
        for lease in leases:
            self.renewals_total.add((lease.queue, "lost" if lease in lost else "ok"))

    def fired(self, queue: str, schedule: str, runs: int, missed: int) -> None:
        labels = queue, self._schedules.of(schedule)
        self.schedule_runs_total.add(labels, runs)
        self.schedule_missed_total.add(labels, missed)

    # -- what is read ------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """Every series, as it stands."""
        for series in (
            self.started_total, self.finished_total, self.duration, self.wait, self.attempts, self.active,
            self.stalled_total, self.renewals_total, self.schedule_runs_total, self.schedule_missed_total,
        ):  # fmt: skip
            yield from series.collect()
        yield from self._slots()
        yield from self._process()

    def _slots(self) -> Iterator[Metric]:
        fetchers = self._worker.fetchers
        slots: dict[tuple[str, ...], float] = {(one.lane.queue,): one.slots for one in fetchers}
        busy: dict[tuple[str, ...], float] = {(one.lane.queue,): min(one.running, one.slots) for one in fetchers}
        yield gauge("corral_worker_slots", "Handlers that may run at once.", ("queue",), slots)
        yield gauge("corral_worker_slots_busy", "Slots that are taken.", ("queue",), busy)

    def _process(self) -> Iterator[Metric]:
        worker = self._worker
        modes = {handler.mode.value for lane in worker.lanes for handler in lane.handlers()}
        info = (__version__, platform.python_version(), self._engine, ",".join(sorted(modes)))
        yield gauge("corral_worker_info", "About this worker.", ("version", "python", "engine", "executor"), {info: 1})
        state = self._state()
        yield gauge(
            "corral_worker_state", "1 for the state the worker is in.", ("state",),
            {(one,): float(one == state) for one in STATES},
        )  # fmt: skip
        turned = [one.turned_at for one in worker.fetchers]
        if turned:  # of the queue that was asked longest ago
            at = time.time() - (time.monotonic() - min(turned))
            yield single("corral_worker_last_fetch_timestamp_seconds", "When the store last answered.", at)
        lag = 0.0 if worker.keeper is None else worker.keeper.lag()
        yield single("corral_worker_loop_lag_seconds", "How late the event loop is.", lag)
        yield single("corral_worker_rss_bytes", "Memory that the process holds.", memory())

    def _state(self) -> str:
        if self._worker.stopping:
            return "stopping"
        if not self._worker.started:
            return "starting"
        return "quiet" if self._worker.paused else "running"
