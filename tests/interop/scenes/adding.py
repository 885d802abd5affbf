"""Jobs as producers leave them: data, ids, places and options of every kind."""

from typing import Any

from ..node import Bull
from . import DELAYED, PRIORITIZED, WAITING, Play, many, scene

HOUR = 3_600_000

#: name -> data of job 1
ODD_DATA: dict[str, Any] = {
    "data-plain": {"to": 7, "name": "Ada"},
    "data-nothing": {},
    "data-unicode": {"text": "Grüße, мир, 世界, 👩‍👩‍👧, \u202eright\u202c", "ключ": "v"},
    "data-controls": {"text": '\u0000\u0001\t\n\\ " / </script>', "line": "\u2028\u2029"},
    "data-half-surrogate": {"text": "\ud83d"},
    "data-empty-lists": {"a": [], "b": {}, "c": [[], {}, [[]]]},
    "data-list": [1, "two", None, [3]],
    "data-empty-list": [],
    "data-floats": {"half": 0.5, "tiny": 5e-324, "huge": 1.7976931348623157e308, "e": 1e21, "minus": -0.0},
    "data-integers": {"safe": 9007199254740991, "minus": -9007199254740991, "stamp": 1795321968172},
    "data-text": "just text",
    "data-number": 42,
    "data-true": True,
    "data-false": False,
    "data-large": {"text": "0123456789" * 1000},
    "data-deep": {"a": {"b": {"c": {"d": {"e": {"f": {"g": [{"h": [{"i": None}]}]}}}}}}},
}

#: name -> options of job 1, which stays in `wait`
OPTIONS: dict[str, dict[str, Any]] = {
    "backoff-fixed": {"attempts": 3, "backoff": {"type": "fixed", "delay": 5000}},
    "backoff-exponential": {"attempts": 5, "backoff": {"type": "exponential", "delay": 2000}},
    "backoff-number": {"attempts": 4, "backoff": 1500},
    "backoff-jitter": {"attempts": 3, "backoff": {"type": "exponential", "delay": 1000, "jitter": 0.5}},
    "backoff-custom": {"attempts": 3, "backoff": {"type": "fibonacci", "delay": 100}},
    "attempts-many": {"attempts": 25},
    "keep-none": {"removeOnComplete": True, "removeOnFail": True},
    "keep-all": {"removeOnComplete": False, "removeOnFail": False},
    "keep-count": {"removeOnComplete": 100, "removeOnFail": 50},
    "keep-age": {"removeOnComplete": {"age": 3600, "count": 10}, "removeOnFail": {"age": 86400, "limit": 7}},
    "keep-logs": {"keepLogs": 5},
    "limits": {"stackTraceLimit": 3, "sizeLimit": 5000},
    "unknown": {"colour": "red", "list": [1, 2], "nothing": [], "deep": {"a": {"b": 0.25}}, "path": "a/b"},
    "telemetry": {"telemetry": {"metadata": '{"traceparent":"00-ab-cd-01"}', "omitContext": True}},
    "timestamp": {"timestamp": 1_700_000_000_123},
    "timestamp-fraction": {"timestamp": 1_700_000_000_123.75},
    "id": {"jobId": "order-17"},
    "id-unicode": {"jobId": "заказ-№7/ä"},
    "everything": {
        "attempts": 7, "backoff": {"type": "fixed", "delay": 250, "jitter": 0.1}, "jobId": "all-1", "keepLogs": 2,
        "removeOnComplete": {"count": 3}, "removeOnFail": {"age": 60}, "lifo": True, "stackTraceLimit": 1,
    },
}  # fmt: skip


def adds(data: Any = None, **opts: object) -> Play:
    async def play(bull: Bull) -> None:
        await (await bull.queue()).call("add", "welcome", {} if data is None else data, opts)

    play.__module__ = __name__
    return play


for name, data in ODD_DATA.items():
    scene(name, {"1": WAITING})(adds(data))
for name, opts in OPTIONS.items():
    scene(f"option-{name}", {str(opts.get("jobId", 1)): WAITING})(adds({"n": 1}, **opts))


@scene("data-null", {"1": WAITING})
async def data_null(bull: Bull) -> None:
    await (await bull.queue()).call("add", "welcome", None)


@scene("names", many(range(1, 5), WAITING))
async def names(bull: Bull) -> None:
    queue = await bull.queue()
    for name in ("with space", "dots.and-dashes_", "größe/日本", "__default__"):
        await queue.add(name)


@scene("queue-name", {"grüße an alle/1": WAITING})
async def queue_name(bull: Bull) -> None:
    await (await bull.queue("grüße an alle")).add("welcome")


@scene("id-twice", {"order-17": WAITING, "3": WAITING})
async def id_twice(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1}, jobId="order-17")
    await queue.add("welcome", {"n": 2}, jobId="order-17")
    await queue.add("welcome", {"n": 3})


@scene("lifo", many(range(1, 5), WAITING))
async def lifo(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("a")
    await queue.add("b")
    await queue.add("c", lifo=True)
    await queue.add("d", lifo=True)


@scene("priorities", many(range(1, 7), PRIORITIZED))
async def priorities(bull: Bull) -> None:
    queue = await bull.queue()
    for priority in (5, 1, 10, 5, 2_097_151, 1):
        await queue.add("welcome", {"priority": priority}, priority=priority)


@scene("priorities-and-plain", {"1": WAITING, "2": PRIORITIZED, "3": WAITING, "4": PRIORITIZED})
async def priorities_and_plain(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("plain")
    await queue.add("urgent", priority=1)
    await queue.add("plain")
    await queue.add("idle", priority=2_000_000)


@scene("delayed", {"1": DELAYED, "2": DELAYED, "3": WAITING})
async def delayed(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("later", {"n": 1}, delay=HOUR)
    await queue.add("sooner", {"n": 2}, delay=60_000)
    await queue.add("now", {"n": 3})


@scene("delayed-same-ms", many(range(1, 6), DELAYED))
async def delayed_same_ms(bull: Bull) -> None:
    queue = await bull.queue()
    for number in range(5):
        await queue.add("later", {"n": number}, timestamp=1_795_000_000_000, delay=500 * HOUR)


@scene("delayed-with-priority", {"1": DELAYED, "2": DELAYED})
async def delayed_with_priority(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("later", delay=HOUR, priority=3)
    await queue.add("later", delay=HOUR, lifo=True)


@scene("delayed-overdue", {"1": DELAYED})
async def delayed_overdue(bull: Bull) -> None:
    await (await bull.queue()).add("late", timestamp=1_700_000_000_000, delay=1000)


@scene("bulk", {"1": WAITING, "2": DELAYED, "3": PRIORITIZED, "mine": WAITING, "5": WAITING})
async def bulk(bull: Bull) -> None:
    jobs = [
        {"name": "a", "data": {"n": 1}},
        {"name": "b", "data": {"n": 2}, "opts": {"delay": HOUR}},
        {"name": "c", "data": {"n": 3}, "opts": {"priority": 9}},
        {"name": "d", "data": {"n": 4}, "opts": {"jobId": "mine"}},
        {"name": "e", "data": {"n": 5}, "opts": {"lifo": True}},
    ]
    await (await bull.queue()).call("addBulk", jobs)


@scene("many", many(range(1, 41), WAITING))
async def many_jobs(bull: Bull) -> None:
    jobs = [{"name": "welcome", "data": {"n": number}} for number in range(1, 41)]
    await (await bull.queue()).call("addBulk", jobs)


@scene("by-version-5", {"1": WAITING, "2": DELAYED, "3": PRIORITIZED, "mine": WAITING})
async def by_version_5(bull: Bull) -> None:
    queue = await bull.queue(major=5)
    await queue.add("a", {"n": []}, attempts=3, backoff=1000)
    await queue.add("b", {"n": 2}, delay=HOUR)
    await queue.add("c", {"n": 3}, priority=4)
    await queue.add("d", {"n": 4}, jobId="mine", removeOnComplete=True)
