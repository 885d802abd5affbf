"""Queues: what there is of them, and their settings."""

from fnmatch import fnmatchcase
from typing import Annotated, Literal

from fastapi import Query
from msgspec import UNSET
from starlette.responses import Response

from corral.admin.rights import Permission
from corral.errors import QueueNotFoundError
from corral.http.bodies import refusing
from corral.http.deps import allow, need, problem
from corral.http.etags import check_match, etag_of, unchanged
from corral.http.models.base import Listing, moment, when
from corral.http.models.defaults import declared_of, schemas_of
from corral.http.models.documented import shown
from corral.http.models.queue_bodies import MatchBody, PauseBody, QueueBody, ReasonBody, RetentionBody, WindowBody
from corral.http.models.queues import (
    Autoscale,
    Changed,
    Deduplication,
    NameSchema,
    PauseInfo,
    Priorities,
    PriorityCount,
    Queue,
    Schemas,
    autoscale_of,
    details_of,
    queue_of,
    settings_key,
)
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, Router, engine_of, told
from corral.monitor.objects import QueueRow
from corral.monitor.queues import SORTS
from corral.options import Keep, QueueSettings, RateLimit
from corral.pauses import Pause, pauses

router = Router(tags=["Queues"])

#: A list of queues is made of all of them: they are in memory anyhow.
ALL = 1_000_000
#: What a change says about the queue, rather than to its workers.
ABOUT = frozenset({"description", "slo_seconds"})
Sort = Literal["attention", "name", "waiting", "active", "failed", "oldest", "rate"]
Show = Literal["all", "busy", "problems"]
#: From which attention on a queue is a problem: a warning.
PROBLEM = 2


# -- reading -------------------------------------------------------------------------------------------------------


@router.get(
    "/queues", operation_id="list_queues", response_model=shown(Listing[Queue]), responses=told("invalid-cursor"),
    dependencies=[allow(Permission.QUEUE_READ, queue=None)],
)  # fmt: skip
async def list_queues(
    call: Called,
    asked: Asked,
    match: Annotated[
        list[Annotated[str, Query(max_length=256)]] | None,
        Query(max_length=100, description="Patterns: `email`, `email*`."),
    ] = None,
    sort: Sort = "attention",
    show: Annotated[
        Show, Query(description="`busy`: jobs wait or run; `problems`: something is to be warned of.")
    ] = "all",
    include: Annotated[str, Query(max_length=200, description="`trend`")] = "",
) -> Response:
    """Queues, those that want attention first."""
    patterns, wanted = match or [], words(include, ("trend",))
    found = await call.api.monitor.queues(*patterns, sort=sort, limit=ALL)
    rows = [row for row in found.items if call.sees(row.name) and _shows(row, show)]

    def key(row: QueueRow) -> Key:
        return SORTS[sort](row), row.name

    shown = cut(rows, key, asked, "queues", sort, show, *patterns)
    noted = await _pauses(call)
    at = call.api.monitor.at()
    engine = await engine_of(call.api)
    trends = await call.api.monitor.trends(shown.items) if "trend" in wanted else {}
    items = [
        queue_of(row, engine, at, pause=_pause(row, noted.get(row.name)), trend=trends.get(row.name))
        for row in shown.items
    ]
    return listing(asked, Queue, items, next=shown.next, prev=shown.prev, total=len(rows))


def _shows(row: QueueRow, show: Show) -> bool:
    if show == "busy":
        return row.waiting + row.active > 0
    return show == "all" or row.attention >= PROBLEM


@router.get(
    "/queues/{q}", operation_id="get_queue", response_model=shown(Queue), responses=told("queue-not-found"),
    dependencies=[allow(Permission.QUEUE_READ)],
)  # fmt: skip
async def get_queue(
    call: Called, q: str,
    include: Annotated[str, Query(max_length=200, description="`defaults`, `priorities`")] = "",
) -> Response:  # fmt: skip
    """One queue with its settings."""
    wanted = words(include, ("defaults", "priorities"))
    queue, etag = await shown_queue(call, q, priorities="priorities" in wanted, defaults="defaults" in wanted)
    if unchanged(call.request, etag) and not wanted:
        return Response(status_code=304, headers={"ETag": etag})
    return answer(queue, headers={"ETag": etag})


async def shown_queue(
    call: Caller, name: str, *, priorities: bool = False, defaults: bool = False
) -> tuple[Queue, str]:  # fmt: skip
    """A queue with its details, and its ETag. Raises: QueueNotFoundError."""
    monitor = call.api.monitor
    try:
        detail = await monitor.queue(name)
    except QueueNotFoundError:
        monitor.forget()  # it may be younger than what was seen of all of them
        detail = await monitor.queue(name)
    info = await monitor.info(name)
    noted = (await _pauses(call)).get(name)
    declared = declared_of(call.api.app, name) if defaults else None
    made = queue_of(
        detail.queue, await engine_of(call.api), monitor.at(), pause=_pause(detail.queue, noted),
        details=details_of(detail, priorities=priorities, defaults=declared),
    )  # fmt: skip
    return made, etag_of(*settings_key(info, detail.queue))


async def _pauses(call: Caller) -> dict[str, Pause]:
    return dict(await pauses(call.api.storage, now=call.api.monitor.store_now()))


def _pause(row: QueueRow, noted: Pause | None) -> PauseInfo | None:
    if row.state != "paused" or noted is None or noted.reason != row.pause_reason:
        return None  # paused in code, or in Node: nobody noted who did it
    return PauseInfo(
        value=True, reason=noted.reason or None, by=noted.by or None, since=moment(noted.since), until=when(noted.until)
    )


def words(text: str, known: tuple[str, ...]) -> set[str]:
    """The words of a list such as `why,flow`. Raises: Problem: 400, one that nobody knows."""
    found = {one.strip() for one in text.split(",") if one.strip()}
    for one in sorted(found - set(known)):
        problem("invalid-parameter", f"There is no {one!r} to include; there are {', '.join(known)}.",
                parameter="include")  # fmt: skip
    return found


async def exists(call: Caller, name: str) -> None:
    """Raises: QueueNotFoundError: no such queue, however young, neither in the store nor in the application."""
    monitor, app = call.api.monitor, call.api.app
    if app is not None and name in app.queues:
        return
    try:
        await monitor.info(name)
    except QueueNotFoundError:
        monitor.forget()
        await monitor.info(name)


@router.get(
    "/queues/{q}/autoscale", operation_id="get_queue_autoscale", response_model=shown(Autoscale),
    responses=told("queue-not-found"), dependencies=[allow(Permission.METRICS_READ)],
)  # fmt: skip
async def get_autoscale(
    call: Called, q: str, target_seconds: Annotated[float, Query(gt=0, le=86_400)] = 30.0
) -> Response:
    """How many workers the queue wants, for KEDA and its kin."""
    await exists(call, q)
    return answer(autoscale_of(await call.api.monitor.autoscale(q, target=target_seconds)))


@router.get(
    "/queues/{q}/priorities", operation_id="get_queue_priorities", response_model=shown(Priorities),
    responses=told("queue-not-found"), dependencies=[allow(Permission.QUEUE_READ)],
)  # fmt: skip
async def get_priorities(call: Called, q: str) -> Response:
    """Waiting jobs by priority, best first."""
    await exists(call, q)
    detail = await call.api.monitor.queue(q)
    items = [PriorityCount(priority=priority, count=count) for priority, count in detail.priorities.items()]
    return answer(Priorities(items=items, complete=detail.priorities_complete))


@router.get(
    "/queues/{q}/schema", operation_id="get_queue_schema", response_model=shown(Schemas),
    responses=told("queue-not-found", "unknown-job-name"), dependencies=[allow(Permission.QUEUE_READ)],
)  # fmt: skip
async def get_schema(
    call: Called, q: str, name: Annotated[str | None, Query(max_length=128, description="Only this job.")] = None
) -> Response:
    """How payloads look, where the application is known."""
    app = call.api.app
    declared = None if app is None else app.queues.get(q)
    if declared is None:
        await exists(call, q)
        return answer(Schemas(names={}))
    if name is not None:
        declared.definition(name)
    found = schemas_of(declared, name)
    return answer(
        Schemas(
            names={
                job: NameSchema(schema=schema, sensitive=sensitive, defaults={"options": options})
                for job, (schema, sensitive, options) in found.items()
            }
        )
    )


@router.get(
    "/queues/{q}/dedup/{key}", operation_id="get_deduplication", response_model=shown(Deduplication),
    responses=told("queue-not-found", "not-found"), dependencies=[allow(Permission.QUEUE_READ)],
)  # fmt: skip
async def get_deduplication(call: Called, q: str, key: str) -> Response:
    """The job that keeps others with this key out."""
    await exists(call, q)
    job_id = await call.api.monitor.deduplication(q, key)
    if job_id is None:
        problem("not-found", f"No job of queue {q!r} keeps others with key {key!r} out.")
    return answer(Deduplication(key=key, job_id=job_id))


@router.delete(
    "/queues/{q}/dedup/{key}", operation_id="delete_deduplication", status_code=204,
    responses=told("queue-not-found", "not-found"), dependencies=[allow(Permission.JOB_EDIT)],
)  # fmt: skip
async def delete_deduplication(call: Called, q: str, key: str) -> Response:
    """Let jobs with this key in again."""
    await exists(call, q)
    desk = await call.desk()
    if await desk.release(q, key) is None:
        problem("not-found", f"No job of queue {q!r} keeps others with key {key!r} out.")
    return empty()


# -- changing ------------------------------------------------------------------------------------------------------


@router.patch(
    "/queues/{q}", operation_id="change_queue", response_model=shown(Queue),
    responses=told("queue-not-found", "precondition-required", "precondition-failed", "validation-failed"),
    dependencies=[allow(Permission.QUEUE_SETTINGS)],
)  # fmt: skip
async def change_queue(call: Called, q: str, body: QueueBody) -> Response:
    """Change limits, retention, the description and the SLO."""
    call.api.monitor.forget()
    info = await call.api.monitor.info(q)
    check_match(call.request, etag_of(*settings_key(info, await call.api.monitor.row(q))))
    said = body.model_fields_set & ABOUT
    desk = await call.desk()
    with refusing(slo="/slo_seconds"):
        settings = _settings(body)
        if said:  # first: what it refuses, it refuses before anything is changed
            await desk.describe(
                q, description=body.description if "description" in said else UNSET,
                slo=body.slo_seconds if "slo_seconds" in said else UNSET,
            )  # fmt: skip
        if not said or body.model_fields_set - said:
            await desk.change(q, settings)
    return await _now(call, q)


def _settings(body: QueueBody) -> QueueSettings:
    said = body.model_fields_set
    return QueueSettings(
        concurrency=body.global_concurrency if "global_concurrency" in said else UNSET,
        rate_limit=_rate(body.rate_limit) if "rate_limit" in said else UNSET,
        add_limit=_rate(body.add_limit) if "add_limit" in said else UNSET,
        keep_completed=_keep(body.keep_completed) if "keep_completed" in said else UNSET,
        keep_failed=_keep(body.keep_failed) if "keep_failed" in said else UNSET,
    )


def _rate(body: WindowBody | None) -> RateLimit | None:
    return None if body is None else RateLimit(body.max, body.duration_ms / 1000)


def _keep(body: RetentionBody) -> Keep:
    return Keep(age=None if body.age_ms is None else body.age_ms / 1000, count=body.count)


async def _now(call: Caller, name: str) -> Response:
    call.api.monitor.forget()
    queue, etag = await shown_queue(call, name)
    return answer(queue, headers={"ETag": etag})


@router.post(
    "/queues/pause", operation_id="pause_queues", response_model=shown(Changed), responses=told("validation-failed"),
    dependencies=[allow(Permission.QUEUE_PAUSE, queue=None)],
)  # fmt: skip
async def pause_queues(call: Called, body: MatchBody) -> Response:
    """Pause all queues that fit."""
    desk = await call.desk(body.reason)
    names = await _matching(call, body, paused=False)
    for name in names:
        await desk.pause(name)
    call.api.monitor.forget()
    return answer(Changed(changed=names))


@router.post(
    "/queues/resume", operation_id="resume_queues", response_model=shown(Changed), responses=told("validation-failed"),
    dependencies=[allow(Permission.QUEUE_PAUSE, queue=None)],
)  # fmt: skip
async def resume_queues(call: Called, body: MatchBody) -> Response:
    """Resume all queues that fit."""
    desk = await call.desk(body.reason)
    names = await _matching(call, body, paused=True)
    for name in names:
        await desk.resume(name)
    call.api.monitor.forget()
    return answer(Changed(changed=names))


async def _matching(call: Caller, body: MatchBody, *, paused: bool) -> list[str]:
    """The queues that fit and are (or are not) paused."""
    call.api.monitor.forget()
    found = (await call.api.monitor.overview()).queues
    names = [
        row.name
        for row in found
        if (row.state == "paused") is paused
        and call.sees(row.name)
        and any(fnmatchcase(row.name, pattern) for pattern in body.match)
    ]
    for name in names:
        await need(call.request, Permission.QUEUE_PAUSE, name)
    return sorted(names)


@router.post(
    "/queues/{q}/pause", operation_id="pause_queue", response_model=shown(Queue), responses=told("queue-not-found"),
    dependencies=[allow(Permission.QUEUE_PAUSE)],
)  # fmt: skip
async def pause_queue(call: Called, q: str, body: PauseBody | None = None) -> Response:
    """Hand out no jobs, for a while or until resumed."""
    said = body or PauseBody()
    with refusing(for_s="/for_seconds"):
        await (await call.desk(said.reason)).pause(q, for_s=said.for_seconds)
    return await _now(call, q)


@router.post(
    "/queues/{q}/resume", operation_id="resume_queue", response_model=shown(Queue), responses=told("queue-not-found"),
    dependencies=[allow(Permission.QUEUE_PAUSE)],
)  # fmt: skip
async def resume_queue(call: Called, q: str, body: ReasonBody | None = None) -> Response:
    """Hand out jobs again."""
    await (await call.desk((body or ReasonBody()).reason)).resume(q)
    return await _now(call, q)


@router.delete(
    "/queues/{q}/rate-limit", operation_id="lift_queue", status_code=204, responses=told("queue-not-found"),
    dependencies=[allow(Permission.QUEUE_PAUSE)],
)  # fmt: skip
async def lift_queue(call: Called, q: str) -> Response:
    """End the hold or the window that is under way."""
    await exists(call, q)
    await (await call.desk()).lift(q)
    call.api.monitor.forget()
    return empty()
