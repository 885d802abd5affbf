"""A token for a program: what it may do, and in which queues, is said where it is configured."""

import asyncio

import httpx

from corral.http import ApiSettings, create_app

settings = ApiSettings(tokens="ci:operator:crl-2f1c7b9e04d84ab6")  # or CORRAL_API_TOKENS; keep it out of the code
api = create_app("sqlite:///jobs.db", settings=settings)


async def main() -> None:
    transport = httpx.ASGITransport(app=api)
    async with api.router.lifespan_context(api), httpx.AsyncClient(transport=transport) as client:
        answer = await client.get("http://api/api/v1/queues")
        print(answer.status_code, answer.json()["code"])
        # -> 401 unauthenticated
        client.headers["Authorization"] = "Bearer crl-2f1c7b9e04d84ab6"
        me = (await client.get("http://api/api/v1/me")).json()
        print(me["sub"], me["roles"], me["queues"])
        # -> ci ['operator'] ['*']
        answer = await client.get("http://api/api/v1/audit")
        print(answer.status_code, answer.json()["detail"])
        # -> 403 You need the permission audit:read.


asyncio.run(main())
