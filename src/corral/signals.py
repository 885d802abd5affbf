"""What a handler may raise to steer its own job. Signals are not errors: nothing is logged as one.

They work from any depth of the handler's calls, because they are raised and not returned.
"""

from datetime import timedelta


class JobSignal(Exception):
    """Base of the signals."""


class Retry(JobSignal):
    """Try again, after `after` seconds instead of the back-off's own delay. Uses up an attempt.

    On the last attempt the job fails with `reason`.
    """

    def __init__(self, reason: str = "retry requested", *, after: float | timedelta | None = None) -> None:
        self.reason = reason
        self.after = after
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
    """Step aside until every child of this job has finished; the handler then runs again."""
