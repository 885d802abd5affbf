"""Acting over the HTTP API."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from corral.cli.backend.client import part
from corral.cli.backend.port import Draft, Row, ScheduleDraft, through
from corral.cli.backend.remote_base import Parts
from corral.cli.backend.remote_plan_rows import operation_row, schedule_row
from corral.cli.backend.remote_reads import job_at
from corral.cli.backend.remote_rows import items, job_detail, limit_text, of, table
from corral.cli.backend.wire import opts_of
from corral.errors import JobTimeoutError

PART = 1_000  #: jobs in one array
WAIT = 20.0  #: seconds of one long poll
ANY = {"If-Match": "*"}  #: whatever it is now: the command line has just looked, and a person decides


class RemoteActs(Parts):
    """What can be done with jobs and queues."""

    together = PART

    async def add(self, queue: str, drafts: Sequence[Draft]) -> list[Row]:
        rows: list[Row] = []
        path = f"/queues/{part(queue)}/jobs"
        for start in range(0, len(drafts), PART):
            some = drafts[start : start + PART]
            bodies = [{"name": one.name, "data": one.data, "opts": opts_of(one.options)} for one in some]
            if len(drafts) == 1:
                made = table(await self.client.send("POST", path, bodies[0]))
                return [{"queue": queue, "id": made["id"], "name": some[0].name, "added": not made.get("deduplicated")}]
            answer = items(await self.client.send("POST", path, bodies))
            rows += [
                {"queue": queue, "id": one["id"], "name": one["name"], "added": not one["deduplicated"]}
                for one in answer
            ]
        return rows

    async def outcome(self, queue: str, job_id: str, timeout: float | None) -> Row:
        left = timeout
        while True:
            wait = WAIT if left is None else min(WAIT, left)
            found = table(await self.client.get(f"{job_at(queue, job_id)}/result", wait=round(max(0.0, wait), 3)))
            if found["state"] == "completed":
                return {"state": "completed", "result": found.get("result")}
            if found["state"] == "failed":
                return {"state": "failed", "reason": _reason(of(found, "error"))}
            if left is not None:
                left -= wait
                if left <= 0:
                    raise JobTimeoutError(timeout or 0)

    async def act(
        self, verb: str, queue: str, ids: Sequence[str], *, reset_attempts: bool = True, children: bool = False
    ) -> list[str]:
        if verb == "remove" and (children or len(ids) == 1):
            for job_id in ids:
                query = {"children": "true"} if children else {}
                await self.client.send("DELETE", job_at(queue, job_id), headers=ANY, **query)
            return list(ids)
        if len(ids) == 1:
            body = {"reset_attempts": reset_attempts} if verb == "retry" else {}
            await self.client.send("POST", f"{job_at(queue, ids[0])}/{verb}", body)
            return list(ids)
        reached: list[str] = []
        for start in range(0, len(ids), 100):
            some = [{"queue": queue, "id": one} for one in ids[start : start + 100]]
            select: Row = {"action": verb, "select": {"ids": some}, "reset_attempts": reset_attempts}
            answer = await self.client.send("POST", "/jobs/bulk", select)
            reached += [str(one["id"]) for one in items(answer, "done")]
        return reached

    async def edit(self, queue: str, job_id: str, change: Row) -> Row:
        body = {key: value for key, value in change.items() if key in ("data", "priority")}
        if "delay" in change:
            body["delay_ms"] = round(cast(float, change["delay"]) * 1000)
        return job_detail(table(await self.client.send("PATCH", job_at(queue, job_id), body, headers=ANY)))

    async def rerun(self, queue: str, job_id: str, change: Row) -> Row:
        made = table(await self.client.send("POST", f"{job_at(queue, job_id)}/rerun", dict(change)))
        return {"queue": made["queue"], "id": made["id"], "added": True, "rerun_of": f"{queue}/{job_id}"}

    async def pause(self, queue: str, for_s: float | None) -> None:
        body = {} if for_s is None else {"for_seconds": for_s}
        await self.client.send("POST", f"/queues/{part(queue)}/pause", body)

    async def resume(self, queue: str) -> None:
        await self.client.send("POST", f"/queues/{part(queue)}/resume", {})

    async def limit(self, queue: str, change: Row) -> Row:
        body: dict[str, object] = {}
        if "concurrency" in change:
            body["global_concurrency"] = change["concurrency"]
        if "rate" in change:
            rate = cast(tuple[int, float] | None, change["rate"])
            body["rate_limit"] = None if rate is None else {"max": rate[0], "duration_ms": round(rate[1] * 1000)}
        now = table(await self.client.send("PATCH", f"/queues/{part(queue)}", body, headers=ANY))
        return {
            "queue": queue, "concurrency": now["global_concurrency"], "rate_limit": limit_text(of(now, "rate_limit")),
        }  # fmt: skip

    async def drainable(self, queue: str, *, delayed: bool) -> int:
        body = {"delayed": delayed, "dry_run": True}
        return cast(int, table(await self.client.send("POST", f"/queues/{part(queue)}/drain", body))["removed"])

    async def drain(self, queue: str, *, delayed: bool, background: bool) -> Row:
        return await self._emptied(queue, "drain", {"delayed": delayed, "confirm": queue}, background=background)

    async def cleanable(
        self, queue: str, states: Sequence[str], *, older_than: float, limit: int
    ) -> Mapping[str, int]:  # fmt: skip
        found: dict[str, int] = {}
        for state in states:
            body = {"state": state, "grace_ms": round(older_than * 1000), "limit": limit, "dry_run": True}
            answer = table(await self.client.send("POST", f"/queues/{part(queue)}/clean", body))
            found[state] = cast(int, answer["removed"])
        return found

    async def clean(self, queue: str, state: str, *, older_than: float, limit: int, background: bool) -> Row:
        body = {"state": state, "grace_ms": round(older_than * 1000), "limit": limit}
        return await self._emptied(queue, "clean", body, background=background)

    async def obliterate(self, queue: str, *, force: bool, background: bool) -> Row:
        return await self._emptied(queue, "obliterate", {"force": force, "confirm": queue}, background=background)

    async def _emptied(self, queue: str, verb: str, body: Row, *, background: bool) -> Row:
        headers = {"Prefer": "respond-async"} if background else {}
        answer = table(await self.client.send("POST", f"/queues/{part(queue)}/{verb}", body, headers=headers))
        # An API may have an opinion of its own about how much is much.
        return operation_row(answer) if "id" in answer else through(verb, cast(int, answer.get("removed", 0)))

    async def put_schedule(self, draft: ScheduleDraft, *, fresh: bool) -> Row:
        path = f"/queues/{part(draft.queue)}/schedules/{part(draft.key)}"
        body: dict[str, object] = {}
        if draft.cron is not None:
            body["pattern"] = draft.cron
        if draft.every is not None:
            body["every_ms"] = round(draft.every * 1000)
        if draft.tz is not None:
            body["tz"] = draft.tz
        if draft.limit is not None:
            body["limit"] = draft.limit
        if fresh:
            body["job"] = {"name": draft.name, "data": {} if draft.data is None else draft.data}
            there = any(row["key"] == draft.key for row in await self._of_queue(draft.queue))
            return schedule_row(table(await self.client.send("PUT", path, body, headers=ANY if there else {})))
        if draft.name is not None or draft.data is not None:
            old = of(await self.client.get(path), "job")
            body["job"] = {"name": draft.name or old["name"]}
            if draft.data is not None:
                body["job"] = {"name": draft.name or old["name"], "data": draft.data}
        return schedule_row(table(await self.client.send("PATCH", path, body, headers=ANY)))

    async def _of_queue(self, queue: str) -> list[Row]:
        answer = await self.client.get("/schedules", queue=queue, limit=500)
        return [schedule_row(one) for one in items(answer)]

    async def act_on_schedule(self, verb: str, queue: str, key: str) -> Row:
        path = f"/queues/{part(queue)}/schedules/{part(key)}"
        if verb == "remove":
            await self.client.send("DELETE", path, headers=ANY)
            return {"queue": queue, "key": key}
        answer = table(await self.client.send("POST", f"{path}/{verb}", {}))
        if verb == "run":
            return {"queue": answer["queue"], "id": answer["id"], "schedule": key}
        return schedule_row(answer)

    async def add_flow(self, tree: object) -> Row:
        made = table(await self.client.send("POST", "/flows", tree))
        return {"queue": made["queue"], "id": made["id"], "jobs": _count(made)}

    async def retry_flow(self, queue: str, job_id: str, *, only_failed: bool) -> Row:
        body = {"only": "failed" if only_failed else "all"}
        path = f"/flows/{part(queue)}/{part(job_id)}/retry"
        return operation_row(table(await self.client.send("POST", path, body)))

    async def retry_failures(self, queue: str | None, fingerprint: str, *, every: float) -> Row:
        body: dict[str, object] = {"every_ms": round(every * 1000)}
        if queue is not None:
            body["queue"] = queue
        return operation_row(table(await self.client.send("POST", f"/failures/{part(fingerprint)}/retry", body)))

    async def mute(self, kind: str, subject: str, until: float | None) -> None:
        base = f"/{'failures' if kind == 'failure' else 'attention'}/{part(subject)}"
        if until is None:
            await self.client.send("POST", f"{base}/unmute", {})
            return
        await self.client.send("POST", f"{base}/mute", {"until": datetime.fromtimestamp(until, UTC).isoformat()})

    async def order(self, worker: str, command: str, value: int | None = None) -> str:
        body = {} if value is None else {"value": value}
        answer = table(await self.client.send("POST", f"/workers/{part(worker)}/{command}", body))
        return str(answer["command_id"])

    async def answer(self, worker: str, command_id: str) -> str | None:
        answer = table(await self.client.get(f"/workers/{part(worker)}/commands/{part(command_id)}"))
        return cast(str | None, answer.get("answer"))


def _reason(error: Mapping[str, object]) -> str:
    kind = error.get("type")
    return f"{kind}: {error.get('message')}" if kind else str(error.get("message"))


def _count(node: Mapping[str, object]) -> int:
    return 1 + sum(_count(one) for one in items(node, "children"))
