"""Waiting: until a job has ended, or whoever waits has gone."""

import asyncio
import re

from starlette.requests import Request

from corral.errors import JobNotFoundError
from corral.http.deps import Api
from corral.job import Job
from corral.listener import Endings

#: The longest wait of one request (seconds), and how often a job is looked at whose end nobody has told of.
LONGEST, LOOK = 60.0, 5.0
_ASYNC = re.compile(r"(?:^|[,;\s])respond-async(?:$|[,;\s])")
_PREFER = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})")


def preferred(request: Request) -> float:
    """How many seconds the caller would wait for the end (`Prefer: wait=10`), at most 60; 0 without a word of it."""
    found = _PREFER.search(request.headers.get("prefer", "").lower())
    return min(float(found[1]), LONGEST) if found else 0.0


def in_background(request: Request) -> bool:
    """Whether the caller would rather be told at once where to look than wait (`Prefer: respond-async`)."""
    return _ASYNC.search(request.headers.get("prefer", "").lower()) is not None


async def ended(request: Request, api: Api, queue: str, job_id: str, seconds: float) -> Job:
    """The job, once it has ended, or as it is after so many seconds, or when the caller has gone or the server stops.

    Raises:
        JobNotFoundError: it is not there (any more).
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + min(seconds, LONGEST)
    # Looked at first: nobody makes us follow a queue in which there is no such job, or wait for one that has ended.
    job = await _look(api, queue, job_id)
    if job.state.finished or not seconds:
        return job
    endings = api.endings.get(queue) or api.endings.setdefault(queue, Endings(api.storage, queue))
    gone = asyncio.create_task(_gone(request, api), name="corral-caller-gone")
    try:
        async with endings.watch(job_id) as told:
            while True:
                told.clear()
                job = await _look(api, queue, job_id)
                left = until - loop.time()
                if job.state.finished or left <= 0 or gone.done():
                    return job
                await _first(told, gone, min(left, LOOK))
    finally:
        gone.cancel()
        if endings.idle and api.endings.get(queue) is endings:  # whoever makes up queues must not fill our memory
            del api.endings[queue]


async def _first(told: asyncio.Event, gone: asyncio.Task[None], seconds: float) -> None:
    signal = asyncio.create_task(told.wait())
    try:
        await asyncio.wait((signal, gone), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        signal.cancel()


async def _look(api: Api, queue: str, job_id: str) -> Job:
    [job] = await api.monitor.states(queue, [job_id])
    if job is None:
        raise JobNotFoundError(queue, job_id)
    return job


async def _gone(request: Request, api: Api) -> None:
    """Until the caller has hung up, or the server is about to stop."""
    await request.body()  # what comes after it is the end of the connection
    closing = asyncio.create_task(api.closing.wait())
    hung_up = asyncio.create_task(_hung_up(request))
    try:
        await asyncio.wait((closing, hung_up), return_when=asyncio.FIRST_COMPLETED)
    finally:
        closing.cancel()
        hung_up.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
