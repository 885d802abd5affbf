"""Adding jobs: one, or up to a thousand in one step."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import Body
from fastapi.exceptions import RequestValidationError
from pydantic import TypeAdapter, ValidationError
from starlette.responses import Response

from corral.admin.payloads import checked
from corral.admin.rights import Permission
from corral.errors import CorralError, JobNotFoundError, PayloadError, QueueNotFoundError
from corral.http.additions import job_of, limit_of
from corral.http.bodies import complaints, part_of, parts_of, refusing, text_of
from corral.http.deps import allow, problem, spend
from corral.http.idempotency import once
from corral.http.models.bodies import AddBody
from corral.http.models.documented import Documented, shown
from corral.http.models.jobs import AddedInfo, AddedList, Job
from corral.http.models.links import job_path
from corral.http.rendering import answer
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import detailed, rendered
from corral.http.waiting import ended, preferred
from corral.job import NewJob
from corral.storage.port import Added

router = Router(tags=["Jobs"])

#: The most jobs of one array.
MOST = 1_000
_MANY = TypeAdapter(list[AddBody])


@router.post(
    "/queues/{q}/jobs", operation_id="add_job", response_model=shown(Job | AddedList), status_code=201,
    responses=told("validation-failed", "unknown-job-name", "payload-too-large", "idempotency-mismatch",
                   "idempotency-in-flight", "rate-limited")
    | {
        200: {"model": shown(Job | AddedList), "description": "There already, or finished (`Prefer: wait=10`)"},
        202: {"model": shown(Job), "description": "It has not finished in the time that `Prefer: wait=10` gave it"},
    },
    dependencies=[allow(Permission.JOB_ADD, waits=True)],
)  # fmt: skip
async def add_jobs(
    call: Called, q: str, body: Annotated[object, Body(), Documented(AddBody | list[AddBody])]
) -> Response:
    """Add a job, or up to 1,000 in one step."""
    many = isinstance(body, list)
    bodies = _read(body)
    if not 1 <= len(bodies) <= MOST:
        problem("validation-failed", f"An array has 1 to {MOST:,} jobs, not {len(bodies):,}.")
    if len(bodies) > 1:
        await spend(call.request, len(bodies) - 1)
    await _check_queue(call, q)
    for one in bodies:
        await call.check_named(one.opts)

    async def work() -> Response:
        parts = await parts_of(call.request) if many else [await part_of(call.request)]
        tag = call.who.owner_tag if call.who.own_only else None
        jobs = []
        for number, (one, part) in enumerate(zip(bodies, parts, strict=True)):
            at = f"/{number}" if many else ""
            text = text_of(part, f"{at}/data", limit_of(call.api.app, q)) or "{}"
            jobs.append(job_of(call.api.app, q, one.name, text, one.opts, tag=tag, pointer=at))
        added = await _added(call, q, jobs, many=many)
        if many:
            return answer(_list(call, jobs, added), status=201 if any(one.fresh for one in added) else 200)
        return await _single(call, q, added[0], jobs[0])

    return await once(call.request, call.api, call.who, work, key=None if many else bodies[0].idempotency)


def _read(body: object) -> list[AddBody]:
    """One job or several, each complaint with a pointer that names no type. Raises: RequestValidationError."""
    try:
        return _MANY.validate_python(body) if isinstance(body, list) else [AddBody.model_validate(body)]
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in found]) from None


async def _check_queue(call: Caller, queue: str) -> None:
    """Where the application is known, a slip of the finger makes no queue: it is declared there, or has jobs already.

    Raises:
        QueueNotFoundError.
    """
    app = call.api.app
    if app is not None and queue not in app.queues:
        try:
            await call.api.monitor.info(queue)
        except QueueNotFoundError:
            raise QueueNotFoundError(queue, app.queues) from None


async def _added(call: Caller, queue: str, jobs: Sequence[NewJob], *, many: bool) -> list[Added]:
    desk = await call.desk()
    try:
        with refusing():
            return await desk.add(queue, jobs)
    except PayloadError as error:
        at, found = _first_refused(call, queue, jobs, error) if many else ("/data", error)
        problem("validation-failed", "The payload is refused.", errors=complaints(found, at))


def _first_refused(call: Caller, queue: str, jobs: Sequence[NewJob], error: PayloadError) -> tuple[str, PayloadError]:
    """Which of the jobs it was that the error complains about."""
    for number, job in enumerate(jobs):
        try:
            checked(call.api.app, queue, job.name, job.data)
        except PayloadError as found:
            return f"/{number}/data", found
        except CorralError:
            continue
    return "", error


def _list(call: Caller, jobs: Sequence[NewJob], added: Sequence[Added]) -> AddedList:
    return AddedList(
        items=[
            AddedInfo(
                queue=job.queue, id=one.id, name=job.name, deduplicated=not one.fresh,
                links={"self": job_path(job.queue, one.id, call.base)},
            )
            for job, one in zip(jobs, added, strict=True)
        ]
    )  # fmt: skip


async def _single(call: Caller, queue: str, added: Added, job: NewJob) -> Response:
    headers = {"Location": job_path(queue, added.id, call.base)}
    seconds = preferred(call.request)
    status = 201 if added.fresh else 200
    try:
        if seconds:
            over = (await ended(call.request, call.api, queue, added.id, seconds)).state.finished
            status = 200 if over else 202
            headers["Preference-Applied"] = f"wait={seconds:g}"
        shown, etag = await rendered(
            call, await detailed(call, queue, added.id), deduplicated=None if added.fresh else True
        )
    except JobNotFoundError:  # done and gone: it is kept for no time at all
        info = _list(call, [job], [added]).items[0]
        return answer(info, status=status, headers=headers)
    return answer(shown, status=status, headers={**headers, "ETag": etag})
