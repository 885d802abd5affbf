"""The HTTP endpoints: answers by a queue for everybody, and the dashboard of the queues for administrators.

Who asks is told by a token that the application has signed (JWT, HS256): `sub` is the user, `roles` what they are.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, SecretStr, StringConstraints
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException

from corral import Corral, JobNotFoundError
from corral.dashboard import create_dashboard
from corral.handlers.ai import NotOwnerError, SqlConversations
from corral.handlers.health import examine
from corral.handlers.kit.database import Database
from corral.http import ApiSettings, Principal

from .ai_service import AiEvents, AiService, Cancelled, JobEndedError, JobStatus, Queued
from .build import checks_of, database_of, home_of, make_home
from .metrics import Metrics, QueueMetrics
from .payloads import QueueName
from .settings import Settings

#: The cookie in which a browser keeps the application's token. It is set HttpOnly, Secure and SameSite=Strict.
COOKIE = "access_token"
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class QueueAiTaskDto(BaseModel):
    """What `POST ai/queue` takes."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)

    conversation_id: Annotated[Text, StringConstraints(max_length=128, pattern=r"^[\x21-\x7e]+$")]
    message: Annotated[Text, StringConstraints(max_length=100_000)]


class User(BaseModel):
    """Who asks."""

    id: str
    roles: tuple[str, ...] = ()

    @property
    def admin(self) -> bool:
        return "ADMIN" in self.roles

    @property
    def whose(self) -> str | None:
        """Whose jobs they may see: their own, or an administrator anybody's."""
        return None if self.admin else self.id


def make_api(app: Corral, settings: Settings, *, database: Database | None = None) -> FastAPI:
    """The application's HTTP side. It opens the store and the database with its first moment, and closes them.

    Args:
        database: the one that is open already, where a worker runs in this process.
    """
    data = database or database_of(settings, app.url)
    gate = Gate(settings.jwt_secret)
    queues = create_dashboard(app, settings=ApiSettings(), authenticate=gate.principal)
    service, conversations = AiService(app), SqlConversations(data)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        make_home(settings, app.url)
        async with data, app, AiEvents(app):
            yield
            await queues.state.corral.close()

    api = FastAPI(title="AI backend", lifespan=living, exception_handlers=_TOLD)
    api.mount("/admin/queues", queues)
    current = Annotated[User, Depends(gate.user)]

    @api.post("/ai/queue", status_code=201, summary="Queue AI completion task")
    async def queue_ai_task(user: current, dto: QueueAiTaskDto) -> Queued:
        try:
            await conversations.history(dto.conversation_id, user.id, limit=1)
        except NotOwnerError:
            raise HTTPException(404, "Conversation not found") from None
        return await service.queue_completion(user.id, dto.conversation_id, dto.message)

    @api.get("/ai/jobs/{job_id}", summary="Get job status")
    async def get_job_status(user: current, job_id: str) -> JobStatus:
        return await service.get_job_status(job_id, user.whose)

    @api.delete("/ai/jobs/{job_id}", summary="Cancel job")
    async def cancel_job(user: current, job_id: str) -> Cancelled:
        return await service.cancel_job(job_id, user.whose)

    @api.get("/ai/metrics", summary="Figures of the queue")
    async def metrics(user: Annotated[User, Depends(gate.admin)]) -> Metrics:
        return await QueueMetrics(app, QueueName.AI_TASKS).get_metrics()

    @api.get("/health", summary="Whether everything is well")
    async def get_health(request: Request) -> JSONResponse:
        looks = await examine(checks_of(app, home_of(settings, app.url), data))
        statuses = [look.status for look in looks]
        word = "unhealthy" if "fail" in statuses else "degraded" if "warn" in statuses else "healthy"
        body: dict[str, object] = {"status": word}
        known = gate.find(request)
        if known is not None and known.admin:  # the world learns a word, and no more
            body["checks"] = [{"name": look.name, "status": look.status, "text": look.text} for look in looks]
        return JSONResponse(body, 503 if word == "unhealthy" else 200)

    return api


class Gate:
    """Knows who asks by what they show. Without a secret nobody is known, and the API is closed."""

    def __init__(self, secret: SecretStr | None) -> None:
        self._secret = secret

    def find(self, request: Request) -> User | None:
        """Whose token it is; None when there is none, or it is not ours, or its time is over."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        return self._read(token) if kind.lower() == "bearer" else None

    def _read(self, token: str) -> User | None:
        if self._secret is None or not token:
            return None
        try:
            claims = jwt.decode(
                token, self._secret.get_secret_value(), algorithms=["HS256"], options={"require": ["exp", "sub"]},
                leeway=30,
            )  # fmt: skip
        except jwt.InvalidTokenError:
            return None
        roles = claims.get("roles", [])
        return User(id=claims["sub"], roles=tuple(map(str, roles)) if isinstance(roles, list) else (str(roles),))

    def user(self, request: Request) -> User:
        """The same for those who must be known. Raises: HTTPException (401)."""
        found = self.find(request)
        if found is None:
            raise HTTPException(401, "Unauthorized", {"WWW-Authenticate": "Bearer"})
        return found

    def admin(self, request: Request) -> User:
        """The same for administrators. Raises: HTTPException (401, 403)."""
        found = self.user(request)
        if not found.admin:
            raise HTTPException(403, "Forbidden resource")
        return found

    def principal(self, request: Request) -> Principal | None:
        """The same for the dashboard: administrators do everything there, and others are known and may do nothing.

        People come with a browser, which shows no token of its own accord: there it is a cookie of the application's.
        """
        shown, kept = self.find(request), self._read(request.cookies.get(COOKIE, ""))
        found = shown or kept
        if found is None:
            return None
        # What a browser sends of its own accord it sends for other sites as well: of a session that is looked at.
        method = "jwt" if shown is not None else "session"
        return Principal(sub=found.id, roles=("admin",) if found.admin else (), method=method)


# -- what goes wrong, in the words of the application's framework ------------------------------------------------------

_WORDS = {
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict",
    503: "Service Unavailable",
}  # fmt: skip


def _answer(status: int, message: str | Sequence[str], headers: Mapping[str, str] | None = None) -> Response:
    body: dict[str, object] = {"statusCode": status, "message": message}
    if status in _WORDS:
        body["error"] = _WORDS[status]
    return JSONResponse(body, status, headers)


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        return _answer(400, [f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in error.errors()])
    assert isinstance(error, HTTPException)
    return _answer(error.status_code, error.detail, error.headers)


async def _not_found(request: Request, error: Exception) -> Response:
    return _answer(404, "Job not found")


async def _ended(request: Request, error: Exception) -> Response:
    return _answer(409, "Job has ended already")


_TOLD: dict[int | type[Exception], Callable[[Request, Exception], Coroutine[object, object, Response]]] = {
    RequestValidationError: _refused,
    HTTPException: _refused,
    JobNotFoundError: _not_found,
    JobEndedError: _ended,
}
