"""The same story told by BullMQ and by corral: the keys they leave are the same, field by field."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from corral.job import NewJob, ParentRef
from corral.options import Fixed, ParentPolicy, RateLimit
from corral.outcome import Completed, Failed, Retried
from corral.queue import Queue
from corral.storage.port import Claim, Settlement, Token

from .keys import Dump, Keys
from .node import Bull
from .scenes.flows import node, plant

Tell = Callable[[Queue], Awaitable[None]]
TellNode = Callable[[Bull], Awaitable[None]]

#: What only tells of moments and of machines.
MOMENTS = {"timestamp", "processedOn", "finishedOn", "pb", "stacktrace", "failedReason", "prevTS"}
#: What corral keeps beside BullMQ's fields in a job's hash.
OURS = {"rdy", "exp", "hold", "cancel", "slot", "sched", "cont", "dep", "mild", "past"}
#: Habits in `opts`: BullMQ repeats the id, and notes 0 attempts where nothing was said; corral adds what only it knows.
HABITS = {"attempts", "jobId", "corral"}
#: corral has a word for "nothing waits any more", and says "drained" of a queue whose jobs are all delayed, too.
OUR_EVENTS = {"emptied", "drained"}


def shape(dump: Dump) -> dict[str, Any]:
    """A dump without what differs from run to run."""
    return {name: _shape(name, kind, value) for name, (kind, value, _) in sorted(dump.items())}


def _shape(name: str, kind: str, value: Any) -> Any:
    if name.endswith(":meta"):
        return {key: text for key, text in value.items() if key != "version"}
    if name.endswith(":pc"):  # corral begins in the middle, so that there is room in front of the first
        return "counter"
    if kind == "hash":
        return {key: _field(key, text) for key, text in value.items() if key not in MOMENTS | OURS}
    if kind == "zset":
        return [member for member, _ in value]
    if kind == "stream":
        told = [(fields["event"], fields.get("jobId"), fields.get("prev")) for _, fields in value]
        told = [(event, job_id, None if event == "delayed" else prev) for event, job_id, prev in told]  # corral adds it
        return [entry for entry in told if entry[0] not in OUR_EVENTS]
    return "token" if name.endswith(":lock") else value


def _field(key: str, text: str) -> Any:
    if key != "opts":
        return text
    opts = json.loads(text)
    return {name: value for name, value in opts.items() if name not in HABITS or (name == "attempts" and value > 0)}


async def run(queue: Queue, outcome: Completed | Failed | Retried | None) -> None:
    """Claim one job and, unless it is to stay active, settle it."""
    token = Token("token")
    (job,) = (await queue.storage.claim(queue.name, Claim(count=1, token=token, lease_ms=30_000))).jobs
    if outcome is not None:
        await queue.storage.settle(queue.name, [Settlement(job_id=job.id, token=token, outcome=outcome)])


# -- the stories: as corral tells them, as BullMQ tells them -----------------------------------------------------------


async def plain(mail: Queue) -> None:
    for number in range(3):
        await mail.add("welcome", {"n": number, "list": []})


async def plain_node(bull: Bull) -> None:
    queue = await bull.queue()
    for number in range(3):
        await queue.add("welcome", {"n": number, "list": []})


async def places(mail: Queue) -> None:
    await mail.add_bulk([("a", {}), ("b", {}, {"lifo": True}), ("c", {}, {"priority": 3}), ("d", {}, {"delay": 3600})])
    await mail.add("e", id="order-17")
    await mail.add("e", id="order-17")


async def places_node(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("b", lifo=True)
    await queue.add("c", priority=3)
    await queue.add("d", delay=3_600_000)
    for _ in range(2):
        await queue.add("e", jobId="order-17")


async def paused(mail: Queue) -> None:
    await mail.pause()
    await mail.add("a")


async def paused_node(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("pause")
    await queue.add("a")


async def limited(mail: Queue) -> None:
    await mail.limit(RateLimit(5, per=2), concurrency=3)
    await mail.add("a")


async def limited_node(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("setGlobalRateLimit", 5, 2000)
    await queue.call("setGlobalConcurrency", 3)
    await queue.add("a")


async def active(mail: Queue) -> None:
    await mail.add("a")
    await mail.add("a")
    await run(mail, None)


async def active_node(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("a")
    await (await bull.hand()).take()


async def completed(mail: Queue) -> None:
    await mail.add("a", {"n": 1})
    await run(mail, Completed('{"sent":true}'))


async def completed_node(bull: Bull) -> None:
    await (await bull.queue()).add("a", {"n": 1})
    metrics = {"maxDataPoints": 60}
    await (await bull.hand(script={"*": {"return": {"sent": True}}}, metrics=metrics)).serve()


async def failed(mail: Queue) -> None:
    await mail.add("a", attempts=2)
    await run(mail, Retried(0, "boom", "Error: boom"))
    await run(mail, Failed("boom", "Error: boom"))


async def failed_node(bull: Bull) -> None:
    await (await bull.queue()).add("a", attempts=2)
    hand = await bull.hand(script={"*": {"throw": "boom"}}, metrics={"maxDataPoints": 60})
    await hand.serve()


async def put_off(mail: Queue) -> None:
    await mail.add("a", attempts=3, backoff=Fixed(3600, jitter=0))
    await run(mail, Retried(3_600_000, "boom", "Error: boom"))


async def put_off_node(bull: Bull) -> None:
    await (await bull.queue()).add("a", attempts=3, backoff={"type": "fixed", "delay": 3_600_000})
    await (await bull.hand(script={"*": {"throw": "boom"}})).serve(1)


async def told(mail: Queue) -> None:
    handle = await mail.add("a")
    await mail.log(handle.id, "one – ü")
    await mail.update(handle.id, data={"n": 2})


async def told_node(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.job("1", "log", "one – ü")
    await queue.job("1", "updateData", {"n": 2})


async def family(mail: Queue) -> None:
    jobs = [NewJob(queue="mail", name="top", id="top", data='{"id":"top"}', children=2)]
    for name, policy in (("a", ParentPolicy.FAIL), ("b", ParentPolicy.WAIT)):
        data = json.dumps({"id": name}, separators=(",", ":"))
        parent = ParentRef("mail", "top", policy)
        jobs.append(NewJob(queue="mail", name=name, id=name, data=data, parent=parent))
    await mail.storage.add(jobs)
    await run(mail, Completed("null"))


async def family_node(bull: Bull) -> None:
    await plant(bull, node("top", node("a", failParentOnFailure=True), node("b")))
    await (await bull.hand(metrics={"maxDataPoints": 60})).serve(1)


async def removed(mail: Queue) -> None:
    for _ in range(3):
        await mail.add("a")
    await mail.remove("2")
    await mail.promote((await mail.add("b", delay=3600)).id)


async def removed_node(bull: Bull) -> None:
    queue = await bull.queue()
    for _ in range(3):
        await queue.add("a")
    await queue.job("2", "remove")
    job = await queue.add("b", delay=3_600_000)
    await queue.job(job["id"], "promote")


STORIES: dict[str, tuple[Tell, TellNode]] = {
    "plain": (plain, plain_node),
    "places": (places, places_node),
    "paused": (paused, paused_node),
    "limited": (limited, limited_node),
    "active": (active, active_node),
    "completed": (completed, completed_node),
    "failed": (failed, failed_node),
    "put-off": (put_off, put_off_node),
    "told": (told, told_node),
    "family": (family, family_node),
    "removed": (removed, removed_node),
}


@pytest.mark.parametrize("story", list(STORIES))
async def test_corral_leaves_the_same_keys_as_bullmq(story: str, bull: Bull, mail: Queue, keys: Keys) -> None:
    ours, theirs = STORIES[story]
    await theirs(bull)
    expected = shape(await keys.dump())
    await keys.clear()
    await ours(mail)
    assert shape(await keys.dump()) == expected
