"""What wants attention, and what to do about it. Pure: rows in, findings out, the worst first."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from corral.monitor.memory import SAFE, Memory
from corral.monitor.objects import Finding, QueueRow, ScheduleRow, WorkerRow
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.monitor.words import share, span
from corral.plurals import plural
from corral.timing import Millis

SEVERITIES = ("note", "warning", "critical")
#: So many times the threshold is critical.
FAR_BEYOND = 10
#: From so few attempts nobody can tell how long a job may take.
ENOUGH = 20


def attention(
    queues: Iterable[QueueRow], schedules: Iterable[ScheduleRow], workers: Iterable[WorkerRow], *, now: Millis,
    thresholds: Thresholds = DEFAULTS, memory: Memory | None = None,
) -> tuple[Finding, ...]:  # fmt: skip
    """All findings: critical ones first, then by rule, queue and subject."""
    found = [finding for row in queues for finding in of_queue(row, now, thresholds.of(row.name))]
    found += [finding for row in schedules for finding in of_schedule(row, thresholds.of(row.queue))]
    found += [finding for row in workers for finding in of_worker(row, thresholds)]
    if memory is not None:
        found += of_memory(memory, thresholds)
    return tuple(sorted(found, key=lambda one: (-SEVERITIES.index(one.severity), one.rule, one.queue, one.subject)))


def grade(findings: Sequence[Finding], queue: str) -> int:
    """How bad it is with a queue: 0 nothing, 1 a note, 2 a warning, 3 critical."""
    return max((SEVERITIES.index(one.severity) + 1 for one in findings if one.queue == queue), default=0)


def of_queue(row: QueueRow, now: Millis, limits: Thresholds) -> Iterator[Finding]:
    """What is to be said about one queue. Its own SLO, if it has one, takes the place of `oldest_ms`."""
    if row.slo_ms is not None:
        limits = replace(limits, oldest_ms=row.slo_ms)
    yield from _stopped(row, now, limits)
    yield from _late(row, now, limits)
    yield from _piled_up(row, limits)
    yield from _failing(row, limits)
    yield from _slow(row, now, limits)
    yield from _index(row, now, limits)


def _stopped(row: QueueRow, now: Millis, limits: Thresholds) -> Iterator[Finding]:
    """Nothing of it starts."""
    oldest = row.oldest_waiting_ms
    if row.state == "paused":
        if limits.paused_ms is not None and oldest is not None and oldest > limits.paused_ms:
            why = f' ("{row.pause_reason}")' if row.pause_reason else ""
            yield Finding(
                rule="paused-backlog", severity="warning", queue=row.name, value=oldest, threshold=limits.paused_ms,
                message=f"{row.name} is paused{why} while {plural(row.waiting, 'job waits', 'jobs wait')}, "
                f"the oldest for {span(oldest)}",
                remedy=f"resume it: corral queues resume {row.name}", since=now - oldest,
            )  # fmt: skip
        return
    if row.state in ("held", "probing") and limits.held:
        until = "" if row.held_until is None or row.held_until <= now else f" for another {span(row.held_until - now)}"
        why = f": {row.hold_reason}" if row.hold_reason else ""
        probing = row.state == "probing"
        text = "is tried with one job at a time" if probing else f"is held{until}"
        yield Finding(
            rule="held", severity="note" if probing else "warning", queue=row.name,
            message=f"{row.name} {text}{why}; {plural(row.waiting, 'job waits', 'jobs wait')}", value=row.waiting,
            remedy="mend what the reason names; the hold ends by itself, or lift it",
        )  # fmt: skip
    unserved = row.waiting and not row.workers and not row.active and not (row.rates.completed + row.rates.failed)
    if unserved and limits.no_worker:
        yield Finding(
            rule="no-worker", severity="critical", queue=row.name, value=row.waiting,
            message=f"{row.name}: {plural(row.waiting, 'job')} waiting and no worker takes "
            f"{'it' if row.waiting == 1 else 'them'}",
            since=None if oldest is None else now - oldest,
            remedy=f"start a worker: corral worker APP --queues {row.name}",
        )  # fmt: skip


def _late(row: QueueRow, now: Millis, limits: Thresholds) -> Iterator[Finding]:
    oldest = row.oldest_waiting_ms
    if row.state == "paused" or oldest is None or limits.oldest_ms is None or oldest <= limits.oldest_ms:
        return
    yield Finding(
        rule="oldest-waiting", severity=_by_distance(oldest, limits.oldest_ms), queue=row.name,
        message=f"{row.name}: the oldest waiting job has waited {span(oldest)}", value=oldest,
        threshold=limits.oldest_ms, since=now - oldest + limits.oldest_ms,
        remedy="start more workers, or ask why that job waits",
    )  # fmt: skip


def _piled_up(row: QueueRow, limits: Thresholds) -> Iterator[Finding]:
    most = limits.waiting
    if most is not None and row.waiting > most:
        yield Finding(
            rule="waiting", severity=_by_distance(row.waiting, most), queue=row.name, value=row.waiting, threshold=most,
            message=f"{row.name}: {plural(row.waiting, 'job')} waiting, more than {most:,}{_forecast(row)}",
            remedy="start more workers, or raise the concurrency of those there are",
        )  # fmt: skip
        return
    grows = row.grows_per_minute
    if most is None or limits.growing_ms is None or not grows or grows < 0 or row.waiting < limits.growing_jobs:
        return
    left = (most - row.waiting) / grows * 60_000
    if left <= limits.growing_ms:
        yield Finding(
            rule="growing", severity="note", queue=row.name, value=grows, threshold=most,
            message=f"{row.name}: {plural(row.waiting, 'job')} waiting, {grows:.3g} more each minute: "
            f"more than {most:,} in {span(left)}",
            remedy="start more workers before it is late",
        )  # fmt: skip


def _forecast(row: QueueRow) -> str:
    if row.empty_in_ms is not None:
        return f"; at this rate empty in {span(row.empty_in_ms)}"
    return f"; {row.grows_per_minute:.3g} more each minute" if (row.grows_per_minute or 0) > 0 else ""


def _failing(row: QueueRow, limits: Thresholds) -> Iterator[Finding]:
    if limits.failed is not None and row.failed > limits.failed:
        yield Finding(
            rule="failed", severity="warning", queue=row.name, value=row.failed, threshold=limits.failed,
            message=f"{row.name}: {plural(row.failed, 'failed job')}, more than {limits.failed:,}",
            remedy="look at the kinds of failures; retry what is mended, remove the rest",
        )  # fmt: skip
    ended, part = row.rates.completed + row.rates.failed, row.rates.failure_share
    if limits.failure_share is None or part is None or part <= limits.failure_share or ended < limits.failure_jobs:
        return
    yield Finding(
        rule="failure-share", severity="critical", queue=row.name, value=part, threshold=limits.failure_share,
        message=f"{row.name}: {share(part)} of {plural(ended, 'job')} failed in {span(row.rates.window_ms)}",
        remedy=f"see why: corral failures list --queue {row.name}",
    )  # fmt: skip


def _slow(row: QueueRow, now: Millis, limits: Thresholds) -> Iterator[Finding]:
    """A job runs much longer than its like."""
    oldest, usual = row.oldest_active_ms, row.run.p99
    if limits.slow_factor is None or limits.slow_ms is None or oldest is None or usual is None:
        return
    most = max(limits.slow_ms, limits.slow_factor * usual)
    if row.run.count >= ENOUGH and oldest > most:
        yield Finding(
            rule="slow", severity="warning", queue=row.name, value=oldest, threshold=most, since=now - oldest,
            message=f"{row.name}: a job has run for {span(oldest)}; 99 % of its jobs take at most {span(usual)}",
            remedy="see what it waits for, or give it a timeout",
        )  # fmt: skip


def _index(row: QueueRow, now: Millis, limits: Thresholds) -> Iterator[Finding]:
    """What finished since its index was made is looked through job by job."""
    age = row.index_age_ms
    if limits.index_ms is not None and age is not None and age > limits.index_ms:
        yield Finding(
            rule="index", severity="note", queue=row.name, value=age, threshold=limits.index_ms, since=now - age,
            message=f"{row.name}: the index of tags and traces was made {span(age)} ago; searches are slower by what "
            "has finished since",
            remedy="make it anew",
        )  # fmt: skip


def of_schedule(row: ScheduleRow, limits: Thresholds) -> Iterator[Finding]:
    """What is to be said about one schedule."""
    if limits.overdue_ms is None:
        return
    if row.state == "lost":
        yield Finding(
            rule="schedule-lost", severity="critical", queue=row.queue, subject=row.key,
            message=f"schedule {row.key} of {row.queue} has no next run although it has not ended",
            remedy="start a worker with its scheduler: it arms the schedule within 30 s",
        )  # fmt: skip
    elif row.overdue_ms > limits.overdue_ms:
        missed = f", {plural(row.missed, 'run')} missed" if row.missed > 1 else ""
        yield Finding(
            rule="schedule-overdue", severity="critical", queue=row.queue, subject=row.key, since=row.next_at,
            message=f"schedule {row.key} of {row.queue} was due {span(row.overdue_ms)} ago{missed}",
            value=row.overdue_ms, threshold=limits.overdue_ms,
            remedy="start a worker (without --no-scheduler), or look into the logs of those there are",
        )  # fmt: skip


def of_worker(row: WorkerRow, limits: Thresholds) -> Iterator[Finding]:
    """What is to be said about one worker."""
    if limits.stalled is None or row.state != "stale" or row.busy < limits.stalled:
        return
    yield Finding(
        rule="stalled", severity="warning", subject=row.name, value=row.busy, threshold=limits.stalled,
        message=f"worker {row.name} on {row.host} was not seen for {span(row.silent_ms)} and had "
        f"{plural(row.busy, 'job')}",
        since=row.seen_at, remedy="other workers take its jobs back when their leases run out; see why it died",
    )  # fmt: skip


def of_memory(memory: Memory, limits: Thresholds) -> Iterator[Finding]:
    """What is to be said about the server's memory."""
    if limits.evictions is None:
        return
    if memory.evicted:
        yield Finding(
            rule="evictions", severity="critical", value=memory.evicted,
            message=f"the server has thrown away {plural(memory.evicted, 'key')} in {span(memory.over_ms)} because its "
            "memory is full; jobs may be among them",
            remedy=f"raise maxmemory and set maxmemory-policy {SAFE}: corral doctor",
        )  # fmt: skip
    elif memory.is_unsafe:
        yield Finding(
            rule="eviction-policy", severity="critical",
            message=f"the server throws jobs away when its memory is full (maxmemory-policy {memory.policy})",
            remedy=f"set maxmemory-policy {SAFE}: corral doctor",
        )  # fmt: skip


def _by_distance(value: float, threshold: float) -> str:
    return "critical" if value > threshold * FAR_BEYOND else "warning"
