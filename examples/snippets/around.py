import asyncio
from collections.abc import Awaitable, Callable

from corral import Corral, JobContext

app = Corral("sqlite:///corral.db")
reports = app.queue("reports")


def telling(where: str) -> Callable[[JobContext, Callable[[], Awaitable[object]]], Awaitable[object]]:
    async def middleware(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
        print(where, ctx.name)
        return await call_next()

    return middleware


app.middleware(telling("application"))
reports.middleware(telling("queue"))
weekly = reports.job("weekly", middleware=[telling("handler")])(lambda: None)


async def main() -> None:
    async with app, await app.worker():
        await (await weekly.add()).result(timeout=10)


asyncio.run(main())
# -> application weekly
# -> queue weekly
# -> handler weekly
