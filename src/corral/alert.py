"""Alert: what applications and alert jobs are told when something wants attention, and when it is over."""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from corral.timing import Millis


class AlertState(StrEnum):
    """What has become of it."""

    OPENED = "opened"
    WORSE = "worse"  #: it was a warning and is critical now
    REMINDED = "reminded"  #: it still holds
    CLOSED = "closed"  #: it is over


class Alert(Struct, frozen=True, kw_only=True):
    """Something that wants attention, told once. As JSON it is the payload of alert jobs."""

    id: str  #: rule, queue and subject: the same from `opened` to `closed`
    state: AlertState
    rule: str
    severity: str  #: note | warning | critical
    message: str
    queue: str = ""
    subject: str = ""  #: the schedule, worker or group it is about
    since: Millis  #: epoch milliseconds
    at: Millis  #: epoch milliseconds
    value: float | None = None
    threshold: float | None = None
    remedy: str = ""  #: what to do


#: Called with each alert, in the one process that looks. Its errors are logged and change nothing.
AlertHook: TypeAlias = Callable[[Alert], Awaitable[None] | None]
