import asyncio
from collections.abc import Awaitable, Callable

from corral import Corral, Event, Job, JobContext

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("welcome")
async def welcome(name: str) -> str:
    return f"Hello {name}"


@app.middleware
async def polite(ctx: JobContext, call_next: Callable[[], Awaitable[object]]) -> object:
    return f"{await call_next()}, and have a good day"


@app.on("completed", "failed")
def tell(event: Event, job: Job) -> None:
    print(event.type, job.name, event.detail)


async def main() -> None:
    async with app, await app.worker():
        await (await welcome.add("Ann")).result(timeout=10)


asyncio.run(main())
# -> completed welcome "Hello Ann, and have a good day"
