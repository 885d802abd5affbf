"""One verb for many jobs, and everything that a search finds as a file."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from fastapi import Query
from msgspec import Raw
from starlette.responses import Response, StreamingResponse

from corral.admin.acting import POSSIBLE, USUAL
from corral.admin.admin import Desk
from corral.admin.operations import check_expected
from corral.admin.problems import code_of, refusal
from corral.admin.rights import Permission
from corral.errors import ConfigError, CorralError
from corral.http.bodies import refused
from corral.http.deps import Rate, allow, need, problem, spend_one
from corral.http.idempotency import once
from corral.http.models.bodies import BulkBody
from corral.http.models.documented import shown
from corral.http.models.job_views import json_or_text
from corral.http.models.jobs import BulkDone, JobRef, JobSummary, Preview, Refused
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.rendering import MEDIA, Form, answer, columns, encoded, lines, sheet, trimmed
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import searched, summary
from corral.monitor.grammar import parse
from corral.monitor.objects import JobRow

router = Router(tags=["Jobs"])

#: What each verb takes.
RIGHTS = {
    "retry": Permission.JOB_RETRY,
    "promote": Permission.JOB_PROMOTE,
    "cancel": Permission.JOB_CANCEL,
    "remove": Permission.JOB_REMOVE,
    "edit_priority": Permission.JOB_EDIT,
}
#: So many jobs are done while the caller waits; more become an operation.
INLINE = 100
#: Jobs of one slice of an export: what of it is in memory at once.
SLICE = 100
TEXTS = ("data", "result")


@router.post(
    "/jobs/bulk", operation_id="bulk_jobs", response_model=shown(BulkDone | Preview),
    responses=told("invalid-query", "redacted-field", "forbidden", "selection-changed", "validation-failed",
                   "idempotency-mismatch", "idempotency-in-flight")
    | {202: {"model": shown(OperationInfo), "description": "More than 100 jobs: carried out in the background"}},
    dependencies=[allow(Permission.JOB_READ, queue=None, rate=Rate.READ)],
)  # fmt: skip
async def bulk_jobs(call: Called, body: BulkBody) -> Response:
    """Retry, promote, cancel, remove or re-prioritise many jobs.

    With `dry_run` it only counts them: that is a reading, and needs no reason.
    """
    if not body.dry_run:
        spend_one(call.request, Rate.BULK)
    select = body.select
    if (select.ids is None) == (select.q is None):
        refused("/select", "give ids or q, one of them")
    if select.ids is not None and not select.ids:
        refused("/select/ids", "name a job at least")
    if body.action == "edit_priority" and body.value is None:
        refused("/value", "say which priority")
    if call.who.own_only:
        problem("forbidden", "Producers cannot change many jobs at once.", permission=str(RIGHTS[body.action]))
    refs = [(one.queue, one.id) for one in select.ids or ()]
    await need(call.request, RIGHTS[body.action])
    for queue in dict.fromkeys(queue for queue, _ in refs):
        await need(call.request, RIGHTS[body.action], queue)
    try:
        return await _bulk(call, body, refs)
    except ConfigError as error:
        refused("/value" if error.key == "priority" else "/select", str(error))


async def _bulk(call: Caller, body: BulkBody, refs: Sequence[tuple[str, str]]) -> Response:
    desk = await call.desk(body.reason, changes=not body.dry_run)
    query = body.select.q
    reveal = await call.reveal()
    found = await desk.preview(
        body.action, query=query, ids=refs, most=body.select.max, visible=call.globs, reveal=reveal
    )
    if body.dry_run:
        sample = [JobRef(queue=queue, id=job_id) for queue, job_id in found.sample]
        return answer(Preview(count=found.count, exact=found.exact, sample=sample))
    few = found.exact and found.count <= INLINE

    async def work() -> Response:
        if few:
            if query is not None and body.expect is not None:
                check_expected(body.expect, found.count)
            jobs = refs if query is None else await _found(call, body, query)
            return answer(await _inline(desk, body, jobs))
        operation = await desk.start(
            body.action, query=query, ids=refs, most=body.select.max, value=body.value,
            expect=None if query is None else body.expect, reset_attempts=body.reset_attempts, visible=call.globs,
            reveal=reveal,
        )  # fmt: skip
        made = operation_of(operation, call.base)
        return answer(made, status=202, headers={"Location": made.links["self"]})

    return await once(call.request, call.api, call.who, work)


async def _found(call: Caller, body: BulkBody, query: str) -> list[tuple[str, str]]:
    """The jobs of a search that finds few: those in which the action can be done."""
    named = any(parse(query, now=call.api.monitor.at()).of("state"))
    states = tuple(POSSIBLE[body.action] if named else USUAL[body.action])
    most = min(body.select.max or INLINE, INLINE)
    refs: list[tuple[str, str]] = []
    cursor: str | None = None
    while len(refs) < most:
        found = await searched(call, query, states=states, limit=most, cursor=cursor)
        refs += [(row.queue, row.id) for row in found.items]
        cursor = found.scan.cursor
        if cursor is None:
            break
    return refs[:most]


async def _inline(desk: Desk, body: BulkBody, refs: Sequence[tuple[str, str]]) -> BulkDone:
    """Do it now, queue by queue, and say of each job what became of it."""
    done: list[JobRef] = []
    failed: list[Refused] = []
    by_queue: dict[str, list[str]] = {}
    for queue, job_id in dict.fromkeys(refs):
        by_queue.setdefault(queue, []).append(job_id)
    for queue, ids in by_queue.items():
        reached = await _act(desk, body, queue, ids, failed)
        done += [JobRef(queue=queue, id=job_id) for job_id in ids if job_id in reached]
        told_of = {one.id for one in failed if one.queue == queue}
        missing = [job_id for job_id in ids if job_id not in reached and job_id not in told_of]
        jobs = await desk.ground.monitor.states(queue, missing)
        for job_id, job in zip(missing, jobs, strict=True):
            failed.append(_refused(queue, job_id, refusal(body.action, queue, job_id, job)))
    return BulkDone(done=done, failed=failed)


async def _act(desk: Desk, body: BulkBody, queue: str, ids: list[str], failed: list[Refused]) -> set[str]:
    try:
        match body.action:
            case "retry":
                return set(await desk.retry(queue, ids, reset_attempts=body.reset_attempts))
            case "promote":
                return set(await desk.promote(queue, ids))
            case "cancel":
                return set(await desk.cancel(queue, ids))
            case "remove":
                return set(await desk.remove(queue, ids))
    except CorralError as error:
        if len(ids) != 1:
            raise
        failed.append(_refused(queue, ids[0], error))
        return set()
    reached = set()
    for job_id in ids:
        try:
            await desk.edit(queue, job_id, priority=body.value or 0)
            reached.add(job_id)
        except CorralError as error:
            failed.append(_refused(queue, job_id, error))
    return reached


def _refused(queue: str, job_id: str, error: CorralError) -> Refused:
    return Refused(queue=queue, id=job_id, problem={"code": code_of(error), "detail": str(error)})


# -- export --------------------------------------------------------------------------------------------------------


@router.get(
    "/jobs/export", operation_id="export_jobs", response_class=StreamingResponse,
    responses=told("invalid-query", "redacted-field")
    | {200: {"content": {media: {} for media in MEDIA.values()}, "description": "Every job that the search finds"}},
    dependencies=[allow(Permission.JOB_READ, queue=None, rate=Rate.BULK, long=True)],
)  # fmt: skip
async def export_jobs(
    call: Called,
    q: Annotated[str, Query(max_length=2_000)] = "",
    format: Literal["ndjson", "csv", "json"] = "ndjson",  # noqa: A002
    fields: Annotated[str, Query(max_length=1_000)] = "",
    include: Annotated[str, Query(max_length=100, description="`data`, `result`")] = "",
) -> Response:
    """Everything that a search finds, as a file."""
    chosen = tuple(one.strip() for one in fields.split(",") if one.strip())
    texts = tuple(one.strip() for one in include.split(",") if one.strip())
    for one in texts:
        if one not in TEXTS:
            problem(
                "invalid-parameter", f"There is no {one!r} to include; there are data, result.", parameter="include"
            )
    names = (*columns(JobSummary, [one for one in chosen if one not in TEXTS]), *texts)
    first = await _slice(call, q, None, names, texts)  # a search that cannot be read is told of before anything is sent
    await (await call.desk()).note("job.export", query=q)
    form = Form(format)
    headers = {"Content-Disposition": f'attachment; filename="jobs.{form}"'}
    return StreamingResponse(_stream(call, q, first, names, texts, form), headers=headers, media_type=MEDIA[form])


_Slice = tuple[list[dict[str, object]], str | None]


async def _slice(call: Caller, query: str, cursor: str | None, names: Sequence[str], texts: Sequence[str]) -> _Slice:
    found = await searched(call, query, limit=SLICE, cursor=cursor)
    rights = call.rights
    plain = [name for name in names if name not in texts]
    items = trimmed([summary(call, row, rights) for row in found.items], plain)
    for item, row in zip(items, found.items, strict=True):
        for part in texts:
            item[part] = await _part(call, row, part)
    return items, found.scan.cursor


async def _part(call: Caller, row: JobRow, part: str) -> Raw | None:
    """A text of a job; None when it has none, or is gone meanwhile. One at a time, so that memory stays bounded."""
    try:
        text = await call.api.monitor.text(row.queue, row.id, part, reveal=await call.reveal())
    except LookupError:
        return None
    return None if text is None else json_or_text(text)


async def _stream(
    call: Caller, query: str, first: _Slice, names: Sequence[str], texts: Sequence[str], form: Form
) -> AsyncIterator[bytes]:  # fmt: skip
    items, cursor = first
    header, comma = True, b""
    if form is Form.JSON:
        yield b"["
    while True:
        if form is Form.CSV:
            yield sheet(items, names, header=header)
            header = False
        elif form is Form.NDJSON:
            yield lines(items)
        else:
            for item in items:
                yield comma + encoded(item)
                comma = b",\n"
        if cursor is None:
            break
        items, cursor = await _slice(call, query, cursor, names, texts)
    if form is Form.JSON:
        yield b"]"
