"""What BullMQ is made to do for the golden dumps: one small story per name, and how its jobs stand at the end."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from ..node import Bull

Play = Callable[[Bull], Awaitable[None]]

#: One module, and one file of dumps, per topic.
TOPICS = ("adding", "deduplication", "work", "upkeep", "queues", "flows", "schedulers")

WAITING, ACTIVE, DELAYED, PRIORITIZED = "waiting", "active", "delayed", "prioritized"
COMPLETED, FAILED, CHILDREN, GONE = "completed", "failed", "waiting-children", "unknown"


@dataclass(frozen=True)
class Scene:
    """A story. Jobs are named by id, or `queue/id` outside of the queue `mail`."""

    topic: str
    name: str
    play: Play
    jobs: Mapping[str, str] = field(default_factory=dict)  #: job -> BullMQ's state at the end
    then: Mapping[str, str] = field(default_factory=dict)  #: job -> its state once all is served, if not completed

    def __str__(self) -> str:
        return f"{self.topic}-{self.name}"


_scenes: dict[str, Scene] = {}


def scene(name: str, jobs: Mapping[str, str], then: Mapping[str, str] | None = None) -> Callable[[Play], Play]:
    """Register a story under the topic of its module."""

    def register(play: Play) -> Play:
        one = Scene(play.__module__.rpartition(".")[2], name, play, jobs, then or {})
        assert str(one) not in _scenes, f"{one} is told twice"
        _scenes[str(one)] = one
        return play

    return register


def many(ids: Iterable[int], state: str) -> dict[str, str]:
    """Numbered jobs that are all in one state."""
    return {str(number): state for number in ids}


def scenes() -> list[Scene]:
    """All of them, in the order they are written in."""
    for topic in TOPICS:
        import_module(f"{__name__}.{topic}")
    return list(_scenes.values())
