"""Jobs: found anywhere, and one with everything that is known of it."""

from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote

from starlette.responses import Response

from corral.dashboard.forms import fields_of, first, local
from corral.dashboard.tree import pretty
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem, problem

MANY = 50
TABS = ("payload", "result", "errors", "logs", "flow", "options", "attempts", "raw", "audit")
#: What can be done with a job that is asked about first.
ASKED = ("remove", "cancel", "rerun", "edit")
#: What is shown of a text at once; the whole is in the download.
LARGE = 65_536
LOG_LINES = 1_000
#: What is done at once with many jobs.
BULK = ("retry", "promote", "cancel", "remove")


async def search(visit: Visit) -> Response:
    """Find jobs of all queues."""
    query, found, wrong = visit.parameter("q"), None, None
    try:
        found = await visit.api.get("/jobs", q=query, limit=MANY, cursor=visit.parameter("cursor") or None)
    except Problem as refused:
        if refused.code not in ("invalid-query", "redacted-field", "invalid-cursor"):
            raise
        wrong = refused
    return await visit.page("jobs.html", title="Jobs", active="jobs", jobs=found, query=query, wrong=wrong)


async def job(visit: Visit) -> Response:
    """One job: what happened to it, why it is not done, what can be done."""
    name, id, tab = visit.part("q"), visit.part("id"), visit.parameter("tab")
    at = f"/queues/{part(name)}/jobs/{part(id)}"
    try:
        shown = cast(Mapping[str, object], await visit.api.get(at, include="why,attempts"))
    except Problem as found:
        if found.code == "job-not-found":
            return await _gone(visit, name, id)
        raise
    tab = tab if tab in TABS else "errors" if shown["error"] is not None and shown["state"] == "failed" else "payload"
    data = await _READ[tab](visit, at, shown) if tab in _READ else {}
    return await visit.page("job.html", title=f"{shown['name']} #{id}", active="jobs", job=shown, tab=tab, more=data)


async def _gone(visit: Visit, queue: str, id: str) -> Response:
    """The page of a job that is not there: perhaps somebody knows why."""
    audit = await visit.api.send("GET", f"/audit?queue={part(queue)}&job={part(id)}&limit=20")
    entries = cast(Mapping[str, object], audit.json)["items"] if audit.status < 400 else []
    queue_reply = await visit.api.send("GET", f"/queues/{part(queue)}")
    if queue_reply.status >= 400:
        queue_reply.must()
    return await visit.page(
        "gone.html", title=f"#{id}", active="jobs", status=404, queue=queue_reply.json, id=id, entries=entries
    )


async def _payload(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return await _text(visit, f"{at}/payload")


async def _result(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return await _text(visit, f"{at}/result/raw")


async def _text(visit: Visit, at: str) -> dict[str, object]:
    """A stored text, as far as it is shown at once."""
    reply = await visit.api.send("GET", at)
    text = reply.body.decode("utf-8", "replace") if reply.status < 400 else ""
    return {"text": text[:LARGE], "bytes": len(reply.body), "cut": len(text) > LARGE, "there": reply.status < 400}


async def _logs(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return {"logs": await visit.api.get(f"{at}/logs", limit=500)}


async def _flow(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return {"flow": await visit.api.get(f"{at}/flow")}


async def _raw(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    found = cast(Mapping[str, object], await visit.api.get(at, include="raw"))
    return {"raw": found["raw"]}


async def _audit(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    reply = await visit.api.send("GET", f"/audit?queue={part(str(shown['queue']))}&job={part(str(shown['id']))}")
    return {"entries": cast(Mapping[str, object], reply.json)["items"] if reply.status < 400 else None}


_READ = {
    "payload": _payload, "result": _result, "logs": _logs, "flow": _flow, "raw": _raw, "audit": _audit,
}  # fmt: skip


async def ask(visit: Visit) -> Response:
    """A change to one job: what it means, and the form to say so."""
    name, id, what = visit.part("q"), visit.part("id"), visit.part("what")
    if what not in ASKED:
        problem("not-found", f"Nothing called {what!r} can be done with a job.")
    at = f"/queues/{part(name)}/jobs/{part(id)}"
    reply = await visit.api.send("GET", at)
    shown = cast(Mapping[str, object], reply.must())
    data = await _text(visit, f"{at}/payload") if what in ("rerun", "edit") else {}
    if data:
        data["pretty"] = pretty(str(data["text"]))
    title = {"rerun": "Edit and run again", "edit": "Edit", "remove": "Remove", "cancel": "Cancel"}[what]
    return await visit.page(
        f"ask/job_{what}.html", title=f"{title}: {shown['name']} #{id}", active="jobs", job=shown,
        etag=reply.headers.get("etag", "*"), more=data,
    )  # fmt: skip


async def bulk(visit: Visit) -> Response:
    """Many jobs: first what it would touch, then the doing of it."""
    fields = await fields_of(visit.request)
    action, query, target = first(fields, "action"), first(fields, "q"), local(first(fields, "_next", "/jobs"))
    if action not in BULK:
        problem("invalid-parameter", f"Nothing called {action!r} can be done with many jobs.", parameter="action")
    chosen = [one.split("/", 1) for one in fields.get("job", ()) if "/" in one]
    by_query = first(fields, "all") != ""
    select: dict[str, object] = {"q": query} if by_query else {"ids": _refs(chosen)}
    if not by_query and not chosen:
        return visit.go(target, done="No job was selected.")
    if first(fields, "sure") == "":
        preview = (
            await visit.api.send("POST", "/jobs/bulk", body={"action": action, "select": select, "dry_run": True})
        ).must()
        return await visit.page(
            "ask/bulk.html", title=f"{action.capitalize()} many jobs", active="jobs", action=action, query=query,
            by_query=by_query, chosen=fields.get("job", ()), preview=preview, target=target,
        )  # fmt: skip
    body: dict[str, object] = {"action": action, "select": select, "reason": first(fields, "reason")}
    if first(fields, "expect").isdigit() and by_query:
        body["expect"] = int(first(fields, "expect"))
    reply = await visit.api.send("POST", "/jobs/bulk", body=body)
    said = cast(Mapping[str, object], reply.must())
    if reply.status == 202:
        return visit.go(f"/operations/{part(str(said['id']))}")
    return await visit.page("bulk_done.html", title="Done", active="jobs", action=action, outcome=said, target=target)


def _refs(chosen: list[list[str]]) -> list[dict[str, str]]:
    return [{"queue": unquote(queue), "id": unquote(id)} for queue, id in chosen]


PAGES = (
    ("GET", "/jobs", search),
    ("POST", "/jobs/bulk", bulk),
    ("GET", "/queues/{q}/jobs/{id}", job),
    ("GET", "/queues/{q}/jobs/{id}/ask/{what}", ask),
)
