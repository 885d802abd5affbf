"""The keywords of `add`, and how each becomes a part of the stored job."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias, cast

import msgspec

from corral.errors import ConfigError
from corral.job import After, JobId, NewJob, ParentRef, check_job_id
from corral.naming import check_name
from corral.options import (
    JOB_KEYWORDS,
    MAX_TAGS,
    NO_JOB_OPTIONS,
    Dedup,
    JobKeywords,
    JobOptions,
    ParentPolicy,
    RateLimit,
    check_keywords,
    check_priority,
    check_tags,
    job_options,
    policy_of,
)
from corral.payload import from_json, to_json
from corral.timing import Seconds, instant_ms, to_ms

MAX_GROUP = 256


class Referable(Protocol):
    """Whatever knows a job's id and queue: a `JobHandle`, a `Job`, the context of a running one."""

    @property
    def id(self) -> JobId: ...

    @property
    def queue(self) -> object: ...


#: A job as callers name it: a handle, or its queue's name and its id.
JobRef: TypeAlias = Referable | tuple[str, JobId]
#: What makes a job one of its kind: the whole payload, some of its fields, or a function of it.
Unique: TypeAlias = bool | str | Sequence[str] | Callable[[object], object]


class NodeKeywords(JobKeywords, total=False):
    """The keywords of `definition.node`: all of `add` that a job of a flow can have. Durations are seconds."""

    id: str
    delay: Seconds
    at: datetime | float
    lifo: bool
    group: str | Callable[[object], str]  #: whose turn it takes; a function gets the payload as plain JSON
    limit: RateLimit | Sequence[RateLimit]  #: starts of its group; without a group: of the jobs with its `limit_key`
    limit_key: str  #: what `limit` counts, when it is not the job's name
    after: JobRef | After | Iterable[JobRef | After]  #: jobs that have to end first


class AddKeywords(NodeKeywords, total=False):
    """The keywords of `add`. Durations are seconds."""

    dedup: Dedup | str  #: keeps it out while another one with this id is there
    unique: Unique  #: deduplication by payload: all of it, these fields, or what a function makes of it
    unique_for: Seconds  #: keeps others out for so long; without it until the job has ended
    parent: JobRef | ParentRef  #: the job that waits for this one
    on_failure: ParentPolicy | str  #: what this job's failure means for its parent
    wait: Seconds | None  #: of a full queue: how long to wait for room before QueueFullError is raised


ADD_KEYWORDS = JOB_KEYWORDS | frozenset(AddKeywords.__annotations__)


def new_job(
    queue: str, name: str, data: str, keywords: AddKeywords, defaults: JobOptions = NO_JOB_OPTIONS, priority: int = 0
) -> NewJob:
    """The checked form of one `add`. `keywords` win over `defaults` and `priority`; `data` is plain JSON text.

    Raises:
        ConfigError: an option out of range or unknown; the message names it.
    """
    if not keywords:
        return NewJob(queue=queue, name=name, data=data, options=defaults, priority=priority)
    check_keywords(cast(dict[str, object], keywords), ADD_KEYWORDS)
    if "delay" in keywords and "at" in keywords:
        raise ConfigError("give delay or at, not both", key="delay")
    at = keywords.get("at")
    group, rates = _turn(name, data, keywords)
    parent = _parent(keywords)
    dedup = _dedup(name, data, keywords)
    if dedup is not None and parent is not None:
        raise ConfigError("a job with a parent cannot be deduplicated: its parent would wait for another job's end",
                          key="dedup")  # fmt: skip
    return NewJob(
        queue=queue,
        name=name,
        data=data,
        id=check_job_id(keywords["id"]) if "id" in keywords else None,
        delay_ms=to_ms(keywords.get("delay", 0), "delay"),
        run_at=None if at is None else instant_ms(at, "at"),
        priority=check_priority(keywords["priority"]) if "priority" in keywords else priority,
        lifo=bool(keywords.get("lifo", False)),
        options=_options(keywords, defaults),
        parent=parent,
        after=_after(keywords["after"]) if "after" in keywords else (),
        group=group,
        group_rates=rates,
        dedup=dedup,
    )


def _options(keywords: AddKeywords, defaults: JobOptions) -> JobOptions:
    options = job_options(keywords).over(defaults)
    if len(options.tags) > MAX_TAGS:  # each had few enough for itself
        check_tags(options.tags)
    return options


# -- references to other jobs ------------------------------------------------------------------------------------------


def reference(value: object, what: str) -> tuple[str, JobId]:
    """Queue and id of a job that a caller names by a handle or by both.

    Raises:
        ConfigError: it names no job.
    """
    home, job_id = value if isinstance(value, tuple) and len(value) == 2 else (None, None)
    if not isinstance(value, tuple):
        home, job_id = getattr(value, "queue", None), getattr(value, "id", None)
    name = home if isinstance(home, str) else getattr(home, "name", None)
    if not isinstance(name, str) or not isinstance(job_id, str) or not job_id:
        raise ConfigError(f"{what} must be a job's handle or (queue, id), not {value!r}", key=what)
    return check_name(name, "queue name"), job_id


def _parent(keywords: AddKeywords) -> ParentRef | None:
    given = keywords.get("parent")
    if given is None:
        if "on_failure" in keywords:
            raise ConfigError("on_failure says what a failure means for the parent: give parent too", key="on_failure")
        return None
    policy = policy_of(given.policy) if isinstance(given, ParentRef) else ParentPolicy.WAIT
    if "on_failure" in keywords:
        policy = policy_of(keywords["on_failure"])
    return ParentRef(*reference(given, "parent"), policy)


def _after(given: object) -> tuple[After, ...]:
    alone = isinstance(given, After) or hasattr(given, "id") or (
        isinstance(given, tuple) and len(given) == 2 and all(isinstance(part, str) for part in given)
    )  # fmt: skip
    if not alone and (isinstance(given, str | bytes) or not isinstance(given, Iterable)):
        raise ConfigError(f"after must be jobs' handles or (queue, id) pairs, not {given!r}", key="after")
    ones = [given] if alone else list(cast(Iterable[object], given))
    made = [
        After(*reference(one, "after"), one.policy if isinstance(one, After) else ParentPolicy.FAIL) for one in ones
    ]
    return tuple({(one.queue, one.id): one for one in made}.values())


# -- groups and limits -------------------------------------------------------------------------------------------------


def check_group(value: object) -> str:
    """Check a group's id.

    Raises:
        ConfigError: not a text of 1 to 256 characters without control characters.
    """
    if not isinstance(value, str) or not 0 < len(value) <= MAX_GROUP or not value.isprintable():
        raise ConfigError(f"group must be a printable text of 1 to {MAX_GROUP} characters, not {value!r}", key="group")
    return str.__str__(value)


def check_rates(value: object, key: str) -> tuple[RateLimit, ...]:
    """One rate limit or several, as a tuple. Raises: ConfigError."""
    rates = (value,) if isinstance(value, RateLimit) else value
    if not isinstance(rates, Sequence) or isinstance(rates, str) or not rates:
        raise ConfigError(f"{key} must be RateLimit(count, per=seconds) or several, not {value!r}", key=key)
    for rate in rates:
        if not isinstance(rate, RateLimit):
            raise ConfigError(f"{key} must be RateLimit(count, per=seconds) or several, not {rate!r}", key=key)
    return tuple(rates)


def _turn(name: str, data: str, keywords: AddKeywords) -> tuple[str | None, tuple[RateLimit, ...]]:
    """The job's group, and the limits that the group gets with it."""
    given, limit, key = keywords.get("group"), keywords.get("limit"), keywords.get("limit_key")
    group = None if given is None else check_group(given(from_json(data)) if callable(given) else given)
    if limit is None:
        if key is not None:
            raise ConfigError("limit_key says what a limit counts: give limit too", key="limit_key")
        return group, ()
    if group is not None and key is not None:
        raise ConfigError("give group or limit_key, not both: a limit counts the starts of one group", key="limit_key")
    return group or check_group(name if key is None else key), check_rates(limit, "limit")


# -- uniqueness --------------------------------------------------------------------------------------------------------


def _dedup(name: str, data: str, keywords: AddKeywords) -> Dedup | None:
    given, unique, ttl = keywords.get("dedup"), keywords.get("unique", False), keywords.get("unique_for")
    if given is not None and unique is not False:
        raise ConfigError("give dedup or unique, not both: each names what keeps the job out", key="unique")
    if unique is False:
        if ttl is not None:
            raise ConfigError("unique_for needs unique: what is to be unique for that long", key="unique_for")
        if given is None or isinstance(given, Dedup):
            return given
        return Dedup(given)
    seconds = None if ttl is None else to_ms(ttl, "unique_for", minimum=0.001) / 1000
    return Dedup(unique_id(name, data, unique), ttl=seconds)


def unique_id(name: str, data: str, unique: Unique) -> str:
    """The deduplication id of a job that is unique by its payload: its name, what counts, and a hash of the values.

    The values themselves are not in it: the id is shown, and a payload may be confidential.

    Raises:
        ConfigError: a field that the payload does not have. PayloadError: a function's answer that is not JSON.
    """
    payload = from_json(data)
    if unique is True:
        label, value = "*", payload
    elif callable(unique):
        label, value = "()", from_json(to_json(unique(payload), "unique"))
    elif isinstance(unique, str | Sequence):
        fields = (unique,) if isinstance(unique, str) else tuple(unique)
        if not all(isinstance(field, str) for field in fields):
            raise ConfigError(f"unique must name fields of the payload, not {unique!r}", key="unique")
        label, value = ",".join(fields), _fields(payload, fields)
    else:
        raise ConfigError(f"unique must be True, fields of the payload or a function of it, not {unique!r}",
                          key="unique")  # fmt: skip
    canonical = msgspec.json.encode([name, label, value], order="deterministic")
    return f"{name}/{label[:100]}/{hashlib.sha256(canonical).hexdigest()[:32]}"


def _fields(payload: object, fields: tuple[str, ...]) -> list[object]:
    if not fields:
        raise ConfigError("unique needs a field at least, or True for the whole payload", key="unique")
    values: list[object] = []
    for field in fields:
        if not isinstance(payload, Mapping) or field not in payload:
            raise ConfigError(f"unique names {field!r}, which the payload does not have", key="unique")
        values.append(payload[field])
    return values
