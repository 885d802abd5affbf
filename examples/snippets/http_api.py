import asyncio

import httpx

from corral import Corral
from corral.http import ApiSettings, create_app

app = Corral("sqlite:///corral.db")
mail = app.queue("mail", attempts=3)


@mail.job("welcome")
async def welcome(to: str) -> None: ...


async def main() -> None:
    api = create_app(app, settings=ApiSettings(tokens="ci:operator:a-token-of-our-own-making"))
    headers = {"Authorization": "Bearer a-token-of-our-own-making"}
    transport = httpx.ASGITransport(app=api)  # in this process; otherwise: corral api
    async with app, httpx.AsyncClient(transport=transport, base_url="http://api/api/v1", headers=headers) as client:
        added = await client.post("/queues/mail/jobs", json={"name": "welcome", "data": "ann@example.com"})
        job = added.json()
        print(added.status_code, job["state"], job["effective_opts"]["attempts"])
        # -> 201 waiting {'value': 3, 'from': 'queue'}
        print((await client.get(f"/queues/mail/jobs/{job['id']}/why")).json()["reasons"][0]["remedy"])
        # -> start a worker for it
        print((await client.delete(f"/queues/mail/jobs/{job['id']}")).json()["code"])
        # -> forbidden
    await api.state.corral.close()


asyncio.run(main())
