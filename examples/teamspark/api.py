"""The platform's HTTP API: how many jobs there are, for whoever has a token with the right to know.

    uvicorn examples.teamspark.api:api --port 3000
    curl -H "Authorization: Bearer <token>" http://localhost:3000/api/jobs

Below `/corral` are corral's dashboard and its own API, with far more in them, for the same tokens.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, SecretStr

from corral import ConfigError, Corral, StorageError
from corral.dashboard import create_dashboard
from corral.http import ApiSettings

from .settings import Settings

#: Who may look.
ROLES = frozenset({"admin", "operator", "viewer"})
#: HS256 is as strong as its key: 32 bytes (RFC 7518, 3.2).
MIN_SECRET = 32


class Counts(BaseModel):
    """How many jobs of a queue are in which state. `paused` are those of `waiting` that a paused queue holds."""

    waiting: int
    active: int
    completed: int
    failed: int
    delayed: int
    paused: int


class QueueMetrics(BaseModel):
    """A queue and its counts."""

    name: str
    counts: Counts


class JobMetrics(BaseModel):
    """What `GET /api/jobs` answers."""

    metrics: list[QueueMetrics]


class Gate:
    """Knows who asks by the token they show. Without a secret nobody is known, and the API is closed.

    Raises:
        ConfigError: a secret that can be guessed.
    """

    def __init__(self, secret: SecretStr | None) -> None:
        self._secret = None if secret is None else secret.get_secret_value()
        if self._secret is not None and len(self._secret.encode()) < MIN_SECRET:
            raise ConfigError(f"JWT_SECRET must have at least {MIN_SECRET} bytes", key="jwt_secret")

    def viewer(self, request: Request) -> str:
        """Who asks, when he may look. Raises: HTTPException (401, 403)."""
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if self._secret is None or kind.lower() != "bearer" or not token:
            raise _unknown("a bearer token is needed")
        try:
            claims = jwt.decode(
                token, self._secret, algorithms=["HS256"], options={"require": ["exp", "sub"]}, leeway=30
            )
        except jwt.ExpiredSignatureError:
            raise _unknown("the token has expired") from None
        except jwt.InvalidTokenError:
            raise _unknown("the token is not valid") from None
        said = claims.get("roles", claims.get("role", []))
        roles = {str(role).lower() for role in (said if isinstance(said, list) else [said])}
        if not roles & ROLES:
            raise HTTPException(403, "one of the roles admin, operator and viewer is needed")
        return str(claims["sub"])


def make_api(app: Corral, settings: Settings) -> FastAPI:
    """The API as an ASGI application. Closed unless there is a `jwt_secret`. Raises: ConfigError."""
    gate = Gate(settings.jwt_secret)

    @asynccontextmanager
    async def living(_: FastAPI) -> AsyncIterator[None]:
        if app.is_open:  # by a worker in the same process, which closes it
            yield
        else:
            async with app:
                yield

    api = FastAPI(title="TeamSpark jobs", lifespan=living, openapi_url=None, docs_url=None, redoc_url=None)

    @api.get("/api/jobs")
    async def jobs(viewer: Annotated[str, Depends(gate.viewer)]) -> JobMetrics:
        """The counts of every queue, in one question to the store."""
        names = list(app.queues)
        counts = await (await app.open()).counts(names)
        return JobMetrics(
            metrics=[
                QueueMetrics(
                    name=name,
                    counts=Counts(
                        waiting=one.waiting, active=one.active, completed=one.completed, failed=one.failed,
                        delayed=one.delayed, paused=one.paused,
                    ),
                )
                for name, one in zip(names, counts, strict=True)
            ]
        )  # fmt: skip

    api.add_exception_handler(StorageError, _unavailable)
    if settings.jwt_secret is not None:
        api.mount("/corral", create_dashboard(app, settings=ApiSettings(jwt_secret=settings.jwt_secret)))
    return api


def _unknown(why: str) -> HTTPException:
    return HTTPException(401, why, {"WWW-Authenticate": "Bearer"})


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    """The store does not answer. What exactly it said is for the log, not for whoever asks."""
    return JSONResponse({"detail": "the store does not answer"}, 503)


def __getattr__(name: str) -> FastAPI:
    """`api`, made when a server asks for it: to import this module is to make nothing."""
    if name == "api":
        from .app import app, settings  # makes the application that the environment wants

        return make_api(app, settings)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
