"""What commands that run for long have in common: their event loop, and the input a supervisor speaks through."""

import asyncio
import importlib.util
import os
from collections.abc import Callable


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed (`corral[fast]`), else None: asyncio's own."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    from uvloop import new_event_loop

    return new_event_loop


def take_over_input() -> int:
    """Standard input, as a descriptor of our own. Whatever this process starts inherits an empty one instead.

    A handler must not read the supervisor's words.
    """
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return pipe
