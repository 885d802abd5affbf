import asyncio

from corral import Corral, JobState

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("welcome")
async def welcome(name: str) -> None: ...


async def main() -> None:
    async with app:
        await welcome.add_bulk(["Ann", "Bob", "Cleo"])  # all three, or none
        queue = await mail.open()
        await queue.pause("the mail server is down")
        print((await queue.counts()).paused)
        # -> 3
        page = await queue.page(JobState.WAITING, limit=2)
        print([job.data for job in page.items], page.total)
        # -> ['"Ann"', '"Bob"'] 3
        await queue.remove(page.items[0].id)
        await queue.resume()
        print(len(await queue.drain()))
        # -> 2


asyncio.run(main())
