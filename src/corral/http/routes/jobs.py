"""Jobs: lists, searches, one job and its texts."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from fastapi import Query
from msgspec import Raw
from starlette.responses import PlainTextResponse, Response

from corral.admin.rights import Permission
from corral.errors import JobNotFoundError, QueryError
from corral.http.bodies import refused
from corral.http.deps import Rate, allow, need, problem, spend_one
from corral.http.etags import etag_of, unchanged
from corral.http.idempotency import once
from corral.http.models.base import NULL, Listing, ScanInfo
from corral.http.models.bodies import NoteBody, SearchBody
from corral.http.models.defaults import effective
from corral.http.models.documented import shown
from corral.http.models.job_views import (
    attempt_of,
    error_of,
    flow_of,
    job_of,
    json_or_text,
    raw_of,
    state_of,
    summary_of,
    why_of,
)
from corral.http.models.jobs import Attempt, FlowNode, Job, JobStateInfo, JobSummary, Logged, LogLine, Logs, Result, Why
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.paging import Ask, Asked, listing
from corral.http.rendering import Form, answer, form_of, lines
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.queues import exists, words
from corral.http.scope import actions_of
from corral.http.waiting import LONGEST, ended
from corral.job import Job as StoredJob
from corral.job import JobState
from corral.monitor.grammar import parse
from corral.monitor.objects import JobDetail, JobRow
from corral.monitor.objects import Jobs as Found

router = Router(tags=["Jobs"])

INCLUDES = ("why", "attempts", "flow", "raw")
JOB = "/queues/{q}/jobs/{id}"
Reveal = Annotated[bool, Query(description="`false`: hide what is sensitive, though it might be seen.")]
Count = Annotated[
    str,
    Query(
        pattern="^(exact|estimate|none)$",
        description="`exact` counts all that fit, as far as one request looks; `estimate` tells what is known anyway.",
    ),
]


# -- lists ---------------------------------------------------------------------------------------------------------


@router.get(
    "/jobs", operation_id="search_jobs", response_model=shown(Listing[JobSummary]),
    responses=told("invalid-query", "invalid-cursor", "redacted-field"),
    dependencies=[allow(Permission.JOB_READ, queue=None)],
)  # fmt: skip
async def search_jobs(
    call: Called, asked: Asked,
    q: Annotated[str, Query(max_length=2_000, description="`state:failed queue:email error:~timeout`")] = "",
    count: Count = "estimate",
) -> Response:  # fmt: skip
    """Search jobs of all queues."""
    return await _jobs(call, asked, q, count=count)


@router.post(
    "/jobs/search", operation_id="search_jobs_by_body", response_model=shown(Listing[JobSummary]),
    responses=told("invalid-query", "invalid-cursor", "redacted-field", "forbidden")
    | {202: {"model": shown(OperationInfo), "description": "With `background`: see `links.results`"}},
    dependencies=[allow(Permission.JOB_READ, queue=None, rate=Rate.READ)],
)  # fmt: skip
async def search_by_body(call: Called, body: SearchBody) -> Response:
    """The same, for searches too long for an address, or, in the background, for one request."""
    if body.background:
        return await _in_background(call, body)
    asked = Ask(call.request, body.limit, body.cursor, (), form_of(call.request))
    return await _jobs(call, asked, body.q)


async def _in_background(call: Caller, body: SearchBody) -> Response:
    await need(call.request, Permission.QUEUE_READ)  # without it they could not look at the operation
    if body.cursor is not None:
        refused("/cursor", "a search in the background begins at the beginning")
    spend_one(call.request, Rate.BULK)
    desk = await call.desk(body.reason)

    async def work() -> Response:
        started = await desk.search(
            call.own(body.q), most=body.max, visible=call.globs, reveal=await call.reveal()
        )  # fmt: skip
        made = operation_of(started, call.base)
        return answer(made, status=202, headers={"Location": made.links["self"]})

    return await once(call.request, call.api, call.who, work)


@router.get(
    "/queues/{q}/jobs", operation_id="list_jobs", response_model=shown(Listing[JobSummary]),
    responses=told("queue-not-found", "invalid-query", "invalid-cursor", "redacted-field"),
    dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def list_jobs(
    call: Called, q: str, asked: Asked,
    search: Annotated[str, Query(alias="q", max_length=2_000, description="A search.")] = "",
    state: Annotated[str, Query(max_length=200, description="`failed`, or several: `waiting,delayed`.")] = "",
    sort: Annotated[str | None, Query(max_length=40, description="What fits: `-finished`, `run_at`.")] = None,
    count: Count = "estimate",
) -> Response:  # fmt: skip
    """Jobs of one queue, newest first in each state."""
    await exists(call, q)
    states = _states(state)
    _check_sort(sort, states)
    return await _jobs(call, asked, search, queue=q, states=states, count=count)


def _states(text: str) -> list[JobState]:
    found = [one.strip() for one in text.split(",") if one.strip()]
    for one in found:
        if one not in tuple(JobState):
            known = ", ".join(str(state) for state in JobState)
            problem("invalid-parameter", f"There is no state {one!r}; there are {known}.", parameter="state")
    return [JobState(one) for one in found]


#: The orders in which jobs of some states stand; another one would mean to read all of them.
_ORDERS = {
    "-finished": {JobState.COMPLETED, JobState.FAILED},
    "run_at": {JobState.DELAYED},
    "wait": {JobState.WAITING},
}


def _check_sort(sort: str | None, states: Sequence[JobState]) -> None:
    if sort is not None and not (sort in _ORDERS and states and set(states) <= _ORDERS[sort]):
        problem(
            "invalid-parameter",
            "Jobs can be sorted by -finished (completed, failed), run_at (delayed) or wait (waiting), "
            "together with their state.",
            parameter="sort",
        )


async def _jobs(
    call: Caller, asked: Ask, query: str, *, queue: str | None = None, states: Sequence[JobState] = (),
    count: str = "estimate",
) -> Response:  # fmt: skip
    found = await searched(call, query, queue=queue, states=states, limit=asked.limit, cursor=asked.cursor)
    rights = call.rights
    items = [summary(call, row, rights) for row in found.items]
    scan = found.scan
    total, relation = _total(found, count, first=not asked.cursor)
    if count == "exact" and relation != "eq":
        counted = await call.api.monitor.count(
            call.own(query), queue=queue, states=states, reveal=await call.reveal(), visible=call.globs
        )
        total, relation = counted.value, "eq" if counted.whole else "gte"
    info = ScanInfo(
        strategy=scan.strategy, examined=scan.examined, candidates=scan.candidates, complete=scan.complete,
        unread=scan.unread, cursor=scan.cursor, took_ms=scan.took_ms,
    )  # fmt: skip
    return listing(asked, JobSummary, items, next=scan.cursor, total=total, relation=relation, scan=info)


def _total(found: Found, count: str, *, first: bool) -> tuple[int | None, str]:
    if count == "none":
        return None, "unknown"
    if found.total is not None:
        return found.total, "eq"
    if first and found.scan.complete and found.scan.cursor is None:  # all that there is stands on this page
        return len(found.items), "eq"
    return (len(found.items), "gte") if not found.scan.complete else (None, "unknown")


async def searched(
    call: Caller, query: str, *, queue: str | None = None, states: Sequence[JobState] = (), limit: int = 50,
    cursor: str | None = None,
) -> Found:  # fmt: skip
    """A search with the rights of who asks. Raises: Problem: 400, a cursor of another search."""
    wanted = call.own(query)
    monitor = call.api.monitor
    try:
        return await monitor.jobs(
            wanted, queue=queue, states=states, limit=limit, cursor=cursor or None, reveal=await call.reveal(),
            visible=call.globs,
        )  # fmt: skip
    except QueryError as error:
        if cursor:
            parse(query, now=monitor.at())  # a search that cannot be read is the caller's first trouble
            problem("invalid-cursor", f"{str(error).partition(' (at ')[0]}.")
        raise


def summary(call: Caller, row: JobRow, rights: frozenset[Permission]) -> JobSummary:
    """A job in a list."""
    return summary_of(row, call.base, actions_of(row.state, rights, scheduled=row.schedule is not None), call.sees)


# -- one job -------------------------------------------------------------------------------------------------------


async def detailed(call: Caller, queue: str, job_id: str, *, reveal: bool = True) -> JobDetail:
    """A job that they may see. Raises: JobNotFoundError. Problem (404)."""
    detail = await call.api.monitor.job(queue, job_id, reveal=await call.reveal(reveal))
    call.check_own(detail.options.tags, queue, job_id)
    return detail


async def lean(call: Caller, queue: str, job_id: str) -> StoredJob:
    """A job that they may see, without its texts. Raises: JobNotFoundError. Problem (404)."""
    [job] = await call.api.monitor.states(queue, [job_id])
    if job is None:
        raise JobNotFoundError(queue, job_id)
    call.check_own(job.options.tags, queue, job_id)
    return job


def tag_of(detail: JobDetail) -> str:
    """What a job is known by: its state, and what may be changed of it, as far as the reader sees it."""
    row = detail.row
    return etag_of(
        row.queue, row.id, row.name, str(row.state), row.priority, row.run_at, row.attempts_made,
        detail.attempts_started, row.data_bytes, detail.data, detail.options,
    )  # fmt: skip


async def rendered(
    call: Caller, detail: JobDetail, include: set[str] | frozenset[str] = frozenset(), *,
    deduplicated: bool | None = None, reveal: bool = True,
) -> tuple[Job, str]:  # fmt: skip
    """A job as it is shown, and its ETag."""
    row = detail.row
    queue, job_id = row.queue, row.id
    monitor = call.api.monitor
    why = why_of(await monitor.why(queue, job_id), others=call.sees_all) if "why" in include else None
    flow = flow_of(await monitor.flow(queue, job_id), call.base, call.sees, call.owner) if "flow" in include else None
    made = job_of(
        detail, call.base, actions_of(row.state, call.rights, scheduled=row.schedule is not None),
        effective=effective(call.api.app, queue, row.name, detail.options), deduplicated=deduplicated, why=why,
        attempts=[attempt_of(one) for one in detail.attempts] if "attempts" in include else None, flow=flow,
        sees=call.sees, raw=await _raw(call, queue, job_id, reveal=reveal) if "raw" in include else NULL,
    )  # fmt: skip
    return made, tag_of(detail)


async def _raw(call: Caller, queue: str, job_id: str, *, reveal: bool) -> Raw:
    job = await call.api.monitor.kept(queue, job_id)
    call.check_own(job.options.tags, queue, job_id)  # it may be another one than the moment before
    hidden = raw_of(job, call.sees, partial(call.api.monitor.hidden, job=job))
    if not await call.reveal(reveal):
        return hidden
    whole = raw_of(job, call.sees, None)
    if whole != hidden:
        await (await call.desk()).note("job.reveal", queue=queue, job=job_id)
    return whole


@router.get(
    JOB, operation_id="get_job", response_model=shown(Job), responses=told("queue-not-found", "job-not-found"),
    dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_job(
    call: Called, q: str, id: str,  # the name of the parameter
    include: Annotated[str, Query(max_length=200, description="`why`, `attempts`, `flow`, `raw`")] = "",
    reveal: Reveal = True,
) -> Response:  # fmt: skip
    """One job."""
    wanted = words(include, INCLUDES)
    job, etag = await rendered(call, await detailed(call, q, id, reveal=reveal), wanted, reveal=reveal)
    if unchanged(call.request, etag) and not wanted:
        return Response(status_code=304, headers={"ETag": etag})
    return answer(job, headers={"ETag": etag})


@router.get(
    f"{JOB}/state", operation_id="get_job_state", response_model=shown(JobStateInfo),
    responses=told("queue-not-found", "job-not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_state(call: Called, q: str, id: str) -> Response:
    """Where a job is, cheaply."""
    job = await lean(call, q, id)
    return answer(state_of(job, await _progress(call, job)))


async def _progress(call: Caller, job: StoredJob) -> str | None:
    if job.progress is None or await call.reveal():
        return job.progress
    return call.api.monitor.hidden(job.progress, job)


@router.get(
    f"{JOB}/result", operation_id="get_job_result", response_model=shown(Result),
    responses=told("queue-not-found", "job-not-found")
    | {202: {"model": shown(Result), "description": "Not finished yet"}},
    dependencies=[allow(Permission.JOB_READ, waits=True)],
)  # fmt: skip
async def get_result(
    call: Called, q: str, id: str,
    wait: Annotated[float, Query(ge=0, le=LONGEST, description="Seconds to wait for its end.")] = 0,
) -> Response:  # fmt: skip
    """How a job ended; waits for it if asked to."""
    job = await lean(call, q, id)
    if not job.state.finished and wait > 0:
        job = await ended(call.request, call.api, q, id, wait)
    if not job.state.finished:
        pending = Result(queue=q, id=id, state=str(job.state), result=json_or_text(None))
        return answer(pending, status=202, headers={"Retry-After": "1"})
    return answer(await result_of(call, job))


async def result_of(call: Caller, job: StoredJob) -> Result:
    """How a finished job ended, its result whole."""
    failed = job.state is JobState.FAILED
    reveal = await call.reveal()
    text = None if failed else await call.api.monitor.text(job.queue, job.id, "result", reveal=reveal)
    return Result(
        queue=job.queue, id=job.id, state=str(job.state), result=json_or_text(text),
        error=error_of(job.failed_reason or "") if failed else None,
    )  # fmt: skip


@router.get(
    f"{JOB}/payload", operation_id="get_job_payload", responses=told("queue-not-found", "job-not-found"),
    dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_payload(
    call: Called, q: str, id: str,
    max: Annotated[int | None, Query(ge=1, le=100_000_000, description="Only so many bytes.")] = None,  # noqa: A002
    reveal: Reveal = True,
) -> Response:  # fmt: skip
    """The payload as it is stored."""
    return await _text(call, q, id, "data", max, wanted=reveal)


@router.get(
    f"{JOB}/result/raw", operation_id="get_job_result_raw",
    responses=told("queue-not-found", "job-not-found", "not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_raw_result(
    call: Called, q: str, id: str,
    max: Annotated[int | None, Query(ge=1, le=100_000_000, description="Only so many bytes.")] = None,  # noqa: A002
    reveal: Reveal = True,
) -> Response:  # fmt: skip
    """The result as it is stored."""
    return await _text(call, q, id, "result", max, wanted=reveal)


async def _text(call: Caller, queue: str, job_id: str, part: str, most: int | None, *, wanted: bool) -> Response:
    await lean(call, queue, job_id)
    reveal = await call.reveal(wanted)
    text = await call.api.monitor.text(queue, job_id, part, reveal=reveal)
    if text is None:
        problem("not-found", f"Job {job_id!r} has no {part}.")
    body = text.encode("utf-8", "replace")
    if reveal and text != await call.api.monitor.text(queue, job_id, part):
        await (await call.desk()).note("job.reveal", queue=queue, job=job_id)
    headers = {"X-Total-Bytes": str(len(body)), "Content-Disposition": f'attachment; filename="{part}.json"'}
    whole = most is None or len(body) <= most
    # A part of a document is no document: it must not be taken for one.
    kind = "application/json" if whole else "text/plain; charset=utf-8"
    return Response(body if whole else body[:most], headers=headers, media_type=kind)


@router.get(
    f"{JOB}/logs", operation_id="get_job_logs", response_model=shown(Logs),
    responses=told("queue-not-found", "job-not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_logs(
    call: Called, q: str, id: str,
    start: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1_000)] = 1_000,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "asc",
) -> Response:  # fmt: skip
    """A job's log."""
    await lean(call, q, id)
    page = await call.api.monitor.logs(q, id, start=start, limit=limit)
    if order == "desc":
        begin = max(0, page.total - start - limit)
        end = max(0, page.total - start)
        page = await call.api.monitor.logs(q, id, start=begin, limit=end - begin)
        start = begin
    items = [LogLine(n=start + number, message=line) for number, line in enumerate(page.items)]
    if order == "desc":
        items.reverse()
    if "text/plain" in call.request.headers.get("accept", ""):
        return PlainTextResponse("".join(f"{one.message}\n" for one in items))
    if form_of(call.request) is Form.NDJSON:
        return Response(lines(items), media_type="application/x-ndjson")
    return answer(Logs(items=items, total=page.total))


@router.post(
    f"{JOB}/logs", operation_id="add_job_note", response_model=shown(Logged), status_code=201,
    responses=told("queue-not-found", "job-not-found", "validation-failed"),
    dependencies=[allow(Permission.JOB_EDIT)],
)  # fmt: skip
async def add_note(call: Called, q: str, id: str, body: NoteBody) -> Response:
    """Write a note into a job's log."""
    if not body.message.strip():
        refused("/message", "a note must say something")
    await lean(call, q, id)
    return answer(Logged(total=await (await call.desk()).log(q, id, body.message)), status=201)


@router.get(
    f"{JOB}/attempts", operation_id="get_job_attempts", response_model=shown(list[Attempt]),
    responses=told("queue-not-found", "job-not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_attempts(call: Called, q: str, id: str) -> Response:
    """A job's attempts, oldest first."""
    return answer([attempt_of(one) for one in (await detailed(call, q, id)).attempts])


@router.get(
    f"{JOB}/why", operation_id="get_job_why", response_model=shown(Why),
    responses=told("queue-not-found", "job-not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_why(call: Called, q: str, id: str) -> Response:
    """Why it is not running, and when it may."""
    await lean(call, q, id)
    return answer(why_of(await call.api.monitor.why(q, id), others=call.sees_all))


@router.get(
    f"{JOB}/flow", operation_id="get_job_flow", response_model=shown(FlowNode),
    responses=told("queue-not-found", "job-not-found"), dependencies=[allow(Permission.JOB_READ)],
)  # fmt: skip
async def get_flow(
    call: Called, q: str, id: str,
    depth: Annotated[int, Query(ge=0, le=100)] = 10,
    max: Annotated[int, Query(ge=1, le=2_000, description="The most jobs.")] = 500,  # noqa: A002
) -> Response:  # fmt: skip
    """A job and all below it."""
    await lean(call, q, id)
    return answer(flow_of(await call.api.monitor.flow(q, id, depth=depth, limit=max), call.base, call.sees, call.owner))
