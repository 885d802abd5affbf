"""What people and stalled checks do to jobs: promote, retry, re-order, remove, clean, drain, recover."""

from ..node import Bull, NodeWorker
from . import ACTIVE, COMPLETED, DELAYED, FAILED, GONE, PRIORITIZED, WAITING, many, scene

HOUR = 3_600_000
BAD = {"bad": {"throw": "boom"}}


@scene("promoted", {"1": WAITING, "2": PRIORITIZED, "3": DELAYED})
async def promoted(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("later", delay=HOUR)
    await queue.add("later", delay=HOUR, priority=6)
    await queue.add("later", delay=HOUR)
    await queue.job("1", "promote")
    await queue.job("2", "promote")


@scene("promoted-all", {"1": WAITING, "2": WAITING})
async def promoted_all(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("later", delay=HOUR)
    await queue.add("later", delay=HOUR, priority=6)
    await queue.call("promoteJobs")


@scene("delay-changed", {"1": DELAYED, "2": DELAYED})
async def delay_changed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("later", delay=HOUR)
    await queue.add("later", delay=2 * HOUR)
    await queue.job("1", "changeDelay", 3 * HOUR)


@scene("priority-changed", {"1": PRIORITIZED, "2": WAITING, "3": PRIORITIZED, "4": PRIORITIZED})
async def priority_changed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("b", priority=3)
    await queue.add("c", priority=3)
    await queue.add("d", priority=3)
    await queue.job("1", "changePriority", {"priority": 8})
    await queue.job("2", "changePriority", {"priority": 0})
    await queue.job("4", "changePriority", {"priority": 3, "lifo": True})


@scene("retried-failed", {"1": WAITING, "2": FAILED})
async def retried_failed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("bad", attempts=2)
    await queue.add("bad")
    await (await bull.hand(script=BAD)).serve()
    await queue.job("1", "retry", "failed")


@scene("retried-failed-reset", {"1": WAITING})
async def retried_failed_reset(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("bad", attempts=2)
    await (await bull.hand(script=BAD)).serve()
    await queue.job("1", "retry", "failed", {"resetAttemptsMade": True, "resetAttemptsStarted": True})


@scene("retried-completed", {"1": WAITING})
async def retried_completed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("good")
    await (await bull.hand(script={"good": {"return": 5}})).serve()
    await queue.job("1", "retry", "completed")


@scene("retried-priority", {"1": PRIORITIZED})
async def retried_priority(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("bad", priority=5)
    await (await bull.hand(script=BAD)).serve()
    await queue.job("1", "retry", "failed")


@scene("retried-many", many((1, 2, 3), WAITING))
async def retried_many(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2, 3):
        await queue.add("bad", {"n": number}, priority=number - 1)
    await (await bull.hand(script=BAD)).serve()
    await queue.call("retryJobs", {"state": "failed"})


@scene("removed", {"1": GONE, "2": WAITING, "3": GONE, "4": GONE, "5": GONE})
async def removed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("good")
    await (await bull.hand()).serve()
    await queue.add("a")
    await queue.add("b")
    await queue.add("c", delay=HOUR)
    await queue.add("d", priority=1)
    for job_id in ("1", "3", "4", "5"):
        await queue.job(job_id, "remove")


@scene("cleaned", {"1": GONE, "2": GONE, "3": FAILED, "4": WAITING})
async def cleaned(bull: Bull) -> None:
    queue = await bull.queue()
    for name in ("good", "good", "bad"):
        await queue.add(name)
    await (await bull.hand(script=BAD)).serve()
    await queue.add("good")
    await queue.call("clean", 0, 100, "completed")


@scene("cleaned-waiting", {**many((1, 2), GONE), "3": WAITING, "4": GONE, "5": GONE})
async def cleaned_waiting(bull: Bull) -> None:
    queue = await bull.queue()
    for _ in range(3):
        await queue.add("a")
    await queue.add("b", delay=HOUR)
    await queue.add("c", priority=2)
    await queue.call("clean", 0, 2, "wait")
    await queue.call("clean", 0, 10, "delayed")
    await queue.call("clean", 0, 10, "prioritized")


@scene("drained", {"1": GONE, "2": DELAYED, "3": GONE})
async def drained(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("b", delay=HOUR)
    await queue.add("c", priority=2)
    await queue.call("drain")


@scene("drained-delayed", {"1": GONE, "2": GONE})
async def drained_delayed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("b", delay=HOUR)
    await queue.call("drain", True)


@scene("obliterated", {"1": GONE, "2": GONE})
async def obliterated(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("b", delay=HOUR)
    await queue.call("obliterate")


@scene("events-trimmed", many(range(1, 11), COMPLETED))
async def events_trimmed(bull: Bull) -> None:
    queue = await bull.queue()
    for number in range(10):
        await queue.add("a", {"n": number})
    await (await bull.hand()).serve()
    await queue.call("trimEvents", 0)


@scene("events-foreign", {"1": WAITING})
async def events_foreign(bull: Bull) -> None:
    await (await bull.queue()).add("a")
    producer = await bull.producer()
    await producer.call("publishEvent", {"eventName": "lunch", "who": "Ada", "jobId": "1"})


# -- stalled -----------------------------------------------------------------------------------------------------------


async def crashing(bull: Bull, *, forgives: int = 1) -> NodeWorker:
    """A worker whose locks are gone at once, and whose checks are never throttled."""
    return await bull.hand(lockDuration=1, stalledInterval=1, maxStalledCount=forgives)


async def check(bull: Bull, worker: NodeWorker) -> None:
    """Two rounds: the first marks what is active, the second moves what is marked and not locked."""
    for _ in range(2):
        await bull.keys.expired()
        await worker.call("moveStalledJobsToWait")


@scene("lock-gone", {"1": ACTIVE})
async def lock_gone_scene(bull: Bull) -> None:
    await (await bull.queue()).add("a")
    await (await crashing(bull)).take()
    await bull.keys.expired()


@scene("stalled-marked", {"1": ACTIVE})
async def stalled_marked(bull: Bull) -> None:
    await (await bull.queue()).add("a")
    worker = await crashing(bull)
    await worker.take()
    await bull.keys.expired()
    await worker.call("moveStalledJobsToWait")


@scene("stalled", {"1": WAITING, "2": WAITING})
async def stalled(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a", {"n": 1})
    await queue.add("a", {"n": 2})
    worker = await crashing(bull)
    await worker.take()
    await check(bull, worker)


@scene("stalled-priority", {"1": WAITING})
async def stalled_priority(bull: Bull) -> None:
    await (await bull.queue()).add("a", priority=3)
    worker = await crashing(bull)
    await worker.take()
    await check(bull, worker)


@scene("stalled-too-often", {"1": WAITING, "2": WAITING}, {"1": FAILED})
async def stalled_too_often(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a", {"n": 1}, attempts=9)
    await queue.add("a", {"n": 2})
    worker = await crashing(bull, forgives=0)
    await worker.take()
    await check(bull, worker)


@scene("stalled-and-failed", {"1": FAILED})
async def stalled_and_failed(bull: Bull) -> None:
    await (await bull.queue()).add("a", attempts=9)
    worker = await crashing(bull, forgives=0)
    await worker.take()
    await check(bull, worker)
    await (await bull.hand()).serve(1)
