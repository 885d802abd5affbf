"""What tests let another process do: `python -m tests.engine.elsewhere VERB URL [JSON …]`. It answers in JSON lines."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from corral import Corral, EventType, JobContext, Queue, RateLimit, WorkerOptions, connect
from corral.errors import JobFailedError
from tests.engine.helpers import say


async def result(url: str, queue: str, job_id: str) -> None:
    """Await a job's result."""
    async with connect(url) as store:
        say("waiting")
        try:
            say({"result": await Queue(queue, store).result(job_id, timeout=30)})
        except JobFailedError as error:
            say({"reason": error.reason})


async def events(url: str, queue: str, count: int) -> None:
    """Print so many events from now on."""
    async with connect(url) as store:
        _, cursor = await store.events(queue, after="$")
        say("listening")
        async for event in Queue(queue, store).events(after=cursor):
            say([event.type, event.job_id, event.detail])
            count -= 1
            if not count:
                return


async def cancel(url: str, queue: str, *job_ids: str) -> None:
    """Cancel jobs."""
    async with connect(url) as store:
        say(await Queue(queue, store).cancel(*job_ids, reason="from elsewhere"))


async def add(url: str, queue: str, name: str, data: object) -> None:
    """Add a job."""
    async with connect(url) as store:
        say((await Queue(queue, store).add(name, data)).id)


async def work(url: str, count: int, period: float) -> None:
    """Serve "work" with a rate limit until told to stop; every run leaves its worker's name."""
    app = Corral(url)
    queue = app.queue("work", concurrency=4, rate_limit=RateLimit(count, per=period))

    @queue.job("step")
    async def step(ctx: JobContext) -> str | None:
        return ctx.job.worker

    async with app:
        worker = await app.worker(options=WorkerOptions(stats_interval=0))
        asyncio.get_running_loop().call_soon(say, worker.id)
        status = await worker.run()
    sys.exit(status)


async def hold(url: str, shutdown_timeout: float) -> None:
    """Serve "work" with two slots; each job tells that it runs and ends when the job "go" exists."""
    app = Corral(url)
    queue = app.queue("work", concurrency=2)

    @queue.job("hold")
    async def hold(ctx: JobContext) -> str:
        say(["running", ctx.id])
        live = await queue.open()
        async for event in live.events(after=""):
            if event.type is EventType.ADDED and event.job_id == "go":
                break
        return "done"

    async with app:
        worker = await app.worker(options=WorkerOptions(stats_interval=0, shutdown_timeout=shutdown_timeout))
        status = await worker.run()
    say(["stopped", status])
    sys.exit(status)


VERBS: dict[str, Callable[..., Awaitable[None]]] = {
    "result": result, "events": events, "cancel": cancel, "add": add, "work": work, "hold": hold,
}  # fmt: skip


def main(verb: str, url: str, *arguments: str) -> None:
    values: list[Any] = [json.loads(item) for item in arguments]
    asyncio.run(VERBS[verb](url, *values))  # type: ignore[arg-type]  # each is a coroutine function


if __name__ == "__main__":
    main(*sys.argv[1:])
