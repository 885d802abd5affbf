"""Alert: what applications and alert jobs are told when something wants attention, and when it is over."""

from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Literal, TypeAlias, TypedDict

from msgspec import Struct

from corral.timing import Millis, Seconds


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


class AlertRules(TypedDict, total=False):
    """From when on something is worth an alert; False turns a rule off. Times are seconds, or texts such as "90s"."""

    waiting: int
    failed: int
    oldest: Seconds | str
    failure_share: float
    failure_jobs: int
    no_worker: bool
    overdue: Seconds | str
    paused: Seconds | str
    held: bool
    stalled: int
    growing: Seconds | str
    growing_jobs: int
    slow_factor: int
    slow: Seconds | str
    index: Seconds | str
    evictions: bool


class AlertOptions(AlertRules, total=False):
    """What an application says about its alerts: the names are those of `[alerts]` in corral.toml."""

    severity: Literal["note", "warning", "critical"]  #: the least that is told
    after: Seconds | str  #: it must last so long
    again: Seconds | str | Literal[False]  #: told again while it lasts
    every: Seconds | str  #: how often somebody looks
    queue: str  #: where alert jobs go
    job: str  #: their name
    queues: Mapping[str, AlertRules]  #: for queues whose name fits


#: Called with each alert, in the one process that looks. Its errors are logged and change nothing.
AlertHook: TypeAlias = Callable[[Alert], Awaitable[None] | None]
