"""One job, with everything that is known of it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Struct
from starlette.responses import Response

from corral.dashboard.pages import logs
from corral.dashboard.tree import pretty
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem, problem

TABS = ("payload", "result", "errors", "logs", "flow", "options", "attempts", "raw", "audit")
#: What can be done with a job that is asked about first.
ASKED = {"remove": "Remove", "cancel": "Cancel", "rerun": "Edit and run again", "edit": "Edit"}
#: What is shown of a text at once; the whole is in the download.
LARGE = 65_536
#: Newer jobs made from this one that are named.
REMADE = 5


async def job(visit: Visit) -> Response:
    """One job: what happened to it, why it is not done, what can be done."""
    name, id, tab = visit.part("q"), visit.part("id"), visit.parameter("tab")
    at = f"/queues/{part(name)}/jobs/{part(id)}"
    try:
        shown = cast(Mapping[str, object], await visit.api.get(at, include="why,attempts", reveal=_revealed(visit)))
    except Problem as found:
        if found.code == "job-not-found":
            return await _gone(visit, name, id)
        raise
    tab = tab if tab in TABS else "errors" if shown["error"] is not None and shown["state"] == "failed" else "payload"
    data = await _READ[tab](visit, at, shown) if tab in _READ else {}
    counts, remade, worker = await asyncio.gather(
        _counts(visit, at, shown), _remade(visit, shown), _worker(visit, shown)
    )
    return await visit.page(
        "job.html", title=f"{shown['name']} #{id}", active="jobs", job=shown, tab=tab, tabs=TABS, counts=counts,
        remade=remade, worker=worker, revealed=_revealed(visit), more=data,
    )  # fmt: skip


def _revealed(visit: Visit) -> bool:
    """Whether what is sensitive was asked for. It goes into the audit log, so it never happens by the way."""
    return visit.parameter("reveal") == "1"


async def _counts(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, int]:
    """How much there is on the tabs that may be empty."""
    reply = await visit.api.send("GET", f"{at}/logs?limit=1")
    attempts = cast("Sequence[Mapping[str, object]]", shown["attempts"] or ())
    return {
        "errors": sum(one["error"] is not None for one in attempts),
        "logs": cast(int, cast(Mapping[str, object], reply.json)["total"]) if reply.status < 400 else 0,
    }


async def _remade(visit: Visit, shown: Mapping[str, object]) -> Sequence[object]:
    """Jobs that were made from this one when it had ended, as far as the audit log may be read and says so."""
    if shown["state"] not in ("completed", "failed"):
        return ()
    about = f"queue={part(str(shown['queue']))}&job={part(str(shown['id']))}"
    reply = await visit.api.send("GET", f"/audit?{about}&action=job.rerun&limit={REMADE}")
    entries = cast(Mapping[str, object], reply.json)["items"] if reply.status < 400 else ()
    made = [one["after"] for one in cast("Sequence[Mapping[str, object]]", entries)]
    return [one for one in made if isinstance(one, dict) and "id" in one]


async def _worker(visit: Visit, shown: Mapping[str, object]) -> str | None:
    """Its worker, if that has a page: Node's have none, nor have those that are gone."""
    id = shown["worker"]
    if not id or (await visit.api.send("GET", f"/workers/{part(str(id))}")).status >= 400:
        return None
    return str(id)


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
    return await _text(visit, f"{at}/payload", reveal=_revealed(visit))


async def _result(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return await _text(visit, f"{at}/result/raw", reveal=_revealed(visit))


async def _text(visit: Visit, at: str, *, reveal: bool) -> dict[str, object]:
    """A stored text, as far as it is shown at once."""
    reply = await visit.api.send("GET", at, parameters={"max": LARGE, "reveal": reveal})
    size = int(reply.headers.get("x-total-bytes", "0"))
    there = reply.status < 400
    text = reply.body.decode("utf-8", "replace") if there else ""
    return {"text": text, "bytes": size, "cut": size > LARGE, "there": there}


async def _logs(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return await logs.read(visit, at, shown)


async def _flow(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    return {"flow": await visit.api.get(f"{at}/flow")}


async def _raw(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    found = cast(Mapping[str, object], await visit.api.get(at, include="raw", reveal=_revealed(visit)))
    return {"raw": found["raw"]}


async def _audit(visit: Visit, at: str, shown: Mapping[str, object]) -> dict[str, object]:
    reply = await visit.api.send("GET", f"/audit?queue={part(str(shown['queue']))}&job={part(str(shown['id']))}")
    return {"entries": cast(Mapping[str, object], reply.json)["items"] if reply.status < 400 else None}


_READ = {
    "payload": _payload, "result": _result, "logs": _logs, "flow": _flow, "raw": _raw, "audit": _audit,
}  # fmt: skip


class Wrong(Struct, frozen=True):
    """What a form was refused for, and what had been typed into it."""

    problem: Problem
    typed: Mapping[str, str]


async def ask(visit: Visit) -> Response:
    """A change to one job: what it means, and the form to say so."""
    return await form(visit, visit.part("what"))


async def form(visit: Visit, what: str, wrong: Wrong | None = None) -> Response:
    """The same, once more with what was typed when it was refused."""
    if what not in ASKED:
        problem("not-found", f"Nothing called {what!r} can be done with a job.")
    name, id = visit.part("q"), visit.part("id")
    at = f"/queues/{part(name)}/jobs/{part(id)}"
    reply = await visit.api.send("GET", at)
    shown = cast(Mapping[str, object], reply.must())
    data = await _text(visit, f"{at}/payload", reveal=True) if what in ("rerun", "edit") else {}
    if data:
        data["pretty"] = pretty(str(data["text"]))
    return await visit.page(
        f"ask/job_{what}.html", title=f"{ASKED[what]}: {shown['name']} #{id}", active="jobs", job=shown,
        etag=reply.headers.get("etag", "*"), wrong=wrong.problem if wrong else None, typed=wrong.typed if wrong else {},
        status=wrong.problem.status if wrong else 200, more=data,
    )  # fmt: skip


PAGES = (
    ("GET", "/queues/{q}/jobs/{id}", job),
    ("GET", "/queues/{q}/jobs/{id}/ask/{what}", ask),
)
