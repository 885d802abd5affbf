"""The platform's HTTP API for jobs: a thin layer over corral's read and write models, for whoever has the role ADMIN.

    uvicorn examples.golive.api:api

Every answer is `{"success": true, "data": …}` or `{"success": false, "error": "…"}`. Below `/corral` is corral's own
API, with far more in it, for the same tokens; below `/reports` documents are handed out by their signed links.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Literal

import jwt
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from corral import ConfigError, Corral, CorralError, JobNotFoundError, JobState, StorageError
from corral.admin import Actor, Admin, Desk
from corral.dashboard import create_dashboard
from corral.handlers.reports import Downloads
from corral.http import ApiSettings
from corral.monitor.monitor import Monitor

from .build import Platform
from .queues import QueueName
from .service import JobQueueManager, Stats
from .settings import Settings

#: HS256 is as strong as its key: 32 bytes (RFC 7518, 3.2).
MIN_SECRET = 32
#: Failed jobs in one answer.
MOST = 1_000
#: What may be cleaned, in the words of the API.
CLEANED = {
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "delayed": JobState.DELAYED,
    "waiting": JobState.WAITING,
    "wait": JobState.WAITING,
}
Answer = dict[str, object]


class Clean(BaseModel):
    """What to delete: jobs that are in this state for at least `grace` ms."""

    model_config = ConfigDict(extra="forbid")

    grace: int = Field(ge=0, le=10**13)
    status: Literal["completed", "failed", "delayed", "waiting", "wait"] = "completed"


class _Refused(Exception):  # noqa: N818  # it carries an answer
    def __init__(self, status: int, error: str) -> None:
        self.status = status
        self.error = error
        super().__init__(error)


class Desks:
    """Who asks, and what they may ask for."""

    def __init__(self, app: Corral, settings: Settings) -> None:
        self._app = app
        self._secret = None if settings.jwt_secret is None else settings.jwt_secret.get_secret_value()
        if self._secret is not None and len(self._secret.encode()) < MIN_SECRET:
            raise ConfigError(f"JWT_SECRET must have at least {MIN_SECRET} bytes", key="jwt_secret")
        self._admin: Admin | None = None

    async def __call__(self, request: Request) -> Desk:
        """The verbs, for an admin. Raises: _Refused."""
        actor = self._recognise(request)
        storage = await self._app.open()
        if self._admin is None or self._admin.ground.storage is not storage:
            self._admin = Admin(storage, Monitor(storage), app=self._app)
        return self._admin.by(actor)

    def _recognise(self, request: Request) -> Actor:
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
        roles = claims.get("roles", claims.get("role", []))
        known = [roles] if isinstance(roles, str) else roles if isinstance(roles, list) else []
        if "ADMIN" not in [str(role).upper() for role in known]:
            raise _Refused(403, "the role ADMIN is needed")
        ip = "" if request.client is None else request.client.host
        return Actor(sub=str(claims["sub"])[:200], method="jwt", role="admin", ip=ip, via="api")


def make_api(app: Corral, settings: Settings, *, platform: Platform | None = None) -> FastAPI:
    """The API as an ASGI application. Closed unless there is a `jwt_secret`.

    Args:
        platform: where reports are kept, to hand them out.

    Raises:
        ConfigError: a secret that can be guessed.
    """
    desks = Desks(app, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if not app.is_open:
                await stack.enter_async_context(app)
            if platform is not None:
                platform.make_home()
                await stack.enter_async_context(platform.golive.database)
            yield

    api = FastAPI(title="GoLive jobs", lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None)
    api.include_router(_router(JobQueueManager(app), desks), prefix="/api/v1/jobs")
    if settings.jwt_secret is not None:
        api.mount("/corral", create_dashboard(app, settings=ApiSettings(jwt_secret=settings.jwt_secret)))
    if platform is not None:
        api.mount("/reports", Downloads(platform.shelf))
    api.add_exception_handler(_Refused, _refuse)
    api.add_exception_handler(CorralError, _refuse)
    api.add_exception_handler(RequestValidationError, _refuse)
    api.add_exception_handler(HTTPException, _refuse)
    return api


def _router(manager: JobQueueManager, desks: Desks) -> APIRouter:
    router = APIRouter()
    person = Annotated[Desk, Depends(desks)]

    def known(queue: str) -> str:
        if queue not in list(QueueName):
            raise _Refused(404, f"queue {queue[:80]!r} does not exist")
        return queue

    @router.get("/queues")
    async def all_stats(desk: person) -> Answer:
        return _good(await manager.get_all_queue_stats())

    @router.get("/queues/{queue}/stats")
    async def stats(queue: str, desk: person) -> Answer:
        found: Stats = await manager.get_queue_stats(known(queue))
        return _good(found)

    @router.get("/queues/{queue}/failed")
    async def failed(
        queue: str, desk: person, start: Annotated[int, Query(ge=0)] = 0, end: Annotated[int, Query(ge=-1)] = 10,
        limit: Annotated[int | None, Query(ge=1, le=MOST)] = None,
    ) -> Answer:  # fmt: skip
        """From `start` to `end`, both included, newest first; with `limit` so many from `start` on."""
        last = start + MOST - 1 if end == -1 else min(end, start + MOST - 1)
        jobs = await manager.get_failed_jobs(known(queue), start, last if limit is None else start + limit - 1)
        return _good(
            [
                {
                    "id": job.id,
                    "name": job.name,
                    "data": job.data,
                    "failedReason": job.failed_reason,
                    "attemptsMade": job.attempts_made,
                    "timestamp": job.timestamp,
                }
                for job in jobs
            ]
        )

    @router.post("/queues/{queue}/job/{job_id}/retry")
    async def retry(queue: str, job_id: str, desk: person) -> Answer:
        await desk.retry(known(queue), [job_id])
        return _good({"id": job_id, "queue": queue})

    @router.post("/queues/{queue}/pause")
    async def pause(queue: str, desk: person) -> Answer:
        await desk.pause(known(queue))
        return _good({"queue": queue, "isPaused": True})

    @router.post("/queues/{queue}/resume")
    async def resume(queue: str, desk: person) -> Answer:
        await desk.resume(known(queue))
        return _good({"queue": queue, "isPaused": False})

    @router.post("/queues/{queue}/clean")
    async def clean(queue: str, body: Clean, desk: person) -> Answer:
        done = await desk.clean(known(queue), [CLEANED[body.status]], older_ms=body.grace, limit=1_000_000)
        return _good({"queue": queue, "status": body.status, "removed": done.count})

    return router


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
    from .app import app, platform, settings  # makes the application that the environment wants

    return make_api(app, settings, platform=platform)


def __getattr__(name: str) -> FastAPI:
    """`api`, made when a server asks for it: to import this module is to make nothing."""
    if name == "api":
        return _from_environment()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
