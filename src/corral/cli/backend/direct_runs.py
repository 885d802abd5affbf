"""Operations, the audit log, marks and tokens of the store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

from corral.checks.doctor import examine
from corral.checks.mend import mend
from corral.cli.backend.direct_base import Parts
from corral.cli.backend.notes import audit_row, mark_row, operation_row, token_row
from corral.cli.backend.port import Row, Stretch
from corral.cli.backend.rows import at_ms, finding_row, job_row
from corral.cli.cells import iso
from corral.cli.keys import checked_keys

PAGE = 500  #: jobs asked for at once
_WORST = {"critical": 0, "warning": 1, "note": 2}


class DirectRuns(Parts):
    """Long operations, and what belongs to the administration."""

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[None]:
        async with self.admin.runner.run(all_of_them=False):
            yield

    async def take_up(self, operation_id: str) -> None:
        self.admin.runner.wake(operation_id)

    async def preview(self, action: str, query: str, most: int | None) -> Row:
        found = await self.desk.preview(action, query=query, most=most)
        return {
            "action": action, "query": query, "count": found.count, "exact": found.exact,
            "sample": [f"{queue}/{job_id}" for queue, job_id in found.sample],
        }  # fmt: skip

    async def start(
        self, action: str, query: str, most: int | None, *, expect: int | None = None, reset_attempts: bool = True
    ) -> Row:
        return operation_row(
            await self.desk.start(action, query=query, most=most, expect=expect, reset_attempts=reset_attempts)
        )

    async def search(self, query: str, most: int) -> Row:
        return operation_row(await self.desk.search(query, most=most))

    async def found(self, operation_id: str, *, limit: int, cursor: str | None = None) -> Stretch:
        begin = int(cursor or 0)
        found = await self.desk.found(operation_id, begin=begin, limit=min(limit, PAGE))
        rows = [job_row(one) for one in await self.monitor.rows(found.refs) if one is not None]
        after = begin + len(found.refs)
        more = str(after) if after < found.total else None
        return Stretch(rows=rows, cursor=more, complete=found.complete, total=found.total)

    async def operations(self) -> list[Row]:
        return [operation_row(one) for one in await self.desk.operations()]

    async def operation(self, operation_id: str) -> Row:
        return operation_row(await self.desk.operation(operation_id))

    async def abort(self, operation_id: str) -> Row:
        return operation_row(await self.desk.abort(operation_id))

    async def export(self, query: str) -> AsyncIterator[Row]:
        await self.desk.note("job.export", query=query)
        cursor = None
        while True:
            found = await self.monitor.jobs(query, limit=PAGE, cursor=cursor)
            for one in found.items:
                yield job_row(one)
            cursor = found.scan.cursor
            if cursor is None:
                return

    async def findings(self, queue: str | None, *, muted: bool) -> list[Row]:
        silence = await self.desk.silence("finding")
        rows: list[Row] = []
        for one in sorted(
            await self.monitor.attention(queue=queue), key=lambda one: (_WORST.get(one.severity, 3), one.id)
        ):
            until = silence.until(one.id, one.queue)
            if muted or until is None:
                rows.append({**finding_row(one), "muted_until": iso(until)})
        return rows

    async def audit(self, filters: Row, limit: int) -> list[Row]:
        given = dict(filters)
        for key in ("since", "until"):
            given[key] = at_ms(cast(float | None, given.get(key)))
        rows: list[Row] = []
        before: str | None = None
        while len(rows) < limit:
            page = await self.desk.audit(**given, before=before, limit=min(500, limit - len(rows)))  # type: ignore[arg-type]  # each under its own name
            rows += [audit_row(one) for one in page.items]
            before = page.next
            if before is None:
                break
        return rows

    async def marks(self) -> list[Row]:
        return [mark_row(one) for one in await self.desk.marks()]

    async def mark(self, label: str, at: float | None, url: str, color: str) -> Row:
        return mark_row(await self.desk.mark(label, at=at_ms(at), url=url, color=color))

    async def unmark(self, mark_id: str) -> None:
        await self.desk.unmark(mark_id)

    async def tokens(self) -> list[Row]:
        return [token_row(one) for one in await self.desk.tokens()]

    async def create_token(self, name: str, role: str, queues: Sequence[str], expires_at: float | None) -> Row:
        clear, token = await self.desk.create_token(name, role, tuple(queues), at_ms(expires_at))
        return {**token_row(token), "token": clear}

    async def revoke_token(self, token_id: str) -> None:
        await self.desk.revoke_token(token_id)

    async def doctor(self, only: Sequence[str]) -> list[Row]:
        found = await examine(self.storage, self.url, app=self.app, only=only, more=checked_keys())
        return [one.row() for one in found]

    async def mend(self, only: Sequence[str]) -> list[Row]:
        return [one.row() for one in await mend(self.storage, self.url, self.desk, only=only)]
