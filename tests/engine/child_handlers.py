"""Handlers that run in child processes: well-behaved ones, and each kind of trouble a handler can make."""

import asyncio
import ctypes
import fcntl
import functools
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from corral.app.bundle import Bundle
from corral.errors import CorralError, JobTimeoutError, PayloadError, ResultError
from corral.signals import Discard, Retry, Snooze, WaitForChildren
from corral.worker.children import Children
from corral.worker.context import JobContext, SyncJobContext

served: list[int] = []


# -- well-behaved ------------------------------------------------------------------------------------------------------


def echo(data: dict[str, object]) -> dict[str, object]:
    print(data.get("say", ""), end="")
    return data


async def echo_async(data: dict[str, object]) -> dict[str, object]:
    await asyncio.sleep(0)
    return data


bundle = Bundle("voices", queue="crunch")


class Words(Struct):
    text: str


def loud(handler: Callable[[Words], str]) -> Callable[[Words], str]:
    """A decorator of the application's own."""

    @functools.wraps(handler)
    def call(data: Words) -> str:
        return handler(data).upper()

    return call


@bundle.job("shout", process=True)
@loud
def shout(data: Words) -> str:
    return data.text


def count() -> list[int]:
    """The process, and how many of these it has run."""
    served.append(1)
    return [os.getpid(), len(served)]


def report(ctx: SyncJobContext) -> int:
    ctx.progress(10)
    ctx.log("half way")
    ctx.progress({"step": "zwei"})
    return ctx.attempt


async def report_async(ctx: JobContext) -> int:
    await ctx.progress(10)
    await ctx.log("half way")
    await ctx.progress({"step": "zwei"})
    return ctx.attempt


def wait_at_gate(ctx: SyncJobContext, data: dict[str, str]) -> str:
    """Runs until somebody opens the named pipe for writing."""
    ctx.log("running")
    return Path(data["gate"]).read_text()


def flood(ctx: SyncJobContext, data: dict[str, int]) -> None:
    for number in range(data["lines"]):
        ctx.log(f"line {number}")


def leave_threads(ctx: SyncJobContext) -> int:
    """One goes on talking about a job that is over, the other keeps the interpreter from ending."""

    def talk() -> None:
        while True:
            ctx.log("late")

    threading.Thread(target=talk, daemon=True).start()
    threading.Thread(target=threading.Event().wait).start()
    return os.getpid()


# -- asking ------------------------------------------------------------------------------------------------------------


def use_every_verb(ctx: SyncJobContext) -> list[object]:
    ctx.progress({"done": 1})
    ctx.log("here")
    ctx.note("key", "value", keep=90)
    ctx.wait(0)
    ctx.check()
    recalled, siblings = [ctx.recall("key"), ctx.recall("other")], ctx.children()
    kin = [siblings.pending, siblings.completed, siblings.failed]
    return [isinstance(ctx, SyncJobContext), ctx.stopping, recalled, kin, ctx.is_last_attempt]


async def use_every_verb_async(ctx: JobContext) -> list[object]:
    await ctx.progress({"done": 1})
    await ctx.log("here")
    await ctx.note("key", "value", keep=90)
    recalled, siblings = [await ctx.recall("key"), await ctx.recall("other")], await ctx.children()
    kin = [siblings.pending, siblings.completed, siblings.failed]
    return [isinstance(ctx, JobContext), False, recalled, kin, ctx.is_last_attempt]


def meet_refusals(ctx: SyncJobContext, data: dict[str, int]) -> list[str]:
    """What each verb raises, and that the child still answers afterwards."""
    tries: list[Callable[[], object]] = [
        lambda: ctx.progress(1),
        lambda: ctx.log("line"),
        ctx.children,
        lambda: ctx.recall("key"),
        lambda: ctx.note("key", "x" * data.get("size", 1)),
    ]
    met = []
    for attempt in tries:
        try:
            attempt()
        except CorralError as error:
            met.append(f"{type(error).__name__}: {error}")
    return met


async def meet_refusals_async(ctx: JobContext, data: dict[str, int]) -> list[str]:
    met = []
    note = ctx.note("key", "x" * data.get("size", 1))
    for attempt in (ctx.progress(1), ctx.log("line"), ctx.children(), ctx.recall("key"), note):
        try:
            await attempt
        except CorralError as error:
            met.append(f"{type(error).__name__}: {error}")
    return met


def note_a_number(ctx: SyncJobContext) -> None:
    ctx.note("key", 5)  # type: ignore[arg-type]  # what a handler without types may do


def note_for_no_time(ctx: SyncJobContext) -> None:
    ctx.note("key", "value", keep=-1)


async def note_from_many_tasks(ctx: JobContext, data: dict[str, int]) -> bool:
    """Long questions and long answers at once: more than both pipes can hold."""

    async def one(number: int) -> bool:
        text = f"{number}" + "x" * data["size"]
        await ctx.note(f"{number}", text)
        return await ctx.recall(f"{number}") == text

    return all(await asyncio.gather(*(one(number) for number in range(data["tasks"]))))


def note_from_many_threads(ctx: SyncJobContext, data: dict[str, int]) -> bool:
    def one(number: int) -> bool:
        text = f"{number}" + "x" * data["size"]
        ctx.note(f"{number}", text)
        return ctx.recall(f"{number}") == text

    with ThreadPoolExecutor(data["tasks"]) as threads:
        return all(threads.map(one, range(data["tasks"])))


def ask_in_a_fork(ctx: SyncJobContext) -> str:
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            ctx.recall("key")
        except CorralError as error:
            os.write(writing, str(error).encode())
        os._exit(0)
    os.wait()
    return os.read(reading, 1_000).decode()


# -- looking around ----------------------------------------------------------------------------------------------------


def surroundings() -> dict[str, object]:
    mask = os.umask(0)
    os.umask(mask)
    return {
        "env": dict(os.environ),
        "umask": mask,
        "leads": os.getpgrp() == os.getpid(),
        "threads": threading.active_count(),
        "input": sys.stdin.read(),
    }


def open_files() -> list[str]:
    """What every descriptor above standard error leads to."""
    links = {int(name): Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd")}
    return [os.readlink(links[fd]) for fd in sorted(links) if fd > 2 and links[fd].is_symlink()]


def files_of_a_program() -> list[str]:
    """The same, in a program that a handler starts without closing anything."""
    code = "import os; print(*[f for f in os.listdir('/proc/self/fd') if os.path.islink('/proc/self/fd/' + f)])"
    output = subprocess.run([sys.executable, "-I", "-c", code], close_fds=False, stdout=subprocess.PIPE, check=True)
    return output.stdout.decode().split()


def move_around(data: dict[str, str]) -> list[object]:
    """Where this job started, with which mask, and whether SIGTERM reaches it; then changes all that."""
    mask = os.umask(0)
    here = os.getcwd()
    os.chdir(data["to"])
    heeded = callable(signal.signal(signal.SIGTERM, signal.SIG_IGN))
    return [here, mask, heeded]


# -- failing -----------------------------------------------------------------------------------------------------------


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("cannot be copied")
        self.lock = threading.Lock()


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Hollow(Retry):
    """Has none of the attributes of its base."""

    def __init__(self) -> None:
        Exception.__init__(self, "hollow")


class Family(ConnectionError):
    class Child(LookupError):
        """Known by its qualified name only."""


def fail(data: dict[str, str]) -> None:
    raise _failure(data["kind"])


async def fail_async(data: dict[str, str]) -> None:
    await asyncio.sleep(0)
    raise _failure(data["kind"])


def _failure(kind: str) -> BaseException:
    local = type("Local", (ValueError,), {})
    failures: dict[str, BaseException] = {
        "plain": ValueError("plain and simple"),
        "silent": ValueError(),
        "unpicklable": Unpicklable(),
        "unprintable": Unprintable(),
        "nested": Family.Child("deep"),
        "family": Family("gone"),
        "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt("stop"),
        "generator": GeneratorExit("generator"),
        "group": ExceptionGroup("several", [ValueError("one"), TypeError("two")]),
        "long": ValueError("x" * 5_000_000),
        "surrogate": ValueError("half a pair: \ud800"),
        "hollow": Hollow(),
        "local": local("made on the spot"),
        "retry": Retry("not yet", after=90),
        "retry-default": Retry("not yet"),
        "retry-nonsense": Retry("not yet", after=-1),
        "snooze": Snooze(2.5, "asleep"),
        "discard": Discard("no use"),
        "children": WaitForChildren(),
        "payload": PayloadError("payload is refused", ["to: missing", "name: too long"]),
        "result": ResultError("result is not JSON"),
        "timeout": JobTimeoutError(7.5),
    }
    return failures[kind]


def return_bytes() -> bytes:
    return b"not JSON"


def report_nonsense(ctx: SyncJobContext) -> None:
    ctx.progress(float("nan"))


def eat_memory() -> int:
    return len(bytearray(8 * 2**30))


def memory_limit() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[0]


def recurse() -> None:
    recurse()


# -- dying -------------------------------------------------------------------------------------------------------------


async def start_children() -> None:
    """What happens when the program of the worker is not guarded against being imported."""
    await Children(limit=1).warm(1)


def exit_with(data: dict[str, int]) -> None:
    os._exit(data["status"])


def signal_self(data: dict[str, int]) -> None:
    os.kill(os.getpid(), data["signal"])


def segfault() -> None:
    ctypes.string_at(0)


def abort() -> None:
    os.abort()


def garble(data: dict[str, list[int]]) -> None:
    """Write bytes into the pipe to the worker, then wait for what comes of it."""
    os.write(_pipe_to_worker(), bytes(data["bytes"]))
    signal.pause()


def garble_later(data: dict[str, str]) -> None:
    """Return, and garble the pipe when the gate is opened."""

    def work() -> None:
        Path(data["gate"]).read_text()
        os.write(_pipe_to_worker(), b"\xff" * 4)
        Path(data["done"]).write_text("done")

    threading.Thread(target=work, daemon=True).start()


def close_everything() -> None:
    """What programs do that turn themselves into daemons."""
    os.closerange(3, 256)
    signal.pause()


def _pipe_to_worker() -> int:
    links = [fd for fd in range(3, 64) if Path(f"/proc/self/fd/{fd}").is_symlink()]
    return next(fd for fd in links if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_WRONLY)


# -- not ending --------------------------------------------------------------------------------------------------------


def spin(ctx: SyncJobContext) -> None:
    ctx.progress(os.getpid())
    while True:
        pass


def ignore_everything(ctx: SyncJobContext) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctx.progress(os.getpid())
    while True:
        try:
            signal.pause()
        except BaseException:
            pass  # that is the point


def wait_and_tidy(ctx: SyncJobContext, data: dict[str, str]) -> None:
    try:
        ctx.progress(os.getpid())
        signal.pause()
    finally:
        ctx.log("nobody hears this any more")
        Path(data["note"]).write_text("tidied up")


def tidy_at_gate(ctx: SyncJobContext, data: dict[str, str]) -> None:
    try:
        ctx.log("running")
        signal.pause()
    finally:
        with Path(data["gate"]).open() as gate:
            Path(data["note"]).write_text(gate.readline())


async def wait_and_tidy_async(ctx: JobContext, data: dict[str, str]) -> None:
    try:
        await ctx.progress(os.getpid())
        await asyncio.Event().wait()
    finally:
        await ctx.log("nobody hears this any more")
        Path(data["note"]).write_text("tidied up")


def start_program(ctx: SyncJobContext) -> None:
    program = subprocess.Popen(["sleep", "1000"])
    ctx.progress(program.pid)
    program.wait()


def fork_and_return() -> int:
    """Both processes come out of the handler; only one of them may answer."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return os.getpid()


def fork_and_die(ctx: SyncJobContext) -> None:
    """The fork keeps the pipes open when the process that runs the job dies."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    ctx.progress(pid)
    os._exit(4)
