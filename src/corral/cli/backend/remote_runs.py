"""Operations, the audit log, marks and tokens over the HTTP API."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import cast

from corral.cli.backend.client import part
from corral.cli.backend.port import Row, Stretch, through
from corral.cli.backend.remote_base import PAGE, Parts, everything
from corral.cli.backend.remote_plan_rows import audit_row, mark_row, operation_row, token_row
from corral.cli.backend.remote_rows import finding_row, items, job_row, of, table


def time_of(at: float | None) -> str | None:
    """Epoch seconds as RFC 3339."""
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat()


class RemoteRuns(Parts):
    """Long operations, and what belongs to the administration."""

    @asynccontextmanager
    async def driving(self) -> AsyncIterator[None]:
        yield  # the API's own process works on them

    async def take_up(self, operation_id: str) -> None:
        return None

    async def preview(self, action: str, query: str, most: int | None) -> Row:
        body = {"action": action, "select": _select(query, most), "dry_run": True}
        found = table(await self.client.send("POST", "/jobs/bulk", body))
        sample = [f"{one['queue']}/{one['id']}" for one in items(found, "sample")]
        return {"action": action, "query": query, "count": found["count"], "exact": found["exact"], "sample": sample}

    async def start(
        self, action: str, query: str, most: int | None, *, expect: int | None = None, reset_attempts: bool = True
    ) -> Row:
        body: dict[str, object] = {
            "action": action, "select": _select(query, most), "reset_attempts": reset_attempts,
        }  # fmt: skip
        if expect is not None:
            body["expect"] = expect
        answer = table(await self.client.send("POST", "/jobs/bulk", body))
        if "id" in answer:
            return operation_row(answer)
        done, failed = items(answer, "done"), items(answer, "failed")
        # Few jobs: the API did it at once, without an operation.
        errors = operation_row({"errors": failed})["errors"]
        return {**through(action, len(done), failed=len(failed)), "query": query, "errors": errors}

    async def search(self, query: str, most: int) -> Row:
        body = {"q": query, "max": most, "background": True}
        return operation_row(table(await self.client.send("POST", "/jobs/search", body)))

    async def found(self, operation_id: str, *, limit: int, cursor: str | None = None) -> Stretch:
        path = f"/operations/{part(operation_id)}/results"
        answer = await self.client.get(path, limit=min(limit, PAGE), cursor=cursor)
        total = of(answer, "total")
        return Stretch(
            rows=[job_row(one) for one in items(answer)],
            cursor=cast(str | None, of(answer, "page").get("next")),
            complete=total.get("relation") == "eq",
            total=cast(int | None, total.get("value")),
        )

    async def operations(self) -> list[Row]:
        return [operation_row(one) for one in await everything(self.client, "/operations", most=500)]

    async def operation(self, operation_id: str) -> Row:
        return operation_row(table(await self.client.get(f"/operations/{part(operation_id)}")))

    async def abort(self, operation_id: str) -> Row:
        return operation_row(table(await self.client.send("POST", f"/operations/{part(operation_id)}/abort", {})))

    async def export(self, query: str) -> AsyncIterator[Row]:
        path, form = "/jobs/export", "application/x-ndjson"
        async with aclosing(self.client.lines(path, accept=form, q=query or None, format="ndjson")) as coming:
            async for line in coming:
                yield job_row(table(json.loads(line)))

    async def findings(self, queue: str | None, *, muted: bool) -> list[Row]:
        found = await everything(self.client, "/attention", queue=queue, muted="true" if muted else None)
        return [{**finding_row(one), "muted_until": one.get("muted_until")} for one in found]

    async def audit(self, filters: Row, limit: int) -> list[Row]:
        query = {key: filters.get(key) for key in ("actor", "action", "queue", "job")}
        query["from"] = time_of(cast(float | None, filters.get("since")))
        query["to"] = time_of(cast(float | None, filters.get("until")))
        return [audit_row(one) for one in await everything(self.client, "/audit", most=limit, **query)]

    async def marks(self) -> list[Row]:
        return [mark_row(one) for one in await everything(self.client, "/marks")]

    async def mark(self, label: str, at: float | None, url: str, color: str) -> Row:
        body: dict[str, object] = {"label": label, "url": url, "color": color}
        if at is not None:
            body["at"] = time_of(at)
        return mark_row(table(await self.client.send("POST", "/marks", body)))

    async def unmark(self, mark_id: str) -> None:
        await self.client.send("DELETE", f"/marks/{part(mark_id)}")

    async def tokens(self) -> list[Row]:
        return [token_row(one) for one in await everything(self.client, "/tokens")]

    async def create_token(self, name: str, role: str, queues: Sequence[str], expires_at: float | None) -> Row:
        body: dict[str, object] = {"name": name, "role": role, "queues": list(queues)}
        if expires_at is not None:
            body["expires_at"] = time_of(expires_at)
        made = table(await self.client.send("POST", "/tokens", body))
        return {**token_row(made), "token": made["token"]}

    async def revoke_token(self, token_id: str) -> None:
        await self.client.send("DELETE", f"/tokens/{part(token_id)}")


def _select(query: str, most: int | None) -> dict[str, object]:
    return {"q": query} | ({} if most is None else {"max": most})
