"""Options: what a caller may ask of a job, and how a queue is set up. Frozen values, checked where they are made."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from typing import TypeAlias, TypedDict

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import asdict, force_setattr, replace

from corral.errors import ConfigError, UnknownOptionError
from corral.naming import check_name
from corral.timing import Millis, Seconds, to_ms, to_seconds

MAX_PRIORITY = 2_097_151
MAX_ATTEMPTS = 1_000
MAX_TAGS, MAX_TAG = 20, 100
# A lone surrogate (half of a UTF-16 pair) cannot be stored as UTF-8 by anybody.
_NOT_IN_TAGS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


_TRACE_PARENT = re.compile(r'"traceparent"\s*:\s*"[0-9a-fA-F]{2}-([0-9a-fA-F]{32})-')


class Priority(IntEnum):
    """Named priorities. A lower number is served first, and any explicit 1…1,000,000 before ordinary jobs.

    `NORMAL` (0) is the plain first-in-first-out list; numbers above 1,000,000 come after it.
    """

    CRITICAL = 1
    HIGH = 10
    NORMAL = 0
    LOW = 2_000_000


def priority_rank(priority: int) -> int:
    """The order in which priorities are served, as one ascending integer."""
    if priority == 0:
        return 1_000_001
    return priority if priority <= 1_000_000 else priority + 1


class Fixed(Struct, frozen=True, tag="fixed"):
    """The same delay (seconds) before every retry, made up to `jitter` (a share) longer, never shorter."""

    delay: float
    jitter: float = 0.1

    def __post_init__(self) -> None:
        force_setattr(self, "delay", to_seconds(self.delay, "backoff delay"))
        _check_jitter(self.jitter)


class Exponential(Struct, frozen=True, tag="exponential"):
    """`delay · 2^(n−1)` seconds before the n-th retry (2, 4, 8 … for `Exponential(2)`), at most `maximum`.

    The formula is BullMQ's (Bull 4 used `(2^n − 1) · delay`). `jitter` only ever lengthens.
    """

    delay: float
    maximum: float = 86_400.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        force_setattr(self, "delay", to_seconds(self.delay, "backoff delay"))
        force_setattr(self, "maximum", to_seconds(self.maximum, "backoff maximum"))
        _check_jitter(self.jitter)


class CustomBackoff(Struct, frozen=True, tag="custom"):
    """Marks on the stored job that the handler's own back-off function decides."""


def _check_jitter(jitter: object) -> None:
    if isinstance(jitter, bool) or not isinstance(jitter, int | float) or not 0 <= jitter <= 10:
        raise ConfigError(f"backoff jitter must be a share from 0 to 10, not {jitter!r}", key="jitter")


#: (number of the attempt that failed, from 1; what it raised) -> seconds until the next one
BackoffFunction: TypeAlias = Callable[[int, BaseException], Seconds]
Backoff: TypeAlias = Fixed | Exponential | CustomBackoff


class Keep(Struct, frozen=True):
    """How many finished jobs stay readable: at most `count`, none older than `age` seconds. None is no bound."""

    age: float | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if self.age is not None:
            force_setattr(self, "age", to_seconds(self.age, "keep age"))
        if self.count is not None and (
            isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 0
        ):
            raise ConfigError(f"keep count must be 0 or more, not {self.count!r}", key="count")

    @property
    def age_ms(self) -> Millis | None:
        return None if self.age is None else to_ms(self.age, "keep age")


#: Defaults of `design` retention: bounded by age *and* count, so that an idle or a busy queue both stay small.
KEEP_COMPLETED = Keep(age=86_400, count=1_000)
KEEP_FAILED = Keep(age=7 * 86_400, count=5_000)


class RateLimit(Struct, frozen=True):
    """At most `count` starts in each window of `per` seconds, over all workers of the queue.

    A window begins with its first start (BullMQ's rule), so the end of one and the beginning of the next may together
    bring twice the count within `per` seconds, never more.
    """

    count: int
    per: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ConfigError(f"rate limit count must be 1 or more, not {self.count!r}", key="rate_limit")
        force_setattr(self, "per", to_seconds(self.per, "rate limit period", minimum=0.001))

    @property
    def per_ms(self) -> Millis:
        return to_ms(self.per, "rate limit period")


def _rate_limits(value: object, key: str) -> tuple[RateLimit, ...]:
    """Rate limits as a tuple; a single one and a list are taken too. Raises: ConfigError."""
    rates = (value,) if isinstance(value, RateLimit) else value
    if not isinstance(rates, list | tuple) or not all(isinstance(rate, RateLimit) for rate in rates):
        raise ConfigError(f"{key} must be RateLimit(count, per=seconds) or several, not {value!r}", key=key)
    return tuple(rates)


class GroupLimits(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a group may do. Groups are served in turn; each of these bounds one group and leaves the others alone."""

    concurrency: int | None = None  #: its jobs at once, over all workers
    rate_limits: tuple[RateLimit, ...] = ()  #: its starts; every window must have room
    max_size: int | None = None  #: its waiting jobs: an add beyond it is refused with QueueFullError

    def __post_init__(self) -> None:
        for key in ("concurrency", "max_size"):
            value = getattr(self, key)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"group {key} must be 1 or more, not {value!r}", key=key)
        force_setattr(self, "rate_limits", _rate_limits(self.rate_limits, "rate_limits"))


class Hold(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stop for a while: nothing of the queue or group starts for `for_ms` from now, whatever else would let it.

    With `probe` the time after that begins carefully: at most one job of it runs at once until the hold is lifted.
    """

    for_ms: Millis
    reason: str = ""
    probe: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.reason, str):
            raise ConfigError(f"the reason of a hold must be a text, not {self.reason!r}", key="reason")


class GroupChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change to one group. `UNSET` leaves a field as it is."""

    limits: GroupLimits | None | UnsetType = UNSET  #: instead of those the queue has for all groups; None: those again
    paused: bool | UnsetType = UNSET
    hold: Hold | None | UnsetType = UNSET  #: None lifts it

    def __post_init__(self) -> None:
        _check_kind("limits", self.limits, GroupLimits)


class Dedup(Struct, frozen=True, omit_defaults=True):
    """Keeps a job out while another one with this `id` is there (BullMQ's deduplication, all its modes).

    Simple (`Dedup("report-7")`): until that job has ended. Throttle (`ttl`, seconds): until so long after it was added,
    whether it has ended or not. Debounce (`ttl`, `extend` and `replace`): a job that is still delayed gives way to the
    new one, and the time begins again. `keep_last`: what comes while the job runs is added when it has ended, and of
    several the newest only. `reschedule` moves a delayed job to the newcomer's time in place of the newcomer.
    """

    id: str
    ttl: float | None = None
    extend: bool = False
    replace: bool = False
    keep_last: bool = False
    reschedule: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not 0 < len(self.id) <= 512:
            raise ConfigError(f"deduplication id must be a text of 1 to 512 characters, not {self.id!r}", key="dedup")
        if self.ttl is not None:
            force_setattr(self, "ttl", to_seconds(self.ttl, "deduplication ttl", minimum=0.001))
        for key in ("extend", "replace", "keep_last", "reschedule"):
            if not isinstance(getattr(self, key), bool):
                raise ConfigError(f"{key} must be True or False, not {getattr(self, key)!r}", key=key)

    @property
    def ttl_ms(self) -> Millis | None:
        return None if self.ttl is None else to_ms(self.ttl, "deduplication ttl")


class ParentPolicy(StrEnum):
    """What a child's final failure means for its parent (BullMQ's four flags as one choice)."""

    WAIT = "wait"  #: the parent stays waiting until a person acts
    FAIL = "fail"  #: the parent fails too (failParentOnFailure)
    CONTINUE = "continue"  #: the parent runs at once (continueParentOnFailure)
    IGNORE = "ignore"  #: the child counts as done (ignoreDependencyOnFailure)
    REMOVE = "remove"  #: the child is forgotten (removeDependencyOnFailure)


def policy_of(value: str) -> ParentPolicy:
    """A failure policy by its word. Raises: ConfigError, listing the words."""
    try:
        return ParentPolicy(value)
    except ValueError:
        known = ", ".join(repr(one.value) for one in ParentPolicy)
        raise ConfigError(f"on_failure must be one of {known}, not {value!r}", key="on_failure") from None


class Letter(Struct, frozen=True, omit_defaults=True):
    """Where a dead letter came from: the job that failed for good, and why."""

    queue: str
    id: str
    reason: str = ""
    attempts: int = 0
    group: str | None = None
    dead_letter: str | None = None  #: the option of the failed job, which its copy does not have
    lifespan_ms: Millis | None = None  #: likewise: a letter does not expire


class JobOptions(Struct, frozen=True, omit_defaults=True):
    """What is stored with a job. `None` means: not said here, ask the handler's declaration, then the queue."""

    attempts: int | None = None
    backoff: Backoff | None = None
    timeout_ms: Millis | None = None
    lifespan_ms: Millis | None = None
    keep_completed: Keep | None = None
    keep_failed: Keep | None = None
    keep_logs: int | None = None
    max_crashes: int | None = (
        None  #: workers that may die with it before it is quarantined; 1 with one attempt: at most once
    )
    sensitive: tuple[str, ...] = ()  #: payload fields (dotted paths) that are never shown
    dead_letter: str | None = None  #: queue that gets a copy of the job when it fails for good
    letter: Letter | None = None  #: it is such a copy, of that job
    tags: tuple[str, ...] = ()  #: what people find it by
    trace: str | None = None  #: the W3C carrier, a JSON object: the trace that it was added in goes on where it runs
    omit_trace: bool = False  #: where it runs a trace of its own begins
    rerun_of: str | None = None  #: "queue/id" of the job that it was made from

    @property
    def trace_id(self) -> str | None:
        """The trace that its carrier names, 32 hexadecimal digits; None when there is none."""
        found = None if self.trace is None else _TRACE_PARENT.search(self.trace)
        return None if found is None else found[1].lower()

    def over(self, defaults: "JobOptions") -> "JobOptions":
        """These options, with what they leave open taken from `defaults`."""
        if self == _NOTHING:
            return defaults
        if defaults == _NOTHING:
            return self
        said = {key: value for key, value in asdict(self).items() if value not in (None, ())}
        if self.sensitive and defaults.sensitive:  # what one of them hides, the other must not show
            said["sensitive"] = tuple(dict.fromkeys((*defaults.sensitive, *self.sensitive)))
        if self.tags and defaults.tags:
            said["tags"] = tuple(dict.fromkeys((*defaults.tags, *self.tags)))
        said["omit_trace"] = self.omit_trace or defaults.omit_trace
        return replace(defaults, **said)


NO_JOB_OPTIONS = _NOTHING = JobOptions()


class JobKeywords(TypedDict, total=False):
    """The keywords of `queue.add`, `@queue.job` and `app.queue` that shape a job. Durations are seconds."""

    attempts: int
    backoff: Fixed | Exponential | CustomBackoff | BackoffFunction | float
    timeout: Seconds | None
    lifespan: Seconds | None
    keep_completed: Keep | int | bool
    keep_failed: Keep | int | bool
    keep_logs: int
    priority: int
    max_crashes: int  #: workers that may die with it before it is quarantined
    at_most_once: bool  #: one attempt, and none after a crash: rather not at all than twice
    sensitive: Sequence[str]  #: payload fields (dotted paths) that are never shown
    dead_letter: str  #: queue that gets a copy of the job when it fails for good
    tags: Sequence[str]  #: up to 20 words that people find it by; those of the handler and the queue count too


JOB_KEYWORDS = frozenset(JobKeywords.__annotations__)


def check_keywords(keywords: dict[str, object], known: frozenset[str]) -> None:
    """Refuse the first keyword that is not known, naming the nearest one that is."""
    for key in keywords:
        if key not in known:
            raise UnknownOptionError(key, known)


def check_priority(value: object) -> int:
    """Raises: ConfigError unless 0 ≤ value ≤ 2,097,151 (2^21 − 1, BullMQ's bound)."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_PRIORITY:
        raise ConfigError(f"priority must be a whole number from 0 to {MAX_PRIORITY}, not {value!r}", key="priority")
    return int(value)


def _attempts(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ATTEMPTS:
        raise ConfigError(f"attempts must be a whole number from 1 to {MAX_ATTEMPTS}, not {value!r}", key="attempts")
    return value


def _backoff(value: object) -> Backoff:
    match value:
        case Fixed() | Exponential() | CustomBackoff():
            return value
        case bool():
            pass
        case int() | float():
            return Fixed(value)
        case _ if callable(value):
            return CustomBackoff()
    raise ConfigError(
        f"backoff must be Fixed(…), Exponential(…), seconds or a function (attempt, error) -> seconds, not {value!r}",
        key="backoff",
    )


def _keep(value: object, key: str) -> Keep:
    match value:
        case Keep():
            return value
        case True:
            return Keep()
        case False:
            return Keep(count=0)
        case int():
            return Keep(count=value)
    raise ConfigError(f"{key} must be Keep(…), a count, True (all) or False (none), not {value!r}", key=key)


def _keep_logs(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 100_000:
        raise ConfigError(f"keep_logs must be a number of lines from 0 to 100000, not {value!r}", key="keep_logs")
    return value


def _max_crashes(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 100:
        raise ConfigError(f"max_crashes must be a whole number from 1 to 100, not {value!r}", key="max_crashes")
    return value


def _sensitive(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not all(isinstance(one, str) for one in value):
        raise ConfigError(f"sensitive must be fields of the payload such as ['card.number'], not {value!r}",
                          key="sensitive")  # fmt: skip
    return tuple(value)


def check_tags(value: object) -> tuple[str, ...]:
    """Tags as a tuple, each once. Raises: ConfigError."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigError(f"tags must be several texts such as ['tenant-42'], not {value!r}", key="tags")
    tags = tuple(dict.fromkeys(value))
    for tag in tags:
        if not isinstance(tag, str) or not tag.strip() or len(tag) > MAX_TAG or _NOT_IN_TAGS.search(tag):
            raise ConfigError(
                f"a tag must be a text of 1 to {MAX_TAG} characters without controls, not {tag!r}", key="tags"
            )
    if len(tags) > MAX_TAGS:
        raise ConfigError(f"a job has at most {MAX_TAGS} tags, not {len(tags)} (the last is {tags[-1]!r})", key="tags")
    return tags


_READERS: Mapping[str, Callable[[object], object]] = {
    "attempts": _attempts,
    "backoff": _backoff,
    "keep_completed": lambda value: _keep(value, "keep_completed"),
    "keep_failed": lambda value: _keep(value, "keep_failed"),
    "keep_logs": _keep_logs,
    "max_crashes": _max_crashes,
    "sensitive": _sensitive,
    "dead_letter": lambda value: check_name(value, "dead_letter"),
    "tags": check_tags,
}


def job_options(keywords: JobKeywords) -> JobOptions:
    """The stored form of the keywords, every value checked.

    Raises:
        ConfigError: a value out of its range; the message names it.
    """
    stored: dict[str, object] = {}
    for key in ("timeout", "lifespan"):
        value = keywords.get(key)
        if value is not None:
            stored[f"{key}_ms"] = to_ms(value, key, minimum=0.001)  # type: ignore[arg-type]  # TypedDict.get of a variable key
    for key, read in _READERS.items():
        if key in keywords:
            stored[key] = read(keywords[key])  # type: ignore[literal-required]  # a variable key
    if keywords.get("at_most_once"):
        stored.update(attempts=1, max_crashes=1)  # wins over numbers that a queue sets for all of its jobs
    return JobOptions(**stored) if stored else _NOTHING  # type: ignore[arg-type]  # each value was checked above


class QueueSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change to a queue that every worker obeys from the next claim on. `UNSET` leaves a field as it is."""

    paused: bool | UnsetType = UNSET
    pause_reason: str | UnsetType = UNSET
    rate_limit: RateLimit | None | UnsetType = UNSET  #: None lifts the limit
    add_limit: RateLimit | None | UnsetType = UNSET  #: how many jobs producers may add; None lifts it
    concurrency: int | None | UnsetType = UNSET  #: over all workers; None lifts the cap
    more_limits: tuple[RateLimit, ...] | UnsetType = UNSET  #: further windows beside `rate_limit`: all must have room
    name_concurrency: dict[str, int] | UnsetType = UNSET  #: over all workers, per job name; replaces the whole table
    name_limits: dict[str, tuple[RateLimit, ...]] | UnsetType = UNSET  #: starts per job name; replaces the whole table
    group_limits: GroupLimits | None | UnsetType = UNSET  #: for every group that has none of its own
    groups: dict[str, GroupChange] | UnsetType = UNSET  #: changes to single groups; those not named stay
    hold: Hold | None | UnsetType = UNSET  #: None lifts it
    keep_completed: Keep | UnsetType = UNSET  #: what the sweeper enforces on an idle queue
    keep_failed: Keep | UnsetType = UNSET

    def __post_init__(self) -> None:
        # What is stored once every worker reads at each claim: a value that cannot be read would stop the queue.
        count = self.concurrency
        # 0 is what a program in Node may have set: it is moved with its queue, but not taken from callers.
        if count not in (None, UNSET) and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
            raise ConfigError(f"concurrency must be a whole number or None, not {count!r}", key="concurrency")
        _check_kind("rate_limit", self.rate_limit, RateLimit)
        _check_kind("add_limit", self.add_limit, RateLimit)
        _check_kind("group_limits", self.group_limits, GroupLimits)
        for key in ("keep_completed", "keep_failed"):
            value = getattr(self, key)
            if value is None or not isinstance(value, Keep | UnsetType):
                raise ConfigError(f"{key} must be Keep(…), not {value!r}", key=key)


def _check_kind(key: str, value: object, kind: type[RateLimit] | type[GroupLimits]) -> None:
    if value is not None and not isinstance(value, kind | UnsetType):
        raise ConfigError(f"{key} must be {kind.__name__}(…) or None, not {value!r}", key=key)
