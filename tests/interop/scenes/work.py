"""Jobs as workers leave them: taken, done, failed, retried, put off, with progress and logs."""

from typing import Any

from ..node import Bull
from . import ACTIVE, COMPLETED, DELAYED, FAILED, GONE, PRIORITIZED, WAITING, Play, many, scene

HOUR = 3_600_000
BAD = {"bad": {"throw": "boom"}}

#: name -> what the handler returns
RESULTS: dict[str, Any] = {
    "object": {"sent": True, "ids": [1, 2]},
    "text": "done – Grüße 👋",
    "number": 0.1,
    "zero": 0,
    "false": False,
    "empty-list": [],
    "empty-text": "",
    "null": None,
    "nested": {"a": [], "b": {}, "c": [[], {"d": None}]},
}


def returns(value: Any) -> Play:
    async def play(bull: Bull) -> None:
        await (await bull.queue()).add("welcome", {"n": 1})
        await (await bull.hand(script={"*": {"return": value}})).serve()

    play.__module__ = __name__
    return play


for name, value in RESULTS.items():
    scene(f"result-{name}", {"1": COMPLETED})(returns(value))


@scene("result-undefined", {"1": COMPLETED})
async def result_undefined(bull: Bull) -> None:
    await (await bull.queue()).add("welcome")
    await (await bull.hand(script={"*": {}})).serve()


@scene("active", {"1": ACTIVE, "2": WAITING})
async def active(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1})
    await queue.add("welcome", {"n": 2})
    await (await bull.hand()).take()


@scene("active-named-worker", {"1": ACTIVE})
async def active_named_worker(bull: Bull) -> None:
    await (await bull.queue()).add("welcome")
    await (await bull.hand(worker_name="box-1")).take()


@scene("active-from-priority", {"1": PRIORITIZED, "2": ACTIVE})
async def active_from_priority(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", priority=9)
    await queue.add("welcome", priority=2)
    await (await bull.hand()).take()


@scene("failed", {"1": FAILED})
async def failed(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", {"n": 1})
    await (await bull.hand(script={"*": {"throw": "smtp: 550 mailbox unavailable"}})).serve()


@scene("failed-odd-reason", {"1": FAILED, "2": FAILED, "3": FAILED})
async def failed_odd_reason(bull: Bull) -> None:
    queue = await bull.queue()
    script = {"a": {"throw": "Zeile 1\nZeile 2\t„ä“ 世界"}, "b": {"throw": ""}, "c": {"throw": '{"json": ["yes"]}'}}
    for name in script:
        await queue.add(name)
    await (await bull.hand(script=script)).serve()


@scene("failed-unrecoverable", {"1": FAILED})
async def failed_unrecoverable(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", attempts=5, backoff=1000)
    await (await bull.hand(script={"*": {"throw": "never", "unrecoverable": True}})).serve()


@scene("failed-exhausted", {"1": FAILED})
async def failed_exhausted(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", attempts=3)
    await (await bull.hand(script={"*": {"throw": "again and again"}})).serve()


@scene("failed-many-traces", {"1": FAILED})
async def failed_many_traces(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", attempts=6, stackTraceLimit=2)
    await (await bull.hand(script={"*": {"throw": "again and again"}})).serve()


@scene("retry-at-once", {"1": WAITING, "2": WAITING})
async def retry_at_once(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1}, attempts=3)
    await queue.add("welcome", {"n": 2})
    await (await bull.hand(script={"*": {"throw": "boom"}})).serve(1)


@scene("retry-at-once-lifo", {"1": WAITING, "2": WAITING})
async def retry_at_once_lifo(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1}, attempts=3, lifo=True)
    await queue.add("welcome", {"n": 2})
    await (await bull.hand(script={"*": {"throw": "boom"}})).serve(1)


@scene("retry-at-once-priority", {"1": PRIORITIZED, "2": PRIORITIZED})
async def retry_at_once_priority(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1}, attempts=3, priority=4)
    await queue.add("welcome", {"n": 2}, priority=4)
    await (await bull.hand(script={"*": {"throw": "boom"}})).serve(1)


@scene("retry-fixed", {"1": DELAYED})
async def retry_fixed(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", attempts=3, backoff={"type": "fixed", "delay": HOUR})
    await (await bull.hand(script={"*": {"throw": "boom"}})).serve(1)


@scene("retry-exponential-second", {"1": DELAYED})
async def retry_exponential_second(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", attempts=4, backoff={"type": "exponential", "delay": HOUR})
    hand = await bull.hand(script={"*": {"throw": "boom"}})
    await hand.serve(1)
    await queue.job("1", "promote")
    await hand.serve(1)


@scene("retry-priority-delayed", {"1": DELAYED})
async def retry_priority_delayed(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", attempts=3, priority=7, backoff=HOUR)
    await (await bull.hand(script={"*": {"throw": "boom"}})).serve(1)


@scene("done-after-failure", {"1": COMPLETED})
async def done_after_failure(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", attempts=3)
    await (await bull.hand(script={"*": {"throw": "boom", "times": 2, "return": "at last"}})).serve()


@scene("put-off", {"1": DELAYED})
async def put_off(bull: Bull) -> None:
    await (await bull.queue()).add("welcome")
    await (await bull.hand(script={"*": {"delay": HOUR}})).serve(1)


@scene("limited-by-handler", {"1": WAITING, "2": WAITING})
async def limited_by_handler(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1})
    await queue.add("welcome", {"n": 2})
    await (await bull.hand(script={"*": {"limit": HOUR}}, limiter={"max": 10, "duration": 1000})).serve(1)


@scene("handed-back", {"1": WAITING, "2": WAITING})
async def handed_back(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1})
    await queue.add("welcome", {"n": 2})
    job = await (await bull.hand()).take()
    await job.call("moveToWait", job.token)


@scene("progress-number", {"1": ACTIVE})
async def progress_number(bull: Bull) -> None:
    await (await bull.queue()).add("welcome")
    await (await (await bull.hand()).take()).call("updateProgress", 42.5)


@scene("progress-object", {"1": COMPLETED})
async def progress_object(bull: Bull) -> None:
    await (await bull.queue()).add("welcome")
    script = {"*": {"progress": {"step": "büro", "done": [], "of": 3}, "return": 1}}
    await (await bull.hand(script=script)).serve()


@scene("logs", {"1": COMPLETED})
async def logs(bull: Bull) -> None:
    await (await bull.queue()).add("welcome")
    await (await bull.hand(script={"*": {"log": ["one", "zwei – ü", "three\nlines", ""]}})).serve()


@scene("logs-trimmed", {"1": COMPLETED})
async def logs_trimmed(bull: Bull) -> None:
    await (await bull.queue()).add("welcome", keepLogs=2)
    await (await bull.hand(script={"*": {"log": ["one", "two", "three"]}})).serve()


@scene("data-updated", {"1": WAITING})
async def data_updated(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", {"n": 1})
    await queue.job("1", "updateData", {"n": 2, "list": []})


@scene("kept-by-count", {**many((1, 2, 3), GONE), **many((4, 5), COMPLETED)})
async def kept_by_count(bull: Bull) -> None:
    queue = await bull.queue()
    for number in range(5):
        await queue.add("welcome", {"n": number}, removeOnComplete=2)
    await (await bull.hand()).serve()


@scene("kept-not-at-all", {"1": GONE, "2": GONE, "3": COMPLETED})
async def kept_not_at_all(bull: Bull) -> None:
    queue = await bull.queue()
    await queue.add("welcome", removeOnComplete=True)
    await queue.add("bad", removeOnFail=True)
    await queue.add("welcome", removeOnComplete=False)
    await (await bull.hand(script=BAD)).serve()


@scene("kept-by-worker", {"1": GONE, "2": GONE, "3": COMPLETED, "4": FAILED})
async def kept_by_worker(bull: Bull) -> None:
    queue = await bull.queue()
    for name in ("welcome", "welcome", "welcome", "bad"):
        await queue.add(name)
    hand = await bull.hand(script=BAD, removeOnComplete={"count": 1}, removeOnFail={"age": 3600})
    await hand.serve()


@scene("metrics", {"1": COMPLETED, "2": COMPLETED, "3": FAILED})
async def metrics(bull: Bull) -> None:
    queue = await bull.queue()
    for name in ("welcome", "welcome", "bad"):
        await queue.add(name)
    hand = await bull.hand(script=BAD, metrics={"maxDataPoints": 60})
    await hand.serve()


@scene("next-fetched", {"1": COMPLETED, "2": ACTIVE, "3": WAITING})
async def next_fetched(bull: Bull) -> None:
    queue = await bull.queue()
    for number in (1, 2, 3):
        await queue.add("welcome", {"n": number})
    job = await (await bull.hand()).take()
    await job.call("moveToCompleted", "one", job.token, True)


@scene("by-version-5", {"1": COMPLETED, "2": FAILED, "3": DELAYED, "4": ACTIVE})
async def by_version_5(bull: Bull) -> None:
    queue = await bull.queue(major=5)
    await queue.add("good", {"n": 1})
    await queue.add("bad", {"n": 2})
    await queue.add("bad", {"n": 3}, attempts=2, backoff=HOUR)
    await queue.add("good", {"n": 4})
    hand = await bull.hand(script={"bad": {"throw": "boom"}, "good": {"return": [], "progress": 9}}, major=5)
    await hand.serve(3)
    await hand.take()
