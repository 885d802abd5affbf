import asyncio

from corral import Corral, GroupLimits, JobContext

app = Corral("sqlite:///corral.db")
reports = app.queue("reports", concurrency=1, group_limits=GroupLimits(concurrency=2, max_size=1000))
order: list[str] = []


@reports.job("build")
async def build(ctx: JobContext, number: int) -> None:
    order.append(ctx.job.group or "none")


async def main() -> None:
    async with app:
        many = await build.add_bulk(range(100), group="large-customer")
        await build.add_bulk(range(2), group="small-customer")
        queue = await reports.open()
        info = await queue.group("large-customer").info()
        print(info.waiting, info.active, info.paused)
        # -> 100 0 False
        async with await app.worker():
            await many[-1].result(timeout=30)
        print(sorted(order[:4]))
        # -> ['large-customer', 'large-customer', 'small-customer', 'small-customer']


asyncio.run(main())
