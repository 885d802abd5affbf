import asyncio

from pydantic import BaseModel

from corral import Corral, WorkerOptions

app = Corral("sqlite:///corral.db")
mail = app.queue("mail", attempts=3)


class Welcome(BaseModel):
    to: str
    name: str


@mail.job("welcome")
async def welcome(data: Welcome) -> str:
    return f"Hello {data.name}"


async def main() -> None:
    async with app:
        job = await welcome.add(Welcome(to="ann@example.com", name="Ann"))
        async with await app.worker(options=WorkerOptions(burst=True)):
            print(await job.result(timeout=10))


if __name__ == "__main__":
    asyncio.run(main())
# -> Hello Ann
