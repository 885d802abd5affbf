"""How one attempt ended: seven frozen values, so that an illegal mix cannot be written.

Delays are relative: the store's clock decides when they are over.
"""

from typing import TypeAlias

from msgspec import Struct

from corral.options import Keep
from corral.timing import Millis


class Completed(Struct, frozen=True):
    """The work is done. `result` is JSON text."""

    result: str = "null"
    keep: Keep = Keep()


class Failed(Struct, frozen=True):
    """The job has failed for good."""

    reason: str
    trace: str | None = None
    keep: Keep = Keep()


class Retried(Struct, frozen=True):
    """This attempt failed; another one follows."""

    after_ms: Millis
    reason: str
    trace: str | None = None


class Snoozed(Struct, frozen=True):
    """The job asked for later; no attempt is used up."""

    after_ms: Millis


class Parked(Struct, frozen=True):
    """The job waits for its children; no attempt is used up."""


class Released(Struct, frozen=True):
    """The worker stops: back to the front of the queue, no attempt used up."""


class Crashed(Struct, frozen=True):
    """The child process that ran it died: counted like a dead worker's job, quarantined at `limit`."""

    reason: str
    limit: int = 2
    keep: Keep = Keep()


Outcome: TypeAlias = Completed | Failed | Retried | Snoozed | Parked | Released | Crashed
