"""What happened and how it stands: operations, the audit log, the system."""

import asyncio

from starlette.responses import Response

from corral.dashboard.forms import fields_of, first
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import problem

#: The form that a token was made by last, and for how many seconds that is remembered.
MADE_COOKIE, MADE_S = "corral-made", 3_600


async def operations(visit: Visit) -> Response:
    """Changes to many jobs, newest first."""
    found = await visit.api.get("/operations", limit=50, cursor=visit.parameter("cursor") or None)
    return await visit.page("operations.html", title="Operations", active="operations", operations=found)


async def operation(visit: Visit) -> Response:
    """One of them: how far it is, and what it could not do."""
    found = await visit.api.get(f"/operations/{part(visit.part('id'))}")
    return await visit.page("operation.html", title="Operation", active="operations", operation=found)


async def audit(visit: Visit) -> Response:
    """Who did what and why."""
    wanted = {name: visit.parameter(name) or None for name in ("actor", "action", "queue", "job")}
    found = await visit.api.get("/audit", limit=100, cursor=visit.parameter("cursor") or None, **wanted)
    return await visit.page("audit.html", title="Audit", active="audit", audit=found, wanted=wanted)


async def system(visit: Visit) -> Response:
    """The store, what keeps jobs from running, settings, tokens."""
    about, doctor, storage, config = await asyncio.gather(
        visit.api.get("/system"),
        visit.api.get("/system/doctor"),
        visit.api.get("/system/storage"),
        visit.api.get("/config"),
    )
    tokens = await visit.api.send("GET", "/tokens")
    return await visit.page(
        "system.html", title="System", active="system", about=about, doctor=doctor, storage=storage, config=config,
        tokens=tokens.json if tokens.status < 400 else None,
    )  # fmt: skip


async def make_token(visit: Visit) -> Response:
    """Make a token, and show it this once: whoever reloads the answer gets no second one."""
    fields = await fields_of(visit.request)
    once = first(fields, "_once")[:100]
    if once and visit.request.cookies.get(MADE_COOKIE) == once:
        problem("conflict", "This token was made already, and is not shown again.")
    queues = [one.strip() for one in first(fields, "queues", "*").split(",") if one.strip()]
    body = {"name": first(fields, "name"), "role": first(fields, "role", "viewer"), "queues": queues or ["*"]}
    made = (await visit.api.send("POST", "/tokens", body=body)).must()
    page = await visit.page("token.html", title="A new token", active="system", token=made)
    if once:
        secure = visit.request.url.scheme == "https"
        page.set_cookie(MADE_COOKIE, once, max_age=MADE_S, path="/", samesite="lax", secure=secure, httponly=True)
    return page


PAGES = (
    ("POST", "/tokens/new", make_token),
    ("GET", "/operations", operations),
    ("GET", "/operations/{id}", operation),
    ("GET", "/audit", audit),
    ("GET", "/system", system),
)
