"""Statuses in words and colours: what machines call `SUCCESS` a mail says as "succeeded", in green."""

from typing import NamedTuple


class _Told(NamedTuple):
    tone: str
    words: str


_TOLD = {
    "success": _Told("good", "succeeded"),
    "passed": _Told("good", "passed"),
    "complete": _Told("good", "is complete"),
    "deployed": _Told("good", "succeeded"),
    "fixed": _Told("good", "is fixed"),
    "failed": _Told("bad", "failed"),
    "timeout": _Told("bad", "timed out"),
    "cancelled": _Told("warn", "was cancelled"),
    "skipped": _Told("warn", "was skipped"),
    "unstable": _Told("warn", "is unstable"),
    "partial": _Told("warn", "succeeded in part"),
    "rolled back": _Told("warn", "was rolled back"),
    "running": _Told("calm", "is running"),
    "started": _Told("calm", "has started"),
    "waiting": _Told("calm", "is waiting"),
}
_SAME = {
    "succeeded": "success", "successful": "success", "ok": "success", "pass": "passed", "completed": "complete",
    "done": "complete", "finished": "complete", "healthy": "success", "failure": "failed", "error": "failed",
    "fail": "failed", "unhealthy": "failed", "timed out": "timeout", "canceled": "cancelled", "aborted": "cancelled",
    "rollback": "rolled back", "reverted": "rolled back", "in progress": "running", "active": "running",
    "pending": "waiting", "queued": "waiting", "partially succeeded": "partial",
}  # fmt: skip


def _told(status: object) -> _Told:
    word = " ".join(str(status).lower().replace("_", " ").replace("-", " ").split())  # a missing variable says so here
    return _TOLD.get(_SAME.get(word, word), _Told("calm", f"is {word}"))


def tone(status: object) -> str:
    """The colour of a status: `calm`, `good`, `warn` or `bad`."""
    return _told(status).tone


def outcome(status: object) -> str:
    """A status as the end of a sentence: `succeeded`, `was rolled back`."""
    return _told(status).words
