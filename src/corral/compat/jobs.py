"""Job options: what `queue.add`, `defaultJobOptions` and the guides' managers take as their last argument."""

from collections.abc import Mapping
from typing import cast

from corral.compat.reading import Options, Reader, as_is, flag, made, options_of, read, seconds, whole
from corral.errors import ConfigError, closest
from corral.keywords import AddKeywords
from corral.options import (
    JOB_KEYWORDS,
    MAX_PRIORITY,
    Backoff,
    CustomBackoff,
    Dedup,
    Exponential,
    Fixed,
    JobKeywords,
    Keep,
    RateLimit,
)

#: Accepted and without effect, each with the reason.
IGNORED_JOB_OPTIONS: Mapping[str, str] = {
    "stackTraceLimit": "the traces of the last ten failed attempts are kept, each up to 20,000 bytes",
    "timestamp": "the store's clock says when a job was added",
    "prevMillis": "a schedule remembers its last run",
    "preventParsingData": "payloads are JSON, always",
    "rejectOnTimeout": "a timeout always fails the attempt",
    "telemetry": "tracing is set up on the application",
    "sizeLimit": "checked by `BullQueue.add`; for a whole queue there is `max_payload`",
}

#: What a child's failure means for its parent: BullMQ has a flag for each.
_POLICIES = {
    "failParentOnFailure": "fail",
    "continueParentOnFailure": "continue",
    "ignoreDependencyOnFailure": "ignore",
    "removeDependencyOnFailure": "remove",
}


def backoff(value: object) -> Backoff:
    """`5000`, `{type: "fixed" | "exponential", delay: 5000, jitter: 0.5}`, or a type of the application's own.

    Exponential is `delay · 2^(n−1)`: 2 s, 4 s, 8 s, as BullMQ computes it and the guides describe it. Jitter makes a
    delay longer by up to that share; BullMQ's makes it shorter.

    Raises:
        ConfigError: a delay that is none. UnknownOptionError: another option.
    """
    if isinstance(value, str):  # Bull takes the bare name of a strategy
        value = {"type": value}
    if not isinstance(value, Mapping):
        return Fixed(seconds(value, "backoff"))
    parts = {key: as_is(key) for key in ("type", "delay", "jitter", "options")}
    found = read(value, parts, {})
    kind, delay = found.get("type", "fixed"), seconds(found.get("delay", 0), "backoff.delay")
    jitter = found.get("jitter", 0.1)
    if isinstance(jitter, bool) or not isinstance(jitter, int | float):
        raise ConfigError(f"backoff.jitter must be a share from 0 to 1, not {jitter!r}", key="backoff")
    if kind == "fixed":
        return Fixed(delay, jitter=jitter)
    if kind == "exponential":
        return Exponential(delay, jitter=jitter)
    if not isinstance(kind, str):
        raise ConfigError(f"backoff.type must be a text, not {kind!r}", key="backoff")
    if near := closest(kind, ("fixed", "exponential")):
        raise ConfigError(f"backoff type {kind!r} does not exist; did you mean {near!r}?", key="backoff")
    return CustomBackoff()


def keep(value: object, name: str = "removeOnComplete") -> Keep:
    """`true` keeps none, `false` all, a number that many; `{age, count}` with age in seconds, as BullMQ has it.

    Raises:
        ConfigError: anything else. UnknownOptionError: another option.
    """
    if isinstance(value, bool):
        return Keep(count=0) if value else Keep()
    if not isinstance(value, Mapping):
        return Keep(count=whole(value, name))
    parts: dict[str, Reader] = {
        "age": as_is("age"),
        "count": made("count", lambda given: whole(given, f"{name}.count")),
    }
    found = read(value, parts, {"limit": "the sweeper chooses its own steps"})
    age = found.get("age")
    if age is not None and (isinstance(age, bool) or not isinstance(age, int | float)):
        raise ConfigError(f"{name}.age must be seconds, not {age!r}", key=name)
    return Keep(age=age, count=cast(int | None, found.get("count")))


def limiter(value: object, name: str = "limiter") -> RateLimit:
    """`{max: 10, duration: 1000}`. Raises: ConfigError, UnknownOptionError."""
    parts: dict[str, Reader] = {
        "max": made("max", lambda given: whole(given, f"{name}.max")),
        "duration": made("duration", lambda given: seconds(given, f"{name}.duration")),
        "groupKey": as_is("groupKey"),
    }
    found = read(options_of(value, name), parts, {"bounceBack": "what is over the limit waits where it stands"})
    if "max" not in found or "duration" not in found:
        raise ConfigError(f"{name} needs max and duration, not {value!r}", key=name)
    return RateLimit(cast(int, found["max"]), per=cast(float, found["duration"]))


def deduplication(value: object) -> Dedup:
    """`{id, ttl, extend, replace, keepLastIfActive}`, ttl in milliseconds. Raises: ConfigError, UnknownOptionError."""
    parts: dict[str, Reader] = {
        "id": as_is("id"),
        "ttl": made("ttl", lambda given: seconds(given, "deduplication.ttl")),
        "extend": flag("extend", "deduplication.extend"),
        "replace": flag("replace", "deduplication.replace"),
        "keepLastIfActive": flag("keep_last", "deduplication.keepLastIfActive"),
    }
    found = read(options_of(value, "deduplication"), parts, {})
    if "id" not in found:
        raise ConfigError("deduplication needs an id", key="deduplication")
    return Dedup(**found)  # type: ignore[arg-type]  # it checks them itself


def parent(value: object) -> tuple[str, str]:
    """`{id, queue}` as (queue, id): the queue by its name or, as BullMQ has it, `bull:name`. Raises: ConfigError."""
    found = read(options_of(value, "parent"), {key: as_is(key) for key in ("id", "queue", "prefix")}, {})
    job_id, queue = found.get("id"), found.get("queue")
    if not isinstance(job_id, str) or not isinstance(queue, str):
        raise ConfigError(f"parent needs the id and the queue of a job, not {value!r}", key="parent")
    return queue.rpartition(":")[2], job_id


def _class_limit(value: object) -> Mapping[str, object]:
    """A job's own limiter: it limits the jobs of its name, or of its key, and leaves the others alone."""
    key = options_of(value, "limiter").get("groupKey")
    return {"limit": limiter(value)} if key is None else {"limit": limiter(value), "limit_key": str(key)}


def _group(value: object) -> Mapping[str, object]:
    parts = {key: as_is(key) for key in ("id", "priority")}
    found = read(options_of(value, "group"), parts, {"maxSize": "it belongs to the queue: `group_limits`"})
    said = {"group": str(found["id"])} if "id" in found else {}
    return said if "priority" not in found else {**said, "priority": found["priority"]}


def _repeats(value: object) -> Mapping[str, object]:
    raise ConfigError(
        "repeat makes a schedule, not a job: use `app.schedule`, `compat.repeat` or `BullQueue.add`", key="repeat"
    )


def _policy(option: str) -> Reader:
    return lambda value: {"on_failure": _POLICIES[option]} if value else {}


_KNOWN: Mapping[str, Reader] = {
    "priority": made("priority", lambda value: min(whole(value, "priority"), MAX_PRIORITY)),
    "delay": made("delay", lambda value: seconds(value, "delay")),
    "attempts": as_is("attempts"),
    "backoff": made("backoff", backoff),
    "timeout": made("timeout", lambda value: seconds(value, "timeout")),
    "lifespan": made("lifespan", lambda value: seconds(value, "lifespan")),
    "removeOnComplete": made("keep_completed", keep),
    "removeOnFail": made("keep_failed", lambda value: keep(value, "removeOnFail")),
    "keepLogs": as_is("keep_logs"),
    "jobId": as_is("id"),
    "lifo": flag("lifo", "lifo"),
    "limiter": _class_limit,
    "deduplication": made("dedup", deduplication),
    "debounce": made("dedup", deduplication),
    "parent": made("parent", parent),
    "group": _group,
    "repeat": _repeats,
    **{option: _policy(option) for option in _POLICIES},
}


def job_options(options: Options) -> AddKeywords:
    """The keywords of `add` for what Bull's or BullMQ's options say.

    Raises:
        UnknownOptionError: an option neither has; it carries the nearest one. ConfigError: a value out of range.
    """
    said = read(options, _KNOWN, IGNORED_JOB_OPTIONS)
    if "on_failure" in said and "parent" not in said:  # the flags of a flow's child, whose parent the flow knows
        del said["on_failure"]
    return cast(AddKeywords, said)


def default_job_options(options: Options) -> JobKeywords:
    """The keywords of `app.queue` for `defaultJobOptions`.

    Raises:
        ConfigError: an option that only makes sense for a single job. UnknownOptionError: as `job_options`.
    """
    said = job_options(options)
    single = [key for key in said if key not in JOB_KEYWORDS]
    if single:
        raise ConfigError(f"defaultJobOptions cannot say {single[0]!r}: it belongs to one job", key=single[0])
    return cast(JobKeywords, said)
