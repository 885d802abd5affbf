"""Reading straight from the store, through the monitor."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from corral.cli.backend.plan_rows import failure_row, flow_row, node_row, run_row, schedule_row, worker_row
from corral.cli.backend.port import Row, Stretch
from corral.cli.backend.rows import (
    job_detail,
    job_row,
    overview_row,
    parsed,
    point_row,
    queue_detail,
    queue_row,
    seconds,
    why_row,
)
from corral.cli.cells import iso
from corral.errors import ConfigError, JobNotFoundError
from corral.event import NOW
from corral.job import Job, redact
from corral.listener import events
from corral.monitor.monitor import Monitor
from corral.monitor.objects import Spread
from corral.storage.connect import safe_url
from corral.storage.port import QueueCounts, Storage
from corral.timing import now_ms

MANY = 100_000  #: queues, schedules and the like that fit on no screen
PAGE = 500  #: of a search


class ReadParts(Protocol):
    """What a reader has: no more than reading needs, so that it is there at once."""

    storage: Storage
    url: str
    monitor: Monitor


class DirectReads(ReadParts):
    """What can be asked."""

    async def about(self) -> str:
        from corral.storage.checkup import checkup

        return f"{safe_url(self.url)}; " + "; ".join(f"{one.name}: {one.text}" for one in await checkup(self.url))

    async def queues(self, match: Sequence[str] = ()) -> list[Row]:
        found = await self.monitor.queues(*match, sort="name", limit=MANY)
        return [queue_row(row) for row in found.items]

    async def has(self, queue: str) -> bool:
        return queue in await self.names("queue", queue)

    async def queue(self, name: str) -> Row:
        return queue_detail(await self.monitor.queue(name))

    async def counts(self, queue: str) -> Row:
        [now] = await self.storage.counts([queue])
        return counts_row(now)

    async def worked(self, queue: str, window: float) -> Row:
        points = (await self.monitor.series(queue, since=now_ms() - round(window * 1000))).points
        return {
            "done": sum(one.completed for one in points),
            "failed": sum(one.failed for one in points),
            "retried": sum(one.retried for one in points),
            "mean_wait_s": seconds(_mean([one.wait for one in points])),
            "mean_run_s": seconds(_mean([one.run for one in points])),
        }

    async def overview(self) -> Row:
        return overview_row(await self.monitor.overview())

    async def series(self, queue: str | None, points: int) -> list[Row]:
        since = now_ms() - points * 60_000
        return [point_row(one) for one in (await self.monitor.series(queue, since=since)).points]

    async def jobs(self, query: str, *, queue: str | None = None, limit: int, cursor: str | None = None) -> Stretch:
        found = await self.monitor.jobs(query, queue=queue, limit=min(limit, PAGE), cursor=cursor)
        scan = found.scan
        return Stretch(
            rows=[job_row(one) for one in found.items], cursor=scan.cursor, complete=scan.complete, total=found.total,
            examined=scan.examined,
        )  # fmt: skip

    async def job(self, queue: str, job_id: str, *, reveal: bool = False) -> Row:
        found = job_detail(await self.monitor.job(queue, job_id))
        if reveal and found["whole"]:
            # What the application has declared sensitive stays hidden; what only its name hides is shown.
            job = redact(await self._stored(queue, job_id), by_name=False)
            found |= {"data": parsed(job.data), "result": parsed(job.result), "progress": parsed(job.progress)}
        return found

    async def payload(self, queue: str, job_id: str, *, hide: bool) -> object:
        job = await self._stored(queue, job_id)
        return parsed((redact(job) if hide else job).data)

    async def _stored(self, queue: str, job_id: str) -> Job:
        [job] = await self.storage.get(queue, [job_id])
        if job is None:
            raise JobNotFoundError(queue, job_id)
        return job

    async def why(self, queue: str, job_id: str) -> Row:
        return why_row(await self.monitor.why(queue, job_id))

    async def logs(self, queue: str, job_id: str, *, start: int, limit: int) -> tuple[Sequence[str], int]:
        page = await self.storage.logs(queue, job_id, start=start, limit=limit)
        return page.items, page.total

    async def flow(self, queue: str, job_id: str, *, depth: int) -> Row:
        return node_row(await self.monitor.flow(queue, job_id, depth=depth))

    async def flows(self, queue: str | None, limit: int) -> list[Row]:
        return [flow_row(one) for one in (await self.monitor.flows(queue=queue, limit=limit)).items]

    async def failures(self, queue: str | None, window: float) -> list[Row]:
        found = await self.monitor.failures(queue=queue, window=window, limit=1_000)
        return [failure_row(one) for one in found.items]

    async def failure(self, queue: str | None, fingerprint: str, window: float) -> tuple[list[Row], list[Row]]:
        kinds = [row for row in await self.failures(queue, window) if row["fingerprint"] == fingerprint]
        if not kinds:
            raise ConfigError(f"there is no failure {fingerprint!r}; `corral failures list` shows those there are")
        newest: list[Row] = []
        for kind in kinds:
            detail = await self.monitor.failure(str(kind["queue"]), fingerprint, window=window)
            newest += [job_row(one) for one in detail.newest]
        return kinds, newest

    async def schedules(self, queue: str | None, match: str, state: str | None) -> list[Row]:
        found = await self.monitor.schedules(queue=queue, match=match, state=state, limit=MANY)
        return [schedule_row(one) for one in found.items]

    async def schedule(self, queue: str, key: str) -> Row:
        return schedule_row(await self.monitor.schedule(queue, key))

    async def runs(self, queue: str, key: str, count: int, tz: str) -> list[Row]:
        return [run_row(one) for one in await self.monitor.runs(queue, key, count=count, tz=tz)]

    async def workers(self, queue: str | None) -> list[Row]:
        return [worker_row(one) for one in (await self.monitor.workers(queue=queue)).items]

    async def events(self, queue: str | None, types: Sequence[str]) -> AsyncIterator[Row]:
        names = [queue] if queue else [one.name for one in await self.storage.queues()]
        coming: asyncio.Queue[Row] = asyncio.Queue(1_000)

        async def follow(name: str) -> None:
            async for event in events(self.storage, name, after=NOW):
                if not types or str(event.type) in types:
                    await coming.put(
                        {
                            "at": iso(event.at), "queue": event.queue, "type": str(event.type), "id": event.job_id,
                            "name": event.name,
                        }
                    )  # fmt: skip

        tasks = [asyncio.create_task(follow(name)) for name in names]
        try:
            while True:
                yield await coming.get()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def names(self, kind: str, typed: str) -> list[str]:
        match kind:
            case "queue":
                found = [one.name for one in await self.storage.queues()]
            case "worker":
                found = [one.name for one in await self.storage.workers()]
            case _:
                found = [one.key for one in (await self.storage.schedules(limit=1_000)).items]
        return sorted({name for name in found if name.startswith(typed)})


def _mean(spreads: Sequence[Spread]) -> float | None:
    """The mean over all attempts, from the means of each minute and how many there were."""
    known = [one for one in spreads if one.mean is not None]
    count = sum(one.count for one in known)
    return sum((one.mean or 0.0) * one.count for one in known) / count if count else None


def counts_row(now: QueueCounts) -> Row:
    """Jobs of a queue by state."""
    return {
        "queue": now.queue, "waiting": now.waiting, "active": now.active, "delayed": now.delayed,
        "completed": now.completed, "failed": now.failed,
    }  # fmt: skip
