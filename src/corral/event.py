"""Events: what happened to a queue's jobs, in order, readable from any process."""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from corral.job import JobId
from corral.sensitive import shown_repr
from corral.timing import Millis

#: Opaque position in one queue's event log. "" is the oldest event kept, "$" the present moment.
EventCursor: TypeAlias = str
OLDEST: EventCursor = ""
NOW: EventCursor = "$"


class EventType(StrEnum):
    """`FAILED` means finally failed; each failed attempt before that is `RETRYING`."""

    ADDED = "added"
    DUPLICATED = "duplicated"  #: an add whose id was there already
    DEDUPLICATED = "deduplicated"  #: an add that another job kept out, or that took another's place
    WAITING = "waiting"
    DELAYED = "delayed"
    ACTIVE = "active"
    PROGRESS = "progress"
    COMPLETED = "completed"
    RETRYING = "retrying"
    FAILED = "failed"
    EXPIRED = "expired"  #: not started within its lifespan; a FAILED follows
    CANCELLED = "cancelled"  #: asked to stop, or taken out of the queue; a FAILED follows
    STALLED = "stalled"  #: its worker died; it is back in the queue or, at the limit, FAILED
    SNOOZED = "snoozed"
    LIMITED = "limited"  #: handed back because the other side asked for a pause; its group or queue is held
    RELEASED = "released"  #: handed back by a stopping worker
    WAITING_CHILDREN = "waiting-children"
    REMOVED = "removed"
    DRAINED = "drained"  #: the last waiting job was claimed
    IDLE = "idle"  #: the last active job ended and nothing waits
    PAUSED = "paused"
    RESUMED = "resumed"
    CLEANED = "cleaned"
    CUSTOM = "custom"  #: of somebody's own making, told with `Queue.publish`; `name` is the event's
    BREAKER_OPENED = "breaker-opened"  #: too many attempts failed: the queue or the group is held, `detail` says why
    BREAKER_CLOSED = "breaker-closed"  #: a probe went well


class Event(Struct, frozen=True, kw_only=True):
    """One thing that happened. `job_id` is None for events of the whole queue."""

    type: EventType
    queue: str
    at: Millis
    cursor: EventCursor = ""
    job_id: JobId | None = None
    name: str | None = None  #: the job's name
    detail: str | None = (
        None  #: JSON text: the result, progress, reason, or due time; None where there is nothing to say
    )

    @property
    def is_cancellation(self) -> bool:
        """Whether the end that a FAILED tells of was somebody's wish: the job was cancelled, and went wrong nowhere."""
        said = self.detail or ""
        return self.type is EventType.FAILED and (said == '"cancelled"' or said.startswith('"cancelled: '))

    def __repr__(self) -> str:
        # Which parts of a result are sensitive stands with its job, and no event has that: nothing of it is shown.
        paths = ("",) if self.type in (EventType.COMPLETED, EventType.PROGRESS) else ()
        return shown_repr(self, ("detail",), paths)
