"""Schedules: what runs when, whether it did, and running it now."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.visit import Visit
from corral.http.models.links import part

#: How many runs to come are shown, and how many past ones.
NEXT, PAST = 10, 20
#: Schedules on one page of the list, and the states that it can be narrowed to.
LISTED = 200
STATES = ("active", "paused", "overdue", "lost", "ended")


async def schedules(visit: Visit) -> Response:
    """The schedules of all queues, or of those that are asked for."""
    queue, match, state = visit.parameter("queue"), visit.parameter("match"), visit.parameter("state")
    state = state if state in STATES else ""
    found = await visit.api.get(
        "/schedules", limit=LISTED, cursor=visit.parameter("cursor") or None, queue=queue or None, state=state or None,
        match=(match if set("*?[") & set(match) else f"*{match}*") if match else None,
    )  # fmt: skip
    return await visit.page(
        "schedules.html", title="Schedules", active="schedules", schedules=found, queue=queue, match=match, state=state,
        states=STATES,
    )  # fmt: skip


async def schedule(visit: Visit) -> Response:
    """One schedule: its next runs in two zones, and its last ones."""
    queue, id = visit.part("q"), visit.part("id")
    at = f"/queues/{part(queue)}/schedules/{part(id)}"
    zone = visit.parameter("zone", visit.times.name)
    reply = await visit.api.send("GET", at)
    shown = reply.must()
    runs, past = await asyncio.gather(
        visit.api.send("GET", f"{at}/next?n={NEXT}&here={part(zone)}"),
        visit.api.send("GET", f"/queues/{part(queue)}/jobs", parameters={"q": f'schedule:"{id}"', "limit": PAST}),
    )
    return await visit.page(
        "schedule.html", title=id, active="schedules", schedule=shown, zone=zone,
        runs=runs.json if runs.status < 400 else None, past=past.json if past.status < 400 else None,
        etag=reply.headers.get("etag", "*"),
    )  # fmt: skip


async def ask(visit: Visit) -> Response:
    """Delete a schedule: what that means."""
    at = f"/queues/{part(visit.part('q'))}/schedules/{part(visit.part('id'))}"
    reply = await visit.api.send("GET", at)
    shown = cast(Mapping[str, object], reply.must())
    return await visit.page(
        "ask/schedule_delete.html", title=f"Delete {shown['id']}", active="schedules", schedule=shown,
        etag=reply.headers.get("etag", "*"),
    )  # fmt: skip


PAGES = (
    ("GET", "/schedules", schedules),
    ("GET", "/schedules/{q}/{id}", schedule),
    ("GET", "/schedules/{q}/{id}/ask/delete", ask),
)
