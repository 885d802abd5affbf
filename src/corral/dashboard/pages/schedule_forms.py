"""Schedules as forms: a new one, a change to one, and what either would do."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast

from msgspec import Raw
from starlette.responses import Response

from corral.dashboard.forms import fields_of, first
from corral.dashboard.pages.schedules import NEXT
from corral.dashboard.tree import written
from corral.dashboard.visit import Visit
from corral.dashboard.words import moment
from corral.http.models.links import part
from corral.http.problems import Problem

Typed = Mapping[str, str]
#: The fields of the form as they are when nobody has said anything.
EMPTY: Typed = {
    "queue": "", "id": "", "name": "", "pattern": "", "every": "", "tz": "", "start": "", "end": "", "limit": "",
    "missed_policy": "once", "overlap": "allow", "data": "{}", "reason": "",
}  # fmt: skip
MISSED, OVERLAP = ("once", "skip", "all"), ("allow", "skip")
#: How a browser writes a moment.
MINUTE = "%Y-%m-%dT%H:%M"
#: What is told beside the form, instead of a page about it.
BESIDE = (400, 404, 409, 412, 413, 422, 428)


async def new(visit: Visit) -> Response:
    """The form for a new schedule."""
    return await _form(visit, {**EMPTY, "queue": visit.parameter("queue"), "tz": visit.times.name})


async def add(visit: Visit) -> Response:
    """What a new schedule would do, or making it."""
    typed = await _typed(visit)
    found, wrong = None, None
    try:
        found = await _preview(visit, typed)
        if "save" in typed:
            at = f"/queues/{part(typed['queue'])}/schedules/{part(typed['id'])}"
            body = {**_timing(typed), **_bounds(typed), "job": {"name": typed["name"], "data": _data(typed)}}
            (await visit.api.send("PUT", at, body=body)).must()
            return visit.go(f"/schedules/{part(typed['queue'])}/{part(typed['id'])}", done="Made.")
    except Problem as refused:
        wrong = _beside(refused)
        if refused.status == 428:
            wrong = Problem("conflict", f"{typed['queue']} has a schedule {typed['id']!r} already: change that one.")
    return await _form(visit, typed, wrong=wrong, preview=found)


async def edit(visit: Visit) -> Response:
    """The form that changes a schedule."""
    shown, etag = await _read(visit)
    return await _form(visit, _as_typed(shown), shown=shown, etag=etag)


async def change(visit: Visit) -> Response:
    """What a changed schedule would do, or the change itself."""
    typed = await _typed(visit)
    shown, etag = await _read(visit)
    found, wrong = None, None
    try:
        found = await _preview(visit, typed)
        if "save" in typed:
            queue, id, body = part(visit.part("q")), part(visit.part("id")), _changes(typed, shown)
            if body:
                at = f"/queues/{queue}/schedules/{id}"
                (await visit.api.send("PATCH", at, body=body, headers={"if-match": typed["_if"] or "*"})).must()
            return visit.go(f"/schedules/{queue}/{id}", done="Changed." if body else "Nothing was changed.")
    except Problem as refused:
        wrong = _beside(refused)
    return await _form(visit, typed, shown=shown, etag=etag, wrong=wrong, preview=found)


async def _typed(visit: Visit) -> Typed:
    fields = await fields_of(visit.request)
    typed = {name: first(fields, name, default).strip() for name, default in EMPTY.items()}
    typed["data"] = typed["data"].replace("\r\n", "\n")  # as forms send the ends of lines
    typed["_if"] = first(fields, "_if")
    return typed | ({"save": "1"} if first(fields, "save") else {})


async def _read(visit: Visit) -> tuple[Mapping[str, object], str]:
    reply = await visit.api.send("GET", f"/queues/{part(visit.part('q'))}/schedules/{part(visit.part('id'))}")
    return cast(Mapping[str, object], reply.must()), reply.headers.get("etag", "*")


def _beside(refused: Problem) -> Problem:
    if refused.status not in BESIDE or refused.code == "reason-required":
        raise refused
    return refused


async def _preview(visit: Visit, typed: Typed) -> object:
    """The next runs. Raises: Problem."""
    asked = {**_timing(typed), "n": NEXT, "here": visit.times.name}
    return (await visit.api.send("POST", "/schedules/preview", body=asked)).must()


async def _form(
    visit: Visit, typed: Typed, *, shown: Mapping[str, object] | None = None, etag: str = "",
    wrong: Problem | None = None, preview: object = None,
) -> Response:  # fmt: skip
    queues = None if shown else await visit.api.get("/queues", limit=500, sort="name", fields="name")
    return await visit.page(
        "ask/schedule_edit.html", title=f"Edit {shown['id']}" if shown else "New schedule", active="schedules",
        schedule=shown, etag=typed.get("_if") or etag, typed=typed, problem=wrong, preview=preview, queues=queues,
        missed=MISSED, overlaps=OVERLAP, status=200 if wrong is None else wrong.status,
    )  # fmt: skip


# -- from and to the API -------------------------------------------------------------------------------------------


def _as_typed(shown: Mapping[str, object]) -> dict[str, str]:
    """A schedule as its form has it."""
    job = cast("Mapping[str, object] | None", shown["job"])
    every = cast("int | None", shown["every_ms"])
    said = {name: str(shown[name] or "") for name in ("name", "pattern", "tz", "limit", "missed_policy", "overlap")}
    bounds = {name: f"{moment(str(shown[name])):{MINUTE}}" if shown[name] else "" for name in ("start", "end")}
    data = "" if job is None or job["computed"] else written(job["data"])
    return {**EMPTY, **said, **bounds, "every": f"{every / 1000:g}" if every else "", "data": data}


def _changes(typed: Typed, shown: Mapping[str, object]) -> dict[str, object]:
    """The request for what differs. Raises: Problem (400)."""
    now = _as_typed(shown)
    differs = {name for name in now if typed[name] != now[name]}
    bounds = _bounds(typed)
    body: dict[str, object] = {name: bounds[name] for name in bounds if name in differs}
    if differs & {"pattern", "every", "tz"}:
        body |= _timing(typed)
    if "data" in differs and now["data"]:
        body["job"] = {"name": now["name"], "data": _data(typed)}
    return body


def _timing(typed: Typed) -> dict[str, object]:
    """When it runs. Raises: Problem (400)."""
    if not typed["pattern"] and not typed["every"]:
        raise Problem("invalid-parameter", "Say when: a cron line, or every so many seconds.")
    if typed["pattern"] and typed["every"]:
        raise Problem("invalid-parameter", "Say either a cron line or every so many seconds, not both.")
    timing: dict[str, object] = {"pattern": typed["pattern"]} if typed["pattern"] else {"every_ms": _every(typed)}
    return timing | {"tz": typed["tz"] or "UTC"}


def _every(typed: Typed) -> int:
    try:
        return round(float(typed["every"]) * 1000)
    except (ValueError, OverflowError):
        raise Problem("invalid-parameter", f"{typed['every'][:80]!r} is no number of seconds.") from None


def _bounds(typed: Typed) -> dict[str, object]:
    """From when, until when, how often, and what happens to runs that were missed or would overlap."""
    return {
        "start": _moment(typed["start"]), "end": _moment(typed["end"]), "limit": _limit(typed["limit"]),
        "missed_policy": typed["missed_policy"], "overlap": typed["overlap"],
    }  # fmt: skip


def _limit(text: str) -> int | None:
    if text and not text.isdecimal():
        raise Problem("invalid-parameter", f"{text[:80]!r} is no number of runs.")
    return int(text) if text else None


def _moment(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).isoformat() if text else None
    except ValueError:
        raise Problem("invalid-parameter", f"{text[:80]!r} is no moment such as 2026-11-23T09:00.") from None


def _data(typed: Typed) -> Raw:
    try:
        json.loads(typed["data"])
    except ValueError as error:
        raise Problem("invalid-json", f"The payload cannot be read: {error}.") from None
    return Raw(typed["data"].encode())


PAGES = (
    ("GET", "/schedules/new", new),
    ("POST", "/schedules/new", add),
    ("GET", "/schedules/{q}/{id}/edit", edit),
    ("POST", "/schedules/{q}/{id}/edit", change),
)
