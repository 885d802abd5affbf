"""Inside of your own application: it knows its people already, so it says who asks."""

import asyncio

import httpx
from fastapi import FastAPI, Request

from corral.http import Principal, create_app

PEOPLE = {"s3ss10n-of-ann": ("ann", "admin"), "s3ss10n-of-bob": ("bob", "viewer")}


def authenticate(request: Request) -> Principal | None:
    name, role = PEOPLE.get(request.cookies.get("session", ""), (None, ""))
    return None if name is None else Principal(sub=name, roles=(role,), queues=("shop-*",), method="host")


app = FastAPI()
app.mount("/admin/queues", create_app("sqlite:///jobs.db", authenticate=authenticate))


async def main() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shop") as client:
        for session in ("s3ss10n-of-ann", "s3ss10n-of-bob", "made-up"):
            answer = await client.get("/admin/queues/api/v1/me", headers={"Cookie": f"session={session}"})
            print(answer.status_code, answer.json().get("roles"))
        # -> 200 ['admin']
        # -> 200 ['viewer']
        # -> 401 None


asyncio.run(main())
