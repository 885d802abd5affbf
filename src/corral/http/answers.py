"""Answers: which error is which problem. One table, so that a route says what it means by raising it."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

import corral.errors as errors
from corral.admin.problems import code_of
from corral.http.problems import CATALOGUE, Problem, code_for


def _more(error: object, *names: str) -> dict[str, object]:
    return {name: getattr(error, name) for name in names if getattr(error, name) is not None}


def _of_full_queue(error: errors.QueueFullError) -> Problem:
    wait = max(1, round(error.retry_after + 0.5))
    more = {
        "retry_after_seconds": error.retry_after,
        "policy": f"{error.count} per {error.per:g} s",
        "queue": error.queue,
    }
    return Problem("rate-limited", _sentence(error), headers={"Retry-After": str(wait)}, more=more)


def _of_payload(error: errors.PayloadError) -> Problem:
    complaints = [{"pointer": "", "detail": one, "code": "invalid"} for one in error.errors]
    return Problem("validation-failed", _sentence(error), more={"errors": complaints} if complaints else {})


def _outage(error: Exception) -> Problem:
    # Not its own words: they name hosts and files.
    return Problem("engine-unavailable", "The store does not answer; try again.", headers={"Retry-After": "2"})


def _of_tree(error: errors.CorralError) -> Problem:
    """An error whose code the write model knows, too: operations and the audit log use the same words."""
    names = [name for name in _FACTS if name in error.__dict__]
    return Problem(code_of(error), _sentence(error), more=_more(error, *names))


#: What of an error's facts the client is told.
_FACTS = (
    "queue", "job_id", "state", "suggestion", "position", "path", "active", "expected", "found", "name", "kind", "id",
)  # fmt: skip
#: The first that fits decides, so a kind stands before the kinds it is one of.
TABLE: Sequence[tuple[type[Exception], Callable[[Any], Problem]]] = (
    (errors.QueueFullError, _of_full_queue),
    (errors.PayloadError, _of_payload),
    (errors.StorageUnavailableError, _outage),
    (errors.StorageFullError, lambda error: Problem("engine-full", "The store has no room left.")),
    (errors.StorageError, lambda error: Problem("engine-unavailable", "The store cannot be used; the log says why.")),
    (errors.QueryError, _of_tree),
    (errors.ConfigError, lambda error: Problem("invalid-parameter", _sentence(error), more={"parameter": error.key})),
    (TimeoutError, lambda error: Problem("engine-timeout", "The store took too long; try again.")),
)


def problem_of(error: Exception) -> Problem | None:
    """The problem that an error is answered with; None for one that nobody expected."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return Problem(code_for(error.status_code), headers=error.headers)
    made = next((make(error) for kind, make in TABLE if isinstance(error, kind)), None)
    if made is None and isinstance(error, errors.CorralError) and code_of(error) in CATALOGUE:
        made = _of_tree(error)
    return None if made is not None and made.code == "internal" else made


def _of_validation(error: RequestValidationError) -> Problem:
    found = [cast("dict[str, object]", item) for item in error.errors()]
    places = [_place(item) for item in found]
    if any(item["type"] == "json_invalid" for item in found):
        return Problem("invalid-json", "The body is not JSON.")
    complaints = [
        {"pointer": pointer, "detail": _words(item), "code": str(item["type"])}
        for item, (_, pointer) in zip(found, places, strict=True)
    ]
    inside = any(where == "body" for where, _ in places)
    if inside:
        return Problem("validation-failed", more={"errors": complaints})
    return Problem("invalid-parameter", more={"errors": complaints})


def _place(item: dict[str, object]) -> tuple[str, str]:
    """Where it is, and as a JSON pointer: `/data/to` in the body, `/query/limit` of a parameter."""
    location = item["loc"]
    assert isinstance(location, tuple)
    where = str(location[0]) if location else "body"
    parts = location[1:] if where == "body" else location
    return where, "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)


def _words(item: dict[str, object]) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return message[:1].lower() + message[1:]


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}." if text else ""
