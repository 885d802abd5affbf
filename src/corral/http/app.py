"""The API as an ASGI application of its own, or as a router of somebody else's."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache, lru_cache
from typing import Any, TypeAlias, cast

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from corral._version import __version__
from corral.alerts.settings import AlertSettings, alert_settings
from corral.app.app import Corral
from corral.errors import StorageUnavailableError
from corral.http.answers import problem_of
from corral.http.deps import known, public
from corral.http.gate import Gate
from corral.http.guard import REQUEST_ID
from corral.http.home import Api, Authenticate, Authorize
from corral.http.openapi import completed
from corral.http.problems import Problem, respond
from corral.http.reference import POLICY, page
from corral.http.route import CorralRoute, bound
from corral.http.routes import ROUTERS
from corral.http.routes.health import health_router
from corral.http.routes.session import router as session_router
from corral.http.scope import help_in
from corral.http.settings import ApiSettings
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.storage.port import Storage

BASE = "/api/v1"
#: What `create_app` makes.
Application: TypeAlias = FastAPI
#: Newer versions of FastAPI trace by themselves: with a span for each part of a request, and with what was wrong in a
#: body, which may be a payload. There is one span from us (see `corral.observe.server_spans`). Older ones take the word
#: and do nothing with it, hence no type.
_NO_TELEMETRY: Any = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False
}  # fmt: skip
_ABOUT = """Look at queues and jobs, and operate them.

Times are RFC 3339 in UTC, lengths of time `*_ms` or `*_seconds`. Job ids are texts, unique within their queue; a `/` in
one is written `%2F`. Whatever cannot be served is answered with a problem (RFC 9457): decide by its `code`.
"""


def create_app(
    source: Corral | str | Storage, *, settings: ApiSettings | None = None, authenticate: Authenticate | None = None,
    authorize: Authorize | None = None, sensitive: Sequence[str] = (), thresholds: Thresholds = DEFAULTS,
    alerts: AlertSettings | None = None,
) -> FastAPI:  # fmt: skip
    """The HTTP API as an application: serve it, or mount it below any prefix of another one.

    Where it is mounted, no start and stop of its own happen: the store opens with the first request, and
    `app.state.corral.close()` closes it.

    Args:
        source: the application, a store's URL, or an open store, which is left open.
        settings: without them, what `CORRAL_API_*` and `[api]` of corral.toml say.
        authenticate: the host application's own way to recognise who asks; None from it leaves it to the others.
        authorize: takes the place of the roles: `authorize(principal, permission, queue)`.
        sensitive: payload paths that are hidden whatever their names.
        thresholds: from when on something wants attention; those of `alerts` if there are any.
        alerts: when and to whom it is told; `read_alerts(declared=app.alerts)` gives what `[alerts]` of corral.toml
            and the application say. Without it: what the application says.

    Raises:
        ConfigError: settings or a URL that cannot be meant.
    """
    home = Api(
        source=source, settings=settings or ApiSettings(), authenticate=authenticate, authorize=authorize,
        sensitive=tuple(sensitive), thresholds=thresholds, alerts=_alerts(source, alerts),
    )  # fmt: skip
    app = _Document(
        title="corral", version=__version__, description=_ABOUT, openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False, lifespan=_living(home),
        exception_handlers={HTTPException: _refuse, RequestValidationError: _refuse}, telemetry=_NO_TELEMETRY,
    )  # fmt: skip
    app.state.corral = home
    app.router.route_class = bound(home)
    app.router.routes.extend(_shared())
    _lay(app.router, [_document_route(app, home)], BASE)
    _lay(app.router, [_reference_route(app, home)], "/api")
    app.add_middleware(Gate, home=home)
    return app


def api_router(
    source: Corral | str | Storage, *, settings: ApiSettings | None = None, authenticate: Authenticate | None = None,
    authorize: Authorize | None = None, sensitive: Sequence[str] = (), thresholds: Thresholds = DEFAULTS,
    alerts: AlertSettings | None = None,
) -> APIRouter:  # fmt: skip
    """The same as a router: `app.include_router(api_router(…), prefix="/corral")`, in the host's own OpenAPI document.

    The store opens and closes with the host application. Every route keeps its own guard; health and metrics are left
    to the host. Args and errors are those of `create_app`.
    """
    home = Api(
        source=source, settings=settings or ApiSettings(), authenticate=authenticate, authorize=authorize,
        sensitive=tuple(sensitive), thresholds=thresholds, alerts=_alerts(source, alerts),
    )  # fmt: skip
    router = APIRouter(prefix=BASE, route_class=bound(home), lifespan=_living(home), redirect_slashes=False)
    _lay(router, _routes(), "")
    return router


def _alerts(source: Corral | str | Storage, alerts: AlertSettings | None) -> AlertSettings | None:
    declared = source.alerts if isinstance(source, Corral) else None
    return alert_settings(declared) if alerts is None and declared is not None else alerts


@cache
def _shared() -> tuple[APIRoute, ...]:
    """The routes of every `create_app` of this process: a tenth of a second to make, and the same for all.

    They learn from the gate which API a request is for.
    """
    router = APIRouter(route_class=CorralRoute)
    _lay(router, _routes(), BASE)
    _lay(router, cast("list[APIRoute]", health_router().routes), "")
    return tuple(cast("list[APIRoute]", router.routes))


def _routes() -> list[APIRoute]:
    routers = (session_router, *ROUTERS)
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def _lay(router: APIRouter, routes: Iterable[APIRoute], prefix: str) -> None:
    """Take routes over onto one flat router: each then belongs to this API, and is matched once."""
    for route in routes:
        router.add_api_route(
            prefix + route.path, route.endpoint, methods=set(route.methods or ()), name=route.name, tags=route.tags,
            dependencies=route.dependencies, summary=route.summary, description=route.description,
            response_description=route.response_description, responses=route.responses, status_code=route.status_code,
            deprecated=route.deprecated, operation_id=route.operation_id, response_model=route.response_model,
            response_model_include=route.response_model_include, response_model_exclude=route.response_model_exclude,
            response_model_by_alias=route.response_model_by_alias,
            response_model_exclude_unset=route.response_model_exclude_unset,
            response_model_exclude_defaults=route.response_model_exclude_defaults,
            response_model_exclude_none=route.response_model_exclude_none, include_in_schema=route.include_in_schema,
            response_class=route.response_class, openapi_extra=route.openapi_extra,
        )  # fmt: skip


class _Document(FastAPI):
    """FastAPI with our additions to its document."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = completed(self, super().openapi())
        return self.openapi_schema


def _document_route(app: FastAPI, home: Api) -> APIRoute:
    async def document(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return JSONResponse({**app.openapi(), "servers": [{"url": root or "/"}]})

    rule = public() if home.settings.docs_public else known()
    return APIRoute("/openapi.json", document, dependencies=[rule], include_in_schema=False)


def _reference_route(app: FastAPI, home: Api) -> APIRoute:
    @lru_cache(maxsize=4)
    def made(root: str) -> str:
        return page(app.openapi(), address=f"{root}{BASE}/openapi.json")

    async def reference(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        text = await asyncio.to_thread(made, root)  # the first time it takes two seconds: every answer has a schema
        return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})

    rule = public() if home.settings.docs_public else known()
    return APIRoute("/docs", reference, dependencies=[rule], include_in_schema=False)


def _living(home: Api) -> Callable[[object], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def living(_: object) -> AsyncIterator[None]:
        await home.begin()
        try:
            await home.open()
        except StorageUnavailableError:
            # It has been logged. The process stays up and answers 503 until the store is there: a restart would not
            # bring it back, and many processes that restart together make it worse.
            pass
        try:
            yield
        finally:
            await home.close()

    return living


async def _refuse(request: Request, error: Exception) -> Response:
    found = problem_of(error) or Problem("internal")
    return respond(
        found, instance=request.url.path, request_id=request.scope.get(REQUEST_ID, ""),
        about=help_in(request.scope, found.code),
    )  # fmt: skip
