"""Bull's words for states, and corral's."""

from collections.abc import Iterable, Mapping

from corral.errors import UnknownOptionError
from corral.job import JobState

STATES: Mapping[str, JobState] = {
    "waiting": JobState.WAITING,
    "wait": JobState.WAITING,
    "paused": JobState.WAITING,
    "prioritized": JobState.WAITING,
    "delayed": JobState.DELAYED,
    "active": JobState.ACTIVE,
    "completed": JobState.COMPLETED,
    "failed": JobState.FAILED,
    "waiting-children": JobState.WAITING_CHILDREN,
}
#: What `getJobCounts` can tell, and the field of `QueueCounts`.
COUNTED: Mapping[str, str] = {
    "waiting": "waiting",
    "wait": "waiting",
    "active": "active",
    "completed": "completed",
    "failed": "failed",
    "delayed": "delayed",
    "paused": "paused",
    "waiting-children": "waiting_children",
}


def states_of(words: Iterable[str]) -> list[JobState]:
    """The states of these words, each once. Raises: UnknownOptionError, which carries the nearest word."""
    found: dict[JobState, None] = {}
    for word in words:
        if word not in STATES:
            raise UnknownOptionError(word, STATES)
        found[STATES[word]] = None
    return list(found)
