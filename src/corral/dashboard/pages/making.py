"""New jobs: from nothing, and from old ones."""

import json
from collections.abc import Mapping
from typing import cast

from msgspec import Raw
from starlette.responses import Response

from corral.dashboard.forms import Fields, fields_of, first
from corral.dashboard.pages.job import Wrong, form
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem

#: What a form can be refused for that its author can mend.
MENDABLE = (400, 409, 412, 413, 422)


async def new(visit: Visit) -> Response:
    """The form for a job of one queue."""
    return await _form(visit, {}, None)


async def add(visit: Visit) -> Response:
    """Add the job that the form describes; what is wrong with it is told beside it."""
    fields = await fields_of(visit.request)
    given = {name: first(fields, name) for name in ("name", "data", "delay", "priority", "attempts", "id", "tags")}
    try:
        body = _body(given)
        reply = await visit.api.send("POST", f"/queues/{part(visit.part('q'))}/jobs", body=body)
        made = cast(Mapping[str, object], reply.must())
    except Problem as found:
        if found.status not in MENDABLE:
            raise
        return await _form(visit, given, found)
    return visit.go(f"/queues/{part(str(made['queue']))}/jobs/{part(str(made['id']))}", done="Added.")


def _body(given: Mapping[str, str]) -> dict[str, object]:
    """The request that the form stands for. Raises: Problem (400)."""
    try:
        json.loads(given["data"] or "null")
        numbers = {name: float(given[name]) for name in ("delay", "priority", "attempts") if given[name].strip()}
    except ValueError as error:
        raise Problem("invalid-parameter", f"This cannot be read: {error}.") from None
    opts: dict[str, object] = {name: int(value) for name, value in numbers.items() if name != "delay"}
    if "delay" in numbers:
        opts["delay_ms"] = round(numbers["delay"] * 1000)
    if given["id"].strip():
        opts["id"] = given["id"].strip()
    tags = [tag.strip() for tag in given["tags"].split(",") if tag.strip()]
    if tags:
        opts["tags"] = tags
    return {"name": given["name"].strip(), "data": Raw((given["data"] or "null").encode()), "opts": opts}


async def _form(visit: Visit, given: Mapping[str, str], wrong: Problem | None) -> Response:
    queue = visit.part("q")
    at = f"/queues/{part(queue)}"
    shown = await visit.api.get(at)
    schema = await visit.api.send("GET", f"{at}/schema")
    names = cast(Mapping[str, Mapping[str, object]], schema.json)["names"] if schema.status < 400 else {}
    return await visit.page(
        "new.html", title=f"Add a job to {queue}", active="queues", queue=shown, names=names, given=given, wrong=wrong,
        status=200 if wrong is None else wrong.status,
    )  # fmt: skip


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
        raise Problem("invalid-parameter", f"{text!r} is no priority.", parameter="priority") from None


PAGES = (
    ("GET", "/queues/{q}/new", new),
    ("POST", "/queues/{q}/new", add),
    ("POST", "/rerun/queues/{q}/jobs/{id}", rerun),
    ("POST", "/edit/queues/{q}/jobs/{id}", edit),
)
