"""What has to happen at once: an application's transaction belongs to code that does not wait."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from corral.errors import ConfigError

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The answer of a coroutine that never really waits.

    Raises:
        ConfigError: it does.
    """
    try:
        work.send(None)
    except StopIteration as end:
        answer: T = end.value
        return answer
    work.close()
    raise ConfigError(
        "an enqueue middleware waits for something, which it cannot do inside of a database transaction; do that "
        "before, or add the job after the commit",
        key="enqueue_middleware",
    )
