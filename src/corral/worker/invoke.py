"""Calling a handler inside a child process: payload in, result out, the context in between."""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import msgspec

from corral.errors import CorralError, JobCancelledError, LeaseLostError, PayloadError, RegistrationError
from corral.job import Job, JobId, NewJob
from corral.payload import PayloadType, result_json
from corral.storage.port import Added, Children
from corral.timing import Millis, Seconds, to_ms
from corral.worker.context import Facts, JobContext, SyncJobContext
from corral.worker.handler import Handler, HandlerFunction, is_async, read_signature
from corral.worker.inject import Injector
from corral.worker.remote import printable, refusal
from corral.worker.services import Providers
from corral.worker.talk import Talk
from corral.worker.wire import (
    AddJobs,
    Answer,
    Collect,
    ListChildren,
    Log,
    NamesOf,
    Note,
    Progress,
    Question,
    Recall,
    Remember,
    StillRuns,
)

T = TypeVar("T")
#: Bytes of a result that crosses the pipe; the worker knows what the queue allows.
MAX_RESULT = 15_000_000


class ChildContext(JobContext):
    """The context of an `async def` handler in a child process: its verbs are questions to the worker.

    When nobody listens any more (the job is over, or the worker ends this process) a log line is lost, as the last
    words of `finally` blocks may be; everything else raises LeaseLostError.
    """

    __slots__ = ("_ask",)

    def __init__(self, job: Job, attempts: int, ask: Callable[[Question], Awaitable[Answer | None]]) -> None:
        Facts.__init__(self, job, attempts)  # the store and the token are the worker's
        self._ask = ask

    async def progress_json(self, text: str) -> None:
        await self._answer(Progress(text))

    async def log(self, line: str) -> None:
        """As `JobContext.log`."""
        answer = await self._ask(Log(printable(line)))
        if answer is not None:
            _value(answer)

    async def children(self) -> Children:
        """As `JobContext.children`."""
        return cast(Children, await self._answer(ListChildren()))

    async def recall(self, key: str) -> str | None:
        """As `JobContext.recall`."""
        return cast(str | None, await self._answer(Recall(str(key))))

    async def note(self, key: str, value: str, *, keep: Seconds = 7 * 86_400) -> None:
        """As `JobContext.note`.

        Raises:
            PayloadError: the value is not text.
        """
        if not isinstance(value, str):
            raise PayloadError(f"note {key!r} must be text, not {type(value).__name__}")
        await self._answer(Note(str(key), value, to_ms(keep, "keep")))

    async def remember(
        self, ledger: str, key: str, value: str | None = None, *, replace: bool = False, ttl_ms: Millis | None = None
    ) -> str | None:
        """As `JobContext.remember`."""
        return cast(str | None, await self._answer(Remember(ledger, key, value, replace, ttl_ms)))

    async def still_runs(self, queue: str, job_id: str, run: int) -> bool:
        """As `JobContext.still_runs`."""
        return await self._answer(StillRuns(queue, job_id, run)) == "true"

    async def add_jobs(self, jobs: Sequence[NewJob], patience: float = 0.0) -> list[Added]:
        """As `JobContext.add_jobs`: the worker's intake looks at them."""
        text = await self._answer(AddJobs(tuple(jobs), patience))
        return msgspec.json.decode(cast(str, text), type=list[Added])

    async def collect(self, jobs: Sequence[NewJob]) -> None:
        """As `JobContext.collect`."""
        await self._answer(Collect(tuple(jobs)))  # the worker's side keeps them

    async def names_of(self, queue: str, ids: Sequence[JobId]) -> Mapping[JobId, str]:
        """As `JobContext.names_of`."""
        text = await self._answer(NamesOf(queue, tuple(ids)))
        return msgspec.json.decode(cast(str, text), type=dict[str, str])

    async def _answer(self, question: Question) -> str | Children | None:
        answer = await self._ask(question)
        if answer is None:
            raise LeaseLostError(self.queue, self.id)
        return _value(answer)


def _value(answer: Answer) -> str | Children | None:
    if answer.refused is not None:
        raise refusal(answer.refused)
    return answer.value


class SyncChildContext(SyncJobContext):
    """The context of a `def` handler in a child process: the same verbs, blocking.

    Such a process is ended from outside, by a SystemExit wherever the handler is. `stopping` is for code that catches
    it, and for threads of the handler's own, which it does not reach.
    """

    __slots__ = ("_one", "_talk")

    def __init__(self, job: Job, attempts: int, talk: Talk) -> None:
        Facts.__init__(self, job, attempts)  # there is no loop to call
        self._talk = talk
        self._one = threading.Lock()  # threads of the handler's own may ask too
        self._context = ChildContext(job, attempts, self._ask)
        self.stop_reason = "the worker ends the process"

    async def _ask(self, question: Question) -> Answer | None:
        return self._talk.ask(question)

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            with self._one:
                coroutine.send(None)  # asking blocks, so that nothing in it ever waits for a loop
        except StopIteration as end:
            return cast(T, end.value)
        raise CorralError("a verb of a def handler waits for an event loop, and there is none")

    @property
    def stopping(self) -> bool:
        """Whether the worker wants this process to end, or the job is over."""
        return self._talk.deaf

    def check(self) -> None:
        """Raise JobCancelledError when the run was told to stop."""
        if self.stopping:
            raise JobCancelledError(self.stop_reason)

    def wait(self, seconds: float) -> None:
        """Sleep; the end of the process interrupts it."""
        time.sleep(seconds)
        self.check()


@dataclass(frozen=True, slots=True)
class _Call:
    """How one handler is called."""

    function: HandlerFunction
    context: Callable[[Job, int, Talk], JobContext | SyncJobContext] | None
    payload: PayloadType | None
    served: Handler | None = None  #: when it asks for services
    providers: Providers | None = None


#: By the identity of what the module's attribute holds, which lives as long as the child. Reading a signature and
#: building a pydantic type take milliseconds.
_calls: dict[int, _Call] = {}


def invoke_in_child(target: object, job: Job, attempts: int, talk: Talk) -> str:
    """Run the handler and give its result as JSON text. `target` is the function or what its decorator made of it.

    Raises:
        PayloadError: the handler's type refuses the data. ResultError: it returned something that is not JSON.
    """
    call = _calls.get(id(target))
    if call is None:
        call = _calls[id(target)] = _read(target)
    if call.served is not None:
        return result_json(_with_services(call, call.served, job, attempts, talk), MAX_RESULT)
    arguments: list[object] = []
    if call.context is not None:
        arguments.append(call.context(job, attempts, talk))
    if call.payload is not None:
        arguments.append(call.payload.decode(job.data))
    outcome = call.function(*arguments)
    if inspect.iscoroutine(outcome):
        outcome = asyncio.run(outcome)
    return result_json(outcome, MAX_RESULT)


def _read(target: object) -> _Call:
    declared = getattr(target, "handler", None)
    # Not inspect.unwrap: what other decorators wrapped around the function belongs to the handler.
    function: HandlerFunction = declared.function if isinstance(declared, Handler) else target  # type: ignore[assignment]
    served = declared if isinstance(declared, Handler) and declared.needs else None
    signature = read_signature(function, method=served is not None and served.owner is not None)
    takes = signature.takes_context or served is not None  # a service may ask for the context too
    context = (_asynchronous if is_async(function) else SyncChildContext) if takes else None
    payload = PayloadType(signature.payload) if signature.takes_data else None
    return _Call(function, context, payload, served, getattr(target, "providers", None))


def _with_services(call: _Call, handler: Handler, job: Job, attempts: int, talk: Talk) -> object:
    """Each job makes all its services anew, whatever their scope: no event loop outlives a job in a child process.

    Raises:
        RegistrationError: the modules that the child imported do not provide what the handler asks for.
    """
    if call.providers is None or call.context is None:
        raise RegistrationError(
            f"handler {handler.name!r} asks for services, and in its child process no application has it"
        )
    injector = Injector(call.providers)
    injector.check(f"{job.queue} (in a child process)", [handler])
    context = call.context(job, attempts, talk)
    data = call.payload.decode(job.data) if call.payload is not None else None
    given: dict[Hashable, object] = {JobContext: context, SyncJobContext: context, Facts: context}
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        try:
            runner.run(injector.start(stack, in_child=True))
            work = partial(handler.call, context, data)
            if handler.asynchronous:
                return runner.run(injector.call(handler, given, work))
            return injector.call_blocking(handler, given, work, runner.run)
        finally:
            runner.run(stack.aclose())


def _asynchronous(job: Job, attempts: int, talk: Talk) -> JobContext:
    return ChildContext(job, attempts, talk.ask_async)
