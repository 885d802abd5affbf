"""A store that has something for every page: jobs in every state, failures, a flow, schedules, a worker, marks."""

from contextlib import suppress
from typing import Any

from corral import Corral, Cron, Every, Exponential, JobContext, JobFailedError

#: What must never run, wherever it stands.
EVIL = "<img src=x onerror=alert(1)>"
LONG = "a-name-that-is-much-too-long-" * 4


def make_app(url: str) -> Corral:
    """An application whose jobs do what their payload says."""
    app = Corral(url, name="shop")
    mail = app.queue("mail", attempts=2, backoff=Exponential(0.001))
    report = app.queue("report")

    @mail.job("welcome")
    async def welcome(ctx: JobContext, data: dict[str, Any]) -> dict[str, object]:
        """Greet somebody, or fail as told."""
        await ctx.log("connecting")
        await ctx.progress(40)
        if data.get("fails"):
            raise ConnectionError(str(data["fails"]))
        return {"sent": True}

    @report.job("weekly")
    async def weekly(data: dict[str, Any]) -> None: ...

    app.schedule("weekly-report", Cron("0 9 * * 1", tz="Europe/Oslo"), weekly, {"week": 1})
    app.schedule("often", Every(3600), weekly, {"week": 2})
    return app


async def furnish(app: Corral) -> dict[str, str]:
    """Put something there for every page; answers the ids of jobs, by what they are."""
    welcome, weekly = app.queues["mail"].definition("welcome"), app.queues["report"].definition("weekly")
    done = await welcome.add({"to": "ann@example.com", "password": "hunter2", "amount": 3}, tags=("tenant-42",))
    failed = await welcome.add({"to": EVIL, "fails": f"timed out {EVIL}", "user": {"id": 42}})
    async with await app.worker():
        await done.result(timeout=60)
        with suppress(JobFailedError):
            await failed.result(timeout=60)
    waiting = await welcome.add({"to": LONG, "html": EVIL, "rtl": "\u202egnihtemos"})
    delayed = await welcome.add({"to": "later@example.com"}, delay=3600)
    root = weekly.node({"week": 3}, children=[welcome.node({"to": "kid@example.com"})])
    flow = await app.flow.add(root)
    await app.sync_schedules()
    return {
        "done": done.id, "failed": failed.id, "waiting": waiting.id, "delayed": delayed.id, "flow": flow.job(root).id,
    }  # fmt: skip
