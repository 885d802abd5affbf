"""A worker that is killed between the steps of its jobs: `python -m tests.faults.boundaries URL FOLDER`.

Its jobs have five steps. Each step notes outside of the store that it was begun, and its handler that it was finished:
what was finished may never be begun again. A job's `kills` say after how many steps its first, second … run kills its
own process. The worker stops when nothing waits, prints `ready` before it begins, and leaves recovering to the test.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from corral import Corral, JobContext, SyncJobContext, WorkerOptions
from tests.faults.forks import Ledger, lines

STEPS = ("reserve", "charge", "pack", "ship", "mail")
#: Nobody's lease runs out by itself: the test says when a worker is dead.
LEASE = 60.0


def ledger(folder: Path) -> Path:
    """Where the steps are noted: `job word step run`."""
    return folder / "steps"


def application(url: str, folder: Path) -> Corral:
    """The same trip as `async def` and as `def`."""
    app = Corral(url)
    queue = app.queue("work", concurrency=4)
    notes = Ledger(ledger(folder))

    def begin(ctx: JobContext | SyncJobContext, step: str) -> str:
        notes.write(ctx.id, "began", step, ctx.fence)
        return step

    def finished(ctx: JobContext | SyncJobContext, step: str) -> None:
        notes.write(ctx.id, "finished", step, ctx.fence)

    def perhaps_die(ctx: JobContext | SyncJobContext, kills: list[int], steps: int) -> None:
        if ctx.fence <= len(kills) and kills[ctx.fence - 1] == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    @queue.job("trip")
    async def trip(ctx: JobContext, data: dict[str, list[int]]) -> list[str]:
        done: list[str] = []
        perhaps_die(ctx, data["kills"], 0)
        for step in STEPS:
            done.append(await ctx.step(step, begin, ctx, step))
            finished(ctx, step)
            perhaps_die(ctx, data["kills"], len(done))
        return done

    @queue.job("trip-in-thread")
    def trip_in_thread(ctx: SyncJobContext, data: dict[str, list[int]]) -> list[str]:
        done: list[str] = []
        perhaps_die(ctx, data["kills"], 0)
        for step in STEPS:
            done.append(ctx.step(step, begin, ctx, step))
            finished(ctx, step)
            perhaps_die(ctx, data["kills"], len(done))
        return done

    return app


def broken(folder: Path) -> list[str]:
    """Steps that were begun again although they were finished."""
    done: set[tuple[str, str]] = set()
    found = []
    for job, word, step, run in (line.split() for line in lines(ledger(folder))):
        if word == "finished":
            done.add((job, step))
        elif (job, step) in done:
            found.append(f"run {run} of job {job} did {step} again")
    return found


def times_begun(folder: Path) -> dict[tuple[str, str], int]:
    """How often each step of each job was begun."""
    counts: dict[tuple[str, str], int] = {}
    for job, word, step, _ in (line.split() for line in lines(ledger(folder))):
        if word == "began":
            counts[job, step] = counts.get((job, step), 0) + 1
    return counts


def main(url: str, folder: str) -> int:
    """Work until nothing waits."""

    async def serve() -> int:
        options = WorkerOptions(lease=LEASE, burst=True, stats_interval=0, recover=False)
        async with application(url, Path(folder)) as app:
            worker = await app.worker(options=options)
            print("ready", flush=True)
            return await worker.run()

    return asyncio.run(serve())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
