import asyncio

from corral import Alert, Corral
from corral.alerts.watch import watching

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")
rung = asyncio.Event()


@mail.job("welcome")
async def welcome(name: str) -> str:
    return f"Hello {name}"


@app.on_alert
async def ring(alert: Alert) -> None:
    print(alert.state, alert.severity, alert.message)
    rung.set()


async def main() -> None:
    async with app:
        await welcome.add_bulk(["Ann", "Bob", "Cleo"])
        async with watching(app, {"waiting": 2, "after": 0, "no_worker": False}):
            await rung.wait()
    # -> opened warning mail: 3 jobs waiting, more than 2


asyncio.run(main())
