"""Problems: what is answered when a request cannot be served. RFC 9457 `application/problem+json`, one word each.

Clients compare `code` (or `type`, the same as a URN), people read `detail`. Neither ever holds a trace, a path of this
machine, a secret, or what the client sent.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import NoReturn

import msgspec
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

#: Every code there is: its status and its title.
CATALOGUE: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "invalid-query": (400, "The search cannot be read"),
        "invalid-cursor": (400, "The cursor does not belong to this list"),
        "invalid-parameter": (400, "A parameter cannot be meant"),
        "invalid-json": (400, "The body is not JSON"),
        "invalid-request": (400, "The request cannot be read"),
        "unauthenticated": (401, "Who are you?"),
        "token-expired": (401, "The token has expired"),
        "token-invalid": (401, "The token is not valid"),
        "login-failed": (401, "Name and password do not fit"),
        "forbidden": (403, "You may not do this"),
        "read-only": (403, "Nothing may be changed here"),
        "csrf-rejected": (403, "The request came from another site"),
        "redacted-field": (403, "The field is hidden from you"),
        "host-rejected": (403, "This host name is not served"),
        "not-found": (404, "There is nothing here"),
        "queue-not-found": (404, "There is no such queue"),
        "job-not-found": (404, "There is no such job"),
        "schedule-not-found": (404, "There is no such schedule"),
        "worker-not-found": (404, "There is no such worker"),
        "operation-not-found": (404, "There is no such operation"),
        "failure-not-found": (404, "There is no such kind of failure"),
        "flow-not-found": (404, "There is no such flow"),
        "token-not-found": (404, "There is no such token"),
        "mark-not-found": (404, "There is no such mark"),
        "mute-not-found": (404, "Nothing of this kind is muted"),
        "finding-not-found": (404, "Nothing of this kind wants attention"),
        "method-not-allowed": (405, "The method is not allowed here"),
        "not-acceptable": (406, "None of the accepted formats can be given"),
        "request-timeout": (408, "The body did not come"),
        "conflict": (409, "The present state does not allow this"),
        "job-active": (409, "The job is running"),
        "job-locked": (409, "The job belongs to a worker"),
        "job-state": (409, "The job's state does not allow this"),
        "job-failed": (409, "The job failed"),
        "job-finished": (409, "The job has ended"),
        "job-not-delayed": (409, "The job is not delayed"),
        "effect-in-progress": (409, "Somebody is at it"),
        "effect-uncertain": (409, "Nobody knows whether it happened"),
        "job-not-retryable": (409, "The job cannot be retried"),
        "job-belongs-to-schedule": (409, "The job belongs to a schedule"),
        "duplicate-active": (409, "A job with the same key is on its way"),
        "queue-has-active-jobs": (409, "The queue has running jobs"),
        "queue-paused": (409, "The queue is paused"),
        "selection-changed": (409, "The selection is not what it was"),
        "operation-running": (409, "An operation of this kind is running"),
        "idempotency-in-flight": (409, "The same request is being served"),
        "precondition-failed": (412, "It has changed in the meantime"),
        "payload-too-large": (413, "Too large"),
        "uri-too-long": (414, "The address is too long"),
        "unsupported-media-type": (415, "The body must be JSON"),
        "validation-failed": (422, "The body does not fit"),
        "unknown-job-name": (422, "No handler has this name"),
        "invalid-schedule": (422, "The schedule cannot be meant"),
        "idempotency-mismatch": (422, "The key was used for another request"),
        "confirmation-required": (422, "Say that you mean it"),
        "reason-required": (422, "Say why"),
        "precondition-required": (428, "Say which version you mean to change"),
        "rate-limited": (429, "Too many requests"),
        "headers-too-large": (431, "The headers are too large"),
        "internal": (500, "Something went wrong here"),
        "not-supported-by-engine": (501, "The store cannot do this"),
        "engine-unavailable": (503, "The store does not answer"),
        "engine-full": (503, "The store is full"),
        "auth-unavailable": (503, "Nobody can be recognised now"),
        "too-many-streams": (503, "Too many streams are open"),
        "draining": (503, "The server is about to stop"),
        "engine-timeout": (504, "The store took too long"),
    }
)

_BY_STATUS = {
    400: "invalid-request", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 405: "method-not-allowed",
    406: "not-acceptable", 408: "request-timeout", 409: "conflict", 412: "precondition-failed",
    413: "payload-too-large", 414: "uri-too-long", 415: "unsupported-media-type", 422: "validation-failed",
    428: "precondition-required", 429: "rate-limited", 431: "headers-too-large", 501: "not-supported-by-engine",
    503: "engine-unavailable", 504: "engine-timeout",
}  # fmt: skip


class Problem(Exception):  # noqa: N818 - it is an answer, not an error of corral's
    """Ends a request with a problem of the catalogue. Raise it by `problem`."""

    def __init__(
        self, code: str, detail: str = "", *, headers: Mapping[str, str] | None = None,
        more: Mapping[str, object] | None = None,
    ) -> None:  # fmt: skip
        self.code = code
        self.status, self.title = CATALOGUE[code]
        self.detail = detail or f"{self.title}."
        self.headers = dict(headers or {})
        self.more = dict(more or {})
        super().__init__(f"{code}: {self.detail}")

    @property
    def urn(self) -> str:
        """Its code as a URI that is the same wherever the API is mounted."""
        return f"urn:corral:problem:{self.code}"


def problem(code: str, detail: str = "", *, headers: Mapping[str, str] | None = None, **more: object) -> NoReturn:
    """End the request with a problem of the catalogue; its status is the catalogue's.

    Args:
        detail: one sentence for people about this very case.
        more: further members of the answer, such as `state="active"`.
    """
    raise Problem(code, detail, headers=headers, more=more)


def code_for(status: int) -> str:
    """The code of a status that somebody else chose."""
    return _BY_STATUS.get(status, "invalid-request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal")


def body_of(found: Problem, *, instance: str = "", request_id: str = "", about: str = "") -> dict[str, object]:
    """The members of the answer."""
    members: dict[str, object] = {
        "type": found.urn,
        "title": found.title,
        "status": found.status,
        "detail": found.detail,
        "code": found.code,
    }
    if instance:
        members["instance"] = instance
    if request_id:
        members["request_id"] = request_id
    if about:
        members["help"] = about
    return members | {key: value for key, value in found.more.items() if value is not None}


def respond(found: Problem, *, instance: str = "", request_id: str = "", about: str = "") -> Response:
    """The answer to the client. `about` is where it is told what the code means."""
    text = msgspec.json.encode(body_of(found, instance=instance, request_id=request_id, about=about))
    return Response(text, status_code=found.status, media_type=MEDIA_TYPE, headers=found.headers)
