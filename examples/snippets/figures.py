import asyncio

from corral import Corral, Figures

app = Corral("sqlite:///corral.db")
work = app.queue("work")


@work.job("nap")
async def nap(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def main() -> None:
    async with app:
        async with await app.worker():
            jobs = [await nap.add(0.1) for _ in range(20)]
            await asyncio.gather(*(job.result(timeout=10) for job in jobs))
        # A worker writes every ten seconds, and when it stops.
        samples = await (await work.open()).series("hour")
        for name, figures in Figures.by_name(samples).items():
            print(name, figures.completed, "completed,", figures.failed, "failed")
            print("half of them within a second:", (figures.run.p50 or 0) < 1)


asyncio.run(main())
# -> nap 20 completed, 0 failed
# -> half of them within a second: True
