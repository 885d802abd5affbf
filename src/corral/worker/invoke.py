"""Calling a handler inside a child process: payload in, result out, the context in between."""

import asyncio
import inspect
from collections.abc import Callable

from corral.job import Job
from corral.payload import PayloadType, result_json
from corral.worker.context import Facts
from corral.worker.handler import HandlerFunction, is_async, read_signature


class ChildContext(Facts):
    """The context of a `def` handler in a child process."""

    __slots__ = ("_log", "_progress")

    def __init__(self, job: Job, attempts: int, progress: Callable[[object], None], log: Callable[[str], None]) -> None:
        super().__init__(job, attempts)
        self._progress = progress
        self._log = log

    def progress(self, value: object) -> None:
        """Report how far the work is."""
        self._progress(value)

    def log(self, line: str) -> None:
        """Append a line to the job's log."""
        self._log(line)


class AsyncChildContext(Facts):
    """The context of an `async def` handler in a child process."""

    __slots__ = ("_log", "_progress")

    def __init__(self, job: Job, attempts: int, progress: Callable[[object], None], log: Callable[[str], None]) -> None:
        super().__init__(job, attempts)
        self._progress = progress
        self._log = log

    async def progress(self, value: object) -> None:
        """Report how far the work is."""
        self._progress(value)

    async def log(self, line: str) -> None:
        """Append a line to the job's log."""
        self._log(line)


def invoke_in_child(
    target: object, job: Job, attempts: int, progress: Callable[[object], None], log: Callable[[str], None]
) -> str:
    """Run the handler and give its result as JSON text. `target` is the function or what its decorator made of it."""
    function: HandlerFunction = inspect.unwrap(target)  # type: ignore[arg-type]  # whatever the module attribute holds
    signature = read_signature(function)
    kind = AsyncChildContext if is_async(function) else ChildContext
    arguments: list[object] = [kind(job, attempts, progress, log)] if signature.takes_context else []
    if signature.takes_data:
        arguments.append(PayloadType(signature.payload).decode(job.data))
    outcome = function(*arguments)
    if inspect.iscoroutine(outcome):
        return result_json(asyncio.run(outcome))
    return result_json(outcome)
