"""Queues: all of them, and one."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.responses import RedirectResponse, Response

from corral.dashboard.pages.overview import MINUTES, values_of
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import problem

SORTS = ("attention", "name", "waiting", "active", "failed", "oldest", "rate")
STATES = ("waiting", "active", "delayed", "waiting-children", "completed", "failed")
TABS = ("jobs", "metrics", "schedules", "workers", "settings")
#: What can be done to a whole queue, each on a page of its own that asks first.
ASKED = ("pause", "drain", "clean", "obliterate")
MANY = 50


async def queues(visit: Visit) -> Response:
    """The table of all queues."""
    sort = visit.parameter("sort", "attention")
    match = visit.parameter("match")
    patterns = [match if set("*?[") & set(match) else f"*{match}*"] if match else []
    found = await visit.api.get("/queues", limit=500, sort=sort if sort in SORTS else "attention", match=patterns)
    return await visit.page(
        "queues.html", title="Queues", active="queues", queues=found, sort=sort, match=match, sorts=SORTS
    )


async def queue(visit: Visit) -> Response:
    """One queue: its jobs by state, or another of its tabs."""
    name, tab = visit.part("q"), visit.parameter("tab", "jobs")
    at = f"/queues/{part(name)}"
    if tab not in TABS:
        problem("not-found", f"A queue has no {tab!r}.")
    shown, data = await asyncio.gather(visit.api.get(at, include="defaults,priorities"), _TABS[tab](visit, name, at))
    return await visit.page("queue.html", title=name, active="queues", queue=shown, tab=tab, tabs=TABS, more=data)


async def _jobs(visit: Visit, name: str, at: str) -> dict[str, object]:
    state = visit.parameter("state")
    query = visit.parameter("q")
    found = await visit.api.get(
        f"{at}/jobs", limit=MANY, state=state or None, q=query or None, cursor=visit.parameter("cursor") or None
    )
    return {"jobs": found, "state": state, "states": STATES, "query": query}


async def _metrics(visit: Visit, name: str, at: str) -> dict[str, object]:
    wanted = ("throughput", "wait_ms", "run_ms", "failure_ratio")
    charts = await asyncio.gather(
        *(visit.api.get(f"{at}/metrics", metric=one, step="1m", agg="p50,p95", **{"from": "1h"}) for one in wanted)
    )
    top = await visit.api.get("/metrics/top", queue=name, window="24h")
    drawn = {one: values_of(cast(Mapping[str, object], chart)) for one, chart in zip(wanted, charts, strict=True)}
    return {"charts": drawn, "top": top, "minutes": MINUTES}


async def _schedules(visit: Visit, name: str, at: str) -> dict[str, object]:
    return {"schedules": await visit.api.get(f"{at}/schedules", limit=200)}


async def _workers(visit: Visit, name: str, at: str) -> dict[str, object]:
    return {"workers": await visit.api.get(f"{at}/workers")}


async def _settings(visit: Visit, name: str, at: str) -> dict[str, object]:
    return {"etag": (await visit.api.send("GET", at)).headers.get("etag", "*")}


_TABS = {"jobs": _jobs, "metrics": _metrics, "schedules": _schedules, "workers": _workers, "settings": _settings}


async def ask(visit: Visit) -> Response:
    """A change to a whole queue: what it means, and the form to say so."""
    name, what = visit.part("q"), visit.part("what")
    if what not in ASKED:
        problem("not-found", f"Nothing called {what!r} can be done to a queue.")
    shown = await visit.api.get(f"/queues/{part(name)}")
    title = f"{what.capitalize()} {name}"
    return await visit.page(f"ask/{what}.html", title=title, active="queues", queue=shown)


async def old_queue(visit: Visit) -> Response:
    """Where Bull Board had a queue."""
    return RedirectResponse(visit.link(f"/queues/{part(visit.part('q'))}"), status_code=308)


async def old_job(visit: Visit) -> Response:
    """Where Bull Board had a job."""
    where = f"/queues/{part(visit.part('q'))}/jobs/{part(visit.part('id'))}"
    return RedirectResponse(visit.link(where), status_code=308)


PAGES = (
    ("GET", "/queues", queues),
    ("GET", "/queues/{q}", queue),
    ("GET", "/queues/{q}/ask/{what}", ask),
    ("GET", "/queue/{q}", old_queue),
    ("GET", "/queue/{q}/{id}", old_job),
)
