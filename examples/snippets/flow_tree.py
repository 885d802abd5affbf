import asyncio

from corral import Corral, JobContext, chain

app = Corral("sqlite:///corral.db")
work = app.queue("work")


@work.job("fetch")
async def fetch(page: int) -> int:
    return page * 100


@work.job("sum")
async def total(ctx: JobContext) -> int:
    parts = await ctx.children_of(fetch)
    return sum(parts.results)


async def main() -> None:
    async with app, await app.worker():
        pages = [fetch.node(page) for page in (1, 2, 3)]
        flow = await app.flow.add(chain(fetch.node(4), total.node(children=pages)))
        print(await flow.result(timeout=10))
        # -> 1000
        print([level.done for level in (await flow.progress()).levels])
        # -> [1, 4]


asyncio.run(main())
