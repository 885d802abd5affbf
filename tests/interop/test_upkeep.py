"""What people do with the other side's jobs: look, retry, promote, change, remove, clean, drain, obliterate."""

import pytest

from corral.event import OLDEST, EventType
from corral.job import JobState
from corral.queue import Queue
from corral.storage.port import Storage

from .node import Bull
from .work import GUARD, fails, heard, working

HOUR = 3_600_000


async def failed_jobs(mail: Queue, count: int, **options: int) -> list[str]:
    """Jobs of corral that have failed in corral."""
    handles = [await mail.add("bad", {"n": number}, **options) for number in range(count)]  # type: ignore[arg-type]  # one kind of option
    async with working(mail, fails()):
        for handle in handles:
            await heard(mail, EventType.FAILED, after=OLDEST, job_id=handle.id)
    return [handle.id for handle in handles]


# -- Node's people, corral's jobs --------------------------------------------------------------------------------------


async def test_node_lists_and_reads_corrals_jobs_of_every_state(bull: Bull, mail: Queue, major: int) -> None:
    (bad,) = await failed_jobs(mail, 1)
    async with working(mail, lambda ctx, data: done()):
        good = await mail.add("good")
        await good.result(timeout=GUARD)
    later, plain, urgent = (
        await mail.add("later", delay=3600),
        await mail.add("plain"),
        await mail.add("urgent", priority=3),
    )
    queue = await bull.queue(major=major)
    assert await queue.counts() == {"failed": 1, "completed": 1, "delayed": 1, "waiting": 1, "prioritized": 1}
    for state, job_id in (
        ("failed", bad),
        ("completed", good.id),
        ("delayed", later.id),
        ("waiting", plain.id),
        ("prioritized", urgent.id),
    ):
        (job,) = await queue.call("getJobs", [state])
        assert job["id"] == job_id
        assert await queue.state(job_id) == state
    assert await queue.call("count") == 3


async def done() -> object:
    return None


async def test_node_retries_a_failed_job_of_corral(bull: Bull, mail: Queue, major: int) -> None:
    (bad,) = await failed_jobs(mail, 1)
    queue = await bull.queue(major=major)
    await queue.job(bad, "retry", "failed")
    job = await mail.get(bad)
    assert (job.state, job.finished_at, job.failed_reason) == (JobState.WAITING, None, None)
    async with working(mail):
        assert await mail.result(bad, timeout=GUARD) is None


async def test_node_retries_all_failed_jobs_of_corral(bull: Bull, mail: Queue, major: int) -> None:
    ids = await failed_jobs(mail, 5)
    queue = await bull.queue(major=major)
    await queue.call("retryJobs", {"state": "failed"})
    assert (await mail.counts()).waiting == 5
    async with working(mail):
        for job_id in ids:
            await mail.result(job_id, timeout=GUARD)
    assert await bull.keys.faults("mail", idle=True) == []


async def test_node_promotes_and_changes_corrals_jobs(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    first, second, third = [await mail.add("later", {"n": 1}, delay=3600) for _ in range(3)]
    await queue.job(first.id, "promote")
    await queue.job(second.id, "changeDelay", 2 * HOUR)
    await queue.job(second.id, "updateData", {"n": [2]})
    await queue.job(third.id, "changePriority", {"priority": 7})
    assert (await first.get()).state is JobState.WAITING
    job = await second.get()
    assert (job.run_at or 0) >= job.created_at + 2 * HOUR
    assert job.data == '{"n":[2]}'
    assert (await third.get()).priority == 7
    await queue.call("promoteJobs")
    assert (await mail.counts()).waiting == 3


async def test_node_removes_cleans_and_drains_corrals_jobs(bull: Bull, mail: Queue, major: int) -> None:
    ids = await failed_jobs(mail, 2)
    queue = await bull.queue(major=major)
    await queue.call("remove", ids[0])
    assert await queue.call("clean", 0, 100, "failed") == [ids[1]]
    await mail.add_bulk([("a", {}), ("b", {}, {"priority": 2}), ("c", {}, {"delay": 3600})])
    await queue.call("drain", True)
    counts = await mail.counts()
    assert (counts.waiting, counts.delayed, counts.failed) == (0, 0, 0)
    assert (await mail.page()).total == 0
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_queue_that_node_obliterated_can_be_used_again_here(bull: Bull, mail: Queue, major: int) -> None:
    await failed_jobs(mail, 2)
    await mail.add("later", delay=3600)
    queue = await bull.queue(major=major)
    await queue.call("obliterate")
    assert (await mail.page()).total == 0
    async with working(mail):
        await (await mail.add("again")).result(timeout=GUARD)
    assert (await mail.counts()).completed == 1


async def test_nodes_maintenance_leaves_corrals_keys_alone(bull: Bull, mail: Queue, storage: Storage) -> None:
    """`removeOrphanedJobs` deletes what it does not know below the queue's prefix."""
    handle = await mail.add("welcome", {"n": 1}, timeout=30, lifespan=600)
    await storage.remember("mail", "sent", "yes")
    await mail.limit(concurrency=3)
    queue = await bull.queue()
    await queue.call("removeOrphanedJobs")
    assert await storage.remember("mail", "sent") == "yes"
    job = await handle.get()
    assert (job.options.timeout_ms, job.options.lifespan_ms) == (30_000, 600_000)
    assert (await mail.info()).concurrency == 3
    async with working(mail):
        await handle.result(timeout=GUARD)


# -- corral's people, Node's jobs --------------------------------------------------------------------------------------


async def test_corral_retries_failed_jobs_of_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    for _ in range(3):
        await queue.add("bad")
    hand = await bull.hand(script={"bad": {"throw": "boom", "times": 1, "return": "well"}}, major=major)
    await hand.serve()
    assert await mail.retry("1") == ["1"]
    assert await mail.retry() == ["2", "3"]
    # Attempts start anew, so the script fails them once more; the count of starts goes on.
    await hand.serve()
    jobs = [await mail.get(str(number)) for number in (1, 2, 3)]
    assert {(job.state, job.attempts_started, job.attempts_made) for job in jobs} == {(JobState.FAILED, 2, 1)}


async def test_corral_promotes_and_changes_nodes_jobs(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    for _ in range(4):
        await queue.add("later", {"n": 1}, delay=HOUR, priority=5)
    await queue.add("plain")
    await mail.promote("1")
    await mail.update("2", delay=7200, data={"n": [2]})
    await mail.update("3", priority=9)
    await mail.update("5", priority=1)
    assert await queue.state("1") == "prioritized"
    second, third, fifth = [await queue.get(job_id) for job_id in ("2", "3", "5")]
    assert second is not None
    assert third is not None
    assert fifth is not None
    assert (second["delay"], second["data"]) == (2 * HOUR, {"n": [2]})
    assert (third["priority"], fifth["priority"], await queue.state("5")) == (9, 1, "prioritized")
    await mail.promote()
    assert await queue.counts() == {"prioritized": 5}
    assert [run["id"] for run in await (await bull.worker(major=major)).runs(5)] == ["5", "1", "4", "2", "3"]


async def test_corral_cancels_removes_and_cleans_nodes_jobs(bull: Bull, mail: Queue, major: int) -> None:
    queue, events = await bull.queue(major=major), await bull.events(major=major)
    for name in ("a", "b", "c"):
        await queue.add(name)
    await queue.add("d", delay=HOUR)
    assert await mail.cancel("1", reason="no need") == ["1"]
    failed = await events.wait(event="failed", jobId="1")
    assert failed["failedReason"] == (await mail.get("1")).failed_reason
    assert await mail.remove("2") == ["2"]
    await (await bull.hand(major=major)).serve()
    assert sorted(await mail.clean()) == ["1", "3"]
    assert await mail.drain(delayed=True) == ["4"]
    assert await queue.counts() == {}
    assert await bull.keys.faults("mail", idle=True) == []


async def test_a_queue_that_corral_obliterated_can_be_used_again_in_node(bull: Bull, mail: Queue, major: int) -> None:
    queue = await bull.queue(major=major)
    await queue.add("a", deduplication={"id": "x"})
    await queue.add("b", delay=HOUR)
    await mail.obliterate()
    assert await queue.counts() == {}
    job = await queue.add("again", deduplication={"id": "x"})
    assert await (await bull.hand(major=major)).serve() == 1
    assert await queue.state(job["id"]) == "completed"


@pytest.mark.parametrize("asked", [1, 1000])
async def test_trimmed_events_do_not_confuse_a_listener_here(bull: Bull, mail: Queue, asked: int) -> None:
    queue = await bull.queue()
    for _ in range(30):
        await queue.add("a")
    await queue.call("trimEvents", asked)
    last = await queue.add("last")
    assert (await heard(mail, EventType.ADDED, after=OLDEST, job_id=last["id"])).name == "last"
