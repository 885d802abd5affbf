"""Exit codes, and which error means which."""

from typing import NoReturn

import click

from corral.errors import (
    ConfigError,
    CorralError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    JobTimeoutError,
    PayloadError,
    QueryError,
    QueueBusyError,
    QueueNotFoundError,
    RecordNotFoundError,
    RedactedFieldError,
    RegistrationError,
    ScheduleNotFoundError,
    SelectionChangedError,
    StorageError,
    UnknownJobError,
)

OK = 0
PARTLY = 1  #: failed, or only partly done
USAGE = 2  #: usage, a missing confirmation, an application that cannot be imported
UNREACHABLE = 3  #: the store
NOT_FOUND = 4
FORBIDDEN = 5  #: not authenticated, or not permitted
CONFLICT = 6  #: the state does not allow it
TIMED_OUT = 7
CHECK_FAILED = 8  #: a doctor's check, or the awaited job
ABANDONED = 9  #: a worker's time to stop was up; its jobs went back to the queue
INTERRUPTED = 130
TERMINATED = 143

_CODES: tuple[tuple[type[CorralError], int], ...] = (
    (ConfigError, USAGE),
    (PayloadError, USAGE),
    (RegistrationError, USAGE),
    (QueryError, USAGE),
    (RedactedFieldError, FORBIDDEN),
    (StorageError, UNREACHABLE),
    (JobNotFoundError, NOT_FOUND),
    (QueueNotFoundError, NOT_FOUND),
    (ScheduleNotFoundError, NOT_FOUND),
    (UnknownJobError, NOT_FOUND),
    (RecordNotFoundError, NOT_FOUND),
    (JobStateError, CONFLICT),
    (QueueBusyError, CONFLICT),
    (SelectionChangedError, CONFLICT),
    (JobTimeoutError, TIMED_OUT),
    (JobFailedError, CHECK_FAILED),
)


def exit_code(error: CorralError) -> int:
    """The exit code that tells a script what kind of error this was."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), PARTLY)


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a command as Ctrl-C does, with an exit code of its own."""


class Failure(click.ClickException):
    """Ends the command: the message goes to standard error, the code to the shell."""

    def __init__(self, message: str, code: int = PARTLY) -> None:
        super().__init__(message)
        self.exit_code = code  # type: ignore[misc]  # click's stub calls it a class variable; click reads the instance


def fail(message: str, code: int) -> NoReturn:
    """End the command with this message and exit code."""
    raise Failure(message, code)
