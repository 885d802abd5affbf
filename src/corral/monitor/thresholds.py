"""From when on something wants attention. Every threshold may be None, which turns its rule off."""

from collections.abc import Mapping
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from corral.timing import Millis


class Thresholds(Struct, frozen=True, kw_only=True):
    """The thresholds of `corral.monitor.rules`; `queues` has those of single queues, by name or `glob*`."""

    waiting: int | None = 1_000  #: more waiting jobs
    failed: int | None = 100  #: more failed jobs that are kept
    oldest_ms: Millis | None = 60_000  #: the oldest waiting job waits longer; a queue's own SLO takes its place
    failure_share: float | None = 0.05  #: a larger share of the jobs that ended failed …
    failure_jobs: int = 20  #: … if at least so many ended
    no_worker: bool | None = True  #: jobs wait and nobody serves the queue
    overdue_ms: Millis | None = 60_000  #: a schedule's slot has passed for longer
    paused_ms: Millis | None = 600_000  #: a paused queue has a job that waits longer
    held: bool | None = True  #: a queue is held: rate limited by the other side, or its breaker is open
    stalled: int | None = 1  #: so many jobs run on workers that are no longer seen
    growing_ms: Millis | None = 3_600_000  #: the queue will have `waiting` jobs within this time, as it grows now
    growing_jobs: int = 100  #: … if it has at least so many already
    slow_factor: int | None = 10  #: a running job takes longer than so many times the queue's p99 …
    slow_ms: Millis | None = 60_000  #: … if it takes longer than this as well
    index_ms: Millis | None = 7 * 86_400_000  #: an index of tags and traces is older
    evictions: bool | None = True  #: the server throws jobs away when its memory is full, or has done so
    queues: Mapping[str, "Thresholds"] = {}

    def of(self, queue: str) -> "Thresholds":
        """The thresholds for one queue: its own, those of the first pattern that fits, or these."""
        found = self.queues.get(queue)
        if found is None:
            found = next((one for glob, one in self.queues.items() if fnmatchcase(queue, glob)), None)
        return replace(self, queues={}) if found is None else found


DEFAULTS = Thresholds()
