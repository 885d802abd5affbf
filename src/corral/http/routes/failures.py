"""Kinds of failures: what fails, since when, how much, and what is done about it."""

from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import Query
from starlette.responses import Response

from corral.admin.deletions import quoted
from corral.admin.objects import Mark, Silence
from corral.admin.rights import Permission
from corral.errors import ConfigError, RecordNotFoundError
from corral.http.additions import run_at_ms
from corral.http.bodies import refusing
from corral.http.deps import Rate, allow, need, problem
from corral.http.idempotency import once
from corral.http.models.documented import shown
from corral.http.models.failures import (
    FailureDetail,
    FailureGroup,
    FailureList,
    FailureRemoveBody,
    FailureRetryBody,
    MuteBody,
    group_of,
)
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import summary
from corral.http.scope import concerns
from corral.http.spans import span_of
from corral.monitor.objects import FailureDetail as DetailRow
from corral.monitor.objects import FailureRow
from corral.timing import Millis

router = Router(tags=["Failures"])

#: Kinds that one answer is made from.
MOST = 2_000
Window = Annotated[str, Query(max_length=20, description="`24h`, `90m`, or seconds.")]


@router.get(
    "/failures", operation_id="list_failures", response_model=shown(FailureList), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def list_failures(
    call: Called, asked: Asked, window: Window = "24h",
    queue: Annotated[str | None, Query(max_length=256)] = None,
    state: Literal["open", "muted"] | None = None,
    sort: Literal["count", "last", "first"] = "last",
    new: Annotated[bool, Query(description="Only those that came up after the newest mark.")] = False,
) -> Response:  # fmt: skip
    """Kinds of failures."""
    found = await call.api.monitor.failures(queue=queue, window=span_of(window, "window"), limit=MOST)
    by_kind: dict[str, list[FailureRow]] = {}
    for row in found.items:
        if call.sees(row.queue):
            by_kind.setdefault(_kind(row), []).append(row)
    silence, marks = await _notes(call)
    groups = [_group(rows, silence, marks) for rows in by_kind.values()]
    rows = [one for one in groups if state in (None, one.state) and (one.new_since_mark or not new)]

    def key(one: FailureGroup) -> Key:
        first = {"count": -one.count, "last": _backwards(one.last_at), "first": _backwards(one.first_at)}[sort]
        return first, one.fingerprint, *sorted(one.queues)[:1]

    rows.sort(key=key)
    shown = cut(rows, key, asked, "failures", window, queue, state, sort, new)
    exact = len(found.items) < MOST and found.complete
    more = {"window_ms": found.window_ms, "examined": found.examined, "complete": found.complete}
    return listing(
        asked, FailureGroup, shown.items, next=shown.next, prev=shown.prev, total=len(rows),
        relation="eq" if exact else "gte", more=more,
    )  # fmt: skip


def _kind(row: FailureRow) -> str:
    """Kinds of Node's queues are made of their reasons, and are those of one queue each."""
    return (
        row.group.fingerprint if not row.group.fingerprint.startswith("~") else f"{row.group.fingerprint} {row.queue}"
    )


def _backwards(at: str) -> int:
    """A number that is the smaller the later an instant is."""
    return -int("".join(char for char in at if char.isdigit()))


async def _notes(call: Caller) -> tuple[Silence, Sequence[Mark]]:
    desk = await call.desk()
    return await desk.silence("failure"), await desk.marks()


def _group(rows: Sequence[FailureRow], silence: Silence, every: Sequence[Mark]) -> FailureGroup:
    first = min(row.group.first_at for row in rows)
    marks = [one for one in every if any(concerns((row.queue,), one.queues) for row in rows)]
    before = [one for one in marks if one.at <= first]
    muted = [silence.until(row.group.fingerprint, row.queue) for row in rows]
    newest = max(marks, key=lambda one: one.at, default=None)
    new = newest is not None and newest in before  # nothing was marked since it came up
    # Muted is what nobody wants to hear of in any of its queues.
    until = None if None in muted else min(one for one in muted if one is not None)
    return group_of(rows, muted_until=until, mark=newest.label if newest and new else None)


@router.get(
    "/failures/{fp}", operation_id="get_failure", response_model=shown(FailureDetail),
    responses=told("failure-not-found"), dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def get_failure(
    call: Called, fp: str, window: Window = "24h",
    queue: Annotated[str | None, Query(max_length=256)] = None,
    newest: Annotated[int, Query(ge=0, le=100)] = 10,
) -> Response:  # fmt: skip
    """One kind of failure with its newest jobs."""
    return answer(await _detail(call, fp, queue, span_of(window, "window"), newest))


async def _detail(
    call: Caller, fingerprint: str, queue: str | None, window: float = 86_400, newest: int = 10
) -> FailureDetail:
    details = await _details(call, fingerprint, queue, window, newest)
    silence, marks = await _notes(call)
    group = _group([one.failure for one in details], silence, marks)
    jobs = sorted((row for one in details for row in one.newest), key=lambda row: -(row.finished_at or 0))
    rights = call.rights
    return FailureDetail(
        **{name: getattr(group, name) for name in FailureGroup.__dataclass_fields__},
        newest=[summary(call, row, rights) for row in jobs[:newest]],
        complete=all(one.complete for one in details),
    )


async def _details(call: Caller, fingerprint: str, queue: str | None, window: float, newest: int) -> list[DetailRow]:
    """The kind in each queue that may be seen and has it. Raises: Problem (404)."""
    monitor = call.api.monitor
    names = [row.name for row in (await monitor.overview()).queues if row.failed or row.failed_total]
    found = []
    for name in sorted(names):
        if queue in (None, name) and call.sees(name):
            try:
                found.append(await monitor.failure(name, fingerprint, window=window, newest=newest))
            except ConfigError:
                continue
    if not found:
        problem("failure-not-found", f"No queue has failures of kind {fingerprint!r}.")
    return found


@router.post(
    "/failures/{fp}/retry", operation_id="retry_failures", response_model=shown(OperationInfo), status_code=202,
    responses=told("failure-not-found", "forbidden"),
    dependencies=[allow(Permission.JOB_RETRY, queue=None, rate=Rate.BULK)],
)  # fmt: skip
async def retry_failures(call: Called, fp: str, body: FailureRetryBody | None = None) -> Response:
    """Run them all again."""
    said = body or FailureRetryBody()
    if said.queue is not None:
        await need(call.request, Permission.JOB_RETRY, said.queue)
    return await _operation(call, "retry", fp, said.queue, said.reason, said.every_ms)


@router.post(
    "/failures/{fp}/remove", operation_id="remove_failures", response_model=shown(OperationInfo), status_code=202,
    responses=told("failure-not-found", "forbidden"),
    dependencies=[allow(Permission.JOB_REMOVE, queue=None, rate=Rate.BULK)],
)  # fmt: skip
async def remove_failures(call: Called, fp: str, body: FailureRemoveBody | None = None) -> Response:
    """Delete them all."""
    said = body or FailureRemoveBody()
    if said.queue is not None:
        await need(call.request, Permission.JOB_REMOVE, said.queue)
    return await _operation(call, "remove", fp, said.queue, said.reason)


async def _operation(
    call: Caller, action: str, fingerprint: str, queue: str | None, reason: str, every_ms: Millis = 0
) -> Response:
    found = await _details(call, fingerprint, queue, 86_400, MOST if fingerprint.startswith("~") else 0)
    reveal = await call.reveal()

    async def work() -> Response:
        desk = await call.desk(reason)
        if fingerprint.startswith("~"):  # nobody has written the kind into these jobs: they are named one by one
            ids = [(row.queue, row.id) for one in found for row in reversed(one.newest)]
            operation = await desk.start(action, ids=ids, every_ms=every_ms, visible=call.globs)
        else:
            where = "" if queue is None else f" queue:{quoted(queue)}"
            operation = await desk.start(
                action, query=f"state:failed fingerprint:{quoted(fingerprint)}{where}", every_ms=every_ms,
                visible=call.globs, reveal=reveal,
            )  # fmt: skip
        made = operation_of(operation, call.base)
        return answer(made, status=202, headers={"Location": made.links["self"]})

    return await once(call.request, call.api, call.who, work)


@router.post(
    "/failures/{fp}/mute", operation_id="mute_failure", response_model=shown(FailureDetail),
    responses=told("failure-not-found", "validation-failed"),
    dependencies=[allow(Permission.MARK_WRITE, queue=None)],
)  # fmt: skip
async def mute_failure(call: Called, fp: str, body: MuteBody) -> Response:
    """Do not speak of it for a while."""
    await _details(call, fp, None, 86_400, 0)
    with refusing():
        await (await call.desk(body.reason)).mute("failure", fp, run_at_ms(body.until), queues=call.globs)
    return answer(await _detail(call, fp, None))


@router.post(
    "/failures/{fp}/unmute", operation_id="unmute_failure", response_model=shown(FailureDetail),
    responses=told("failure-not-found"), dependencies=[allow(Permission.MARK_WRITE, queue=None)],
)  # fmt: skip
async def unmute_failure(call: Called, fp: str) -> Response:
    """Speak of it again."""
    await _details(call, fp, None, 86_400, 0)
    try:
        await (await call.desk()).unmute("failure", fp, queues=call.globs)
    except RecordNotFoundError:
        problem("failure-not-found", f"Failures of kind {fp!r} are not muted.")
    return answer(await _detail(call, fp, None))
