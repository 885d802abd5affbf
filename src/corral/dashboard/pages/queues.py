"""Queues: all of them, and one."""

import asyncio
from collections.abc import Mapping, Sequence
from glob import escape
from typing import cast

from starlette.responses import RedirectResponse, Response

from corral.dashboard.forms import fields_of, first, local
from corral.dashboard.pages.insights import RANGES, drawn, span_of
from corral.dashboard.pages.jobs import UNREADABLE
from corral.dashboard.pages.overview import MOST, SHOWS, SORTS, included, listed
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem, problem

STATES = ("waiting", "active", "delayed", "waiting-children", "completed", "failed")
TABS = ("jobs", "metrics", "schedules", "workers", "settings")
#: What can be done to a whole queue, each on a page of its own that asks first.
ASKED = ("pause", "drain", "clean", "obliterate")
#: What can be done to several at once.
MANY_ACTIONS = {"pause": "Paused", "resume": "Resumed"}
MANY = 50
#: Queues on one page of the list.
LISTED = MOST
#: Of finished jobs: what can be cleaned, from which age on (in seconds), and how many at a time.
CLEANABLE = ("completed", "failed")
AGES = {3_600: "1 hour", 86_400: "1 day", 604_800: "7 days", 2_592_000: "30 days", 0: "any age"}
CLEANED = 10_000
#: Where Bull Board had a state that has another name here.
OLD_STATES = {"latest": "", "prioritized": "waiting", "paused": "waiting"}


async def queues(visit: Visit) -> Response:
    """The table of all queues."""
    wanted, match = listed(visit), visit.parameter("match")
    patterns = [match if set("*?[") & set(match) else f"*{match}*"] if match else []
    found = await visit.api.get(
        "/queues", limit=LISTED, match=patterns, cursor=visit.parameter("cursor") or None, include=included(visit),
        **wanted,
    )  # fmt: skip
    return await visit.page(
        "queues.html", title="Queues", active="queues", queues=found, match=match, sorts=SORTS, shows=SHOWS,
        sort=wanted["sort"], show=wanted["show"],
    )  # fmt: skip


async def several(visit: Visit) -> Response:
    """Pause or resume the queues that were chosen in the table."""
    fields = await fields_of(visit.request)
    action, target = first(fields, "action"), local(first(fields, "_next", "/queues"))
    names = [name for name in fields.get("queue", ()) if name]
    if action not in MANY_ACTIONS:
        problem("invalid-parameter", f"Nothing called {action!r} can be done to many queues.", parameter="action")
    if not names:
        return visit.go(target, done="No queue was selected.")
    body = {"match": [escape(name) for name in names], "reason": first(fields, "reason")}
    said = (await visit.api.send("POST", f"/queues/{action}", body=body)).must()
    changed = cast("Mapping[str, Sequence[str]]", said)["changed"]
    return visit.go(target, done=f"{MANY_ACTIONS[action]} {', '.join(changed) or 'none: they are already'}."[:200])


async def queue(visit: Visit) -> Response:
    """One queue: its jobs by state, or another of its tabs."""
    tab = visit.parameter("tab", "jobs")
    if tab not in TABS:
        problem("not-found", f"A queue has no {tab!r}.")
    return await shown(visit, tab)


async def shown(visit: Visit, tab: str, *, status: int = 200, **more: object) -> Response:
    """The page of one queue with one of its tabs. Raises: Problem."""
    name = visit.part("q")
    at = f"/queues/{part(name)}"
    found, arriving, data = await asyncio.gather(
        visit.api.send("GET", at, parameters={"include": "defaults,priorities"}),
        visit.api.send("GET", f"{at}/metrics", parameters={"metric": "added", "from": "15m", "step": "1m"}),
        _TABS[tab](visit, name, at),
    )
    wrong = data.get("wrong")
    return await visit.page(
        "queue.html", title=name, active="queues", queue=found.must(), tab=tab, tabs=TABS,
        status=wrong.status if isinstance(wrong, Problem) else status,
        arriving=_per_minute(arriving.json) if arriving.status < 400 else None, more={**data, **more},
    )  # fmt: skip


def _per_minute(chart: object) -> float | None:
    """How many jobs were added in a minute, over the minutes that are known."""
    lines = cast("Mapping[str, Sequence[Mapping[str, Sequence[Sequence[float | None]]]]]", chart)["series"]
    values = [point[1] for line in lines for point in line["points"] if point[1] is not None]
    return sum(values) / len(values) if values else None


async def _jobs(visit: Visit, name: str, at: str) -> dict[str, object]:
    state, query, cursor = visit.parameter("state"), visit.parameter("q"), visit.parameter("cursor")
    found, wrong = None, None
    try:
        found = await visit.api.get(
            f"{at}/jobs", limit=MANY, state=state or None, q=query or None, cursor=cursor or None
        )
    except Problem as refused:
        if refused.code not in UNREADABLE:
            raise
        wrong = refused
    return {"jobs": found, "state": state, "states": STATES, "query": query, "wrong": wrong}


async def _metrics(visit: Visit, name: str, at: str) -> dict[str, object]:
    span, log = span_of(visit), visit.parameter("scale") == "log"
    found, top = await asyncio.gather(
        drawn(visit, name, span, log=log), visit.api.get("/metrics/top", queue=name, window="24h")
    )
    return {"charts": found.charts, "top": top, "span": span, "ranges": tuple(RANGES), "log": log}


async def _schedules(visit: Visit, name: str, at: str) -> dict[str, object]:
    return {"schedules": await visit.api.get(f"{at}/schedules", limit=200)}


async def _workers(visit: Visit, name: str, at: str) -> dict[str, object]:
    return {"workers": await visit.api.get("/workers", queue=name, include="nodes", limit=MOST)}


async def _settings(visit: Visit, name: str, at: str) -> dict[str, object]:
    etag = (await visit.api.send("GET", at)).headers.get("etag", "*")
    return {"etag": etag, "typed": None, "refused": None}


_TABS = {"jobs": _jobs, "metrics": _metrics, "schedules": _schedules, "workers": _workers, "settings": _settings}


async def ask(visit: Visit) -> Response:
    """A change to a whole queue: what it means, and the form to say so."""
    name, what = visit.part("q"), visit.part("what")
    if what not in ASKED:
        problem("not-found", f"Nothing called {what!r} can be done to a queue.")
    found = await visit.api.get(f"/queues/{part(name)}")
    more = await _would_clean(visit, name) if what == "clean" else {}
    title = f"{what.capitalize()} {name}"
    return await visit.page(f"ask/{what}.html", title=title, active="queues", queue=found, more=more)


async def _would_clean(visit: Visit, name: str) -> dict[str, object]:
    """What is to be cleaned, and what that would delete; nothing is changed by asking."""
    state, age = visit.parameter("state"), visit.parameter("older")
    state = state if state in CLEANABLE else CLEANABLE[0]
    seconds = int(age) if age.isdecimal() and int(age) in AGES else 86_400
    body = {"state": state, "grace_ms": seconds * 1_000, "limit": CLEANED}
    counted = await visit.api.send("POST", f"/queues/{part(name)}/clean", body={**body, "dry_run": True})
    if counted.status == 403:
        counted.must()
    would = counted.json if counted.status < 400 else None
    return {"chosen": body, "states": CLEANABLE, "ages": AGES, "older": seconds, "would": would}


async def old_queue(visit: Visit) -> Response:
    """Where Bull Board had a queue, or one state of it."""
    status = visit.parameter("status")
    state = OLD_STATES.get(status, status if status in STATES else "")
    return RedirectResponse(visit.link(f"/queues/{part(visit.part('q'))}", state=state), status_code=308)


async def old_job(visit: Visit) -> Response:
    """Where Bull Board had a job."""
    where = f"/queues/{part(visit.part('q'))}/jobs/{part(visit.part('id'))}"
    return RedirectResponse(visit.link(where), status_code=308)


PAGES = (
    ("GET", "/queues", queues),
    ("POST", "/queues/selected", several),
    ("GET", "/queues/{q}", queue),
    ("GET", "/queues/{q}/ask/{what}", ask),
    ("GET", "/queue/{q}", old_queue),
    ("GET", "/queue/{q}/{id}", old_job),
)
