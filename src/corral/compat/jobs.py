"""Job options: what `queue.add`, `defaultJobOptions` and the guides' managers take as their last argument."""

from collections.abc import Mapping
from typing import cast

from corral.compat.reading import Options, options_of, read, seconds, whole
from corral.errors import ConfigError, closest
from corral.keywords import AddKeywords
from corral.options import JOB_KEYWORDS, Backoff, CustomBackoff, Dedup, Exponential, Fixed, JobKeywords, Keep, RateLimit

#: Accepted and without effect, each with the reason.
IGNORED_JOB_OPTIONS: Mapping[str, str] = {
    "stackTraceLimit": "corral keeps the traces of the last ten failed attempts, each up to 20,000 bytes",
    "timestamp": "the store's clock says when a job was added",
    "prevMillis": "the schedule remembers its last run",
    "preventParsingData": "payloads are JSON, always",
    "rejectOnTimeout": "a timeout always fails the attempt",
    "telemetry": "tracing is set up on the application",
}

_POLICIES = {
    "failParentOnFailure": "fail",
    "continueParentOnFailure": "continue",
    "ignoreDependencyOnFailure": "ignore",
    "removeDependencyOnFailure": "remove",
}


def backoff(value: object) -> Backoff:
    """`5000`, `{type: "fixed" | "exponential", delay: 5000, jitter: 0.5}`, or a type of the application's own.

    Exponential is `delay · 2^(n−1)`: 2 s, 4 s, 8 s, as BullMQ computes it and the guides describe it.

    Raises:
        ConfigError: a delay that is none. UnknownOptionError: another option.
    """
    if isinstance(value, str):  # Bull takes the bare name of a strategy
        value = {"type": value}
    if not isinstance(value, Mapping):
        return Fixed(seconds(value, "backoff"))
    found = read(value, {key: _same(key) for key in ("type", "delay", "jitter", "options")}, {})
    kind = found.get("type", "fixed")
    delay = seconds(found.get("delay", 0), "backoff.delay")
    # BullMQ's jitter shortens a delay by up to this share. Here it lengthens it, so that no retry comes too early.
    more = {} if "jitter" not in found else {"jitter": _share(found["jitter"])}
    match kind:
        case "fixed":
            return Fixed(delay, **more)
        case "exponential":
            return Exponential(delay, **more)
        case str():
            near = closest(kind, ("fixed", "exponential"))
            if near:
                raise ConfigError(f"backoff type {kind!r} does not exist; did you mean {near!r}?", key="backoff")
            return CustomBackoff()
    raise ConfigError(f"backoff type must be a text, not {kind!r}", key="backoff")


def keep(value: object, name: str = "removeOnComplete") -> Keep:
    """`true` keeps none, `false` all, a number that many; `{age, count}` with age in seconds, as BullMQ has it.

    Raises:
        ConfigError: anything else. UnknownOptionError: another option.
    """
    if value is True:
        return Keep(count=0)
    if value is False:
        return Keep()
    if not isinstance(value, Mapping):
        return Keep(count=whole(value, name))
    found = read(value, {key: _same(key) for key in ("age", "count")}, {"limit": "the sweeper chooses its own steps"})
    age, count = found.get("age"), found.get("count")
    if age is not None and (isinstance(age, bool) or not isinstance(age, int | float)):
        raise ConfigError(f"{name}.age must be seconds, not {age!r}", key=name)
    return Keep(age=age, count=None if count is None else whole(count, f"{name}.count"))


def limiter(value: object, name: str = "limiter") -> RateLimit:
    """`{max: 10, duration: 1000}`. Raises: ConfigError, UnknownOptionError."""
    found = read(
        options_of(value, name),
        {key: _same(key) for key in ("max", "duration", "groupKey")},
        {"bounceBack": "what is over the limit waits where it stands"},
    )
    if "max" not in found or "duration" not in found:
        raise ConfigError(f"{name} needs max and duration, not {value!r}", key=name)
    return RateLimit(whole(found["max"], f"{name}.max"), per=seconds(found["duration"], f"{name}.duration"))


def deduplication(value: object) -> Dedup:
    """`{id, ttl, extend, replace, keepLastIfActive}`, ttl in milliseconds. Raises: ConfigError, UnknownOptionError."""
    found = read(
        options_of(value, "deduplication"),
        {
            "id": _same("id"),
            "ttl": lambda ttl: {"ttl": seconds(ttl, "deduplication.ttl")},
            "extend": _flag("extend"),
            "replace": _flag("replace"),
            "keepLastIfActive": _flag("keep_last"),
        },
        {},
    )
    if "id" not in found:
        raise ConfigError("deduplication needs an id", key="deduplication")
    return Dedup(**found)  # type: ignore[arg-type]  # checked by Dedup itself


def parent(value: object) -> tuple[str, str]:
    """`{id, queue}`: the queue by its name or, as BullMQ has it, as `bull:name`. Raises: ConfigError."""
    found = read(options_of(value, "parent"), {key: _same(key) for key in ("id", "queue", "prefix")}, {})
    job_id, queue = found.get("id"), found.get("queue")
    if not isinstance(job_id, str) or not isinstance(queue, str):
        raise ConfigError(f"parent needs the id and the queue of a job, not {value!r}", key="parent")
    return queue.rpartition(":")[2], job_id


def _same(key: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return lambda value: {key: value}
