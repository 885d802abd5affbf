"""Deduplication ids in every mode, at every stage of their owner."""

from ..node import Bull, NodeQueue
from . import ACTIVE, COMPLETED, DELAYED, GONE, WAITING, scene

HOUR = 3_600_000


async def add(queue: NodeQueue, number: int, mode: dict[str, object] | None = None, **opts: object) -> None:
    await queue.add("welcome", {"n": number}, deduplication={"id": "user-7", **(mode or {})}, **opts)


@scene("simple", {"1": WAITING})
async def simple(bull: Bull) -> None:
    await add(await bull.queue(), 1)


@scene("simple-dropped", {"1": WAITING, "3": WAITING})
async def simple_dropped(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1)
    await add(queue, 2)
    await queue.add("welcome", {"n": 3})


@scene("throttle", {"1": WAITING})
async def throttle(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2):
        await add(queue, number, {"ttl": HOUR})


@scene("throttle-done", {"1": COMPLETED})
async def throttle_done(bull: Bull) -> None:
    await add(await bull.queue(), 1, {"ttl": HOUR})
    await (await bull.hand()).serve()


@scene("extend", {"1": WAITING})
async def extend(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2):
        await add(queue, number, {"ttl": HOUR, "extend": True})


@scene("replace", {"1": GONE, "2": DELAYED})
async def replace(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2):
        await add(queue, number, {"replace": True}, delay=HOUR)


@scene("replace-not-delayed", {"1": WAITING, "2": GONE})
async def replace_not_delayed(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2):
        await add(queue, number, {"replace": True})


@scene("debounce", {"1": GONE, "2": GONE, "3": DELAYED})
async def debounce(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2, 3):
        await add(queue, number, {"ttl": HOUR, "extend": True, "replace": True}, delay=HOUR)


@scene("reschedule", {"1": DELAYED})
async def reschedule(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1, {"reschedule": True}, delay=HOUR)
    await add(queue, 2, {"reschedule": True}, delay=2 * HOUR)


@scene("keep-last-waiting", {"1": WAITING})
async def keep_last_waiting(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2):
        await add(queue, number, {"keepLastIfActive": True})


@scene("keep-last-active", {"1": ACTIVE}, {"3": COMPLETED})
async def keep_last_active(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1, {"keepLastIfActive": True})
    await (await bull.hand()).take()
    for number in (2, 3):
        await add(queue, number, {"keepLastIfActive": True}, attempts=2)


@scene("keep-last-requeued", {"1": COMPLETED, "2": WAITING})
async def keep_last_requeued(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1, {"keepLastIfActive": True})
    job = await (await bull.hand()).take()
    await add(queue, 2, {"keepLastIfActive": True})
    await job.complete("one")


@scene("owner-done", {"1": COMPLETED, "2": WAITING})
async def owner_done(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1)
    await (await bull.hand()).serve()
    await add(queue, 2)


@scene("owner-failed", {"1": "failed"})
async def owner_failed(bull: Bull) -> None:
    await add(await bull.queue(), 1)
    await (await (await bull.hand()).take()).fail()


@scene("owner-removed", {"1": GONE, "2": WAITING})
async def owner_removed(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1)
    await queue.job("1", "remove")
    await add(queue, 2)


@scene("key-removed", {"1": WAITING, "2": WAITING})
async def key_removed(bull: Bull) -> None:
    queue = await bull.queue()
    await add(queue, 1)
    await queue.call("removeDeduplicationKey", "user-7")
    await add(queue, 2)


@scene("by-version-5", {"1": WAITING})
async def by_version_5(bull: Bull) -> None:
    queue = await bull.queue(major=5)
    for number in (1, 2):
        await add(queue, number, {"ttl": HOUR})
