import asyncio

from corral import Corral

app = Corral("sqlite:///corral.db")
calls = app.queue("calls", dead_letter="calls-dead", concurrency=1)
dead = app.queue("calls-dead")  # no handlers: people read it
repaired = asyncio.Event()


@calls.job("call")
async def call(number: str) -> str:
    if not repaired.is_set():
        raise ConnectionError(f"no line to {number}")
    return f"spoke to {number}"


async def main() -> None:
    async with app, await app.worker():
        jobs = await call.add_bulk(["+4712345678", "+15550199"])
        await asyncio.gather(*(job.result(timeout=10) for job in jobs), return_exceptions=True)
        queue, letters = await calls.open(), await dead.open()
        [kind] = (await queue.failures()).items
        print(kind.jobs, "jobs,", (await letters.counts()).waiting, "letters:", kind.type, kind.message)
        repaired.set()
        await queue.retry_failures(kind.fingerprint, rate=20)  # twenty a second
        print(await jobs[1].result(timeout=10))


asyncio.run(main())
# -> 2 jobs, 2 letters: ConnectionError no line to #
# -> spoke to +15550199
