"""New jobs: from nothing, and from old ones."""

import json
from collections.abc import Mapping
from typing import cast

from msgspec import Raw
from starlette.responses import Response

from corral.dashboard.forms import fields_of, first
from corral.dashboard.visit import Visit
from corral.http.models.links import part
from corral.http.problems import Problem


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
        if found.status not in (400, 409, 413, 422):
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
    at = f"/queues/{part(visit.part('q'))}/jobs/{part(visit.part('id'))}"
    body: dict[str, object] = {"remove_old": first(fields, "remove_old") != "", "reason": first(fields, "reason")}
    if "data" in fields:
        try:
            json.loads(first(fields, "data"))
        except ValueError as error:
            raise Problem("invalid-json", f"The payload cannot be read: {error}.") from None
        body["data"] = Raw(first(fields, "data").encode())
    made = cast(Mapping[str, object], (await visit.api.send("POST", f"{at}/rerun", body=body)).must())
    return visit.go(f"/queues/{part(str(made['queue']))}/jobs/{part(str(made['id']))}", done="Added anew.")


PAGES = (
    ("GET", "/queues/{q}/new", new),
    ("POST", "/queues/{q}/new", add),
    ("POST", "/rerun/queues/{q}/jobs/{id}", rerun),
)
