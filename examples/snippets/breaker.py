import asyncio

from corral import Breaker, Corral, Event, Job

app = Corral("sqlite:///corral.db")
calls = app.queue("calls", breaker=Breaker(share=0.5, minimum=4, window=60, cooldown=0.5))
repaired = asyncio.Event()


@calls.job("call")
async def call(number: int) -> str:
    if not repaired.is_set():
        raise ConnectionError("no line")
    return f"spoke to {number}"


@app.on("breaker-opened")
async def opened(event: Event, job: Job) -> None:
    repaired.set()


async def main() -> None:
    async with app, await app.worker():
        await call.add_bulk(range(4))
        await repaired.wait()
        print((await (await calls.open()).info()).hold_reason)
        print(await (await call.add(7)).result(timeout=10))


asyncio.run(main())
# -> breaker[1]: 4 of 4 attempts failed within 60 s
# -> spoke to 7
