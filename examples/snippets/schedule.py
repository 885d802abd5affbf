import asyncio

from corral import Corral, Cron, Every, JobContext, Missed, Overlap

app = Corral("sqlite:///corral.db")
chores = app.queue("chores")


@chores.job("sweep")
async def sweep(ctx: JobContext, room: str) -> None:
    assert ctx.scheduled_for is not None  # the slot, however late the job runs
    print("swept the", room)


app.schedule("nightly", Cron("30 2 * * *", tz="Europe/Oslo"), sweep, "hall", missed=Missed.SKIP)
app.schedule("often", Every(0.1), sweep, lambda: "kitchen", limit=1, overlap=Overlap.SKIP)


async def main() -> None:
    async with app:
        await app.sync_schedules()  # a worker does this when it starts
        await app.scheduler(await app.open()).run_now("chores", "nightly")  # without waiting for half past two
        async with await app.worker():
            async for event in (await chores.open()).events(after=""):
                if event.type == "completed" and event.job_id != "1":
                    return


asyncio.run(main())
# -> swept the hall
# -> swept the kitchen
