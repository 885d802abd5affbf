"""Answers: which error is which problem. One table, so that a route says what it means by raising it."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from fastapi.exceptions import RequestValidationError, ResponseValidationError
from starlette.exceptions import HTTPException

from corral import errors
from corral.http.problems import Problem, code_of


def _more(error: object, *names: str) -> dict[str, object]:
    return {name: getattr(error, name) for name in names if getattr(error, name) is not None}


def _of_state(error: errors.JobStateError, path: str) -> Problem:
    code = "job-active" if error.state == "active" else "job-state"
    if path.endswith("/retry"):
        code = "job-not-retryable"
    return Problem(code, f"{_sentence(error)}", more=_more(error, "queue", "job_id", "state"))


def _of_full_queue(error: errors.QueueFullError, path: str) -> Problem:
    wait = max(1, round(error.retry_after + 0.5))
    more = {"retry_after_seconds": error.retry_after, "policy": f"{error.count} per {error.per:g} s", "queue": error.queue}
    return Problem("rate-limited", _sentence(error), headers={"Retry-After": str(wait)}, more=more)


def _of_payload(error: errors.PayloadError, path: str) -> Problem:
    complaints = [{"pointer": "", "detail": one, "code": "invalid"} for one in error.errors]
    return Problem("validation-failed", _sentence(error), more={"errors": complaints})


def _outage(error: Exception, path: str) -> Problem:
    # Not its own words: they name hosts and files.
    return Problem("engine-unavailable", "The store does not answer; try again.", headers={"Retry-After": "2"})


def _unusable(error: Exception, path: str) -> Problem:
    return Problem("engine-unavailable", "The store cannot be used; the log says why.")


def _plain(code: str, *names: str) -> "Callable[[Any, str], Problem]":
    return lambda error, path: Problem(code, _sentence(error), more=_more(error, *names))


#: The first that fits decides, so a kind stands before the kinds it is one of.
TABLE: Sequence[tuple[type[Exception], Callable[[Any, str], Problem]]] = (
    (errors.QueryError, _plain("invalid-query", "position", "suggestion")),
    (errors.RedactedFieldError, _plain("redacted-field", "path")),
    (errors.JobNotFoundError, _plain("job-not-found", "queue", "job_id")),
    (errors.JobStateError, _of_state),
    (errors.LeaseLostError, _plain("job-locked", "queue", "job_id")),
    (errors.JobFailedError, _plain("job-failed", "queue", "job_id")),
    (errors.QueueFullError, _of_full_queue),
    (errors.QueueNotFoundError, _plain("queue-not-found", "suggestion")),
    (errors.ScheduleNotFoundError, _plain("schedule-not-found", "suggestion")),
    (errors.PayloadError, _of_payload),
    (errors.UnknownJobError, _plain("unknown-job-name", "queue", "name", "suggestion")),
    (errors.EffectError, _plain("conflict")),
    (errors.UnknownOptionError, _plain("validation-failed", "suggestion")),
    (errors.StorageUnavailableError, _outage),
    (errors.StorageFullError, lambda error, path: Problem("engine-full", "The store has no room left.")),
    (errors.StorageError, _unusable),
    (errors.ConfigError, lambda error, path: Problem("invalid-parameter", _sentence(error),
                                                     more={"parameter": error.key or None})),
    (TimeoutError, lambda error, path: Problem("engine-timeout", "The store took too long; try again.")),
)  # fmt: skip


def problem_of(error: Exception, path: str = "") -> Problem | None:
    """The problem that an error is answered with; None for one that nobody expected.

    Args:
        path: of the request, whose last word may say what was wanted.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _of_validation(error)
    if isinstance(error, HTTPException):
        return _of_status(error)
    if isinstance(error, ResponseValidationError):
        return None
    return next((make(error, path) for kind, make in TABLE if isinstance(error, kind)), None)


def _of_status(error: HTTPException) -> Problem:
    code = code_of(error.status_code)
    return Problem(code, headers=error.headers)


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
