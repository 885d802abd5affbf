"""Problems: the words by which the HTTP API, operations and the audit log say why something was not done."""

from collections.abc import Mapping

from corral.errors import (
    ConfigError,
    CorralError,
    EffectInProgressError,
    EffectUncertainError,
    JobFailedError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
    PayloadError,
    QueryError,
    QueueBusyError,
    QueueFullError,
    QueueNotFoundError,
    RecordNotFoundError,
    RedactedFieldError,
    ScheduleNotFoundError,
    SelectionChangedError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    UnknownJobError,
)
from corral.job import Job

#: The nearest class in an error's ancestry decides.
CODES: Mapping[type[CorralError], str] = {
    ConfigError: "invalid-parameter",
    EffectInProgressError: "effect-in-progress",
    EffectUncertainError: "effect-uncertain",
    JobFailedError: "job-failed",
    JobNotFoundError: "job-not-found",
    LeaseLostError: "job-locked",
    PayloadError: "validation-failed",
    QueryError: "invalid-query",
    QueueBusyError: "queue-has-active-jobs",
    QueueFullError: "queue-full",
    QueueNotFoundError: "queue-not-found",
    RedactedFieldError: "redacted-field",
    ScheduleNotFoundError: "schedule-not-found",
    SelectionChangedError: "selection-changed",
    StorageError: "engine-error",
    StorageFullError: "engine-full",
    StorageUnavailableError: "engine-unavailable",
    UnknownJobError: "unknown-job-name",
}
#: What cannot be done to a job in another state: what was wanted -> the word for it.
_STATES = {
    "finished": "job-not-retryable",
    "delayed": "job-not-delayed",
    "not finished": "job-finished",
    "not active": "job-locked",
}
#: What each action wants of a job, as `JobStateError.wanted` says it.
WANTED = {"retry": "finished", "promote": "delayed", "cancel": "not finished", "remove": "not active"}


def code_of(error: CorralError) -> str:
    """The problem that an error is."""
    if isinstance(error, RecordNotFoundError):
        return f"{error.kind}-not-found"
    if isinstance(error, JobStateError):
        if error.wanted == "pending":
            return "job-active" if error.state == "active" else "job-finished"
        return _STATES.get(error.wanted, "job-state")
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), "internal")


def refusal(action: str, queue: str, job_id: str, job: Job | None) -> CorralError:
    """Why an action did nothing to a job, as it stands now."""
    if job is None:
        return JobNotFoundError(queue, job_id)
    return JobStateError(queue, job_id, state=job.state, wanted=WANTED.get(action, "pending"))
