"""Whatever a handler raises is its own job's failure: told in safe text, and no other job or worker suffers."""

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from corral import Corral, JobState
from corral.error_text import MAX_REASON, MAX_TRACE_BYTES
from tests.engine import processes
from tests.engine.helpers import GUARD, chosen, ending, working


class BrokenStr(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class DeadlyStr(Exception):
    def __str__(self) -> NoReturn:
        raise SystemExit(1)

    __repr__ = __str__


class Unpicklable(Exception):
    def __init__(self, one: int, two: int) -> None:
        self.function = lambda: one + two
        super().__init__("cannot travel")


class Secretive(BaseException):
    """Not even an Exception."""


def chained() -> Exception:
    try:
        raise KeyError("inner")
    except KeyError as inner:
        error = ValueError("outer")
        error.__cause__ = inner
        return error


RAISED: dict[str, tuple[Callable[[], BaseException], str]] = {
    "ValueError": (lambda: ValueError("bad value"), "ValueError: bad value"),
    "no message": (ValueError, "ValueError"),
    "SystemExit": (lambda: SystemExit(3), "SystemExit: 3"),
    "KeyboardInterrupt": (KeyboardInterrupt, "KeyboardInterrupt"),
    "GeneratorExit": (GeneratorExit, "GeneratorExit"),
    "CancelledError": (asyncio.CancelledError, "CancelledError"),
    "StopIteration": (lambda: StopIteration(1), "RuntimeError: "),
    "StopAsyncIteration": (StopAsyncIteration, "StopAsyncIteration"),
    "TimeoutError": (TimeoutError, "TimeoutError"),
    "MemoryError": (MemoryError, "MemoryError"),
    "RecursionError": (RecursionError, "RecursionError"),
    "BaseException": (lambda: Secretive("psst"), "Secretive: psst"),
    "broken __str__": (BrokenStr, "BrokenStr: (it has no readable text)"),
    "deadly __str__": (DeadlyStr, "DeadlyStr: (it has no readable text)"),
    "5 MB": (lambda: ValueError("x" * 5_000_000), "ValueError: xxx"),
    "half a surrogate pair": (lambda: ValueError("\ud800 \x1b[31m"), "ValueError: \ufffd \\x1b[31m"),
    "cannot be pickled": (lambda: Unpicklable(1, 2), "Unpicklable: cannot travel"),
    "chained": (chained, "ValueError: outer"),
    "group of one": (lambda: ExceptionGroup("tasks", [KeyError("lost")]), "KeyError: 'lost'"),
    "group": (
        lambda: BaseExceptionGroup("tasks", [ValueError("a"), SystemExit(2)]),
        "BaseExceptionGroup: tasks (2 sub-exceptions): ValueError: a; SystemExit: 2",
    ),
}


@pytest.mark.parametrize("mode", ["async", "thread"])
@pytest.mark.parametrize("what", RAISED)
async def test_what_a_handler_raises_fails_its_job_and_no_other(app: Corral, what: str, mode: str) -> None:
    make, said = RAISED[what]
    queue = app.queue("work", concurrency=1)

    async def fail_async() -> None:
        raise make()

    def fail() -> None:
        raise make()

    @queue.job("next")
    async def following() -> str:
        return "done"

    job: Any = queue.job("fail")(chosen(mode, fail_async, fail))
    async with working(app):
        bad, good = await job.add(), await following.add()
        assert await good.result(timeout=GUARD) == "done"
        failed = await ending(bad)
    assert failed.state is JobState.FAILED
    assert failed.failed_reason is not None
    assert failed.failed_reason.startswith(said)
    assert len(failed.failed_reason) <= MAX_REASON
    assert failed.attempts_made == 1


async def test_the_trace_begins_at_the_handler_and_names_its_cause(app: Corral) -> None:
    queue = app.queue("work")

    def deeper() -> None:
        raise chained()

    @queue.job("fail")
    async def fail() -> None:
        deeper()

    async with working(app):
        job = await ending(await fail.add())
    [trace] = job.traces
    assert "KeyError: 'inner'" in trace
    assert "direct cause" in trace
    assert trace.index("in fail") < trace.index("in deeper")
    assert "executor.py" not in trace


async def test_traces_are_bounded_in_length_and_number(app: Corral) -> None:
    queue = app.queue("work", attempts=12)

    @queue.job("fail")
    async def fail() -> None:
        raise ValueError("x" * 200_000)

    async with working(app):
        job = await ending(await fail.add())
    assert len(job.traces) == 10
    assert max(len(trace.encode()) for trace in job.traces) <= MAX_TRACE_BYTES


async def test_endless_recursion_fails_its_job_alone(app: Corral) -> None:
    queue = app.queue("work")

    def recurse(depth: int) -> int:
        return recurse(depth + 1)

    @queue.job("recurse")
    async def endless() -> int:
        return recurse(0)

    @queue.job("recurse-in-thread")
    def endless_in_thread() -> int:
        return recurse(0)

    async with working(app):
        for job in (await endless.add(), await endless_in_thread.add()):
            assert ((await ending(job)).failed_reason or "").startswith("RecursionError: ")


@pytest.mark.parametrize(("how", "said"), [
    ("value", "ValueError: bad value"),
    ("exit", "SystemExit: 3"),
    ("network", "ConnectionError: no route"),
])  # fmt: skip
async def test_what_a_process_handler_raises_fails_its_job_alone(app: Corral, how: str, said: str) -> None:
    queue = app.queue("work", concurrency=1)
    fail = queue.job("fail", process=True)(processes.fail)
    whoami = queue.job("whoami", process=True)(processes.whoami)
    async with working(app):
        before = await (await whoami.add()).result()
        assert (await ending(await fail.add(how))).failed_reason == said
        assert await (await whoami.add()).result() == before  # the process lives on


async def test_a_process_that_dies_twice_with_a_job_puts_it_into_quarantine_and_charges_no_attempt(app: Corral) -> None:
    queue = app.queue("work", concurrency=1, attempts=5)
    fail = queue.job("fail", process=True)(processes.fail)
    whoami = queue.job("whoami", process=True)(processes.whoami)
    async with working(app):
        poison, neighbour = await fail.add("hard"), await whoami.add()
        job = await ending(poison)
        assert isinstance(await neighbour.result(), int)
        assert ((await neighbour.get()).crashes, (await neighbour.get()).attempts_made) == (0, 1)
    assert (job.state, job.crashes, job.attempts_started, job.attempts_made) == (JobState.FAILED, 2, 2, 0)
    assert "exited with status 3" in (job.failed_reason or "")
