"""Additions: requests as jobs to be added, with what the application declares for them."""

from datetime import datetime
from typing import cast

from corral.admin.payloads import definition
from corral.admin.rights import OWNER
from corral.app.app import Corral
from corral.errors import ConfigError, PayloadError
from corral.http.bodies import complaints, refused
from corral.http.models.options import AfterBody, BackoffBody, JobOpts, KeepBody
from corral.http.problems import problem
from corral.job import NO_OPTIONS, After, NewJob, check_name
from corral.keywords import AddKeywords, new_job
from corral.options import Dedup, Exponential, Fixed, JobKeywords, JobOptions, Keep, RateLimit, job_options, policy_of
from corral.payload import MAX_BYTES

#: Options that say something about the job itself, not about how it is run: schedules do not have them.
OWN = ("id", "delay_ms", "run_at", "priority", "lifo", "group", "limit", "dedup", "after")


def limit_of(app: Corral | None, queue: str) -> int:
    """How many bytes a payload of the queue may have."""
    declared = None if app is None else app.queues.get(queue)
    return MAX_BYTES if declared is None or declared.max_payload is None else declared.max_payload


def keywords_of(opts: JobOpts) -> AddKeywords:
    """Options as the keywords of `add`. Raises: ConfigError."""
    made = cast("dict[str, object]", run_keywords(opts))
    if opts.id is not None:
        made["id"] = opts.id
    if opts.delay_ms is not None:
        made["delay"] = opts.delay_ms / 1000
    if opts.run_at is not None:
        made["at"] = opts.run_at
    if opts.priority is not None:
        made["priority"] = opts.priority
    if opts.lifo:
        made["lifo"] = True
    if opts.group is not None:
        made["group"] = opts.group
    if opts.limit is not None:
        made["limit"] = RateLimit(opts.limit.max, opts.limit.duration_ms / 1000)
    if opts.dedup is not None:
        said = opts.dedup
        ttl = None if said.ttl_ms is None else said.ttl_ms / 1000
        made["dedup"] = Dedup(said.id, ttl, said.extend, said.replace, said.keep_last, said.reschedule)
    if opts.after:
        made["after"] = [_after(one) for one in opts.after]
    return cast(AddKeywords, made)


def run_keywords(opts: JobOpts) -> JobKeywords:
    """Those of them that say how a job is run and kept."""
    made: dict[str, object] = {}
    if opts.backoff is not None:
        made["backoff"] = _backoff(opts.backoff)
    for key in ("timeout", "lifespan"):
        value = getattr(opts, f"{key}_ms")
        if value is not None:
            made[key] = value / 1000
    for key in ("keep_completed", "keep_failed"):
        keep: KeepBody | None = getattr(opts, key)
        if keep is not None:
            made[key] = Keep(age=None if keep.age_ms is None else keep.age_ms / 1000, count=keep.count)
    for key in ("attempts", "keep_logs", "max_crashes", "dead_letter"):
        if getattr(opts, key) is not None:
            made[key] = getattr(opts, key)
    for key in ("sensitive", "tags"):
        if getattr(opts, key):
            made[key] = getattr(opts, key)
    return cast(JobKeywords, made)


def options_of(opts: JobOpts, pointer: str = "/opts") -> JobOptions:
    """The stored form of options that say how a job is run. Raises: Problem (422)."""
    try:
        return job_options(run_keywords(opts))
    except ConfigError as error:
        refused(_pointer(pointer, error), str(error))


def job_of(
    app: Corral | None, queue: str, name: str, text: str, opts: JobOpts, *, tag: str | None = None, pointer: str = ""
) -> NewJob:
    """The job as it is to be added.

    Args:
        tag: what marks the job as its producer's own.
        pointer: where in the body it stands.

    Raises:
        Problem: 422, a name or option that cannot be meant. UnknownJobError.
    """
    try:
        made = definition(app, check_name(queue, "queue name"), check_name(name, "job name"))
        declared = None if app is None else app.queues.get(queue)
        defaults = made.handler.options if made else declared.options if declared else NO_OPTIONS
        priority = made.priority if made else declared.priority if declared else 0
        keywords = keywords_of(opts)
        if tag is not None:
            if any(one.startswith(OWNER) and one != tag for one in opts.tags):
                refused(f"{pointer}/opts/tags", f"tags that begin with {OWNER} say whose job it is: leave them out")
            keywords["tags"] = [*opts.tags, tag]
        return new_job(queue, name, text, keywords, defaults, priority)
    except ConfigError as error:
        refused(_pointer(pointer, error), str(error))


_PLACES = {"job name": "/name", "queue name": "/queue", "at": "/opts/run_at", "delay": "/opts/delay_ms",
           "timeout": "/opts/timeout_ms", "lifespan": "/opts/lifespan_ms"}  # fmt: skip


def _pointer(pointer: str, error: ConfigError) -> str:
    """Where in the body it is what an error complains about."""
    if pointer.endswith("/opts"):
        return f"{pointer}/{error.key}" if error.key else pointer
    return pointer + _PLACES.get(error.key, f"/opts/{error.key}" if error.key else "/opts")


def payload_refused(error: PayloadError, at: str = "/data") -> None:
    """Raises: Problem: 422, with what the payload's type says of each field."""
    problem("validation-failed", "The payload is refused.", errors=complaints(error, at))


def run_at_ms(at: datetime) -> int:
    """An instant in epoch milliseconds."""
    return round(at.timestamp() * 1000)


def _backoff(body: BackoffBody) -> Fixed | Exponential:
    jitter = 0.1 if body.jitter is None else body.jitter
    if body.type == "fixed":
        return Fixed(body.delay_ms / 1000, jitter)
    if body.maximum_ms is None:
        return Exponential(body.delay_ms / 1000, jitter=jitter)
    return Exponential(body.delay_ms / 1000, body.maximum_ms / 1000, jitter)


def _after(body: AfterBody) -> After:
    return After(body.queue, body.id, policy_of(body.on_failure))
