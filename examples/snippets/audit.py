import asyncio

from corral import Corral
from corral.admin import Actor, Admin
from corral.monitor.monitor import Monitor

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")


@mail.job("welcome")
async def welcome(data: dict[str, str]) -> None: ...


async def main() -> None:
    async with app:
        job = await welcome.add({"to": "a@exmaple.com", "api_key": "s3cret"}, delay=60)
        storage = await app.open()
        desk = Admin(storage, Monitor(storage), app=app).by(Actor(sub="ana", role="operator"), "a typo")
        await desk.edit("mail", job.id, data='{"to":"a@example.com","api_key":"s3cret"}')
        await desk.pause("mail", for_s=600)
        again = await desk.rerun("mail", job.id)
        new = await (await mail.open()).get(again.id)
        print(new.options.rerun_of, "runs again as job", new.id)
        for entry in (await desk.audit(queue="mail")).items:
            print(entry.actor.sub, entry.action, entry.outcome, *filter(None, [entry.before]))


asyncio.run(main())
# -> mail/1 runs again as job 2
# -> ana job.rerun ok
# -> ana queue.pause ok
# -> ana job.edit ok {'data': {'to': 'a@exmaple.com', 'api_key': '••••'}}
