"""What is done to all jobs of one queue: drain, clean, obliterate, retry, promote."""

from starlette.responses import Response

from corral.admin.deletions import quoted
from corral.admin.emptying import kept_in
from corral.admin.objects import Operation
from corral.admin.rights import Permission
from corral.http.bodies import refused, refusing
from corral.http.deps import Rate, allow, problem
from corral.http.idempotency import once
from corral.http.models.documented import shown
from corral.http.models.operations import OperationInfo, operation_of
from corral.http.models.queue_bodies import CleanBody, DrainBody, ObliterateBody, PromoteQueueBody, RetryQueueBody
from corral.http.models.queues import Cleaned, Drained
from corral.http.rendering import answer, empty
from corral.http.routes.base import Called, Caller, Router, told
from corral.http.routes.queues import exists
from corral.http.waiting import in_background
from corral.job import JobState

router = Router(tags=["Queues"])

#: So many jobs are deleted while the caller waits; more become an operation.
INLINE = 10_000
CLEANABLE = tuple(str(state) for state in JobState if state is not JobState.ACTIVE)


def confirmed(said: str | None, wanted: str) -> None:
    """Raises: Problem: 422, the caller did not type what it is about."""
    if said != wanted:
        problem("confirmation-required", f"This cannot be undone: send confirm={wanted!r}.", confirm=wanted)


_LATER: dict[int | str, dict[str, object]] = {
    202: {"model": shown(OperationInfo), "description": "Over 10,000 jobs, or `Prefer: respond-async`: an operation"}
}


@router.post(
    "/queues/{q}/drain", operation_id="drain_queue", response_model=shown(Drained),
    responses=told("queue-not-found", "confirmation-required", "idempotency-mismatch", "idempotency-in-flight")
    | _LATER, dependencies=[allow(Permission.QUEUE_DRAIN, rate=Rate.BULK)],
)  # fmt: skip
async def drain_queue(call: Called, q: str, body: DrainBody) -> Response:
    """Delete what waits; running jobs go on.

    Over 10,000 jobs, or with `Prefer: respond-async`, it is an operation (202).
    """
    if not body.dry_run:
        confirmed(body.confirm, q)

    async def work() -> Response:
        await exists(call, q)
        desk = await call.desk(changes=not body.dry_run)
        would = await desk.drain(q, delayed=body.delayed, dry_run=True)
        if body.dry_run:
            return answer(Drained(removed=would, dry_run=True))
        if _is_long(call, would):
            return _begun(call, await desk.start_drain(q, delayed=body.delayed))
        gone = await desk.drain(q, delayed=body.delayed)
        call.api.monitor.forget()
        return answer(Drained(removed=gone, dry_run=False))

    return await (work() if body.dry_run else once(call.request, call.api, call.who, work))


@router.post(
    "/queues/{q}/clean", operation_id="clean_queue", response_model=shown(Cleaned),
    responses=told("queue-not-found", "validation-failed", "idempotency-mismatch", "idempotency-in-flight") | _LATER,
    dependencies=[allow(Permission.QUEUE_CLEAN, rate=Rate.BULK)],
)  # fmt: skip
async def clean_queue(call: Called, q: str, body: CleanBody) -> Response:
    """Delete jobs of one state that are old enough.

    With a `limit` over 10,000, or with `Prefer: respond-async`, it is an operation (202).
    """
    await exists(call, q)
    if body.state not in CLEANABLE:
        refused("/state", f"state must be one of {', '.join(CLEANABLE)}, not {body.state!r}")

    async def work() -> Response:
        desk, states = await call.desk(changes=not body.dry_run), [JobState(body.state)]
        if not body.dry_run and _is_long(call, body.limit):
            return _begun(call, await desk.start_clean(q, states, older_ms=body.grace_ms, limit=body.limit))
        done = await desk.clean(q, states, older_ms=body.grace_ms, limit=body.limit, dry_run=body.dry_run)
        call.api.monitor.forget()
        return answer(Cleaned(removed=done.count, dry_run=body.dry_run, sample=done.sample, exact=done.exact))

    with refusing(older_ms="/grace_ms"):
        return await (work() if body.dry_run else once(call.request, call.api, call.who, work))


@router.post(
    "/queues/{q}/obliterate", operation_id="obliterate_queue", status_code=204,
    responses=told("queue-not-found", "queue-has-active-jobs", "confirmation-required", "idempotency-mismatch",
                   "idempotency-in-flight") | _LATER,
    dependencies=[allow(Permission.QUEUE_OBLITERATE, rate=Rate.BULK)],
)  # fmt: skip
async def obliterate_queue(call: Called, q: str, body: ObliterateBody) -> Response:
    """Delete a queue and everything in it.

    Over 10,000 jobs, or with `Prefer: respond-async`, it is an operation (202): the queue is paused while it is
    emptied, and stays so when the operation is stopped.
    """
    confirmed(body.confirm, q)

    async def work() -> Response:
        await exists(call, q)
        desk = await call.desk()
        [counts] = await call.api.storage.counts([q])
        if _is_long(call, kept_in(counts)):
            return _begun(call, await desk.start_obliterate(q, force=body.force))
        await desk.obliterate(q, force=body.force)
        call.api.monitor.forget()
        return empty()

    return await once(call.request, call.api, call.who, work)


def _is_long(call: Caller, jobs: int) -> bool:
    return jobs > INLINE or in_background(call.request)


@router.post(
    "/queues/{q}/retry", operation_id="retry_queue", response_model=shown(OperationInfo), status_code=202,
    responses=told("queue-not-found", "invalid-query", "validation-failed"),
    dependencies=[allow(Permission.JOB_RETRY, rate=Rate.BULK)],
)  # fmt: skip
async def retry_queue(call: Called, q: str, body: RetryQueueBody | None = None) -> Response:
    """Run finished jobs again."""
    said = body or RetryQueueBody()
    if said.state not in ("failed", "completed"):
        refused("/state", f"state must be failed or completed, not {said.state!r}")
    query = f"queue:{quoted(q)} state:{said.state} {said.q}".strip()
    return await _operation(call, q, "retry", query, said.limit, reset_attempts=said.reset_attempts)


@router.post(
    "/queues/{q}/promote", operation_id="promote_queue", response_model=shown(OperationInfo), status_code=202,
    responses=told("queue-not-found"), dependencies=[allow(Permission.JOB_PROMOTE, rate=Rate.BULK)],
)  # fmt: skip
async def promote_queue(call: Called, q: str, body: PromoteQueueBody | None = None) -> Response:
    """Let delayed jobs run now."""
    said = body or PromoteQueueBody()
    return await _operation(call, q, "promote", f"queue:{quoted(q)}", said.limit)


async def _operation(
    call: Caller, queue: str, action: str, query: str, most: int | None, *, reset_attempts: bool = True
) -> Response:
    await exists(call, queue)

    async def work() -> Response:
        desk = await call.desk()
        operation = await desk.start(
            action, query=call.own(query), most=most, reset_attempts=reset_attempts, visible=call.globs,
            reveal=await call.reveal(),
        )  # fmt: skip
        return _begun(call, operation)

    return await once(call.request, call.api, call.who, work)


def _begun(call: Caller, operation: Operation) -> Response:
    """Where an operation that has been started can be looked at."""
    made = operation_of(operation, call.base)
    headers = {"Location": made.links["self"]}
    if in_background(call.request):
        headers["Preference-Applied"] = "respond-async"
    return answer(made, status=202, headers=headers)
