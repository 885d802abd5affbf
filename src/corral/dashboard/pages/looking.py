"""What happened and how it stands: insights, operations, the audit log, the system."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.chart import chart
from corral.dashboard.forms import fields_of, first
from corral.dashboard.visit import Visit
from corral.http.models.links import part

#: A range, and the step it is drawn in.
RANGES = {"1h": "1m", "6h": "10m", "24h": "10m", "7d": "1h", "30d": "1d"}
TOP = ("total_time", "p95", "failures", "count")


async def insights(visit: Visit) -> Response:
    """Charts over all queues, or of one."""
    span, queue, by = visit.parameter("range", "1h"), visit.parameter("queue"), visit.parameter("by", "total_time")
    span = span if span in RANGES else "1h"
    step = RANGES[span]
    wanted = ("throughput", "failure_ratio", "run_ms", "wait_ms")
    found = await asyncio.gather(
        *(
            visit.api.get("/metrics/series", metric=one, step=step, queue=queue or None, **{"from": span})
            for one in wanted
        )
    )
    top, marks, queues = await asyncio.gather(
        visit.api.get("/metrics/top", by=by if by in TOP else TOP[0], window=span, queue=queue or None, limit=30),
        visit.api.get("/marks", limit=100),
        visit.api.get("/queues", limit=500, sort="name", fields="name"),
    )
    drawn = {
        one: chart(cast(Mapping[str, object], answer), cast(Mapping[str, object], marks))
        for one, answer in zip(wanted, found, strict=True)
    }
    return await visit.page(
        "insights.html", title="Insights", active="insights", charts=drawn, top=top, span=span, ranges=tuple(RANGES),
        queue=queue, queues=queues, by=by, tops=TOP, marks=marks,
    )  # fmt: skip


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
    """Make a token, and show it this once."""
    fields = await fields_of(visit.request)
    queues = [one.strip() for one in first(fields, "queues", "*").split(",") if one.strip()]
    body = {"name": first(fields, "name"), "role": first(fields, "role", "viewer"), "queues": queues or ["*"]}
    headers = {"corral-reason": part(first(fields, "reason"))}
    made = (await visit.api.send("POST", "/tokens", body=body, headers=headers)).must()
    return await visit.page("token.html", title="A new token", active="system", token=made)


PAGES = (
    ("POST", "/tokens/new", make_token),
    ("GET", "/insights", insights),
    ("GET", "/operations", operations),
    ("GET", "/operations/{id}", operation),
    ("GET", "/audit", audit),
    ("GET", "/system", system),
)
