"""Processes for single faults: `python -m tests.faults.scripts NAME FOLDER [WORDS…]`, started and ended by tests.

A script prints `ready` when it is at work, and whatever else its test wants to read. Its store is `corral.db` in the
folder; handlers write their effects beside it.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

import apsw

from corral import Corral, JobContext, WorkerOptions
from corral.errors import StorageError
from corral.job import NewJob
from corral.outcome import Completed
from corral.storage.connect import connect
from corral.storage.port import Claim, Settlement, Storage, Token
from tests.faults.forks import Ledger

BULK = 2_000
CALLERS = 8


def url_of(folder: Path) -> str:
    """The store of a script: on the small disk in its folder, if there is one."""
    return f"sqlite:///{database_of(folder)}"


def database_of(folder: Path) -> Path:
    """The file of that store."""
    disk = folder / "disk"
    return (disk if disk.is_dir() else folder) / "corral.db"


def application(folder: Path) -> Corral:
    """Handlers that misbehave in one way each."""
    app = Corral(url_of(folder))
    queue = app.queue("work", concurrency=3)
    effects = Ledger(folder / "effects")

    def effect(ctx: JobContext) -> None:
        effects.write(ctx.id, ctx.fence, os.getpid())

    @queue.job("quick")
    async def quick(ctx: JobContext) -> None:
        effect(ctx)

    @queue.job("sleeper")
    async def sleeper(ctx: JobContext, data: dict[str, object]) -> None:
        """Blocks the event loop in the kernel."""
        effect(ctx)
        time.sleep(float(str(data["seconds"])))  # noqa: ASYNC251  # that is the fault

    @queue.job("looper")
    async def looper(ctx: JobContext, data: dict[str, object]) -> None:
        """Blocks the event loop with Python code."""
        effect(ctx)
        until = time.monotonic() + float(str(data["seconds"]))
        while time.monotonic() < until:
            pass

    @queue.job("patient")
    async def patient(ctx: JobContext) -> None:
        """Waits for a file that says go; a second run does not wait."""
        effect(ctx)
        while ctx.fence == 1:
            if (folder / "go").exists():
                return
            await asyncio.sleep(0.01)

    @queue.job("hanging")
    async def hanging(ctx: JobContext) -> None:
        """Never ends the first time."""
        effect(ctx)
        if ctx.fence == 1:
            await asyncio.Event().wait()

    return app


def worker(folder: Path, lease: str = "1.0", grace: str = "30") -> int:
    """A worker; answers its exit code."""

    async def serve() -> int:
        app = application(folder)
        options = WorkerOptions(lease=float(lease), shutdown_timeout=float(grace), stats_interval=0)
        async with app:
            serving = asyncio.ensure_future((await app.worker(options=options)).run())
            await asyncio.sleep(0)  # the signal handlers are in place
            print("ready", flush=True)
            return await serving

    return asyncio.run(serve())


def adder(folder: Path) -> int:
    """Adds bulks until it is killed, and writes down each that was acknowledged."""

    async def add() -> None:
        acks = Ledger(folder / "acks")
        async with connect(url_of(folder)) as storage:
            print("ready", flush=True)
            while True:
                answers = await storage.add([NewJob(queue="work", name="quick") for _ in range(BULK)])
                for answer in answers:
                    acks.write(answer.id)

    asyncio.run(add())
    return 0


def settler(folder: Path) -> int:
    """Claims and completes jobs until it is killed, and writes down each verdict that was acknowledged."""

    async def settle() -> None:
        acks = Ledger(folder / "acks")
        async with connect(url_of(folder)) as storage:
            print("ready", flush=True)
            jobs, token, number = (await storage.claim("work", _claim(0))).jobs, Token(f"{os.getpid()}:0"), 0
            while jobs:
                number += 1
                verdicts = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in jobs]
                settled = await storage.settle("work", verdicts, then=_claim(number))
                for job in jobs:
                    acks.write(job.id, *(["refused"] if job.id in settled.refused else []))
                jobs, token = settled.claimed.jobs, Token(f"{os.getpid()}:{number}")

    asyncio.run(settle())
    return 0


def _claim(number: int) -> Claim:
    return Claim(count=20, token=Token(f"{os.getpid()}:{number}"), lease_ms=60_000)


def crowd(folder: Path, jobs: str) -> int:
    """Many callers at once, each adding, claiming and completing. Prints what it completed; any error is the end."""
    done: list[str] = []

    async def caller(number: int) -> None:
        for turn in range(int(jobs) // CALLERS):
            await storage.add([NewJob(queue="work", name="quick")])
            token = Token(f"{os.getpid()}:{number}:{turn}")
            claimed = await storage.claim("work", Claim(count=1, token=token, lease_ms=60_000))
            verdicts = [Settlement(job_id=job.id, token=token, outcome=Completed()) for job in claimed.jobs]
            settled = await storage.settle("work", verdicts)
            done.extend(job.id for job in claimed.jobs if job.id not in settled.refused)

    storage = connect(url_of(folder))

    async def everybody() -> None:
        async with storage:
            print("ready", flush=True)
            await asyncio.gather(*(caller(number) for number in range(CALLERS)))

    asyncio.run(everybody())
    print(" ".join(done), flush=True)
    return 0


def locker(folder: Path) -> int:
    """Holds the file's write lock until its standard input ends."""
    db = apsw.Connection(str(database_of(folder)))
    db.execute("BEGIN IMMEDIATE")
    print("ready", flush=True)
    sys.stdin.read()
    db.execute("ROLLBACK")
    db.close()
    return 0


def forker(folder: Path) -> int:
    """Opens a store, forks, and prints what the child gets when it uses its parent's store."""

    async def use() -> int:
        storage = connect(url_of(folder))
        async with storage:
            await storage.add([NewJob(queue="work", name="quick")])
            heard = _ask_child(storage)
            print("ready", flush=True)
            print(heard, end="", flush=True)
            print((await storage.counts(["work"]))[0].waiting, flush=True)
        return 0

    return asyncio.run(use())


def _ask_child(storage: Storage) -> str:
    """Fork, and hear what the child gets."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        _use_in_child(storage, writer)
    os.close(writer)
    os.wait()
    with os.fdopen(reader) as pipe:
        return pipe.read()


def _use_in_child(storage: Storage, writer: int) -> None:
    """Write and read with a store that the parent opened; never returns."""
    try:
        for call in (storage.add([NewJob(queue="work", name="quick")]), storage.counts(["work"])):
            os.write(writer, asyncio.run(_attempt(call)).encode() + b"\n")
    finally:
        os._exit(0)


async def _attempt(call: Coroutine[object, object, object]) -> str:
    try:
        async with asyncio.timeout(5):
            await call
    except (StorageError, TimeoutError) as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


SCRIPTS: dict[str, Callable[..., int]] = {
    "worker": worker, "adder": adder, "settler": settler, "crowd": crowd, "locker": locker, "forker": forker,
}  # fmt: skip

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    name, folder, *words = sys.argv[1:]
    sys.exit(SCRIPTS[name](Path(folder), *words))
