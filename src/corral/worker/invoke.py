"""Calling a handler inside a child process: payload in, result out, the context in between."""

import asyncio
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass

from corral.job import Job
from corral.payload import PayloadType, result_json
from corral.worker.context import Facts
from corral.worker.handler import Handler, HandlerFunction, is_async, read_signature


class _Telling(Facts):
    """A context that can tell the worker something."""

    __slots__ = ("_log", "_progress")

    def __init__(self, job: Job, attempts: int, progress: Callable[[object], None], log: Callable[[str], None]) -> None:
        super().__init__(job, attempts)
        self._progress = progress
        self._log = log


class ChildContext(_Telling):
    """The context of a `def` handler in a child process: as in a thread, but nothing needs to look whether to stop."""

    __slots__ = ()

    #: A process is ended from outside: SystemExit is raised wherever the handler is.
    stopping = False

    def check(self) -> None:
        """Nothing to do here; in a thread it raises when the run was told to stop."""

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)

    def progress(self, value: object) -> None:
        """Report how far the work is: a percentage, or any JSON value.

        Raises:
            PayloadError: not JSON.
        """
        self._progress(value)

    def log(self, line: str) -> None:
        """Append a line to the job's own log."""
        self._log(line)


class AsyncChildContext(_Telling):
    """The context of an `async def` handler in a child process."""

    __slots__ = ()

    async def progress(self, value: object) -> None:
        """As `ChildContext.progress`."""
        self._progress(value)

    async def log(self, line: str) -> None:
        """As `ChildContext.log`."""
        self._log(line)


@dataclass(frozen=True, slots=True)
class _Call:
    """How one handler is called."""

    function: HandlerFunction
    context: type[ChildContext] | type[AsyncChildContext] | None
    payload: PayloadType | None


#: By the identity of what the module's attribute holds, which lives as long as the child. Reading a signature and
#: building a pydantic type take milliseconds.
_calls: dict[int, _Call] = {}


def invoke_in_child(
    target: object, job: Job, attempts: int, progress: Callable[[object], None], log: Callable[[str], None]
) -> str:
    """Run the handler and give its result as JSON text. `target` is the function or what its decorator made of it.

    Raises:
        PayloadError: the handler's type refuses the data. ResultError: it returned something that is not JSON.
    """
    call = _calls.get(id(target))
    if call is None:
        call = _calls[id(target)] = _read(target)
    arguments: list[object] = []
    if call.context is not None:
        arguments.append(call.context(job, attempts, progress, log))
    if call.payload is not None:
        arguments.append(call.payload.decode(job.data))
    outcome = call.function(*arguments)
    if inspect.iscoroutine(outcome):
        outcome = asyncio.run(outcome)
    return result_json(outcome)


def _read(target: object) -> _Call:
    declared = getattr(target, "handler", None)
    # Not inspect.unwrap: what other decorators wrapped around the function belongs to the handler.
    function: HandlerFunction = declared.function if isinstance(declared, Handler) else target  # type: ignore[assignment]
    signature = read_signature(function)
    context = (AsyncChildContext if is_async(function) else ChildContext) if signature.takes_context else None
    return _Call(function, context, PayloadType(signature.payload) if signature.takes_data else None)
