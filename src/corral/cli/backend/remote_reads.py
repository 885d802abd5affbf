"""Reading over the HTTP API."""

import json
from collections.abc import AsyncIterator, Sequence
from fnmatch import fnmatchcase
from typing import cast

from corral.cli.backend.client import part
from corral.cli.backend.port import Row, Stretch
from corral.cli.backend.remote_base import Parts, everything
from corral.cli.backend.remote_plan_rows import failure_row, flow_row, node_row, run_row, schedule_row, worker_row
from corral.cli.backend.remote_rows import (
    finding_row,
    items,
    job_detail,
    job_row,
    of,
    queue_detail,
    queue_row,
    seconds,
    table,
    why_row,
)
from corral.cli.cells import iso
from corral.cli.failures import NOT_FOUND, Failure
from corral.errors import RedactedFieldError
from corral.sensitive import HIDDEN, shown
from corral.timing import now_ms

FOLLOWED = 20  #: queues that one stream of events may follow
LINES = 1_000


def job_at(queue: str, job_id: str) -> str:
    """The path of a job."""
    return f"/queues/{part(queue)}/jobs/{part(job_id)}"


class RemoteReads(Parts):
    """What can be asked."""

    async def queues(self, match: Sequence[str] = ()) -> list[Row]:
        rows = [queue_row(one) for one in await everything(self.client, "/queues", sort="name")]
        return [row for row in rows if not match or any(fnmatchcase(str(row["queue"]), one) for one in match)]

    async def has(self, queue: str) -> bool:
        try:
            await self.client.get(f"/queues/{part(queue)}")
        except Failure as error:
            if error.exit_code != NOT_FOUND:
                raise
            return False
        return True

    async def queue(self, name: str) -> Row:
        return queue_detail(table(await self.client.get(f"/queues/{part(name)}", include="priorities")))

    async def counts(self, queue: str) -> Row:
        row = queue_row(table(await self.client.get(f"/queues/{part(queue)}")))
        return {key: row[key] for key in ("queue", "waiting", "active", "delayed", "completed", "failed")}

    async def worked(self, queue: str, window: float) -> Row:
        since = iso(now_ms() - round(window * 1000))
        found: dict[str, list[list[float | None]]] = {}
        for metric in ("completed", "failed", "retried", "wait_ms", "run_ms"):
            answer = await self.client.get(
                f"/queues/{part(queue)}/metrics", metric=metric, step="1m", agg="mean", **{"from": since}
            )
            found[metric] = [point for line in items(answer, "series") for point in _points(line)]
        return {
            "done": _sum(found["completed"]),
            "failed": _sum(found["failed"]),
            "retried": _sum(found["retried"]),
            "mean_wait_s": seconds(_mean(found["wait_ms"])),
            "mean_run_s": seconds(_mean(found["run_ms"])),
        }

    async def overview(self) -> Row:
        stats = table(await self.client.get("/stats"))
        totals, rates = of(stats, "totals"), of(stats, "rates")
        minutes = cast(float, rates.get("window_ms") or 60_000) / 60_000
        return {
            **{key: totals.get(key) for key in ("waiting", "active", "delayed", "completed", "failed")},
            "done_per_min": round(cast(int, rates.get("completed") or 0) / minutes, 2),
            "failed_per_min": round(cast(int, rates.get("failed") or 0) / minutes, 2),
            "oldest_s": stats.get("oldest_waiting_seconds"),
            **{key: stats.get(key) for key in ("workers", "slots", "busy")},
            "attention": [finding_row(one) for one in await everything(self.client, "/attention")],
        }

    async def series(self, queue: str | None, points: int) -> list[Row]:
        since = iso(now_ms() - points * 60_000)
        by_minute: dict[float, dict[str, object]] = {}
        for metric in ("completed", "failed", "retried"):
            answer = await self.client.get("/metrics/series", metric=metric, step="1m", queue=queue, **{"from": since})
            for line in items(answer, "series"):
                for point in _points(line):
                    at = point[0] or 0
                    row = by_minute.setdefault(at, {"at": iso(round(at)), "completed": 0, "failed": 0, "retried": 0})
                    row[metric] = cast(int, row[metric]) + round(point[1] or 0)
        return [by_minute[at] for at in sorted(by_minute)]

    async def jobs(self, query: str, *, queue: str | None = None, limit: int, cursor: str | None = None) -> Stretch:
        path = "/jobs" if queue is None else f"/queues/{part(queue)}/jobs"
        answer = await self.client.get(path, q=query or None, limit=min(limit, 500), cursor=cursor)
        scan, total = of(answer, "scan"), of(answer, "total")
        exact = total.get("relation") == "eq"
        return Stretch(
            rows=[job_row(one) for one in items(answer)],
            cursor=cast(str | None, of(answer, "page").get("next") or scan.get("cursor")),
            complete=bool(scan.get("complete", True)),
            total=cast(int | None, total.get("value")) if exact else None,
            examined=cast(int, scan.get("examined") or 0),
        )

    async def job(self, queue: str, job_id: str, *, reveal: bool = False) -> Row:
        return job_detail(table(await self.client.get(job_at(queue, job_id), include="attempts")), reveal=reveal)

    async def payload(self, queue: str, job_id: str, *, hide: bool) -> object:
        found = await self.client.get(f"{job_at(queue, job_id)}/payload")
        if hide:
            paths = of(await self.client.get(job_at(queue, job_id)), "opts").get("sensitive")
            return shown(found, paths if isinstance(paths, list) else ())
        if f'"{HIDDEN}"' in json.dumps(found, ensure_ascii=False):
            raise RedactedFieldError("data")
        return found

    async def why(self, queue: str, job_id: str) -> Row:
        return why_row(table(await self.client.get(f"{job_at(queue, job_id)}/why")))

    async def logs(self, queue: str, job_id: str, *, start: int, limit: int) -> tuple[Sequence[str], int]:
        answer = await self.client.get(f"{job_at(queue, job_id)}/logs", start=start, limit=min(limit, LINES))
        return [str(one["message"]) for one in items(answer)], cast(int, table(answer).get("total") or 0)

    async def flow(self, queue: str, job_id: str, *, depth: int) -> Row:
        return node_row(table(await self.client.get(f"{job_at(queue, job_id)}/flow", depth=depth)))

    async def flows(self, queue: str | None, limit: int) -> list[Row]:
        return [flow_row(one) for one in await everything(self.client, "/flows", most=limit, queue=queue)]

    async def failures(self, queue: str | None, window: float) -> list[Row]:
        found = await everything(self.client, "/failures", window=f"{window:g}s", queue=queue)
        rows = [failure_row(one, name) for one in found for name in of(one, "queues")]
        return [row for row in rows if queue in (None, row["queue"])]

    async def failure(self, queue: str | None, fingerprint: str, window: float) -> tuple[list[Row], list[Row]]:
        group = table(await self.client.get(f"/failures/{part(fingerprint)}", window=f"{window:g}s", queue=queue))
        kinds: list[Row] = [failure_row(group, name) for name in of(group, "queues") if queue in (None, name)]
        return kinds, [job_row(one) for one in items(group, "newest")]

    async def schedules(self, queue: str | None, match: str, state: str | None) -> list[Row]:
        found = await everything(self.client, "/schedules", queue=queue, match=match, state=state)
        return [schedule_row(one) for one in found]

    async def schedule(self, queue: str, key: str) -> Row:
        return schedule_row(table(await self.client.get(f"/queues/{part(queue)}/schedules/{part(key)}")))

    async def runs(self, queue: str, key: str, count: int, tz: str) -> list[Row]:
        path = f"/queues/{part(queue)}/schedules/{part(key)}/next"
        return [run_row(one) for one in items(await self.client.get(path, n=count, here=tz), "runs")]

    async def workers(self, queue: str | None) -> list[Row]:
        return [worker_row(one) for one in await everything(self.client, "/workers", queue=queue)]

    async def events(self, queue: str | None, types: Sequence[str]) -> AsyncIterator[Row]:
        names = [queue] if queue else (await self.names("queue", ""))[:FOLLOWED]
        topics = ",".join(f"queue:{part(name)}" for name in names)
        event = ""
        async for line in self.client.lines("/events", topics=topics):
            field, _, text = line.partition(":")
            if field == "event":
                event = text.strip()
            elif field == "data" and event not in ("hello", "bye"):
                row, kinds = _event(event, text.strip())
                if not types or kinds & set(types):
                    yield row

    async def names(self, kind: str, typed: str) -> list[str]:
        match kind:
            case "queue":
                found = [str(one["name"]) for one in await everything(self.client, "/queues", sort="name")]
            case "worker":
                found = [str(one["name"]) for one in await everything(self.client, "/workers")]
            case _:
                found = [str(one["id"]) for one in await everything(self.client, "/schedules")]
        return sorted({name for name in found if name.startswith(typed)})

    async def doctor(self, only: Sequence[str]) -> list[Row]:
        answer = await self.client.get("/system/doctor", only=",".join(only) or None)
        return [dict(one) for one in items(answer)]

    async def mend(self, only: Sequence[str]) -> list[Row]:
        answer = await self.client.send("POST", "/system/doctor/fix", {"only": list(only)})
        return [dict(one) for one in items(answer)]


def _event(kind: str, text: str) -> tuple[Row, frozenset[str]]:
    """What happened, and the types of events that it is: of many at once the API tells how many there were of each."""
    try:
        data = table(json.loads(text))
    except ValueError:
        data = {}
    at = data.get("at_ms")
    states = of(data, "states")
    row: Row = {
        "at": iso(at) if isinstance(at, int) else iso(now_ms()), "queue": data.get("queue"),
        "type": data.get("event") or ", ".join(states) or kind, "id": data.get("id"), "name": data.get("name"),
    }  # fmt: skip
    return row, frozenset({str(row["type"]), *states})


def _points(line: Row) -> list[list[float | None]]:
    found = line.get("points")
    return cast(list[list[float | None]], found) if isinstance(found, list) else []


def _sum(points: Sequence[Sequence[float | None]]) -> int:
    return round(sum(point[1] or 0 for point in points))


def _mean(points: Sequence[Sequence[float | None]]) -> float | None:
    """The mean over all attempts, from the means of each minute and how many there were."""
    count = sum(point[2] or 0 for point in points)
    return sum((point[1] or 0) * (point[2] or 0) for point in points) / count if count else None
