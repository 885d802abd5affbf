"""What a handler may raise to steer its own job. Signals are not errors: nothing is logged as one.

They work from any depth of the handler's calls, because they are raised and not returned.
"""

from datetime import timedelta
from typing import Literal

from corral.errors import ConfigError


class JobSignal(Exception):
    """Base of the signals."""


class Retry(JobSignal):
    """Try again, after `after` seconds instead of the back-off's own delay. Uses up an attempt.

    On the last attempt the job fails with `reason`.

    With `pause` it is the other side that wants a rest (HTTP 429): the job goes back to the front, no attempt is used
    up, and for `after` seconds nothing of its group ("group") or of the whole queue ("queue") starts, on any worker. A
    job without a group pauses the queue. Without `after` the pause is the back-off's delay, at least a second.

    Raises:
        ConfigError: another `pause`.
    """

    def __init__(
        self, reason: str = "retry requested", *, after: float | timedelta | None = None,
        pause: Literal["group", "queue"] | None = None,
    ) -> None:  # fmt: skip
        if pause not in (None, "group", "queue"):
            raise ConfigError(f"pause must be 'group', 'queue' or None, not {pause!r}", key="pause")
        self.reason = reason
        self.after = after
        self.pause = pause
        super().__init__(reason)


class Snooze(JobSignal):
    """Run again after `seconds`, without using up an attempt: the work was not due yet."""

    def __init__(self, seconds: float | timedelta, reason: str = "snoozed") -> None:
        self.seconds = seconds
        self.reason = reason
        super().__init__(reason)


class Discard(JobSignal):
    """Fail for good now: trying again cannot help."""

    def __init__(self, reason: str = "discarded") -> None:
        self.reason = reason
        super().__init__(reason)


class WaitForChildren(JobSignal):
    """Step aside until every child of this job has finished; the handler then runs again.

    With no child pending it runs again at once, for the last one may have ended meanwhile. Raised again then, and no
    child has ended in between, it fails the attempt as a ConfigError does.
    """
