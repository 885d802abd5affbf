"""The job: frozen facts about one unit of work. Verbs live on `Queue`; a running job is a `JobContext`."""

import re
from enum import StrEnum
from typing import Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from corral.errors import ConfigError
from corral.naming import check_name as check_name
from corral.options import Dedup, JobOptions, ParentPolicy, RateLimit, policy_of
from corral.sensitive import shown_repr, shown_text
from corral.timing import Millis

JobId: TypeAlias = str
NO_OPTIONS = JobOptions()


class JobState(StrEnum):
    """Where a job is. BullMQ's words; its `prioritized` is `WAITING` with a priority here."""

    WAITING = "waiting"
    DELAYED = "delayed"
    ACTIVE = "active"
    WAITING_CHILDREN = "waiting-children"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def finished(self) -> bool:
        return self is JobState.COMPLETED or self is JobState.FAILED


#: States in which nothing has been decided and nobody works: what `cancel`, `drain` and `promote` act on.
PENDING = frozenset({JobState.WAITING, JobState.DELAYED, JobState.WAITING_CHILDREN})
FINISHED = frozenset({JobState.COMPLETED, JobState.FAILED})


class ParentRef(Struct, frozen=True):
    """Which job waits for this one, and what this one's failure means for it."""

    queue: str
    id: JobId
    policy: ParentPolicy = ParentPolicy.WAIT


class After(Struct, frozen=True):
    """A job that has to end before this one may start, and what its failure means for this one."""

    queue: str
    id: JobId
    policy: ParentPolicy = ParentPolicy.FAIL

    def __post_init__(self) -> None:
        force_setattr(self, "policy", policy_of(self.policy))


class NewJob(Struct, frozen=True, kw_only=True):
    """A job to be added. Made by `Queue`, which has checked every field."""

    queue: str
    name: str
    data: str = "{}"  #: JSON text
    id: JobId | None = None  #: None: the store numbers it
    delay_ms: Millis = 0
    run_at: Millis | None = None  #: an absolute time; wins over `delay_ms`
    priority: int = 0
    lifo: bool = False
    options: JobOptions = NO_OPTIONS
    parent: ParentRef | None = None
    children: int = 0  #: how many children will be added for it: it starts in WAITING_CHILDREN when > 0
    after: tuple[
        After, ...
    ] = ()  #: it starts in WAITING_CHILDREN until all of these have ended; they count as children
    group: str | None = None  #: whose turn it takes; None: it stands in the queue itself
    group_rates: tuple[RateLimit, ...] = ()  #: the group's rate limits from now on; () leaves them
    dedup: Dedup | None = None
    schedule: str | None = None  #: key of the schedule that made it
    scheduled_for: Millis | None = None  #: the slot it was made for

    def __repr__(self) -> str:
        return shown_repr(self, ("data",), self.options.sensitive)


class Sizes(Struct, frozen=True):
    """How many bytes a job's texts have in the store; 0 for one that is not there."""

    data: int = 0
    result: int = 0
    progress: int = 0


#: The attempts that are told of with a job, the latest.
MAX_PAST = 25
#: Bytes of what each of them said for itself; the last one's reason and the traces say all of it.
MAX_PAST_REASON = 300


class PastAttempt(Struct, frozen=True, array_like=True):
    """An attempt that ended without completing its job. Both engines store it as this JSON array, beside the job.

    BullMQ keeps the traces of attempts and nothing else of them, so what Node's workers try is not among these.
    """

    number: int  #: from 1, since attempts were last counted from 0; a crash uses none up: the next has the same
    started_at: Millis
    ended_at: Millis
    worker: str
    outcome: Literal["failed", "retried", "crashed"]
    reason: str
    retry_delay_ms: Millis | None = None  #: of one that was retried
    traced: bool = False  #: whether the job got a trace by it


class Job(Struct, frozen=True, kw_only=True):
    """One job as it was stored when it was read."""

    id: JobId
    queue: str
    name: str
    state: JobState
    data: str  #: JSON text
    options: JobOptions = NO_OPTIONS
    priority: int = 0
    created_at: Millis = 0
    run_at: Millis | None = None  #: when a delayed job falls due; of a claimed one, when it did if it was not at once
    started_at: Millis | None = None  #: the last claim
    finished_at: Millis | None = None
    attempts_started: int = 0  #: claims so far; grows with every claim, so it fences
    attempts_made: int = 0  #: attempts that ended (BullMQ's `atm`); snoozes, crashes and hand-backs are not among them
    crashes: int = 0  #: workers that died with it (BullMQ's `stc`)
    progress: str | None = None  #: JSON text
    result: str | None = None  #: JSON text
    failed_reason: str | None = None  #: of the last failed attempt; stays after a later success
    traces: tuple[str, ...] = ()  #: of failed attempts, oldest first, the last ten
    past: tuple[PastAttempt, ...] = ()  #: attempts that did not complete it, oldest first, the last 25
    worker: str | None = None  #: who has or had it
    parent: ParentRef | None = None
    pending_children: int = 0
    group: str | None = None
    dedup_id: str | None = None
    fingerprint: str | None = None  #: of the last failed attempt: which kind of failure it was
    schedule: str | None = None
    scheduled_for: Millis | None = None
    sizes: Sizes | None = None  #: of one that was read lean: its texts may be cut, this is how long they are

    def __repr__(self) -> str:
        return shown_repr(self, ("data", "result", "progress"), self.options.sensitive)

    @property
    def fence(self) -> int:
        """A number that only grows with each run of this job: pass it to systems that can refuse older ones."""
        return self.attempts_started


def redact(job: Job, *, by_name: bool = True) -> Job:
    """The job as people may see it: sensitive values of its payload, progress and result are `••••`.

    Its name, reason, traces and log lines are left as they are: nobody knows which words in them are sensitive.
    """
    hidden = {
        field: shown_text(text, job.options.sensitive, by_name=by_name)
        for field, text in (("data", job.data), ("result", job.result), ("progress", job.progress))
        if text is not None
    }
    return replace(job, **hidden)


#: Key names that BullMQ keeps beside its jobs. A job with such an id would brick the queue for Node.
RESERVED_IDS = frozenset(
    "wait active paused id delayed prioritized stalled-check completed failed stalled repeat limiter meta events pc "
    "marker waiting-children priority delay added de dn metrics lock logs dependencies processed unsuccessful".split()
)
# A lone surrogate (half of a UTF-16 pair) cannot be stored as UTF-8 by anybody.
_ID_CHARS = re.compile(r"[^\x00-\x20\x7f-\x9f\s\ud800-\udfff:*?\[\]{}\\]+")


def check_job_id(value: object) -> JobId:
    """Check an id chosen by a caller.

    Raises:
        ConfigError: not a string, empty, longer than 256, an integer look-alike (the store's own numbers), one of
            BullMQ's reserved words, or with a colon, white space, control or pattern character.
    """
    if not isinstance(value, str) or not value or len(value) > 256:
        raise ConfigError(f"job id must be a text of 1 to 256 characters, not {value!r}", key="id")
    if value in RESERVED_IDS:
        raise ConfigError(f"job id {value!r} is reserved: the queue keeps its own data under it", key="id")
    if not _ID_CHARS.fullmatch(value):
        raise ConfigError(
            f"job id {value!r} has a character that ids may not have (space : * ? [ ] {{ }} \\)", key="id"
        )
    if value.lstrip("-").isdigit():
        raise ConfigError(
            f"job id {value!r} looks like a number; those are given out by the store: prefix it", key="id"
        )
    return str.__str__(value)  # an enum's member becomes plain text
