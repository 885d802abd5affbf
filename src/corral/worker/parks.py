"""Handlers that wait for children they do not have.

A job with nothing to wait for runs again at once, which is right when its last child ended while it was stepping aside.
Done over and over it is a mistake of the handler, and would take a slot for ever: 200 runs a second.
"""

from corral.errors import ConfigError, CorralError
from corral.job import Job, JobId
from corral.storage.port import Storage
from corral.timing import Millis

#: Jobs whose last wait was for nothing. One that is forgotten has one more run.
KNOWN = 1_000


class Parks:
    """Remembers, for the jobs of one queue, how the children stood when one waited although none was pending."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._seen: dict[JobId, tuple[Millis, int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._seen)

    def forget(self, job: Job) -> None:
        """The job ended otherwise: its next wait for nothing is its first."""
        self._seen.pop(job.id, None)

    async def in_vain(self, job: Job) -> ConfigError | None:
        """What is wrong when a job waits a second time for nothing, and no child has ended in between."""
        try:
            children = await self._storage.children(job.queue, job.id)
        except CorralError:  # the turn that hands the verdict in meets the same trouble, and speaks of it
            return None
        before = self._seen.pop(job.id, None)
        if children.pending:
            return None
        stand = (job.created_at, len(children.completed), len(children.failed))
        if stand == before:
            return ConfigError(
                "WaitForChildren was raised again with no child pending and none that ended since: add a child first, "
                "or return"
            )
        while len(self._seen) >= KNOWN:
            del self._seen[next(iter(self._seen))]
        self._seen[job.id] = stand
        return None
