import asyncio

from corral import Corral
from corral.admin import Actor, Admin
from corral.monitor.monitor import Monitor

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("welcome")
async def welcome(to: str) -> None: ...


async def main() -> None:
    async with app:
        await welcome.add_bulk([f"user-{n}@example.com" for n in range(1_200)], delay=3_600)
        storage = await app.open()
        admin = Admin(storage, Monitor(storage), app=app)
        desk = admin.by(Actor(sub="ana"), "the campaign is off")
        print((await desk.preview("cancel", query="queue:mail state:delayed")).count, "would be cancelled")
        async with admin.runner.run() as runner:
            started = await desk.start("cancel", query="queue:mail state:delayed", expect=1_200)
            ended = await runner.finish(started.id)
        print(ended.state, ended.done, "of", ended.total, "by", ended.by)
        for entry in (await desk.audit(action="*.end")).items:
            print(entry.action, entry.count, entry.reason)


asyncio.run(main())
# -> 1200 would be cancelled
# -> done 1200 of 1200 by ana
# -> operation.end 1200 the campaign is off
