import asyncio
from collections.abc import AsyncIterator

from corral import Corral, JobContext

app = Corral("sqlite:///corral.db")


class Mailer:
    async def send(self, to: str) -> str:
        return f"sent to {to}"


async def connect() -> AsyncIterator[Mailer]:
    yield Mailer()
    print("disconnected")


@app.queue("mail").job("welcome")
async def welcome(ctx: JobContext, to: str, mailer: Mailer) -> str:
    return await mailer.send(to)


async def main() -> None:
    app.provide(Mailer, connect)  # scope="job" makes one for each job
    async with app, await app.worker():
        print(await (await welcome.add("ann@example.com")).result(timeout=10))


asyncio.run(main())
# -> sent to ann@example.com
# -> disconnected
