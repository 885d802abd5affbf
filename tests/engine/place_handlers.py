"""Handlers that tell where they run; child processes import this module."""

import os
import threading

from corral import BatchJob


def where() -> list[object]:
    """The process and the thread."""
    return [os.getpid(), threading.current_thread().name]


async def where_async() -> list[object]:
    """The same of a coroutine."""
    return where()


async def where_many(jobs: list[BatchJob[None]]) -> list[object]:
    """The same of a batch."""
    return where()
