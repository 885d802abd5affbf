"""Settings of a whole queue: paused in both versions' ways, capped, rate limited."""

from ..node import Bull, NodeQueue
from . import ACTIVE, COMPLETED, DELAYED, PRIORITIZED, WAITING, many, scene

HOUR = 3_600_000


async def add(queue: NodeQueue, *numbers: int, **opts: object) -> None:
    for number in numbers:
        await queue.add("a", {"n": number}, **opts)


@scene("paused", {"1": WAITING, "2": WAITING, "3": PRIORITIZED, "4": DELAYED})
async def paused(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1)
    await queue.call("pause")
    await add(queue, 2)
    await add(queue, 3, priority=4)
    await add(queue, 4, delay=HOUR)


@scene("paused-empty", {})
async def paused_empty(bull: Bull) -> None:
    await (await bull.queue()).call("pause")


@scene("paused-while-active", {"1": ACTIVE, "2": WAITING})
async def paused_while_active(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1, 2)
    await (await bull.hand()).take()
    await queue.call("pause")


@scene("resumed", {"1": WAITING, "2": WAITING})
async def resumed(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1)
    await queue.call("pause")
    await add(queue, 2)
    await queue.call("resume")


@scene("paused-5", {"1": WAITING, "2": WAITING, "3": PRIORITIZED})
async def paused_by_version_5(bull: Bull) -> None:
    queue = await bull.queue(major=5)
    await add(queue, 1)
    await queue.call("pause")
    await add(queue, 2)
    await add(queue, 3, priority=4)


@scene("paused-5-added-6", many((1, 2, 3), WAITING))
async def paused_by_version_5_added_by_6(bull: Bull) -> None:
    old = await bull.queue(major=5)
    await add(old, 1)
    await old.call("pause")
    await add(await bull.queue(), 2)
    await add(old, 3)


@scene("paused-5-resumed-6", many((1, 2, 3), WAITING))
async def paused_by_version_5_resumed_by_6(bull: Bull) -> None:
    old = await bull.queue(major=5)
    await add(old, 1)
    await old.call("pause")
    new = await bull.queue()
    await add(new, 2)
    await add(old, 3)
    await new.call("resume")


@scene("paused-5-retry", {"1": WAITING})
async def paused_by_version_5_retry(bull: Bull) -> None:
    queue = await bull.queue(major=5)
    await add(queue, 1, attempts=3)
    job = await (await bull.hand(major=5)).take()
    await queue.call("pause")
    await job.fail()


@scene("resumed-5", {"1": WAITING, "2": WAITING})
async def resumed_by_version_5(bull: Bull) -> None:
    queue = await bull.queue(major=5)
    await add(queue, 1)
    await queue.call("pause")
    await add(queue, 2)
    await queue.call("resume")


@scene("concurrency-reached", {"1": ACTIVE, "2": WAITING, "3": WAITING})
async def concurrency_reached(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("setGlobalConcurrency", 1)
    await add(queue, 1, 2)
    await (await bull.hand()).take()
    await add(queue, 3)


@scene("concurrency-free", {"1": COMPLETED, "2": WAITING})
async def concurrency_free(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("setGlobalConcurrency", 2)
    await add(queue, 1, 2)
    await (await bull.hand()).serve(1)


@scene("rate-limit-unused", many((1, 2, 3), WAITING))
async def rate_limit_unused(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("setGlobalRateLimit", 10, 1000)
    await add(queue, 1, 2, 3)


@scene("rate-limit-used-up", {"1": COMPLETED, "2": COMPLETED, "3": WAITING})
async def rate_limit_used_up(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("setGlobalRateLimit", 2, HOUR)
    await add(queue, 1, 2, 3)
    await (await bull.hand()).serve()


@scene("rate-limit-of-worker", {"1": COMPLETED, "2": WAITING})
async def rate_limit_of_worker(bull: Bull) -> None:
    await add(await bull.queue(), 1, 2)
    await (await bull.hand(limiter={"max": 1, "duration": HOUR})).serve()


@scene("rate-limit-by-hand", {"1": WAITING})
async def rate_limit_by_hand(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("setGlobalRateLimit", 5, 1000)
    await queue.call("rateLimit", HOUR)
    await add(queue, 1)


@scene("empty", {})
async def empty(bull: Bull) -> None:
    await bull.queue()


@scene("event-cap", {"1": WAITING})
async def event_cap(bull: Bull) -> None:
    await add(await bull.queue(streams={"events": {"maxLen": 50}}), 1)


@scene("two-queues", {"1": WAITING, "reports/1": WAITING, "reports/2": DELAYED})
async def two_queues(bull: Bull) -> None:
    await add(await bull.queue(), 1)
    reports = await bull.queue("reports")
    await add(reports, 1)
    await add(reports, 2, delay=HOUR)
