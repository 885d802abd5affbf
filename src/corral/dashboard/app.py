"""The dashboard as an ASGI application: the API's own, with the pages beside it."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from corral.alerts.settings import AlertSettings
from corral.app.app import Corral
from corral.dashboard.assets import asset
from corral.dashboard.pages import PAGES
from corral.dashboard.visit import Visit
from corral.http.app import Application, create_app
from corral.http.home import Api, Authenticate, Authorize
from corral.http.problems import Problem
from corral.http.rawpath import decoded, raw_path
from corral.http.settings import ApiSettings
from corral.monitor.thresholds import DEFAULTS, Thresholds
from corral.storage.port import Storage

Page = Callable[[Visit], Awaitable[Response]]


def create_dashboard(
    source: Corral | str | Storage, *, settings: ApiSettings | None = None, authenticate: Authenticate | None = None,
    authorize: Authorize | None = None, sensitive: Sequence[str] = (), thresholds: Thresholds = DEFAULTS,
    alerts: AlertSettings | None = None,
) -> Application:  # fmt: skip
    """The dashboard and the HTTP API as one application: serve it, or mount it below any prefix of another one.

    Pages are at `/`, the API at `/api/v1`, both with the same access: see `create_app` for the arguments.

    Raises:
        ConfigError: settings or a URL that cannot be meant.
    """
    app = create_app(
        source, settings=settings, authenticate=authenticate, authorize=authorize, sensitive=sensitive,
        thresholds=thresholds, alerts=alerts,
    )  # fmt: skip
    app.router.routes.extend(_pages())
    home: Api = app.state.corral
    home.front = "/"
    return app


def _pages() -> list[BaseRoute]:
    routes: list[BaseRoute] = [_PageRoute("/static/{name}", asset, methods=["GET"])]
    routes += [_PageRoute(path, _visited(page), methods=[method]) for method, path, page in PAGES]
    return routes


class _PageRoute(Route):
    """A page. Names and ids in its path may hold `/`, escaped."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        path = raw_path(scope) if scope["type"] == "http" else None
        match, child = super().matches(scope if path is None else {**scope, "path": path})
        if match is not Match.NONE and path is not None:
            child["path_params"] = {name: decoded(value) for name, value in child["path_params"].items()}
        return match, child


def _visited(page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        visit = Visit(request)
        if visit.is_for_api:
            raise HTTPException(404)
        try:
            return await page(visit)
        except Problem as found:
            return await visit.refused(found)

    return serve
