import asyncio

from corral import Corral

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("welcome")
async def welcome(name: str) -> str:
    return f"Hello {name}"


async def main() -> None:
    async with app, await app.worker():
        await welcome.add("Ann")
        queue = await mail.open()
        async for event in queue.events(after=""):  # "" is the oldest kept; without it, from now on
            print(event.type, event.name, event.detail)
            if event.type == "completed":
                break


asyncio.run(main())
# -> added welcome None
# -> active welcome None
# -> drained None None
# -> completed welcome "Hello Ann"
