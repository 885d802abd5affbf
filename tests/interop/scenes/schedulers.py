"""Job schedulers of both kinds at several iterations, and the repeatable jobs of version 5."""

from collections.abc import Mapping
from typing import Any

from ..node import Bull, NodeQueue
from . import WAITING, scene

HOUR = 3_600_000
YEARLY = {"pattern": "0 12 1 1 *"}
HOURLY = {"every": HOUR}


async def upsert(
    queue: NodeQueue, repeat: Mapping[str, object], template: Mapping[str, Any] | None = None, *, key: str = "tick"
) -> None:
    await queue.call("upsertJobScheduler", key, repeat, template or {"name": "beat", "data": {"n": 1}})


async def pending(bull: Bull, key: str = "tick", queue: str = "mail") -> str:
    """The id of a scheduler's next job."""
    score = await bull.keys.client.zscore(f"{bull.prefix}:{queue}:repeat", key)
    return f"repeat:{key}:{int(score or 0)}"


async def serve_next(bull: Bull, script: Mapping[str, object] | None = None, *, major: int = 6) -> None:
    """Run the next iteration now: it makes the one after it."""
    queue = await bull.queue(major=major)
    job_id = await pending(bull)
    if await queue.state(job_id) == "delayed":
        await queue.job(job_id, "promote")
    assert await (await bull.hand(script=script, major=major)).serve(1) == 1


@scene("every-new", {})
async def every_new(bull: Bull) -> None:
    await upsert(await bull.queue(), HOURLY)


@scene("every-second", {})
async def every_second(bull: Bull) -> None:
    await upsert(await bull.queue(), HOURLY)
    await serve_next(bull)


@scene("every-third", {})
async def every_third(bull: Bull) -> None:
    await upsert(await bull.queue(), HOURLY)
    await serve_next(bull)
    await serve_next(bull)


@scene("every-from-start-date", {})
async def every_from_start_date(bull: Bull) -> None:
    await upsert(await bull.queue(), {"every": HOUR, "startDate": 4_000_000_000_000})


@scene("every-with-offset", {})
async def every_with_offset(bull: Bull) -> None:
    await upsert(await bull.queue(), {"every": HOUR, "offset": 90_000})


@scene("every-limit-reached", {})
async def every_limit_reached(bull: Bull) -> None:
    await upsert(await bull.queue(), {"every": HOUR, "limit": 2})
    await serve_next(bull)
    await serve_next(bull)


@scene("every-with-end", {})
async def every_with_end(bull: Bull) -> None:
    await upsert(await bull.queue(), {"every": HOUR, "endDate": 4_000_000_000_000})


@scene("pattern-new", {})
async def pattern_new(bull: Bull) -> None:
    await upsert(await bull.queue(), YEARLY)


@scene("pattern-second", {})
async def pattern_second(bull: Bull) -> None:
    await upsert(await bull.queue(), YEARLY)
    await serve_next(bull)


@scene("pattern-with-zone", {})
async def pattern_with_zone(bull: Bull) -> None:
    await upsert(await bull.queue(), {"pattern": "30 2 * * *", "tz": "Europe/Oslo"})


@scene("pattern-with-seconds", {})
async def pattern_with_seconds(bull: Bull) -> None:
    await upsert(await bull.queue(), {"pattern": "15 30 4 * * 1-5"})


@scene("pattern-at-once", {})
async def pattern_at_once(bull: Bull) -> None:
    await upsert(await bull.queue(), {**YEARLY, "immediately": True})


@scene("pattern-limit", {})
async def pattern_limit(bull: Bull) -> None:
    await upsert(await bull.queue(), {**YEARLY, "limit": 5})
    await serve_next(bull)


@scene("template", {})
async def template(bull: Bull) -> None:
    opts = {"attempts": 4, "backoff": {"type": "fixed", "delay": 3000}, "priority": 7, "removeOnComplete": 10}
    await upsert(await bull.queue(), HOURLY, {"name": "größe", "data": {"list": [], "n": 0.5}, "opts": opts})


@scene("template-second", {})
async def template_second(bull: Bull) -> None:
    opts = {"attempts": 4, "backoff": {"type": "fixed", "delay": 3000}, "priority": 7}
    await upsert(await bull.queue(), HOURLY, {"name": "größe", "data": {"list": []}, "opts": opts})
    await serve_next(bull)


@scene("no-template", {})
async def no_template(bull: Bull) -> None:
    await (await bull.queue()).call("upsertJobScheduler", "tick", HOURLY)


@scene("changed-every", {})
async def changed_every(bull: Bull) -> None:
    queue = await bull.queue()
    await upsert(queue, HOURLY)
    await serve_next(bull)
    await upsert(queue, {"every": 2 * HOUR})


@scene("changed-data", {})
async def changed_data(bull: Bull) -> None:
    queue = await bull.queue()
    await upsert(queue, HOURLY)
    await serve_next(bull)
    await upsert(queue, HOURLY, {"name": "beat", "data": {"n": 2}})


@scene("changed-kind", {})
async def changed_kind(bull: Bull) -> None:
    queue = await bull.queue()
    await upsert(queue, HOURLY)
    await upsert(queue, YEARLY)


@scene("two", {"3": WAITING})  # both schedulers have used a number
async def two(bull: Bull) -> None:
    queue = await bull.queue()
    await upsert(queue, HOURLY, key="tick")
    await upsert(queue, YEARLY, key="new-year")
    await queue.add("plain")


@scene("removed", {})
async def removed(bull: Bull) -> None:
    queue = await bull.queue()
    await upsert(queue, YEARLY)
    await queue.call("removeJobScheduler", "tick")


@scene("removed-while-waiting", {})
async def removed_while_waiting(bull: Bull) -> None:
    queue = await bull.queue()
    await upsert(queue, HOURLY)
    await queue.call("removeJobScheduler", "tick")


@scene("run-failed", {})
async def run_failed(bull: Bull) -> None:
    await upsert(await bull.queue(), HOURLY)
    await serve_next(bull, {"*": {"throw": "boom"}})


@scene("run-retried", {})
async def run_retried(bull: Bull) -> None:
    opts = {"attempts": 3, "backoff": {"type": "fixed", "delay": HOUR}}
    await upsert(await bull.queue(), HOURLY, {"name": "beat", "data": {}, "opts": opts})
    await serve_next(bull, {"*": {"throw": "boom"}})


@scene("run-active", {})
async def run_active(bull: Bull) -> None:
    await upsert(await bull.queue(), HOURLY)
    await (await bull.hand()).take()


@scene("paused", {})
async def paused(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.call("pause")
    await upsert(queue, HOURLY)


@scene("every-5", {})
async def every_by_version_5(bull: Bull) -> None:
    await upsert(await bull.queue(major=5), HOURLY)
    await serve_next(bull, major=5)


@scene("pattern-5", {})
async def pattern_by_version_5(bull: Bull) -> None:
    await upsert(await bull.queue(major=5), YEARLY)


@scene("repeatable-5-pattern", {})
async def repeatable_pattern(bull: Bull) -> None:
    await (await bull.queue(major=5)).add("beat", {"n": 1}, repeat=YEARLY)


@scene("repeatable-5-every", {})
async def repeatable_every(bull: Bull) -> None:
    await (await bull.queue(major=5)).add("beat", {"n": 1}, repeat={"every": HOUR, "key": "tick"})


@scene("repeatable-5-second", {})
async def repeatable_second(bull: Bull) -> None:
    await (await bull.queue(major=5)).add("beat", {"n": 1}, repeat={"every": HOUR, "key": "tick"})
    await serve_next(bull, major=5)
