"""Health and metrics: for machines, every few seconds. They stand beside `/api/v1`, not below it."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from corral.admin.rights import Permission
from corral.http.auth.recognise import PEER, is_loopback
from corral.http.deps import allow, api, caller, public
from corral.http.guard import home_of, permitted
from corral.http.problems import Problem, problem
from corral.http.scope import sees_all


def health_router(*, prefix: str = "") -> APIRouter:
    """`/livez`, `/readyz`, `/startupz`, `/healthz` and their single checks; `/metrics`."""
    router = APIRouter(prefix=prefix, tags=["health"])
    for name in ("livez", "readyz", "startupz", "healthz"):
        for path in (f"/{name}", f"/{name}/{{check}}"):
            router.add_api_route(
                path, _health, methods=["GET", "HEAD"], dependencies=[public(rate=None)], include_in_schema=False
            )
    router.add_api_route(
        "/metrics", _metrics, methods=["GET"], include_in_schema=False,
        dependencies=[allow(Permission.METRICS_READ, queue=None, exempt=True, slow=True)],
    )  # fmt: skip
    return router


async def _health(request: Request) -> Response:
    home = home_of(request)
    await home.begin()
    parts = request.url.path.rstrip("/").split("/")
    start = next(index for index, part in enumerate(parts) if part in ("livez", "readyz", "startupz", "healthz"))
    found = await home.health.answer(
        "/" + "/".join(parts[start:]), query=request.url.query, accept=request.headers.get("accept", ""),
        details=await _may_see(request),
    )  # fmt: skip
    return Response(found.body, status_code=found.status, media_type=found.type)


async def _may_see(request: Request) -> bool:
    """Whether reasons are told: on this machine, to whoever may see the system, and where settings say so."""
    home = home_of(request)
    if home.settings.verbose_health:
        return True
    peer = str(request.scope.get(PEER, ""))
    if is_loopback(peer) and "x-forwarded-for" not in request.headers and "forwarded" not in request.headers:
        return True
    if "authorization" not in request.headers and "cookie" not in request.headers:
        return False
    try:
        who = await home.recogniser.recognise(request)
    except Problem:
        return False
    return await permitted(home, who, Permission.SYSTEM_READ)


async def _metrics(request: Request) -> Response:
    home = await api(request)
    if not sees_all(caller(request)):
        problem("forbidden", "This is about all queues, and some are not yours.",
                permission=str(Permission.METRICS_READ))  # fmt: skip
    if home.metrics is None:
        problem("not-supported-by-engine", "Metrics need the package prometheus-client on the server.")
    text, kind = await home.metrics.render(request.headers.get("accept", ""))
    return Response(text, headers={"Content-Type": kind})
