"""The monitor's verbs about failures."""

import asyncio
import hashlib
from collections.abc import Sequence

from corral.errors import ConfigError
from corral.fingerprint import normalised
from corral.job import Job, JobState
from corral.monitor.base import MonitorBase
from corral.monitor.history import trend
from corral.monitor.objects import FailureDetail, FailureRow, Failures
from corral.monitor.preview import job_row
from corral.storage.insight import FailureGroup
from corral.storage.port import QueueCounts
from corral.timing import Millis, Seconds, to_ms

#: Queues, kinds of each, and failed jobs of each that one answer looks at.
QUEUES, KINDS, JOBS = 50, 200, 500
#: Failed jobs that are looked at for one kind.
NEWEST = 5_000
SLICE = 500


class FailureVerbs(MonitorBase):
    """What fails, since when, how much."""

    async def failures(self, *, queue: str | None = None, window: Seconds = 86_400, limit: int = 100) -> Failures:
        """Kinds of failures, the latest first, with how the failed jobs of each spread over the window.

        Workers of corral record the kinds. Of a queue where they do not (Node works on it) the newest failed jobs are
        sorted by what their reasons have in common.

        Raises:
            ConfigError: a window that is not above 0.
        """
        length = to_ms(window, "window", minimum=0.001)
        at = self.at()
        facts, _ = await self.snapshot()
        asked = [
            one for one in facts.counts.values() if (one.failed or one.failed_total) and queue in (None, one.queue)
        ]
        asked.sort(key=lambda one: (-one.failed, one.queue))
        rows: list[FailureRow] = []
        total = examined = 0
        complete = len(asked) <= QUEUES
        for found in await asyncio.gather(*(self._of_queue(one, at - length, at) for one in asked[:QUEUES])):
            rows += found[0]
            total, examined, complete = total + found[1], examined + found[2], complete and found[3]
        rows.sort(key=lambda row: (-row.group.last_at, row.queue, row.group.fingerprint))
        return Failures(items=tuple(rows[:limit]), total=total, window_ms=length, examined=examined, complete=complete)

    async def failure(
        self, queue: str, fingerprint: str, *, window: Seconds = 86_400, newest: int = 10
    ) -> FailureDetail:
        """One kind of failure with its newest jobs.

        Raises:
            ConfigError: the queue has no such kind (any more: the 1,000 latest are kept).
        """
        at, length = self.at(), to_ms(window, "window", minimum=0.001)
        group = await self._group(queue, fingerprint)
        found: list[Job] = []
        examined, seen = 0, 0
        while examined < NEWEST:
            page = await self.storage.page(queue, [JobState.FAILED], start=examined, limit=SLICE, lean=True)
            examined += len(page.items)
            found += [job for job in page.items if _kind(job) == fingerprint]
            seen = page.total
            if len(page.items) < SLICE:
                break
        if group is None and not found:
            raise ConfigError(f"queue {queue!r} has no failures of kind {fingerprint!r}", key="fingerprint")
        row = _row(queue, group or _made(fingerprint, found), found, at - length, at)
        return FailureDetail(
            failure=row, newest=tuple(job_row(job, at, sensitive=self._sensitive) for job in found[:newest]),
            examined=examined,
            complete=examined >= seen,
        )  # fmt: skip

    async def _group(self, queue: str, fingerprint: str) -> FailureGroup | None:
        page = await self.storage.failures(queue, limit=1_000)
        return next((one for one in page.items if one.fingerprint == fingerprint), None)

    async def _of_queue(
        self, counts: QueueCounts, since: Millis, until: Millis
    ) -> tuple[list[FailureRow], int, int, bool]:
        """Its kinds, how many there are, how many jobs were looked at, and whether these are all of the window."""
        queue = counts.queue
        kinds = await self.storage.failures(queue, limit=KINDS)
        page = await self.storage.page(queue, [JobState.FAILED], limit=JOBS, lean=True)
        jobs = [job for job in page.items if job.finished_at is not None and job.finished_at >= since]
        complete = len(page.items) >= page.total or len(jobs) < len(page.items)
        by_kind: dict[str, list[Job]] = {}
        for job in jobs:
            by_kind.setdefault(_kind(job), []).append(job)
        known = {one.fingerprint for one in kinds.items}
        nameless = [
            _made(kind, some) for kind, some in by_kind.items() if kind not in known and not some[0].fingerprint
        ]
        rows = [
            _row(queue, one, by_kind.get(one.fingerprint, ()), since, until)
            for one in (*kinds.items, *nameless)
            if one.last_at >= since
        ]
        return rows, kinds.total + len(nameless), len(jobs), complete and len(kinds.items) >= kinds.total


def _row(queue: str, group: FailureGroup, jobs: Sequence[Job], since: Millis, until: Millis) -> FailureRow:
    times = [job.finished_at for job in jobs if job.finished_at is not None and since <= job.finished_at <= until]
    return FailureRow(queue=queue, group=group, recent=len(times), trend=trend(times, since, until + 1))


def _kind(job: Job) -> str:
    """The fingerprint of a failed job; for one without, made of its reason."""
    if job.fingerprint:
        return job.fingerprint
    return "~" + hashlib.sha256(normalised(job.failed_reason or "").encode("utf-8", "replace")).hexdigest()[:15]


def _made(kind: str, jobs: Sequence[Job]) -> FailureGroup:
    """The group of failed jobs that nobody has recorded as one; newest first."""
    newest, oldest = jobs[0], jobs[-1]
    return FailureGroup(
        fingerprint=kind, type="", message=normalised(newest.failed_reason or ""),
        attempts=sum(job.attempts_made for job in jobs), jobs=len(jobs), first_at=oldest.finished_at or 0,
        last_at=newest.finished_at or 0, last_job_id=newest.id, last_name=newest.name,
    )  # fmt: skip
