import asyncio
from collections.abc import Awaitable, Callable

from msgspec.structs import replace

from corral import Corral, JobContext, NewJob

app = Corral("sqlite:///corral.db")
reports = app.queue("reports")


@app.enqueue_middleware
async def by_tenant(job: NewJob, call_next: Callable[[NewJob], Awaitable[NewJob]]) -> NewJob:
    if job.group is None:
        raise PermissionError("whose job is it?")  # nothing of the call is added
    return await call_next(replace(job, priority=job.priority or 10))


@reports.job("weekly")
async def weekly(ctx: JobContext, week: int) -> str:
    return f"week {week} for {ctx.job.group}, priority {ctx.job.priority}"


async def main() -> None:
    async with app, await app.worker():
        print(await (await weekly.add(7, group="acme")).result(timeout=10))


asyncio.run(main())
# -> week 7 for acme, priority 10
