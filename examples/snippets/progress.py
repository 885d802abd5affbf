import asyncio

from corral import Corral, JobContext

app = Corral("sqlite:///corral.db")
shop = app.queue("shop")


@shop.job("charge")
async def charge(ctx: JobContext, order: int) -> dict[str, bool]:
    if await ctx.recall("charged"):  # an earlier attempt got this far
        return {"alreadyCharged": True}
    await ctx.progress(50)
    await ctx.log(f"charging order {order}")
    await ctx.note("charged", "yes")
    await ctx.progress(100)
    return {"alreadyCharged": False}


async def main() -> None:
    async with app, await app.worker():
        job = await charge.add(7)
        print(await job.result(timeout=10), (await job.get()).progress, (await job.queue.logs(job.id)).items)
        await job.queue.retry(job.id)
        print(await job.result(timeout=10))


asyncio.run(main())
# -> {'alreadyCharged': False} 100 ('charging order 7',)
# -> {'alreadyCharged': True}
