"""Which queue a worker serves, and how."""

from collections.abc import Callable, Iterable

from msgspec import Struct, field

from corral.breaker import Breaker
from corral.errors import ConfigError
from corral.options import QueueSettings
from corral.worker.handler import Handler
from corral.worker.middleware import Middleware


class Lane(Struct, frozen=True, kw_only=True):
    """A queue a worker serves, and with how many slots."""

    queue: str
    slots: int  #: handlers at once
    find: Callable[[str], Handler | None]
    settings: QueueSettings = field(default_factory=QueueSettings)
    known: Callable[[], list[str]] = list
    handlers: Callable[[], Iterable[Handler]] = tuple  #: those whose services are made at the start
    middlewares: tuple[Middleware, ...] = ()  #: the queue's, inside the application's
    width: int = 0  #: jobs in the largest batch of its handlers; 0 where none takes batches
    breaker: Breaker | None = None

    def __post_init__(self) -> None:
        check_slots(self.slots)


def check_slots(count: object) -> int:
    """How many handlers may run at once. Raises: ConfigError unless it is a whole number of 1 or more."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigError(
            f"concurrency must be a whole number of 1 or more, not {count!r}: to take no jobs, pause the worker or "
            "leave the queue out",
            key="concurrency",
        )
    return count
