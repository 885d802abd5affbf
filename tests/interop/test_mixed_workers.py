"""corral, BullMQ 6 and BullMQ 5 as workers of one queue at the same time."""

import asyncio
from typing import Any

from corral.queue import Queue
from corral.worker.context import JobContext

from .node import Bull
from .work import until, working

JOBS = 600


async def test_three_kinds_of_workers_share_a_queue_and_each_job_runs_once(bull: Bull, mail: Queue) -> None:
    six = await bull.worker(script={"*": {"hold": True}}, concurrency=5)
    five = await bull.worker(script={"*": {"hold": True}}, concurrency=5, major=5)
    all_busy = asyncio.Event()

    async def act(ctx: JobContext, data: Any) -> object:
        await all_busy.wait()  # until each kind has its share: nobody can take all of them
        return None

    async with working(mail, act, concurrency=5) as notes:
        queue = await bull.queue()
        await queue.call("addBulk", [{"name": "node", "data": {"n": number}} for number in range(JOBS // 2)])
        await mail.add_bulk([("corral", {"n": number}) for number in range(JOBS // 2, JOBS)])
        await asyncio.gather(six.runs(5), five.runs(5), notes.begun(5))
        all_busy.set()
        await asyncio.gather(six.release(), five.release())

        async def all_done() -> bool:
            return (await mail.counts()).completed == JOBS

        await until(all_done)
    ran = [run["id"] for worker in (six, five) for run in await worker.runs()] + notes.ids
    assert sorted(map(int, ran)) == list(range(1, JOBS + 1))
    assert await bull.keys.faults("mail", idle=True) == []


async def test_retries_of_one_job_may_go_to_different_kinds_of_workers(bull: Bull, mail: Queue) -> None:
    queue = await bull.queue()
    job = await queue.add("flaky", attempts=4)
    six = await bull.hand(script={"*": {"throw": "six"}})
    five = await bull.hand(script={"*": {"throw": "five"}}, major=5)
    assert await six.serve(1) == 1
    assert await five.serve(1) == 1

    async def act(ctx: JobContext, data: Any) -> object:
        if ctx.attempt == 3:
            raise RuntimeError("corral")
        return "done"

    async with working(mail, act):
        assert await mail.result(job["id"], timeout=60) == "done"
    done = await queue.get(job["id"])
    assert done is not None
    assert (done["attemptsMade"], done["attemptsStarted"], done["failedReason"]) == (4, 4, "RuntimeError: corral")
    assert len(done["stacktrace"]) == 3
