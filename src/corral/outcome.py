"""How one attempt ended: eight frozen values, so that an illegal mix cannot be written.

Delays are relative: the store's clock decides when they are over.
"""

from typing import TypeAlias

from msgspec import Struct

from corral.job import NewJob
from corral.options import Keep
from corral.timing import Millis


class Failure(Struct, frozen=True):
    """Which kind of failure it was. Equal fingerprints are one group."""

    fingerprint: str
    type: str  #: of the exception, by its qualified name
    message: str  #: with what differs from job to job left out


class Completed(Struct, frozen=True):
    """The work is done. `result` is JSON text; `adds` are jobs that are added in the same step."""

    result: str = "null"
    keep: Keep = Keep()
    adds: tuple[NewJob, ...] = ()


class Failed(Struct, frozen=True):
    """The job has failed for good. `adds` are jobs that are added in the same step."""

    reason: str
    trace: str | None = None
    keep: Keep = Keep()
    failure: Failure | None = None
    adds: tuple[NewJob, ...] = ()


class Retried(Struct, frozen=True):
    """This attempt failed; another one follows."""

    after_ms: Millis
    reason: str
    trace: str | None = None
    failure: Failure | None = None


class Snoozed(Struct, frozen=True):
    """The job asked for later; no attempt is used up."""

    after_ms: Millis


class Parked(Struct, frozen=True):
    """The job waits for its children; no attempt is used up."""


class Released(Struct, frozen=True):
    """The worker stops: back to the front of the queue, no attempt used up."""


class Limited(Struct, frozen=True):
    """The other side asked for a pause: back to the front, no attempt used up; its group, or the queue, is held.

    With `group` False, or for a job without a group, the whole queue is. A hold that ends later stays.
    """

    after_ms: Millis
    group: bool = True
    reason: str = ""


class Crashed(Struct, frozen=True):
    """The child process that ran it died: counted like a dead worker's job, quarantined at `limit`."""

    reason: str
    limit: int = 2
    keep: Keep = Keep()


Outcome: TypeAlias = Completed | Failed | Retried | Snoozed | Parked | Released | Limited | Crashed
