"""Forms: what a page's buttons send, made into requests to the API. They work without any script.

A field's name says what its value is: `name` is text, `for_s:n` a number, `children:b` a switch, `data:j` JSON, and
`ids:l` a list of the fields of that name; `reason` goes along as the request's reason. Names that begin with an
underscore are the form's own: `_method`, `_next` (where to go then), `_done` (what to say there), `_if` (the version
that is meant to be changed), `_expect` (what has to be typed), `_typed`, and `_text` (what its button says).
"""

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response

from corral.dashboard.asking import FORM, REASON
from corral.dashboard.visit import Visit
from corral.http.auth.csrf import NOBODY, check_site
from corral.http.guard import home_of
from corral.http.models.links import whole
from corral.http.problems import problem

#: What a form may be, in bytes: payloads are edited in one.
MOST = 8_000_000
METHODS = ("POST", "PUT", "PATCH", "DELETE")
Fields = Mapping[str, Sequence[str]]


async def act(visit: Visit) -> Response:
    """Do what a form says, and go on to where it says. Raises: Problem, that of the API."""
    fields = await fields_of(visit.request)
    method = first(fields, "_method", "POST")
    if method not in METHODS:
        problem("invalid-parameter", f"A form cannot send {method!r}.", parameter="_method")
    path, version = visit.path.removeprefix("/do"), first(fields, "_if")
    expected = _word(visit, method, path) or first(fields, "_expect")
    if expected and first(fields, "_typed").strip() != expected.strip():
        problem("confirmation-required", f"Type {expected!r} to say that you mean it.")
    body = body_of(fields)
    reply = await visit.api.send(
        method, path, body=None if method == "DELETE" else body, headers={"if-match": version} if version else None
    )
    said = reply.must()
    if reply.status == 202 and isinstance(said, dict) and str(said.get("id", "")).startswith("op_"):
        return visit.go(f"/operations/{said['id']}")
    return visit.go(local(first(fields, "_next", "/")), done=first(fields, "_done")[:200])


def _word(visit: Visit, method: str, path: str) -> str:
    """What has to be typed whatever the form says: where a job is missed, its id before it is removed."""
    found = re.fullmatch(r"/queues/[^/]+/jobs/([^/]+)", path)
    return whole(found[1]) if found and visit.danger and method == "DELETE" else ""


def body_of(fields: Fields) -> dict[str, object]:
    """The JSON body that a form's fields stand for. An empty field is left out. Raises: Problem (400)."""
    made: dict[str, object] = {}
    for name, values in fields.items():
        if name.startswith("_") or name == "reason":
            continue
        key, _, kind = name.partition(":")
        if kind == "l":
            made[key] = [value for value in values if value]
        elif kind == "b":
            made[key] = values[-1] in ("on", "true", "1")
        elif values[-1] != "":
            made[key] = _value(key, kind, values[-1])
    return made


def _value(name: str, kind: str, text: str) -> object:
    try:
        if kind == "n":
            return int(text) if text.strip().lstrip("-").isdigit() else float(text)
        if kind == "j":
            json.loads(text)
            return Raw(text.encode())  # as it was typed: 1.10 stays 1.10
        return text
    except ValueError:
        return problem("invalid-parameter", f"{name} cannot be read as {'a number' if kind == 'n' else 'JSON'}.")


async def fields_of(request: Request) -> Fields:
    """The fields of a form. Raises: Problem (403, 413, 415)."""
    # Before anything is said about it: what is wrong with a form is told with its fields, ready to be sent again.
    check_site(request, NOBODY, home_of(request).settings.allowed_origins)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        problem("unsupported-media-type", "Send a form.")
    read = bytearray()
    async for piece in request.stream():
        read += piece
        if len(read) > MOST:
            problem("payload-too-large", f"A form may have {MOST:,} bytes.", headers={"Connection": "close"})
    try:
        fields = parse_qs(read.decode(), keep_blank_values=True, max_num_fields=2_000)
    except ValueError:
        return problem("invalid-request", "The form cannot be read.")
    request.scope[FORM] = fields
    request.scope[REASON] = first(fields, "reason")[:1_000]
    return fields


def first(fields: Fields, name: str, default: str = "") -> str:
    """The value of a field."""
    values = fields.get(name)
    return values[0] if values else default


def local(path: str) -> str:
    """A page of the dashboard to go to; an address of anywhere else leads to the beginning."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) and "\n" not in path else "/"
