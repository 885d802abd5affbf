"""Options as they hold: what a job says, what its handler and its queue say for it, and what holds when nobody does."""

from collections.abc import Mapping

import msgspec

from corral.app.app import Corral
from corral.app.queues import AppQueue
from corral.http.models.base import plain
from corral.options import KEEP_COMPLETED, KEEP_FAILED, NO_JOB_OPTIONS, JobOptions

#: What holds when nobody says anything.
DEFAULTS = JobOptions(
    attempts=1, keep_completed=KEEP_COMPLETED, keep_failed=KEEP_FAILED, keep_logs=1_000, max_crashes=2
)
SHOWN = (
    "attempts", "backoff", "timeout_ms", "lifespan_ms", "keep_completed", "keep_failed", "keep_logs", "max_crashes",
    "sensitive", "dead_letter", "tags",
)  # fmt: skip


def effective(app: Corral | None, queue: str, name: str, options: JobOptions) -> dict[str, msgspec.Raw]:
    """Each option of a job as it holds, and where it comes from.

    Without an application only what is stored with the job is known. What a handler says is stored with its jobs when
    they are added; where job and handler agree, the handler is named.
    """
    declared = None if app is None else app.queues.get(queue)
    if declared is None:
        return {key: _told(getattr(options, key), "job") for key in SHOWN if _said(getattr(options, key))}
    handler = declared.definitions[name].handler.options if name in declared.definitions else NO_JOB_OPTIONS
    layers = (("queue", declared.options), ("handler", handler), ("default", DEFAULTS))
    made: dict[str, msgspec.Raw] = {}
    for key in SHOWN:
        value = getattr(options, key)
        if _said(value):
            made[key] = _told(value, _home(key, value, declared.options, handler))
            continue
        found = next(((word, getattr(one, key)) for word, one in layers if _said(getattr(one, key))), None)
        if found is not None:
            made[key] = _told(found[1], found[0])
    return made


def declared_of(app: Corral | None, queue: str) -> Mapping[str, object] | None:
    """What a queue's declaration says about its jobs, and about those of each name."""
    declared = None if app is None else app.queues.get(queue)
    if declared is None:
        return None
    return {
        "concurrency": declared.concurrency,
        "options": declared.options,
        "jobs": {name: one.handler.options for name, one in declared.definitions.items()},
    }


def schemas_of(
    declared: AppQueue, name: str | None
) -> dict[str, tuple[dict[str, object], tuple[str, ...], JobOptions]]:
    """The payloads of a queue's jobs: JSON schema, sensitive fields, options."""
    return {
        job: (one.handler.payload.json_schema(), one.handler.payload.sensitive, one.handler.options)
        for job, one in declared.definitions.items()
        if name in (None, job)
    }


def _home(key: str, value: object, queue: JobOptions, handler: JobOptions) -> str:
    if value == getattr(queue, key):
        return "queue"
    return "handler" if value == getattr(handler, key) else "job"


def _said(value: object) -> bool:
    return value not in (None, ())


def _told(value: object, home: str) -> msgspec.Raw:
    return plain({"value": value, "from": home})
