import asyncio

from corral import Corral, Dedup

app = Corral("sqlite:///corral.db")
work = app.queue("work")


@work.job("report")
async def report(data: dict[str, int]) -> None: ...


async def main() -> None:
    async with app:
        first = await report.add({"user": 7, "asked_at": 1}, unique=["user"])
        again = await report.add({"user": 7, "asked_at": 2}, unique=["user"])
        print(again.fresh, again.deduplicated, again.id == first.id)
        # -> False True True
        quiet = Dedup("search-index", ttl=30, extend=True, replace=True)  # wait until nothing came for 30 s
        await report.add({"user": 1}, dedup=quiet, delay=30)
        latest = await report.add({"user": 2}, dedup=quiet, delay=30)
        queue = await work.open()
        print(await queue.deduplication("search-index") == latest.id, (await queue.counts()).delayed)
        # -> True 1


asyncio.run(main())
