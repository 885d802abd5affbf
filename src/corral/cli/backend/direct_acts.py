"""Acting on jobs, queues and schedules of the store, through the admin's desk."""

from collections.abc import Mapping, Sequence
from typing import cast

from corral.admin.emptying import kept_in
from corral.cli.backend.direct_base import Parts
from corral.cli.backend.drafts import new_jobs, node_of, schedule_of, stored_schedule
from corral.cli.backend.notes import operation_row
from corral.cli.backend.plan_rows import schedule_row
from corral.cli.backend.port import Draft, Row, ScheduleDraft, through
from corral.cli.backend.rows import at_ms, job_detail
from corral.errors import JobFailedError
from corral.job import JobState
from corral.options import QueueSettings, RateLimit
from corral.payload import to_json
from corral.queue import MAX_BULK, Queue


class DirectActs(Parts):
    """What can be done with jobs and queues."""

    together = MAX_BULK

    async def add(self, queue: str, drafts: Sequence[Draft]) -> list[Row]:
        jobs = new_jobs(self.app, queue, drafts)
        rows: list[Row] = []
        for start in range(0, len(jobs), MAX_BULK):
            part = jobs[start : start + MAX_BULK]
            added = await self.desk.add(queue, part)
            rows += [
                {"queue": queue, "id": one.id, "name": job.name, "added": one.fresh}
                for one, job in zip(added, part, strict=True)
            ]
        return rows

    async def outcome(self, queue: str, job_id: str, timeout: float | None) -> Row:
        try:
            result = await Queue(queue, self.storage).handle(job_id).result(timeout)
        except JobFailedError as error:
            return {"state": "failed", "reason": error.reason}
        return {"state": "completed", "result": result}

    async def act(
        self, verb: str, queue: str, ids: Sequence[str], *, reset_attempts: bool = True, children: bool = False
    ) -> list[str]:
        match verb:
            case "retry":
                return await self.desk.retry(queue, ids, reset_attempts=reset_attempts)
            case "promote":
                return await self.desk.promote(queue, ids)
            case "cancel":
                return await self.desk.cancel(queue, ids)
            case _:
                return await self.desk.remove(queue, ids, children=children)

    async def edit(self, queue: str, job_id: str, change: Row) -> Row:
        given: dict[str, object] = {}
        if "data" in change:
            given["data"] = to_json(change["data"], "payload")
        if "priority" in change:
            given["priority"] = change["priority"]
        if "delay" in change:
            given["delay_ms"] = at_ms(cast(float, change["delay"]))
        await self.desk.edit(queue, job_id, **given)  # type: ignore[arg-type]  # each under its own name, checked above
        return await self._job(queue, job_id)

    async def _job(self, queue: str, job_id: str) -> Row:
        return job_detail(await self.monitor.job(queue, job_id))

    async def rerun(self, queue: str, job_id: str, change: Row) -> Row:
        data = to_json(change["data"], "payload") if "data" in change else None
        to_queue = cast(str | None, change.get("queue"))
        added = await self.desk.rerun(queue, job_id, data=data, to_queue=to_queue)
        return {"queue": to_queue or queue, "id": added.id, "added": added.fresh, "rerun_of": f"{queue}/{job_id}"}

    async def pause(self, queue: str, for_s: float | None) -> None:
        await self.desk.pause(queue, for_s=for_s)

    async def resume(self, queue: str) -> None:
        await self.desk.resume(queue)

    async def limit(self, queue: str, change: Row) -> Row:
        given: dict[str, object] = {}
        if "concurrency" in change:
            given["concurrency"] = change["concurrency"]
        if "rate" in change:
            rate = cast(tuple[int, float] | None, change["rate"])
            given["rate_limit"] = None if rate is None else RateLimit(rate[0], rate[1])
        info = await self.desk.change(queue, QueueSettings(**given))  # type: ignore[arg-type]  # as above
        limit = info.rate_limit
        return {
            "queue": queue, "concurrency": info.concurrency,
            "rate_limit": None if limit is None else f"{limit.count} / {limit.per:g} s",
        }  # fmt: skip

    async def drainable(self, queue: str, *, delayed: bool) -> int:
        return await self.desk.drain(queue, delayed=delayed, dry_run=True)

    async def drain(self, queue: str, *, delayed: bool, background: bool) -> Row:
        if background:
            return operation_row(await self.desk.start_drain(queue, delayed=delayed))
        return through("drain", await self.desk.drain(queue, delayed=delayed))

    async def cleanable(
        self, queue: str, states: Sequence[str], *, older_than: float, limit: int
    ) -> Mapping[str, int]:  # fmt: skip
        age = round(older_than * 1000)
        return {
            state: (await self.desk.clean(queue, [JobState(state)], older_ms=age, limit=limit, dry_run=True)).count
            for state in states
        }

    async def clean(self, queue: str, state: str, *, older_than: float, limit: int, background: bool) -> Row:
        states, age = [JobState(state)], round(older_than * 1000)
        if background:
            return operation_row(await self.desk.start_clean(queue, states, older_ms=age, limit=limit))
        return through("clean", (await self.desk.clean(queue, states, older_ms=age, limit=limit)).count)

    async def obliterate(self, queue: str, *, force: bool, background: bool) -> Row:
        if background:
            return operation_row(await self.desk.start_obliterate(queue, force=force))
        [counts] = await self.storage.counts([queue])
        await self.desk.obliterate(queue, force=force)
        return through("obliterate", kept_in(counts))

    async def put_schedule(self, draft: ScheduleDraft, *, fresh: bool) -> Row:
        if fresh:
            await self.desk.put_schedule(schedule_of(draft, None))
        else:
            old = await stored_schedule(self.storage, draft.queue, draft.key)
            new = schedule_of(draft, old)
            named: dict[str, object] = {"timing": new.timing, "name": new.name, "data": new.data, "limit": new.limit}
            changed = {key: value for key, value in named.items() if value != getattr(old, key)}
            await self.desk.edit_schedule(draft.queue, draft.key, **changed)  # type: ignore[arg-type]  # each under its own name
        return schedule_row(await self.monitor.schedule(draft.queue, draft.key))

    async def act_on_schedule(self, verb: str, queue: str, key: str) -> Row:
        match verb:
            case "run":
                added = await self.desk.run_schedule(queue, key)
                return {"queue": queue, "id": added.id, "schedule": key}
            case "remove":
                await self.desk.drop_schedule(queue, key)
                return {"queue": queue, "key": key}
            case "pause":
                await self.desk.pause_schedule(queue, key)
            case "resume":
                await self.desk.resume_schedule(queue, key)
            case _:
                await self.desk.repair_schedule(queue, key)
        return schedule_row(await self.monitor.schedule(queue, key))

    async def add_flow(self, tree: object) -> Row:
        handle = await self.desk.add_flow(node_of(self.app, tree))
        root = handle.root
        return {"queue": root.queue.name, "id": root.id, "jobs": len(handle.jobs)}

    async def retry_flow(self, queue: str, job_id: str, *, only_failed: bool) -> Row:
        return operation_row(await self.desk.retry_flow(queue, job_id, only_failed=only_failed))

    async def retry_failures(self, queue: str | None, fingerprint: str, *, every: float) -> Row:
        return operation_row(await self.desk.retry_failures(fingerprint, queue, every_ms=round(every * 1000)))

    async def mute(self, kind: str, subject: str, until: float | None) -> None:
        if until is None:
            await self.desk.unmute(kind, subject)
        else:
            await self.desk.mute(kind, subject, round(until * 1000))

    async def order(self, worker: str, command: str, value: int | None = None) -> str:
        return await self.desk.order(worker, command, value)

    async def answer(self, worker: str, command_id: str) -> str | None:
        return await self.desk.answer(worker, command_id)
