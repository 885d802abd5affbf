import asyncio

from corral import Cause, Corral

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("send")
async def send(to: str) -> None: ...


async def main() -> None:
    async with app:
        handle = await send.add("ann@example.com")
        queue = await mail.open()
        await queue.pause("the mail server is being moved")
        answer = await handle.why()
        for reason in answer.reasons:
            print(f"{reason.cause}: {reason.text} ({reason.remedy})")
            # -> paused: the queue is paused: the mail server is being moved (resume the queue)
            # -> no-worker: no worker serves queue 'mail' (start a worker for it)
        print(answer.reasons[0].cause is Cause.PAUSED, answer.starts_at)
        # -> True None


asyncio.run(main())
