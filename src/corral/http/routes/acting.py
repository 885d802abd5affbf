"""What is done to one job: run again, run now, stop, change, delete."""

from collections.abc import Awaitable, Callable

from msgspec import UNSET
from msgspec.structs import replace
from starlette.responses import Response

from corral.admin.admin import Desk
from corral.admin.rights import Permission
from corral.errors import JobNotFoundError, JobStateError, PayloadError
from corral.http.additions import OWN, limit_of, options_of, run_at_ms
from corral.http.bodies import check_hidden, complaints, part_of, refused, text_of
from corral.http.deps import allow, need, problem
from corral.http.etags import check_match
from corral.http.idempotency import once
from corral.http.models.bodies import EditBody, RerunBody, RetryBody
from corral.http.models.documented import shown
from corral.http.models.jobs import Job
from corral.http.models.links import job_path
from corral.http.models.queue_bodies import ReasonBody
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.jobs import JOB, detailed, lean, rendered, tag_of
from corral.http.waiting import ended, preferred
from corral.job import JobState
from corral.timing import now_ms

router = Router(tags=["Jobs"])


async def _shown(call: Caller, queue: str, job_id: str, *, status: int = 200, location: bool = False) -> Response:
    shown, etag = await rendered(call, await detailed(call, queue, job_id))
    headers = {"ETag": etag}
    if location:
        headers["Location"] = job_path(queue, job_id, call.base)
    return answer(shown, status=status, headers=headers)


async def _new_payload(call: Caller, queue: str, *, given: bool) -> str | None:
    """The payload of the body as text, if it has one."""
    text = text_of(await part_of(call.request), limit=limit_of(call.api.app, queue)) if given else None
    check_hidden(text, reveal=await call.reveal())
    return text


async def _checked(work: Callable[[], Awaitable[Response]]) -> Response:
    """What a payload's type refuses, with a pointer to each field."""
    try:
        return await work()
    except PayloadError as error:
        problem("validation-failed", "The payload is refused.", errors=complaints(error))


@router.post(
    f"{JOB}/retry", operation_id="retry_job", response_model=shown(Job),
    responses=told("queue-not-found", "job-not-found", "job-not-retryable", "validation-failed", "redacted-field")
    | {202: {"model": shown(Job), "description": "It has not finished in the time that `Prefer: wait=10` gave it"}},
    dependencies=[allow(Permission.JOB_RETRY, waits=True)],
)  # fmt: skip
async def retry_job(call: Called, q: str, id: str, body: RetryBody | None = None) -> Response:
    """Run a finished job again."""
    said = body or RetryBody()
    given = "data" in said.model_fields_set
    if given:
        await need(call.request, Permission.JOB_EDIT, q)
    text = await _new_payload(call, q, given=given)

    async def work() -> Response:
        await lean(call, q, id)
        await (await call.desk(said.reason)).retry(q, [id], reset_attempts=said.reset_attempts, data=text)
        seconds = preferred(call.request)
        over = not seconds or (await ended(call.request, call.api, q, id, seconds)).state.finished
        return await _shown(call, q, id, status=200 if over else 202)

    return await once(call.request, call.api, call.who, lambda: _checked(work))


@router.post(
    f"{JOB}/rerun", operation_id="rerun_job", response_model=shown(Job), status_code=201,
    responses=told("queue-not-found", "job-not-found", "validation-failed", "unknown-job-name", "redacted-field"),
    dependencies=[allow(Permission.JOB_RETRY)],
)  # fmt: skip
async def rerun_job(call: Called, q: str, id: str, body: RerunBody | None = None) -> Response:
    """Make a new job from an old one."""
    said = body or RerunBody()
    home = said.queue or q
    await need(call.request, Permission.JOB_ADD, home)
    await call.check_named(said.opts)
    if said.remove_old:
        await need(call.request, Permission.JOB_REMOVE, q)
    text = await _new_payload(call, home, given="data" in said.model_fields_set)
    for key in said.opts.model_fields_set if said.opts is not None else ():
        if key in OWN:
            refused(f"/opts/{key}", f"{key} is not taken over by a rerun: add a job instead")
    options = None if said.opts is None else options_of(said.opts)

    async def work() -> Response:
        old = (await lean(call, q, id)).options.sensitive
        chosen = options
        if chosen is not None and chosen.sensitive and not await call.reveal():  # else they would read what it hides
            chosen = replace(chosen, sensitive=(*old, *chosen.sensitive))
        added = await (await call.desk(said.reason)).rerun(
            q, id, data=text, name=said.name, to_queue=said.queue, options=chosen, remove_old=said.remove_old
        )
        return await _shown(call, home, added.id, status=201, location=True)

    return await once(call.request, call.api, call.who, lambda: _checked(work))


@router.post(
    f"{JOB}/promote", operation_id="promote_job", response_model=shown(Job),
    responses=told("queue-not-found", "job-not-found", "job-not-delayed"),
    dependencies=[allow(Permission.JOB_PROMOTE)],
)  # fmt: skip
async def promote_job(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Let a delayed job run now."""
    await lean(call, q, id)
    await (await call.desk((body or ReasonBody()).reason)).promote(q, [id])
    return await _shown(call, q, id)


@router.post(
    f"{JOB}/cancel", operation_id="cancel_job", response_model=shown(Job),
    responses=told("queue-not-found", "job-not-found", "job-finished")
    | {202: {"model": shown(Job), "description": "It runs: its worker is told to stop it"}},
    dependencies=[allow(Permission.JOB_CANCEL)],
)  # fmt: skip
async def cancel_job(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Stop a job: a pending one fails, a running one is told to."""
    job = await lean(call, q, id)
    await (await call.desk((body or ReasonBody()).reason)).cancel(q, [id])
    return await _shown(call, q, id, status=202 if job.state is JobState.ACTIVE else 200)


@router.post(
    f"{JOB}/fail", operation_id="fail_job", response_model=shown(Job),
    responses=told("queue-not-found", "job-not-found", "job-active", "job-finished"),
    dependencies=[allow(Permission.JOB_CANCEL)],
)  # fmt: skip
async def fail_job(call: Called, q: str, id: str, body: ReasonBody | None = None) -> Response:
    """Let a pending job fail, so that nobody runs it."""
    job = await lean(call, q, id)
    if job.state is JobState.ACTIVE:
        raise JobStateError(q, id, state=str(job.state), wanted="pending")
    await (await call.desk((body or ReasonBody()).reason)).cancel(q, [id])
    return await _shown(call, q, id)


@router.patch(
    JOB, operation_id="edit_job", response_model=shown(Job),
    responses=told("queue-not-found", "job-not-found", "job-active", "job-finished", "job-not-delayed",
                   "precondition-required", "precondition-failed", "validation-failed", "redacted-field"),
    dependencies=[allow(Permission.JOB_EDIT)],
)  # fmt: skip
async def edit_job(call: Called, q: str, id: str, body: EditBody) -> Response:
    """Change a job that has not been started."""
    detail = await detailed(call, q, id)
    check_match(call.request, tag_of(detail))
    text = await _new_payload(call, q, given="data" in body.model_fields_set)
    delay = body.delay_ms
    if body.run_at is not None:
        if delay is not None:
            refused("/run_at", "give delay_ms or run_at, not both")
        delay = max(0, run_at_ms(body.run_at) - now_ms())
    if text is None and body.priority is None and delay is None:
        refused("", "nothing is to be changed: give data, priority, delay_ms or run_at")

    async def work() -> Response:
        await (await call.desk(body.reason)).edit(
            q, id, data=UNSET if text is None else text, priority=UNSET if body.priority is None else body.priority,
            delay_ms=UNSET if delay is None else delay,
        )  # fmt: skip
        return await _shown(call, q, id)

    return await _checked(work)


@router.delete(
    JOB, operation_id="remove_job", status_code=204,
    responses=told("queue-not-found", "job-not-found", "job-locked", "job-belongs-to-schedule",
                   "precondition-required", "precondition-failed"),
    dependencies=[allow(Permission.JOB_REMOVE)],
)  # fmt: skip
async def remove_job(call: Called, q: str, id: str, children: bool = False) -> Response:
    """Delete a job."""
    detail = await detailed(call, q, id)
    check_match(call.request, tag_of(detail))
    row = detail.row
    if children and not call.sees_all:
        await _check_below(call, q, id)
    try:
        await _remove(await call.desk(), q, id, children=children)
    except JobStateError:
        if row.schedule is not None and row.state is JobState.DELAYED:
            problem(
                "job-belongs-to-schedule", f"It is the next run of schedule {row.schedule!r}: delete that instead.",
                schedule=row.schedule,
            )  # fmt: skip
        raise
    return empty()


async def _remove(desk: Desk, queue: str, job_id: str, *, children: bool) -> None:
    if not await desk.remove(queue, [job_id], children=children):
        raise JobNotFoundError(queue, job_id)


async def _check_below(call: Caller, queue: str, job_id: str) -> None:
    """Raises: Problem: 403, some of the jobs below are in queues that are not there for the caller."""
    tree = await call.api.monitor.flow(queue, job_id, depth=100, limit=2_000)
    stack = [tree]
    while stack:
        one = stack.pop()
        stack += one.children
        if one.left_out or not call.sees(one.queue):
            problem("forbidden", "Some of the jobs below it are in queues that are not yours.",
                    permission=str(Permission.JOB_REMOVE))  # fmt: skip
