"""Every error corral raises, as one tree.

CorralError
├── ConfigError              (+ ValueError)        a setting, option or schedule that cannot be meant
│   └── UnknownOptionError   (+ TypeError)         a keyword nobody knows; carries `suggestion`
├── RegistrationError                              a handler, queue or schedule declared twice or wrongly
├── StorageError
│   ├── StorageUnavailableError (+ ConnectionError) try again
│   ├── StorageFullError                           no room left: nothing was written
│   ├── StorageCorruptError                        not a corral store, or a damaged one; the file is left as it was
│   └── StorageVersionError                        made by a newer corral, or an unsupported server or file system
├── JobError                                       carries `queue` and `job_id`
│   ├── JobNotFoundError     (+ LookupError)
│   ├── JobStateError                              carries `state`
│   ├── JobFailedError                             the job whose result was awaited failed; carries `reason`
│   └── LeaseLostError                             another worker owns the job now
├── QueueFullError                                 producers are over `add_limit`; carries `retry_after`
├── QueueNotFoundError       (+ LookupError)       no such queue in this application; carries `suggestion`
├── ScheduleNotFoundError    (+ LookupError)
├── RecordNotFoundError      (+ LookupError)       no such operation, worker, token or mark; carries `kind` and `id`
├── QueueBusyError                                 jobs of the queue run; carries `queue` and `active`
├── SelectionChangedError                          other jobs are meant than were shown; carries `expected`, `found`
├── PayloadError             (+ ValueError)        data not JSON, or refused; `errors` lists all complaints
├── ResultError              (+ ValueError)        the handler's return value is not JSON
├── EffectError                                    about something that is to happen once; carries `key`
│   ├── EffectInProgressError                      another run is at it: the job snoozes and looks again
│   └── EffectUncertainError                       it was begun and may have happened: a person decides
├── QueryError               (+ ValueError)        a search that cannot be read; carries `position`, `suggestion`
├── RedactedFieldError       (+ PermissionError)   a search by what its reader may not see; carries `path`
├── UnknownJobError                                no handler has this name
├── JobTimeoutError          (+ TimeoutError)      the handler ran out of its time
├── JobCancelledError                              the run was cancelled by a person
└── WorkerCrashedError                             the process that ran the job died

What a handler raises to *steer* its job (`Retry`, `Snooze`, `Discard`) is not an error: see `corral.signals`.
"""

from collections.abc import Iterable


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to a misspelled one, or None when nothing is near."""
    from difflib import get_close_matches  # 1 ms to import: only for mistakes

    matches = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def _hint(suggestion: str | None) -> str:
    return f"; did you mean {suggestion!r}?" if suggestion else ""


class CorralError(Exception):
    """Base of everything corral raises."""

    def __reduce__(self) -> tuple[object, ...]:
        # Python would call the class with the finished sentence in place of the facts, and fail while unpickling:
        # in a process pool that is a broken pool.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[CorralError], args: tuple[object, ...], facts: dict[str, object]) -> CorralError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(facts)
    return error


class ConfigError(CorralError, ValueError):
    """A setting that cannot be meant. `key` names it."""

    def __init__(self, message: str, *, key: str = "") -> None:
        self.key = key
        super().__init__(message)


class UnknownOptionError(ConfigError, TypeError):
    """An option that does not exist. `suggestion` is the nearest one that does."""

    def __init__(self, option: str, known: Iterable[str]) -> None:
        self.suggestion = closest(option, known)
        super().__init__(f"unknown option {option!r}{_hint(self.suggestion)}", key=option)


class RegistrationError(CorralError):
    """A declaration that clashes with an earlier one or has no usable signature."""


class StorageError(CorralError):
    """The store refused or could not do what was asked."""


class StorageUnavailableError(StorageError, ConnectionError):
    """The store did not answer in time; nothing is known to have happened. Try again."""


class QueueFullError(CorralError):
    """More jobs were added than the queue's `add_limit`, or the `max_size` of a group, allows. Nothing was written.

    `retry_after` is in seconds: when the next window begins, or when it is worth asking a full `group` again.
    """

    def __init__(self, queue: str, count: int, per: float, retry_after: float, *, group: str | None = None) -> None:
        self.queue = queue
        self.count = count
        self.per = per
        self.retry_after = retry_after
        self.group = group
        if group is None:
            what = f"queue {queue!r} takes {count} new jobs in {per:g} s, no more"
        else:
            what = f"group {group!r} of queue {queue!r} is full: it holds {count} waiting jobs, no more"
        super().__init__(f"{what}; try again in {retry_after:.3g} s")


class StorageFullError(StorageError):
    """There is no room left. Nothing was written."""


class StorageCorruptError(StorageError):
    """The store is damaged or is not corral's. It was left untouched."""


class StorageVersionError(StorageError):
    """The store, its server or its file system is one this version cannot work with."""


class JobError(CorralError):
    """Something about one job."""

    def __init__(self, message: str, *, queue: str, job_id: str) -> None:
        self.queue = queue
        self.job_id = job_id
        super().__init__(message)


class JobNotFoundError(JobError, LookupError):
    """No job has this id (any more: retention may have removed it)."""

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(f"job {job_id!r} is not in queue {queue!r}", queue=queue, job_id=job_id)


class JobStateError(JobError):
    """The job's state does not allow the operation."""

    def __init__(self, queue: str, job_id: str, *, state: str, wanted: str) -> None:
        self.state = state
        self.wanted = wanted
        super().__init__(f"job {job_id!r} is {state}, not {wanted}", queue=queue, job_id=job_id)


class JobFailedError(JobError):
    """The awaited job failed for good."""

    def __init__(self, queue: str, job_id: str, reason: str) -> None:
        self.reason = reason
        super().__init__(f"job {job_id!r} failed: {reason}", queue=queue, job_id=job_id)


class LeaseLostError(JobError):
    """The job belongs to another worker now; whatever this run still writes is refused."""

    def __init__(self, queue: str, job_id: str) -> None:
        super().__init__(f"the lease on job {job_id!r} is lost: another run owns it", queue=queue, job_id=job_id)


class QueueNotFoundError(CorralError, LookupError):
    """The application has no queue of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name = name
        self.suggestion = closest(name, known)
        super().__init__(f"queue {name!r} is not registered{_hint(self.suggestion)}")


class ScheduleNotFoundError(CorralError, LookupError):
    """No schedule has this key."""

    def __init__(self, key: str, known: Iterable[str] = ()) -> None:
        self.key = key
        self.suggestion = closest(key, known)
        super().__init__(f"schedule {key!r} does not exist{_hint(self.suggestion)}")


class RecordNotFoundError(CorralError, LookupError):
    """Nothing of this kind (an operation, a worker, a token, a mark) has this id (any more)."""

    def __init__(self, kind: str, id: str) -> None:
        self.kind = kind
        self.id = id
        super().__init__(f"{kind} {id!r} does not exist")


class QueueBusyError(CorralError):
    """Jobs of the queue are running, and what was asked for would take them away. Nothing was done."""

    def __init__(self, queue: str, active: int) -> None:
        self.queue = queue
        self.active = active
        super().__init__(f"queue {queue!r} has {active:,} active jobs; wait for them or use force")


class SelectionChangedError(CorralError):
    """The jobs that a command means are not as many as whoever gave it was shown. Nothing was done."""

    def __init__(self, expected: int, found: int) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"not the jobs that were shown: {expected:,} then, {found:,} now; look again")


class PayloadError(CorralError, ValueError):
    """The data cannot be carried as JSON or the handler's type refuses it. `errors` has every complaint."""

    def __init__(self, message: str, errors: Iterable[str] = ()) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join((message, *self.errors)) if self.errors else message)


class ResultError(CorralError, ValueError):
    """The handler did its work but returned something that is not JSON."""


class EffectError(CorralError):
    """Something about an effect that is to happen once. `key` names it."""

    def __init__(self, message: str, *, key: str) -> None:
        self.key = key
        super().__init__(message)


class EffectInProgressError(EffectError):
    """Another run is busy with the effect. A handler that lets it pass is snoozed and uses up no attempt."""

    def __init__(self, key: str, owner: str) -> None:
        self.owner = owner
        super().__init__(f"effect {key!r} is in progress in {owner}", key=key)


class EffectUncertainError(EffectError):
    """The effect was begun at most once and nobody knows whether it happened: look, then resolve or forget it."""

    def __init__(self, key: str, owner: str, failed: str | None = None) -> None:
        self.owner = owner
        self.failed = failed  #: what its function raised; None: the run died
        end = "which did not live to end it" if failed is None else f"where it raised {failed}"
        super().__init__(
            f"effect {key!r} was begun in {owner}, {end}; find out whether it happened, then call "
            "queue.resolve_effect(key, result) or queue.forget_effect(key)",
            key=key,
        )


class QueryError(CorralError, ValueError):
    """A search that cannot be read. `position` counts characters from 0."""

    def __init__(self, message: str, *, position: int = 0, suggestion: str | None = None) -> None:
        self.position = position
        self.suggestion = suggestion
        super().__init__(f"{message} (at {position})")


class RedactedFieldError(CorralError, PermissionError):
    """A search by a field that its reader may not see: the answer would tell what is in it."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} is hidden from you, and so it cannot be searched by")


class UnknownJobError(CorralError):
    """No handler has this name."""

    def __init__(self, queue: str, name: str, known: Iterable[str] = ()) -> None:
        self.queue = queue
        self.name = name
        self.suggestion = closest(name, known)
        super().__init__(f"queue {queue!r} has no handler named {name!r}{_hint(self.suggestion)}")


class JobTimeoutError(CorralError, TimeoutError):
    """The handler was stopped because its time was up."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(f"timed out after {seconds:g} s")


class JobCancelledError(CorralError):
    """The run was stopped because somebody cancelled the job."""

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        super().__init__(f"cancelled: {reason}" if reason else "cancelled")


class WorkerCrashedError(CorralError):
    """The process that ran the job died before it could answer."""
