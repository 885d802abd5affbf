"""What happened and how it stands: operations, the audit log, the system."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import cast

from starlette.responses import Response

from corral.dashboard.forms import fields_of, first
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem, problem

#: How an operation can stand.
STATES = ("pending", "collecting", "running", "done", "aborted", "failed")
#: Jobs of a search in the background that are shown at once, and audit entries of one sheet.
FOUND, SHEET = 50, 500

#: The form that a token was made by last, and for how many seconds that is remembered.
MADE_COOKIE, MADE_S = "corral-made", 3_600
#: For how many days a token can be made to last.
LASTING = {"30": "30 days", "90": "90 days", "365": "a year"}


async def operations(visit: Visit) -> Response:
    """Changes to many jobs, newest first."""
    state = visit.parameter("state")
    state = state if state in STATES else ""
    found = await visit.api.get("/operations", limit=50, state=state or None, cursor=visit.parameter("cursor") or None)
    return await visit.page(
        "operations.html", title="Operations", active="operations", operations=found, state=state, states=STATES
    )


async def operation(visit: Visit) -> Response:
    """One of them: how far it is, what it could not do, and what a search has found."""
    at = f"/operations/{part(visit.part('id'))}"
    found = cast(Mapping[str, object], await visit.api.get(at))
    results = None
    if "results" in cast(Mapping[str, object], found["links"]):
        parameters = {"limit": FOUND, "cursor": visit.parameter("cursor") or None}
        reply = await visit.api.send("GET", f"{at}/results", parameters=parameters)
        if reply.status not in (403, 404):  # whoever may not see them still sees how far it is
            results = reply.must()
    return await visit.page("operation.html", title="Operation", active="operations", operation=found, results=results)


async def audit(visit: Visit) -> Response:
    """Who did what and why."""
    wanted = {name: visit.parameter(name).strip() for name in ("actor", "action", "queue", "job", "from", "to")}
    given = {name: value or None for name, value in wanted.items()}
    found, wrong = None, None
    try:
        found = await visit.api.get("/audit", limit=100, cursor=visit.parameter("cursor") or None, **given)
    except Problem as refused:
        if refused.code != "invalid-parameter":
            raise
        wrong = refused
    return await visit.page(
        "audit.html", title="Audit", active="audit", audit=found, wanted=wanted, wrong=wrong, most=SHEET,
        status=wrong.status if wrong else 200,
    )  # fmt: skip


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
        tokens=tokens.json if tokens.status < 400 else None, lasting=LASTING,
    )  # fmt: skip


async def make_token(visit: Visit) -> Response:
    """Make a token, and show it this once: whoever reloads the answer gets no second one."""
    fields = await fields_of(visit.request)
    once = first(fields, "_once")[:100]
    if once and visit.request.cookies.get(MADE_COOKIE) == once:
        problem("conflict", "This token was made already, and is not shown again.")
    queues = [one.strip() for one in first(fields, "queues", "*").split(",") if one.strip()]
    days = first(fields, "days")
    until = (visit.now + timedelta(days=int(days))).isoformat() if days in LASTING else None
    body = {
        "name": first(fields, "name"), "role": first(fields, "role", "viewer"), "queues": queues or ["*"],
        "expires_at": until,
    }  # fmt: skip
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
