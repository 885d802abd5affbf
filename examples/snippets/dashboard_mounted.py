import asyncio

import httpx
from fastapi import FastAPI

from corral import Corral
from corral.dashboard import create_dashboard
from corral.http import ApiSettings

app = Corral("sqlite:///corral.db")
mail = app.queue("mail")
dashboard = create_dashboard(app, settings=ApiSettings(tokens="ana:admin:a-token-of-our-own-making"))
site = FastAPI()
site.mount("/admin/queues", dashboard)


async def main() -> None:
    transport = httpx.ASGITransport(app=site)
    async with app, httpx.AsyncClient(transport=transport, base_url="http://shop.example/admin/queues") as client:
        await (await app.open_queue("mail")).add("welcome", {"to": "ann@example.com"})
        token = {"Authorization": "Bearer a-token-of-our-own-making"}
        print("welcome" in (await client.get("/queues/mail", headers=token)).text)
        # -> True
        print((await client.get("/queues/mail")).headers["location"])
        # -> /admin/queues/login?next=%2Fqueues%2Fmail
    await dashboard.state.corral.close()


asyncio.run(main())
