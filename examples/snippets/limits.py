import asyncio

from corral import Corral, JobContext, RateLimit, Retry

app = Corral("sqlite:///corral.db")
mail = app.queue("mail", concurrency=5, rate_limit=[RateLimit(10, per=1), RateLimit(5000, per=86_400)], max_active=20)
calls = 0


@mail.job("send", rate_limit=RateLimit(2, per=1))
async def send(ctx: JobContext, to: str) -> str:
    global calls
    calls += 1
    if calls == 1:  # the other side answered 429
        raise Retry("slow down", after=0.2, pause="queue")
    return f"sent to {to}, attempt {ctx.attempt}"


async def main() -> None:
    async with app, await app.worker():
        handle = await send.add("ann@example.com")
        print(await handle.result(timeout=10))
        # -> sent to ann@example.com, attempt 1
        queue = await mail.open()
        await queue.limit_name("send", RateLimit(50, per=1))  # every worker obeys at once
        info = await queue.limit(RateLimit(100, per=1), concurrency=40)
        print(info.rate_limit, info.concurrency)
        # -> RateLimit(count=100, per=1.0) 40


asyncio.run(main())
