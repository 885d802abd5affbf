"""New jobs: from nothing, and from old ones."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

from msgspec import Raw
from starlette.responses import Response

from corral.dashboard import blank
from corral.dashboard.blank import PREFIX, payload_of
from corral.dashboard.forms import Fields, fields_of, first
from corral.dashboard.pages.job import Wrong, form
from corral.dashboard.tree import pretty, written
from corral.dashboard.visit import MENDABLE, Visit
from corral.http.models.links import part
from corral.http.problems import Problem

#: A payload of more bytes is not copied into a form.
MOST_TEXT = 65_536


async def new(visit: Visit) -> Response:
    """The form for a job of one queue: empty, or filled in after another job."""
    old = visit.parameter("clone")
    return await _form(visit, await _cloned(visit, old) if old else {}, None)


async def _cloned(visit: Visit, id: str) -> dict[str, str]:
    """What is to be filled in for a job like this one."""
    at = f"/queues/{part(visit.part('q'))}/jobs/{part(id)}"
    old = cast(Mapping[str, object], await visit.api.get(at))
    reply = await visit.api.send("GET", f"{at}/payload", parameters={"max": MOST_TEXT})
    whole = int(reply.headers.get("x-total-bytes", "0")) <= MOST_TEXT
    return {
        "name": str(old["name"]),
        "data": pretty(reply.body.decode("utf-8", "replace")) if reply.status < 400 and whole else "",
        "tags": ", ".join(map(str, cast("Sequence[object]", old["tags"]))),
        "priority": str(old["priority"] or ""),
    }


async def add(visit: Visit) -> Response:
    """Add the job that the form describes; what is wrong with it is told beside it."""
    fields = await fields_of(visit.request)
    given = {name: first(fields, name) for name in fields}
    try:
        reply = await visit.api.send("POST", f"/queues/{part(visit.part('q'))}/jobs", body=_body(given))
        made = cast(Mapping[str, object], reply.must())
    except Problem as found:
        if found.status not in MENDABLE:
            raise
        return await _form(visit, given, found)
    return visit.go(f"/queues/{part(str(made['queue']))}/jobs/{part(str(made['id']))}", done="Added.")


def _body(given: Mapping[str, str]) -> dict[str, object]:
    """The request that the form stands for. Raises: Problem (400)."""
    said = {name: text.strip() for name, text in given.items()}
    try:
        filled = [(name, text) for name, text in given.items() if name.startswith(PREFIX)]
        data = payload_of(filled) if filled else given.get("data") or "null"
        json.loads(data)
        numbers = {name: float(said[name]) for name in ("delay", "priority", "attempts") if said.get(name)}
    except ValueError as error:
        raise Problem("invalid-parameter", f"This cannot be read: {error}.") from None
    opts: dict[str, object] = {name: int(value) for name, value in numbers.items() if name != "delay"}
    if "delay" in numbers:
        opts["delay_ms"] = round(numbers["delay"] * 1000)
    if said.get("id"):
        opts["id"] = said["id"]
    tags = [tag.strip() for tag in said.get("tags", "").split(",") if tag.strip()]
    if tags:
        opts["tags"] = tags
    return {"name": said.get("name", ""), "data": Raw(data.encode()), "opts": opts}


async def _form(visit: Visit, given: Mapping[str, str], wrong: Problem | None) -> Response:
    queue = visit.part("q")
    at = f"/queues/{part(queue)}"
    shown = await visit.api.get(at)
    reply = await visit.api.send("GET", f"{at}/schema")
    names = cast(Mapping[str, Mapping[str, object]], reply.json)["names"] if reply.status < 400 else {}
    name = given.get("name") or visit.parameter("name")
    known = cast("Mapping[str, Mapping[str, object]] | None", names.get(name))
    schema = {} if known is None else known["schema"]
    typed = {"name": name, **given}
    flat = blank.fields_of(schema) if "data" not in given and visit.parameter("as") != "json" else ()
    if not flat and "data" not in given:
        typed["data"] = _kept(given) or (written(blank.example(schema)) if schema else "{}")
    return await visit.page(
        "new.html", title=f"Add a job to {queue}", active="queues", queue=shown, names=names, given=typed, wrong=wrong,
        flat=flat, schema=schema, status=200 if wrong is None else wrong.status,
    )  # fmt: skip


def _kept(given: Mapping[str, str]) -> str:
    """What was typed into fields that the form has no longer, as JSON; nothing when it is none."""
    try:
        filled = payload_of((name, text) for name, text in given.items() if name.startswith(PREFIX))
    except ValueError:
        return ""
    return "" if filled == "{}" else filled


async def rerun(visit: Visit) -> Response:
    """A new job from an old one, its payload changed if need be."""
    fields = await fields_of(visit.request)
    body: dict[str, object] = {"remove_old": first(fields, "remove_old") != "", "reason": first(fields, "reason")}
    try:
        if "data" in fields:
            body["data"] = _payload(first(fields, "data"))
        reply = await visit.api.send("POST", f"{_at(visit)}/rerun", body=body)
        made = cast(Mapping[str, object], reply.must())
    except Problem as found:
        return await _again(visit, "rerun", fields, found)
    return visit.go(f"/queues/{part(str(made['queue']))}/jobs/{part(str(made['id']))}", done="Added anew.")


async def edit(visit: Visit) -> Response:
    """A job that keeps its id, its payload and priority changed; not when it has changed in the meantime."""
    fields = await fields_of(visit.request)
    body: dict[str, object] = {}
    try:
        if "data" in fields:
            body["data"] = _payload(first(fields, "data"))
        if first(fields, "priority").strip():
            body["priority"] = _number(first(fields, "priority"))
        headers = {"if-match": first(fields, "_if", "*")}
        (await visit.api.send("PATCH", _at(visit), body=body, headers=headers)).must()
    except Problem as found:
        return await _again(visit, "edit", fields, found)
    return visit.go(_at(visit), done="Changed.")


async def _again(visit: Visit, what: str, fields: Fields, found: Problem) -> Response:
    """The form once more, as it was filled in, with what is wrong. Raises: Problem, one that the form cannot help."""
    if found.status not in MENDABLE:
        raise found
    return await form(visit, what, Wrong(found, {name: first(fields, name) for name in fields}))


def _at(visit: Visit) -> str:
    return f"/queues/{part(visit.part('q'))}/jobs/{part(visit.part('id'))}"


def _payload(text: str) -> Raw:
    """A payload as it was typed. Raises: Problem (400)."""
    try:
        json.loads(text)
    except ValueError as error:
        raise Problem("invalid-json", f"The payload cannot be read: {error}.") from None
    return Raw(text.encode())


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Problem("invalid-parameter", f"{text!r} is no priority.") from None


PAGES = (
    ("GET", "/queues/{q}/new", new),
    ("POST", "/queues/{q}/new", add),
    ("POST", "/rerun/queues/{q}/jobs/{id}", rerun),
    ("POST", "/edit/queues/{q}/jobs/{id}", edit),
)
