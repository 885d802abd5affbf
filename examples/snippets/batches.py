import asyncio

from corral import Batch, BatchContext, BatchJob, Corral

app = Corral("sqlite:///corral.db")
search = app.queue("search", concurrency=2, attempts=3)


@search.job("index", batch=Batch(50, minimum=3, wait=2))
async def index(ctx: BatchContext, jobs: list[BatchJob[str]]) -> str:
    print(f"{ctx.size} documents in one call")
    for job in jobs:
        if not job.data:
            job.discard("an empty document")  # this one alone
    return "indexed"  # what the others complete with


async def main() -> None:
    async with app, await app.worker():
        first, second, third = await index.add_bulk(["on sheep", "", "on dogs"])
        print(await first.result(timeout=10), await third.result(timeout=10))
        print((await second.get()).failed_reason)


asyncio.run(main())
# -> 3 documents in one call
# -> indexed indexed
# -> an empty document
