"""`step` and `once`: the verbs of a running handler for what must not be done twice."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, cast, overload

from corral.effects import KEEP_EFFECTS, DoneStep, Scope, ledger_of
from corral.errors import ConfigError, CorralError, JobCancelledError, JobTimeoutError, LeaseLostError
from corral.job import Job
from corral.options import Fixed
from corral.retry import backoff_ms
from corral.signals import JobSignal
from corral.timing import Seconds, to_ms, to_seconds
from corral.worker.steps import Step, Steps, as_step, is_coroutine_function, value_of
from corral.worker.threads import Threads

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")
Ts = TypeVarTuple("Ts")

#: What a step lets pass whatever its `attempts` say: words to the worker, and a run that is over.
_NOT_TRIED_AGAIN = (JobSignal, LeaseLostError, JobCancelledError)


def _pause(step: Step, attempt: int, error: BaseException) -> float:
    """Seconds until the next try of a step; raises the error when there is none."""
    if attempt >= step.attempts or not isinstance(error, Exception) or isinstance(error, _NOT_TRIED_AGAIN):
        raise error
    curve = Fixed(step.backoff) if isinstance(step.backoff, int | float) else step.backoff
    return backoff_ms(curve, attempt, error, custom=None, random=random.random) / 1000


class Durable:
    """The verbs of an `async def` handler."""

    __slots__ = ()
    job: Job
    _threads: Threads | None

    @property
    def durable(self) -> Steps:
        """What the run knows of its steps and effects. Each context keeps its own."""
        raise CorralError("this context remembers no steps")

    @overload
    async def step(
        self, step: str | Step, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T: ...
    @overload
    async def step(self, step: str | Step, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def step(
        self, step: str | Step, function: Callable[..., object], /, *args: object, **kwargs: object
    ) -> object:
        """Call `function` unless an earlier run of this job did, and give what it returned, then or now.

        Its result is stored with the job, as JSON, before this returns: a retry or a crash goes on after the last step
        that was finished. A step that was under way is done again. What comes back is what the function declares to
        return, or plain JSON. An `async def` is awaited, a `def` runs in a thread.

        Raises:
            ConfigError: this run has used the name before. ResultError: what it returned is not JSON.
            LeaseLostError: another run owns the job now; stop. Whatever the function raises; then nothing is stored.
        """
        made = as_step(step)
        note = await self.durable.begin(made)
        if note is None:
            note = await self.durable.finish(made, await self._try(made, partial(function, *args, **kwargs)))
        return value_of(note.result, function)

    async def steps(self) -> tuple[DoneStep, ...]:
        """The steps of this job that are done, oldest first."""
        return await self.durable.done()

    @overload
    async def once(
        self, key: str, function: Callable[[*Ts], Awaitable[T]], /, *args: *Ts, ttl: Seconds = KEEP_EFFECTS,
        scope: Scope = "queue", at_most_once: bool = False,
    ) -> T: ...  # fmt: skip
    @overload
    async def once(
        self, key: str, function: Callable[[*Ts], T], /, *args: *Ts, ttl: Seconds = KEEP_EFFECTS,
        scope: Scope = "queue", at_most_once: bool = False,
    ) -> T: ...  # fmt: skip
    async def once(
        self, key: str, function: Callable[..., object], /, *args: object, ttl: Seconds = KEEP_EFFECTS,
        scope: Scope = "queue", at_most_once: bool = False,
    ) -> object:  # fmt: skip
        """Call `function` unless any job did under this key, and give what it returned, there or here.

        The key counts in this queue, or with `scope="app"` in the whole store, for `ttl` seconds after it was done. If
        the run that began it died, the next one to ask does it again; with `at_most_once` none does, for it may have
        happened. A function that raises has not happened, unless `at_most_once`.

        Raises:
            EffectInProgressError: another run is at it. Let it pass: the job is snoozed for a second and looks again.
            EffectUncertainError: it was begun `at_most_once`, and whether it happened is for a person to find out.
            ResultError: what it returned is not JSON. LeaseLostError: another run owns the job now; stop.
        """
        ledger, ttl_ms, state = ledger_of(self.job.queue, scope), to_ms(ttl, "ttl", minimum=0.001), self.durable
        mark = await state.claim(ledger, key, ttl_ms, at_most_once=at_most_once)
        if mark is None:
            try:
                value = await self._call(partial(function, *args))
            except BaseException as error:  # a cancellation too leaves the effect half done
                await state.give_up(ledger, key, ttl_ms, error, at_most_once=at_most_once)
                raise
            mark = await state.settle(ledger, key, value, ttl_ms)
        return value_of(mark.result, function)

    async def _try(self, step: Step, call: "partial[object]") -> object:
        attempt = 1
        while True:
            try:
                return await self._in_time(step, call)
            except BaseException as error:  # what is not for trying again is raised by _pause
                pause = _pause(step, attempt, error)
            await asyncio.sleep(pause)
            attempt += 1

    async def _in_time(self, step: Step, call: "partial[object]") -> object:
        if step.timeout is None:
            return await self._call(call)
        seconds = to_seconds(step.timeout, "timeout")
        bound = asyncio.timeout(seconds)
        try:
            async with bound:
                return await self._call(call)
        except TimeoutError:
            if bound.expired():
                raise JobTimeoutError(seconds) from None
            raise

    async def _call(self, call: "partial[object]") -> object:
        if is_coroutine_function(call.func):
            return await cast(Awaitable[object], call())
        if self._threads is None:
            return await asyncio.to_thread(call)
        return await self._threads.run(copy_context(), call)


class BlockingDurable:
    """The verbs of a `def` handler: the function is called in the handler's own thread."""

    __slots__ = ()
    job: Job

    @property
    def durable(self) -> Steps:
        """What the run knows of its steps and effects. Each context keeps its own."""
        raise CorralError("this context remembers no steps")

    def _run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        raise CorralError("this context has no way to wait")

    def wait(self, seconds: float) -> None:
        """Sleep, but not on after the run was told to stop. Each context has its own."""
        time.sleep(seconds)

    def step(self, step: str | Step, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """As `JobContext.step`, with a plain function and without `timeout`."""
        made, state = as_step(step), self.durable
        _check_plain(function, made)
        note = self._run(state.begin(made))
        if note is None:
            value = _try_here(made, lambda: function(*args, **kwargs), self.wait)
            note = self._run(state.finish(made, value))
        return cast(T, value_of(note.result, function))

    def steps(self) -> tuple[DoneStep, ...]:
        """As `JobContext.steps`."""
        return self._run(self.durable.done())

    def once(
        self, key: str, function: Callable[[*Ts], T], /, *args: *Ts, ttl: Seconds = KEEP_EFFECTS,
        scope: Scope = "queue", at_most_once: bool = False,
    ) -> T:  # fmt: skip
        """As `JobContext.once`, with a plain function."""
        _check_plain(function, None)
        ledger, ttl_ms = ledger_of(self.job.queue, scope), to_ms(ttl, "ttl", minimum=0.001)
        state = self.durable
        mark = self._run(state.claim(ledger, key, ttl_ms, at_most_once=at_most_once))
        if mark is None:
            try:
                value = function(*args)
            except BaseException as error:  # the end of its thread too
                self._run(state.give_up(ledger, key, ttl_ms, error, at_most_once=at_most_once))
                raise
            mark = self._run(state.settle(ledger, key, value, ttl_ms))
        return cast(T, value_of(mark.result, function))


def _check_plain(function: Callable[..., object], step: Step | None) -> None:
    if is_coroutine_function(function):
        raise ConfigError("a def handler's steps are plain functions: make the handler async def", key="step")
    if step is not None and step.timeout is not None:
        raise ConfigError("a step of a def handler has no timeout: nothing can stop its thread", key="timeout")


def _try_here(step: Step, call: Callable[[], object], wait: Callable[[float], None]) -> object:
    attempt = 1
    while True:
        try:
            return call()
        except BaseException as error:  # what is not for trying again is raised by _pause
            pause = _pause(step, attempt, error)
        wait(pause)
        attempt += 1
