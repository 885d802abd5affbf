import asyncio

from corral import Corral
from corral.testing import run_job

app = Corral("sqlite:///corral.db")


class Mailer:
    async def send(self, to: str) -> str:
        return f"sent to {to}"


class Fake(Mailer):
    async def send(self, to: str) -> str:
        return f"nothing was sent to {to}"


app.provide(Mailer, Mailer)


@app.queue("mail").job("welcome")
async def welcome(to: str, mailer: Mailer) -> str:
    return await mailer.send(to)


with app.override(Mailer, Fake()):  # for workers, `drain` and `run_job` that start inside of the block
    print(asyncio.run(run_job(welcome, "bo@example.com")))
print(asyncio.run(run_job(welcome, "bo@example.com", services={Mailer: Mailer()})))
# -> nothing was sent to bo@example.com
# -> sent to bo@example.com
