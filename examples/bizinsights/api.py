"""The platform's HTTP API: the monitoring of its jobs, webhooks, and syncs on demand.

    uvicorn examples.bizinsights.api:api

Every answer is `{"success": true, "data": …}` or `{"success": false, "error": "…"}`. Looking needs a token with one of
the roles VIEWER, OPERATOR or ADMIN, changing one with OPERATOR or ADMIN. Below `/corral` is corral's own API, with far
more in it, for the same tokens; below `/reports` documents are handed out by their signed links.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import jwt
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from corral import ConfigError, Corral, CorralError, JobNotFoundError, JobState, StorageError
from corral.admin import Actor, Admin, Desk
from corral.dashboard import create_dashboard
from corral.handlers.reports import Downloads
from corral.http import ApiSettings
from corral.monitor.monitor import Monitor

from .build import Platform, platform_of
from .payloads import QueueName
from .queues import DAY
from .settings import Settings

#: HS256 is as strong as its key: 32 bytes (RFC 7518, 3.2).
MIN_SECRET = 32
ROLES = ("VIEWER", "OPERATOR", "ADMIN")
#: Failed jobs in one answer, and jobs that one request runs again.
SHOWN, RETRIED = 100, 500
COUNTS = ("waiting", "active", "completed", "failed", "delayed", "paused")
#: What `clean` removes: completed jobs after a day, failed ones after a week.
OLD = ((JobState.COMPLETED, DAY), (JobState.FAILED, 7 * DAY))
Answer = dict[str, object]


class Body(BaseModel):
    """What bodies have in common."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class Retry(Body):
    """What is to be run again: one job, or all that failed."""

    queue_name: str
    job_id: str | None = None


class SyncNow(Body):
    """How much is to be fetched."""

    sync_type: Literal["full", "incremental"] = "incremental"


class InsightsNow(Body):
    """Which days are to be looked at."""

    period: Literal["7d", "30d", "90d", "1y"] = "30d"


class _Refused(Exception):  # noqa: N818  # it carries an answer
    def __init__(self, status: int, error: str) -> None:
        self.status = status
        self.error = error
        super().__init__(error)


class Gate:
    """Who asks, and what they may ask for."""

    def __init__(self, app: Corral, settings: Settings) -> None:
        self._app = app
        secret = settings.jwt_secret
        self._secret = None if secret is None else secret.get_secret_value()
        if self._secret is not None and len(self._secret.encode()) < MIN_SECRET:
            raise ConfigError(f"JWT_SECRET must have at least {MIN_SECRET} bytes", key="jwt_secret")
        self._admin: Admin | None = None

    async def reader(self, request: Request) -> Desk:
        """Anybody with a role."""
        return await self._desk(request, at_least="VIEWER")

    async def operator(self, request: Request) -> Desk:
        """Somebody who may change things; each change stands in the audit log under their name."""
        return await self._desk(request, at_least="OPERATOR")

    async def _desk(self, request: Request, *, at_least: str) -> Desk:
        actor = self._recognise(request, at_least)
        storage = await self._app.open()
        if self._admin is None or self._admin.ground.storage is not storage:
            self._admin = Admin(storage, Monitor(storage), app=self._app)
        return self._admin.by(actor)

    def _recognise(self, request: Request, at_least: str) -> Actor:
        if self._secret is None:
            raise _Refused(401, "nobody can be recognised: JWT_SECRET is not set")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token:
            raise _Refused(401, "a bearer token is needed")
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=["HS256"], options={"require": ["exp", "sub"]}, leeway=30
            )
        except jwt.ExpiredSignatureError:
            raise _Refused(401, "the token has expired") from None
        except jwt.InvalidTokenError:
            raise _Refused(401, "the token is not valid") from None
        said = claims.get("roles", claims.get("role", []))
        words = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        held = max((ROLES.index(word) for word in map(_capitals, words) if word in ROLES), default=-1)
        if held < ROLES.index(at_least):
            raise _Refused(403, f"the role {at_least} is needed")
        ip = "" if request.client is None else request.client.host
        return Actor(sub=str(claims["sub"])[:200], method="jwt", role=ROLES[held].lower(), ip=ip, via="api")


def make_api(app: Corral, settings: Settings) -> FastAPI:
    """The API as an ASGI application. Closed unless there is a `jwt_secret`; webhooks prove themselves otherwise.

    Args:
        app: of `make_app` or `make_platform`.

    Raises:
        ConfigError: a secret that can be guessed.
    """
    gate, platform = Gate(app, settings), platform_of(app)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with platform.opened():
            yield

    api = FastAPI(title="BizInsights", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    api.include_router(_monitoring(platform, gate), prefix="/api/jobs")
    api.include_router(_triggers(platform, gate), prefix="/api")
    if settings.jwt_secret is not None:
        api.mount("/corral", create_dashboard(app, settings=ApiSettings(jwt_secret=settings.jwt_secret)))
    api.mount("/reports", Downloads(platform.shelf))
    for error in (_Refused, CorralError, RequestValidationError, HTTPException):
        api.add_exception_handler(error, _refuse)
    return api


def _monitoring(platform: Platform, gate: Gate) -> APIRouter:
    """The monitoring API. `monitoring` is no queue: its paths come first."""
    router, service = APIRouter(), platform.queue_service
    reader = Annotated[Desk, Depends(gate.reader)]
    operator = Annotated[Desk, Depends(gate.operator)]

    @router.get("/monitoring")
    async def monitoring(desk: reader) -> Answer:
        queues = await service.get_all_queue_stats()
        totals = {count: sum(stats[count] for stats in queues.values()) for count in COUNTS}
        return _good({"queues": queues, "totals": totals})

    @router.post("/monitoring/retry")
    async def retry(body: Retry, desk: operator) -> Answer:
        queue = _known(body.queue_name)
        if body.job_id is not None:
            done = len(await desk.retry(queue, [body.job_id]))
        else:
            done = await _retry_all(desk, platform, queue)
        return _good({"queueName": queue, "retried": done})

    @router.get("/{queue}")
    async def queue_stats(queue: str, desk: reader) -> Answer:
        name = _known(queue)
        failed = await service.get_failed_jobs(name, 0, SHOWN - 1)
        return _good(
            {
                "queueName": name,
                "stats": await service.get_queue_stats(name),
                "failedJobs": [
                    {
                        "id": job.id,
                        "data": job.data,
                        "failedReason": job.failed_reason,
                        "attemptsMade": job.attempts_made,
                    }
                    for job in failed
                ],
            }
        )

    @router.post("/{queue}")
    async def manage(queue: str, desk: operator, action: str = "") -> Answer:
        name, removed = _known(queue), 0
        match action:
            case "pause":
                await desk.pause(name)
            case "resume":
                await desk.resume(name)
            case "empty":
                removed = await desk.drain(name, delayed=True)
            case "clean":
                for state, age in OLD:
                    removed += (await desk.clean(name, [state], older_ms=age * 1000, limit=1_000_000)).count
            case _:
                raise _Refused(400, f"action must be pause, resume, empty or clean, not {action[:40]!r}")
        return _good({"queueName": name, "action": action, "removed": removed})

    return router


def _triggers(platform: Platform, gate: Gate) -> APIRouter:
    """Webhooks, and what is not to wait for its schedule."""
    router, scheduler = APIRouter(), platform.job_scheduler
    reader = Annotated[Desk, Depends(gate.reader)]
    operator = Annotated[Desk, Depends(gate.operator)]

    @router.post("/webhooks/{source}")
    async def webhook(source: str, request: Request) -> Response:
        """Verified over the raw body, stored, answered: the work comes later."""
        reply = await platform.receiver.receive(source, request.headers, await _body(request, platform))
        return Response(reply.body, reply.status, dict(reply.headers))

    @router.get("/integrations")
    async def integrations(desk: reader) -> Answer:
        """How each of them stands, with what is left of its platform's quota."""
        return _good(
            [
                {
                    "id": one.id,
                    "organizationId": one.organization_id,
                    "platform": one.platform,
                    "status": one.status,
                    "lastError": one.last_error,
                    "syncedAt": one.synced_at,
                    "callsToday": one.calls_today,
                    "quota": None
                    if one.quota is None
                    else {"limit": one.quota.limit, "remaining": one.quota.remaining},
                }
                for one in await platform.integrations.list()
            ]
        )

    @router.post("/integrations/{integration}/sync", status_code=202)
    async def sync(integration: str, desk: operator, body: SyncNow | None = None) -> Answer:
        if await platform.integrations.find(integration) is None:
            raise _Refused(404, f"integration {integration[:80]!r} does not exist")
        kind = "incremental" if body is None else body.sync_type
        job = await scheduler.schedule_immediate_sync(integration, sync_type=kind)
        return _good({"queueName": QueueName.DATA_SYNC, "jobId": job.id})

    @router.post("/organizations/{organization}/insights", status_code=202)
    async def look(organization: str, desk: operator, body: InsightsNow | None = None) -> Answer:
        if await platform.organizations.get(organization) is None:
            raise _Refused(404, f"organization {organization[:80]!r} does not exist")
        job = await scheduler.schedule_immediate_insights(organization, "30d" if body is None else body.period)
        return _good({"queueName": QueueName.INSIGHTS_GENERATION, "jobId": job.id})

    @router.get("/organizations/{organization}/insights")
    async def insights(organization: str, desk: reader, period: Literal["7d", "30d", "90d", "1y"] = "30d") -> Answer:
        found = await platform.insights.latest(organization, period)
        if found is None:
            raise _Refused(404, "there are no insights yet")
        texts = [{"kind": one.kind, "metric": one.metric, "severity": one.severity, "text": one.text}
                 for one in found.findings]  # fmt: skip
        return _good({"firstDay": found.first_day, "lastDay": found.last_day, "summary": found.summary,
                      "findings": texts})  # fmt: skip

    return router


async def _body(request: Request, platform: Platform) -> bytes:
    """The body, read no further than a delivery may be long: the rest of a longer one is not taken in."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > platform.receiver.max_bytes:
            break
    return b"".join(parts)


async def _retry_all(desk: Desk, platform: Platform, queue: str) -> int:
    """Run all failed jobs again, page by page; those that fail again meanwhile are left for another time."""
    left, done = (await platform.queue_service.get_queue_stats(queue))["failed"], 0
    while left > 0:
        failed = await platform.queue_service.get_failed_jobs(queue, 0, min(RETRIED, left) - 1)
        again = await desk.retry(queue, [job.id for job in failed]) if failed else []
        if not again:
            break
        left, done = left - len(again), done + len(again)
    return done


def _known(queue: str) -> str:
    if queue not in list(QueueName):
        raise _Refused(404, f"queue {queue[:80]!r} does not exist")
    return queue


def _capitals(word: object) -> str:
    return str(word).upper()


def _good(data: object) -> Answer:
    return {"success": True, "data": data}


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """Every answer that is not a good one, in the same envelope."""
    status, said = 400, str(error)
    match error:
        case _Refused():
            status = error.status
        case HTTPException():
            status, said = error.status_code, str(error.detail)
        case RequestValidationError():
            said = "; ".join(f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in error.errors())
        case JobNotFoundError():
            status = 404
        case StorageError():
            status, said = 503, "the store does not answer"
        case CorralError():
            status = 409
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"success": False, "error": said}, status, headers)


def _from_environment() -> FastAPI:
    from .app import app, settings  # makes the application that the environment wants

    return make_api(app, settings)


def __getattr__(name: str) -> FastAPI:
    """`api`, made when a server asks for it: to import this module is to make nothing."""
    if name == "api":
        return _from_environment()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
