"""Schedules: what runs when."""

from typing import Annotated, Literal, NamedTuple, NoReturn, TypeVar

from fastapi import Query
from msgspec.structs import replace
from starlette.responses import Response

from corral.admin.payloads import definition
from corral.admin.rights import Permission
from corral.cron import explain
from corral.errors import ConfigError, PayloadError, ScheduleNotFoundError
from corral.http.additions import OWN, limit_of, options_of, run_at_ms
from corral.http.bodies import Part, check_hidden, complaints, part_of, refused, text_of
from corral.http.deps import allow, problem
from corral.http.etags import check_match, etag_of, unchanged
from corral.http.idempotency import once
from corral.http.models.base import Listing
from corral.http.models.documented import shown
from corral.http.models.jobs import Job
from corral.http.models.links import job_path, schedule_path
from corral.http.models.plans import (
    PreviewBody,
    Runs,
    ScheduleBody,
    ScheduleInfo,
    SchedulePatch,
    TemplateBody,
    every_ms_of,
    runs_of,
    schedule_key,
    schedule_of,
    template_of,
    zone_of,
)
from corral.http.models.queue_bodies import ReasonBody
from corral.http.paging import Asked, Key, cut, listing
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import detailed, rendered
from corral.job import NO_OPTIONS
from corral.monitor.agenda import runs
from corral.monitor.objects import ScheduleRow
from corral.monitor.plans import SCHEDULES
from corral.options import JobOptions
from corral.schedule import Cron, Every, Missed, Overlap, Schedule
from corral.sensitive import shown_text

router = Router(tags=["Schedules"])

ONE = "/queues/{q}/schedules/{id}"
State = Literal["active", "paused", "overdue", "lost", "ended"]


# -- reading -------------------------------------------------------------------------------------------------------


@router.get(
    "/schedules", operation_id="list_schedules", response_model=shown(Listing[ScheduleInfo]),
    responses=told("invalid-cursor"), dependencies=[allow(Permission.SCHEDULE_READ, queue=None)],
)  # fmt: skip
async def list_schedules(
    call: Called, asked: Asked,
    queue: Annotated[str | None, Query(max_length=256)] = None,
    match: Annotated[str, Query(max_length=256, description="A pattern of keys: `daily*`.")] = "*",
    state: State | None = None,
) -> Response:  # fmt: skip
    """Schedules of all queues."""
    return await _list(call, asked, queue, match, state)


@router.get(
    "/queues/{q}/schedules", operation_id="list_queue_schedules", response_model=shown(Listing[ScheduleInfo]),
    responses=told("queue-not-found", "invalid-cursor"), dependencies=[allow(Permission.SCHEDULE_READ)],
)  # fmt: skip
async def list_queue_schedules(
    call: Called, q: str, asked: Asked,
    match: Annotated[str, Query(max_length=256, description="A pattern of keys: `daily*`.")] = "*",
    state: State | None = None,
) -> Response:  # fmt: skip
    """Schedules of one queue."""
    return await _list(call, asked, q, match, state)


async def _list(call: Caller, asked: Asked, queue: str | None, match: str, state: str | None) -> Response:
    found = await call.api.monitor.schedules(queue=queue, match=match, state=state, limit=SCHEDULES)
    rows = sorted((row for row in found.items if call.sees(row.queue)), key=_key)
    shown = cut(rows, _key, asked, "schedules", queue, match, state)
    items = [schedule_of(row, call.base, call.api.monitor.at()) for row in shown.items]
    return listing(
        asked, ScheduleInfo, items, next=shown.next, prev=shown.prev, total=len(rows),
        relation="eq" if found.complete else "gte",
    )  # fmt: skip


def _key(row: ScheduleRow) -> Key:
    return row.queue, row.key


async def _shown(call: Caller, schedule: Schedule) -> tuple[ScheduleInfo, str]:
    """A schedule with its template, and its ETag."""
    row = await call.api.monitor.schedule(schedule.queue, schedule.key)
    reveal = await call.reveal()
    data = schedule.data if reveal else _hidden(call, schedule)
    shown = schedule_of(row, call.base, call.api.monitor.at(), template_of(schedule, data))
    return shown, _tag(call, schedule)


def _hidden(call: Caller, schedule: Schedule) -> str:
    return shown_text(schedule.data, (*call.api.monitor.sensitive, *schedule.options.sensitive))


def _tag(call: Caller, schedule: Schedule) -> str:
    hidden = replace(schedule, data=_hidden(call, schedule))
    return etag_of(*schedule_key(hidden))


@router.get(
    ONE, operation_id="get_schedule", response_model=shown(ScheduleInfo),
    responses=told("queue-not-found", "schedule-not-found"), dependencies=[allow(Permission.SCHEDULE_READ)],
)  # fmt: skip
async def get_schedule(call: Called, q: str, id: str) -> Response:
    """One schedule."""
    shown, etag = await _shown(call, await call.api.monitor.planned(q, id))
    if unchanged(call.request, etag):
        return Response(status_code=304, headers={"ETag": etag})
    return answer(shown, headers={"ETag": etag})


@router.get(
    f"{ONE}/next", operation_id="get_schedule_runs", response_model=shown(Runs),
    responses=told("queue-not-found", "schedule-not-found"), dependencies=[allow(Permission.SCHEDULE_READ)],
)  # fmt: skip
async def get_runs(
    call: Called, q: str, id: str,
    n: Annotated[int, Query(ge=1, le=100)] = 10,
    here: Annotated[str, Query(max_length=100, description="The reader's zone.")] = "UTC",
) -> Response:  # fmt: skip
    """The runs to come, in two zones."""
    row = await call.api.monitor.schedule(q, id)
    return answer(runs_of(row.words, await call.api.monitor.runs(q, id, count=n, tz=here)))


@router.post(
    "/schedules/preview", operation_id="preview_schedule", response_model=shown(Runs),
    responses=told("invalid-schedule"), dependencies=[allow(Permission.SCHEDULE_READ, queue=None)],
)  # fmt: skip
async def preview_schedule(call: Called, body: PreviewBody) -> Response:
    """What a timing would do."""
    at = call.api.monitor.at()
    try:
        timing = _timing(body.pattern, body.every_ms, body.tz)
        plan = Schedule(key="preview", queue="preview", name="preview", timing=timing, anchor_at=at)
        words = explain(timing.expression) if isinstance(timing, Cron) else f"every {timing.seconds:g} seconds"
        found = runs(plan, count=body.n, now=at, tz=body.here)
    except (ConfigError, OverflowError) as error:
        _invalid(error)
    return answer(runs_of(words, found))


def _timing(pattern: str | None, every_ms: int | None, tz: str) -> Cron | Every:
    """Raises: ConfigError."""
    if (pattern is None) == (every_ms is None):
        raise ConfigError("give pattern or every_ms, one of them", key="pattern")
    return Cron(pattern, tz=tz) if pattern is not None else Every((every_ms or 0) / 1000)


def _invalid(error: Exception) -> NoReturn:
    key = getattr(error, "key", "")
    pointer = {"cron": "/pattern", "tz": "/tz", "every": "/every_ms", "pattern": "/pattern", "limit": "/limit"}.get(key)
    detail = str(error)
    problem(
        "invalid-schedule", f"{detail[:1].upper()}{detail[1:]}.",
        errors=[{"pointer": pointer or "", "detail": detail, "code": "invalid"}],
    )  # fmt: skip


# -- changing ------------------------------------------------------------------------------------------------------


@router.put(
    ONE, operation_id="put_schedule", response_model=shown(ScheduleInfo),
    responses=told("precondition-required", "precondition-failed", "invalid-schedule", "validation-failed",
                   "unknown-job-name", "redacted-field")
    | {201: {"model": shown(ScheduleInfo), "description": "It is new"}},
    dependencies=[allow(Permission.SCHEDULE_WRITE)],
)  # fmt: skip
async def put_schedule(call: Called, q: str, id: str, body: ScheduleBody) -> Response:
    """Create a schedule, or replace one."""
    before = await _found(call, q, id)
    if before is not None:
        check_match(call.request, _tag(call, before))
    elif call.request.headers.get("if-match") is not None:
        problem("precondition-failed", f"There is no schedule {id!r} to match.")
    text = await _template_text(call, q, given=True)
    await call.check_named(body.job.opts)
    try:
        job = _template(call, q, body.job, text)
        plan = Schedule(
            key=id, queue=q, name=job.name, data=job.data, options=job.options, priority=job.priority,
            timing=_timing(body.pattern, body.every_ms, body.tz),
            start_at=None if body.start is None else run_at_ms(body.start),
            end_at=None if body.end is None else run_at_ms(body.end), limit=body.limit,
            missed=_word(Missed, body.missed_policy, "/missed_policy"),
            overlap=_word(Overlap, body.overlap, "/overlap"),
            owner="" if before is None else before.owner,
        )  # fmt: skip
        stored = await (await call.desk()).put_schedule(plan)
    except PayloadError as error:
        problem("validation-failed", "The payload is refused.", errors=complaints(error, "/job/data"))
    except (ConfigError, OverflowError) as error:
        _invalid(error)
    shown, etag = await _shown(call, stored)
    headers = {"ETag": etag, "Location": schedule_path(q, id, call.base)}
    return answer(shown, status=200 if before is not None else 201, headers=headers)


async def _found(call: Caller, queue: str, key: str) -> Schedule | None:
    try:
        return await call.api.monitor.planned(queue, key)
    except ScheduleNotFoundError:
        return None


async def _template_text(call: Caller, queue: str, *, given: bool) -> str | None:
    part = await part_of(call.request)
    if not given or not isinstance(part.job, Part):
        return None
    text = text_of(part.job, "/job/data", limit_of(call.api.app, queue))
    check_hidden(text, reveal=await call.reveal())
    return text


class Made(NamedTuple):
    """What the jobs of a schedule are made of."""

    name: str
    data: str
    options: JobOptions
    priority: int


def _template(call: Caller, queue: str, body: TemplateBody, text: str | None) -> Made:
    """The name, payload and options of a schedule's jobs. Raises: UnknownJobError. Problem (422)."""
    for key in body.opts.model_fields_set:
        if key in OWN and key != "priority":
            refused(f"/job/opts/{key}", f"{key} is not for jobs of a schedule")
    made = definition(call.api.app, queue, body.name)
    defaults = NO_OPTIONS if made is None else made.handler.options
    options: JobOptions = options_of(body.opts, "/job/opts").over(defaults)
    priority = body.opts.priority if body.opts.priority is not None else 0 if made is None else made.priority
    return Made(body.name, text or "{}", options, priority)


W = TypeVar("W", Missed, Overlap)


def _word(kind: type[W], said: str, pointer: str) -> W:
    if said not in tuple(kind):
        known = ", ".join(str(one) for one in kind)
        refused(pointer, f"{pointer[1:]} must be one of {known}, not {said!r}")
    return kind(said)


@router.patch(
    ONE, operation_id="change_schedule", response_model=shown(ScheduleInfo),
    responses=told("queue-not-found", "schedule-not-found", "precondition-required", "precondition-failed",
                   "invalid-schedule", "validation-failed", "redacted-field"),
    dependencies=[allow(Permission.SCHEDULE_WRITE)],
)  # fmt: skip
async def change_schedule(call: Called, q: str, id: str, body: SchedulePatch) -> Response:
    """Change a schedule."""
    before = await call.api.monitor.planned(q, id)
    check_match(call.request, _tag(call, before))
    text = await _template_text(call, q, given=body.job is not None)
    await call.check_named(None if body.job is None else body.job.opts)
    try:
        edits = _edits(call, before, body, text)
        if not edits:
            refused("", "nothing is to be changed")
        stored = await (await call.desk()).edit_schedule(q, id, **edits)  # type: ignore[arg-type]
    except PayloadError as error:
        problem("validation-failed", "The payload is refused.", errors=complaints(error, "/job/data"))
    except (ConfigError, OverflowError) as error:
        _invalid(error)
    shown, etag = await _shown(call, stored)
    return answer(shown, headers={"ETag": etag})


def _edits(call: Caller, before: Schedule, body: SchedulePatch, text: str | None) -> dict[str, object]:
    """What is to be changed, and to what. Raises: ConfigError."""
    said = body.model_fields_set
    edits: dict[str, object] = {}
    if said & {"pattern", "every_ms", "tz"}:
        pattern, every = body.pattern, body.every_ms
        if pattern is None and every is None:  # the zone alone
            pattern = before.timing.expression if isinstance(before.timing, Cron) else None
            every = every_ms_of(before)
        edits["timing"] = _timing(pattern, every, body.tz or zone_of(before))
    for key, field in (("start", "start_at"), ("end", "end_at")):
        if key in said:
            at = getattr(body, key)
            edits[field] = None if at is None else run_at_ms(at)
    if "limit" in said:
        edits["limit"] = body.limit
    if body.missed_policy is not None:
        edits["missed"] = _word(Missed, body.missed_policy, "/missed_policy")
    if body.overlap is not None:
        edits["overlap"] = _word(Overlap, body.overlap, "/overlap")
    if body.job is not None:
        template: dict[str, object] = _template(call, before.queue, body.job, text)._asdict()
        if text is None:  # no payload was sent: it stays
            del template["data"]
        if "opts" not in body.job.model_fields_set and body.job.name == before.name:
            del template["options"], template["priority"]
        edits |= template
    return edits


@router.delete(
    ONE, operation_id="remove_schedule", status_code=204,
    responses=told("queue-not-found", "schedule-not-found", "precondition-required", "precondition-failed"),
    dependencies=[allow(Permission.SCHEDULE_WRITE)],
)  # fmt: skip
async def remove_schedule(call: Called, q: str, id: str) -> Response:
    """Delete a schedule; its jobs stay."""
    check_match(call.request, _tag(call, await call.api.monitor.planned(q, id)))
    await (await call.desk()).drop_schedule(q, id)
    return empty()


@router.post(
    f"{ONE}/run", operation_id="run_schedule", response_model=shown(Job), status_code=201,
    responses=told("queue-not-found", "schedule-not-found", "idempotency-mismatch", "idempotency-in-flight"),
    dependencies=[allow(Permission.SCHEDULE_RUN)],
)  # fmt: skip
async def run_schedule(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Run it now, without moving its next run."""

    async def work() -> Response:
        added = await (await call.desk((body or ReasonBody()).reason)).run_schedule(q, id)
        shown, etag = await rendered(call, await detailed(call, q, added.id))
        return answer(shown, status=201, headers={"ETag": etag, "Location": job_path(q, added.id, call.base)})

    return await once(call.request, call.api, call.who, work)


@router.post(
    f"{ONE}/pause", operation_id="pause_schedule", response_model=shown(ScheduleInfo),
    responses=told("queue-not-found", "schedule-not-found"), dependencies=[allow(Permission.SCHEDULE_RUN)],
)  # fmt: skip
async def pause_schedule(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Let no slot run until it is resumed."""
    return await _after(call, await (await call.desk((body or ReasonBody()).reason)).pause_schedule(q, id))


@router.post(
    f"{ONE}/resume", operation_id="resume_schedule", response_model=shown(ScheduleInfo),
    responses=told("queue-not-found", "schedule-not-found"), dependencies=[allow(Permission.SCHEDULE_RUN)],
)  # fmt: skip
async def resume_schedule(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Go on with the next slot."""
    return await _after(call, await (await call.desk((body or ReasonBody()).reason)).resume_schedule(q, id))


@router.post(
    f"{ONE}/repair", operation_id="repair_schedule", response_model=shown(ScheduleInfo),
    responses=told("queue-not-found", "schedule-not-found"), dependencies=[allow(Permission.SCHEDULE_RUN)],
)  # fmt: skip
async def repair_schedule(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Give a lost one its next run."""
    return await _after(call, await (await call.desk((body or ReasonBody()).reason)).repair_schedule(q, id))


async def _after(call: Caller, schedule: Schedule) -> Response:
    shown, etag = await _shown(call, schedule)
    return answer(shown, headers={"ETag": etag})
