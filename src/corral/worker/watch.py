"""Watchers: whoever wants to be told of every run of a worker, and of nothing else: metrics, traces."""

from collections.abc import Sequence

from corral.job import JobId
from corral.outcome import Outcome
from corral.storage.port import Lease, Pulse, Refusal
from corral.worker.run import Run


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
