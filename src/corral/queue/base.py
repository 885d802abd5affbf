"""What every group of a queue's verbs stands on."""

from collections.abc import Sequence

from corral.job import JobId, check_name
from corral.storage.port import Selection, Storage


class QueueBase:
    """A queue's name in a store. Makes no connection of its own: `storage` is opened by whoever made it."""

    def __init__(self, name: str, storage: Storage) -> None:
        self.name = check_name(name, "queue name")
        self.storage = storage

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def these(job_ids: Sequence[JobId]) -> Selection:
    """The selection of exactly these jobs."""
    return Selection(ids=tuple(job_ids), limit=len(job_ids))
