"""Idempotency: a request that is sent twice with one key is carried out once, and answered twice the same.

The answer is kept for a day, without payloads and results: what is sealed in the store must not stand open beside it.
"""

from collections.abc import Awaitable, Callable
from hashlib import sha256

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from corral.admin.rights import Principal
from corral.http.deps import Api
from corral.http.problems import problem
from corral.http.rendering import JSON
from corral.storage.records import EntryChange

KIND = "idempotency"
#: How long an answer is kept, and for how long a request counts as being served that nobody has heard of any more.
KEPT_MS, RUNNING_MS = 86_400_000, 120_000
LONGEST_KEY = 128
#: Longer answers are not kept: the repeated request is told that it was served.
LONGEST = 900_000
#: Members that are left out of what is kept.
SECRET = ("data", "result", "payload_preview", "progress", "token", "failed_reason", "error")
HEADERS = ("location", "etag", "link")


class Kept(Struct, frozen=True, omit_defaults=True):
    """A request and its answer. No status: it is still being served."""

    request: str  #: what it was, as a hash
    status: int = 0
    body: str = ""
    headers: dict[str, str] = {}


_decode = msgspec.json.Decoder(Kept).decode


async def once(
    request: Request, api: Api, who: Principal, work: Callable[[], Awaitable[Response]], *, key: str | None = None
) -> Response:
    """Do the work, unless a request with this key has been served: then answer as it was.

    Args:
        key: instead of the header `Idempotency-Key`.

    Raises:
        Problem: 400 a key that is none, 409 the same request is being served, 422 the key was for another request.
        What the work raises; then nothing is kept.
    """
    said = request.headers.get("idempotency-key", key)
    if said is None:
        return await work()
    if not 0 < len(said) <= LONGEST_KEY or not said.isprintable():
        problem("invalid-parameter", f"Idempotency-Key must be 1 to {LONGEST_KEY} printable characters.")
    # Two tokens may have one name: with other queues they are not the same caller.
    name = _hash(*who.identity, " ".join((*who.roles, *who.queues)), said)
    meant = _hash(request.method, request.scope["path"], (await request.body()).hex())
    storage = api.storage
    begun = EntryChange(id=name, text=_text(Kept(meant)), version=0, ttl_ms=RUNNING_MS)
    [version] = await storage.write_entries(KIND, [begun])
    if version is None:
        return await _repeated(api, name, meant)
    try:
        response = await work()
    except BaseException:
        await storage.write_entries(KIND, [EntryChange(id=name, text=None, version=version)])
        raise
    await _keep(api, name, version, Kept(meant), response)
    return response


async def _repeated(api: Api, name: str, meant: str) -> Response:
    found = await api.storage.entries(KIND, ids=[name])
    kept = _decode(found[0].text) if found else None
    if kept is not None and kept.request != meant:
        problem("idempotency-mismatch", "This Idempotency-Key was sent with another request.")
    if kept is None or not kept.status:
        problem("idempotency-in-flight", "The same request is being served.", headers={"Retry-After": "1"})
    headers = {**kept.headers, "Idempotency-Replayed": "true"}
    return Response(kept.body.encode(), status_code=kept.status, media_type=JSON, headers=headers)


async def _keep(api: Api, name: str, version: int, kept: Kept, response: Response) -> None:
    body = without_payload(bytes(response.body))
    headers = {key: response.headers[key] for key in HEADERS if key in response.headers}
    made = Kept(kept.request, response.status_code, body if len(body) <= LONGEST else "{}", headers)
    change = EntryChange(id=name, text=_text(made), version=version, ttl_ms=KEPT_MS)
    await api.storage.write_entries(KIND, [change])


def without_payload(body: bytes) -> str:
    """An answer as it may be kept."""
    if not body:
        return ""
    return msgspec.json.encode(_stripped(msgspec.json.decode(body))).decode()


def _stripped(value: object) -> object:
    if isinstance(value, dict):
        return {key: None if key in SECRET else _stripped(item) for key, item in value.items()}
    return [_stripped(item) for item in value] if isinstance(value, list) else value


def _hash(*parts: str) -> str:
    return sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()


def _text(kept: Kept) -> str:
    return msgspec.json.encode(kept).decode()
