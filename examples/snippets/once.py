import asyncio

from corral import Corral, JobContext

app = Corral("sqlite:///corral.db")
mails = app.queue("mails", concurrency=1)


@mails.job("goodbye")
async def goodbye(ctx: JobContext, user: str) -> None:
    # However many jobs ask for it, for thirty days.
    await ctx.once(f"goodbye-{user}", print, "sending to", user, ttl=30 * 86_400)


@mails.job("launch", at_most_once=True)
async def launch() -> None:
    print("rather not at all than twice")


async def main() -> None:
    async with app, await app.worker():
        first, second = await goodbye.add_bulk(["ada", "ada"])
        await first.result(timeout=10)
        await second.result(timeout=10)
        await (await launch.add()).result(timeout=10)


asyncio.run(main())
# -> sending to ada
# -> rather not at all than twice
