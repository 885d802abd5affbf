import asyncio

from corral import Corral, Discard, Exponential, JobContext, Retry, Snooze

app = Corral("sqlite:///corral.db")
calls = app.queue("calls", attempts=3, backoff=Exponential(0.1))  # 0.1 s, 0.2 s, 0.4 s …


@calls.job("call", give_up_on=ValueError)
async def call(ctx: JobContext, number: str) -> str:
    print("attempt", ctx.attempt)
    if not number.startswith("+"):
        raise Discard("not a telephone number")  # fails for good
    if ctx.fence == 1:
        raise Snooze(0.1)  # not now; uses up no attempt
    if ctx.attempt == 1:
        raise Retry("busy", after=0.1)  # again, after a time of its own
    if not ctx.is_last_attempt:
        raise ConnectionError("no line")  # again, after the queue's back-off
    return "answered"


async def main() -> None:
    async with app, await app.worker():
        print(await (await call.add("+4712345678")).result(timeout=10))


asyncio.run(main())
# -> attempt 1
# -> attempt 1
# -> attempt 2
# -> attempt 3
# -> answered
