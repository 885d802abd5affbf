"""Workers that die: each side takes over what the other's dead workers held."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from corral.job import JobState
from corral.outcome import Completed
from corral.queue import Queue
from corral.storage.port import Claim, Refusal, Settlement, Storage, Token

from .conftest import node_connection
from .keys import Keys
from .node import Bull, Node
from .work import GUARD, until, working

#: Milliseconds: a lock of somebody who is about to die, and how often Node looks for such.
LOCK, CHECK = 300, 200


@pytest.fixture
def mortal(node_program: str, server_url: str, keys: Keys) -> Iterator[Bull]:
    """A Node process that may be killed."""
    process = Node(node_program)
    yield Bull(process, node_connection(server_url), keys)
    process.stop()


async def test_a_job_of_a_killed_node_worker_is_finished_here(
    bull: Bull, mortal: Bull, mail: Queue, storage: Storage, major: int
) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("welcome", {"n": 1})
    worker = await mortal.worker(script={"*": {"hold": True}}, major=major, lockDuration=LOCK)
    await worker.runs(1)
    mortal.node.kill()

    async def recovered() -> bool:
        return (await storage.recover("mail")).requeued == (job["id"],)

    await until(recovered)
    async with working(mail) as notes:
        await events.wait(event="completed", jobId=job["id"])
    await events.wait(event="stalled", jobId=job["id"])
    (run,) = notes.runs
    assert (run.id, run.crashes, run.attempts_made, run.attempts_started) == (job["id"], 1, 0, 2)
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_live_node_worker_keeps_its_job_although_corral_looks(
    bull: Bull, mail: Queue, storage: Storage
) -> None:
    queue = await bull.queue()
    await queue.add("long")
    worker = await bull.worker(script={"*": {"hold": True, "return": "mine"}})
    await worker.runs(1)
    async with working(mail) as notes:
        for _ in range(5):  # each finds the same: the lock is there
            await storage.recover("mail")
            await (await mail.add("other")).result(timeout=GUARD)
        assert "1" not in notes.ids
        await worker.release()
        assert await mail.result("1", timeout=GUARD) == "mine"
    assert (await mail.get("1")).crashes == 0


HELD = """
import asyncio, sys
from corral import Queue, Worker, WorkerOptions, connect

async def hold(ctx, data):
    print("started", flush=True)
    await asyncio.Event().wait()

async def main():
    async with connect(sys.argv[1]) as storage:
        options = WorkerOptions(lease=float(sys.argv[2]), stats_interval=0)
        async with Worker(Queue("mail", storage), hold, options=options):
            await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def corral_worker_elsewhere(url: str, lease: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """A corral worker in a process of its own, which has begun a job and never ends it."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", HELD, url, str(lease), stdout=pipe)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(GUARD):
            assert await process.stdout.readline() == b"started\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_a_job_of_a_killed_corral_worker_is_finished_in_node(
    bull: Bull, mail: Queue, store_url: str, major: int
) -> None:
    handle = await mail.add("welcome", {"n": 1})
    async with corral_worker_elsewhere(store_url, lease=0.5) as process:
        process.kill()
        await process.wait()
        worker = await bull.worker(script={"*": {"return": "saved"}}, major=major, stalledInterval=CHECK)
        assert await handle.result(timeout=GUARD) == "saved"
    (run,) = await worker.runs(1)
    assert run["attemptsMade"] == 0
    await worker.event(event="stalled", jobId=handle.id)
    job = await handle.get()
    assert (job.crashes, job.attempts_started) == (1, 2)
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_live_corral_worker_keeps_its_job_although_node_looks(bull: Bull, mail: Queue, store_url: str) -> None:
    handle = await mail.add("long")
    async with corral_worker_elsewhere(store_url, lease=15):
        hand = await bull.hand(stalledInterval=1)
        for _ in range(5):
            await hand.call("moveStalledJobsToWait")
        assert await hand.serve(1) == 0
        assert (await handle.get()).state is JobState.ACTIVE
    assert (await handle.get()).crashes == 0


async def test_a_job_that_node_gave_up_on_fails_here_without_being_run(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    job = await queue.add("poison", attempts=9)
    hand = await bull.hand(major=major, lockDuration=1, stalledInterval=1, maxStalledCount=0)
    await hand.take()
    for _ in range(2):
        await bull.keys.expired()
        await hand.call("moveStalledJobsToWait")
    async with working(mail) as notes:
        failed = await events.wait(event="failed", jobId=job["id"])
    assert failed["failedReason"] == "job stalled more than allowable limit"
    assert notes.runs == []


async def test_a_verdict_of_corral_that_comes_too_late_is_refused(bull: Bull, mail: Queue, storage: Storage) -> None:
    """Node has taken the job over and finished it: what the first run answers changes nothing."""
    handle = await mail.add("welcome")
    token = Token("the-first-run")
    assert len((await storage.claim("mail", Claim(count=1, token=token, lease_ms=60_000))).jobs) == 1
    await bull.keys.client.delete(f"{bull.prefix}:mail:{handle.id}:lock")  # its lease ends
    hand = await bull.hand(script={"*": {"return": "in time"}}, stalledInterval=1)
    for _ in range(2):
        await bull.keys.expired()
        await hand.call("moveStalledJobsToWait")
    assert await hand.serve(1) == 1
    late = Settlement(job_id=handle.id, token=token, outcome=Completed('"too late"'))
    assert (await storage.settle("mail", [late])).refused == {handle.id: Refusal.LEASE_LOST}
    assert await handle.result(timeout=GUARD) == "in time"
    assert await bull.keys.faults("mail", idle=True) == []
