"""Watchers: whoever wants to be told of every run of a worker, and of nothing else: metrics, traces."""

from collections.abc import Sequence

from corral.errors import JobCancelledError, JobTimeoutError
from corral.job import JobId
from corral.outcome import Completed, Crashed, Failed, Outcome, Retried
from corral.storage.port import Lease, Pulse, Refusal
from corral.worker.run import Run

_TIMEOUT = JobTimeoutError.__name__


def end_of(run: Run, outcome: Outcome) -> str:
    """How a run ended, in one of the words that metrics, traces and logs share.

    completed, failed, cancelled and timeout are for good; retried stands for any attempt that is followed by another;
    released for a job that went back without using one up.
    """
    match outcome:
        case Completed():
            return "completed"
        case Failed(failure=failure):
            if isinstance(run.stopped, JobCancelledError):
                return "cancelled"
            return "timeout" if failure is not None and failure.type.endswith(_TIMEOUT) else "failed"
        case Retried() | Crashed():
            return "retried"
    return "released"


class Watcher:
    """Told what happens, as it happens; it must neither wait nor raise. Override what is wanted."""

    def started(self, run: Run) -> None:
        """A handler is about to be called. On the worker's loop."""

    def ended(self, run: Run, outcome: Outcome, refusal: Refusal | None) -> None:
        """The verdict on a run was handed in; with `refusal` it changed nothing. On the worker's loop."""

    def recovered(self, queue: str, requeued: Sequence[JobId], quarantined: Sequence[JobId]) -> None:
        """Jobs of dead workers were taken back. On the worker's loop."""

    def beaten(self, leases: Sequence[Lease], pulse: Pulse) -> None:
        """These leases were shown to the store, which answered. On the thread that renews them."""

    def fired(self, queue: str, schedule: str, runs: int, missed: int) -> None:
        """A schedule was turned into so many jobs; so many of its slots had passed. On the worker's loop."""
