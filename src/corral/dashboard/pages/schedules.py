"""Schedules: what runs when, whether it did, and running it now."""

import asyncio
from collections.abc import Mapping
from typing import cast

from starlette.responses import Response

from corral.dashboard.forms import fields_of, first
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem

#: How many runs to come are shown, and how many past ones.
NEXT, PAST = 10, 20


async def schedules(visit: Visit) -> Response:
    """The schedules of all queues."""
    found = await visit.api.get("/schedules", limit=200, cursor=visit.parameter("cursor") or None)
    return await visit.page("schedules.html", title="Schedules", active="schedules", schedules=found)


async def schedule(visit: Visit) -> Response:
    """One schedule: its next runs in two zones, and its last ones."""
    queue, id = visit.part("q"), visit.part("id")
    at = f"/queues/{part(queue)}/schedules/{part(id)}"
    zone = visit.parameter("zone", "UTC")
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


async def edit(visit: Visit) -> Response:
    """The form that changes a schedule."""
    at = f"/queues/{part(visit.part('q'))}/schedules/{part(visit.part('id'))}"
    reply = await visit.api.send("GET", at)
    shown = cast(Mapping[str, object], reply.must())
    return await _form(visit, shown, reply.headers.get("etag", "*"), pattern=str(shown["pattern"] or ""),
                       every=shown["every_ms"], zone=str(shown["tz"]), problem=None, preview=None)  # fmt: skip


async def preview(visit: Visit) -> Response:
    """What a changed timing would do, or the change itself."""
    fields = await fields_of(visit.request)
    queue, id = visit.part("q"), visit.part("id")
    at = f"/queues/{part(queue)}/schedules/{part(id)}"
    reply = await visit.api.send("GET", at)
    shown = cast(Mapping[str, object], reply.must())
    pattern, every, zone = first(fields, "pattern").strip(), first(fields, "every").strip(), first(fields, "tz", "UTC")
    timing: dict[str, object] = {"tz": zone or "UTC"}
    timing |= {"pattern": pattern} if pattern else {"every_ms": round(float(every) * 1000) if _is_number(every) else 0}
    found, wrong = None, None
    try:
        found = (await visit.api.send("POST", "/schedules/preview", body={**timing, "n": NEXT})).must()
        if first(fields, "save"):
            headers = {"if-match": first(fields, "_if", "*"), "corral-reason": part(first(fields, "reason"))}
            (await visit.api.send("PATCH", at, body=timing, headers=headers)).must()
            return visit.go(f"/schedules/{part(queue)}/{part(id)}", done="Changed.")
    except Problem as refused:
        if refused.status not in (400, 412, 422):
            raise
        wrong = refused
    seconds = float(every) * 1000 if _is_number(every) else None
    return await _form(visit, shown, reply.headers.get("etag", "*"), pattern=pattern, every=seconds, zone=zone,
                       problem=wrong, preview=found)  # fmt: skip


async def _form(
    visit: Visit, shown: Mapping[str, object], etag: str, *, pattern: str, every: object, zone: str,
    problem: Problem | None, preview: object,
) -> Response:  # fmt: skip
    return await visit.page(
        "ask/schedule_edit.html", title=f"Edit {shown['id']}", active="schedules", schedule=shown, etag=etag,
        pattern=pattern, every=every, zone=zone, problem=problem, preview=preview,
    )  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


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
    ("GET", "/schedules/{q}/{id}/edit", edit),
    ("POST", "/schedules/{q}/{id}/edit", preview),
    ("GET", "/schedules/{q}/{id}/ask/delete", ask),
)
