"""TeamSpark's own API: the counts of every queue, for whoever has a token with the right to know."""

import asyncio
import time

import httpx
import jwt
from pydantic import SecretStr

from examples.teamspark.api import make_api
from examples.teamspark.app import add_job, app, email_queue, settings

signing = "what the platform signs with: 32 bytes or more"
api = make_api(app, settings.model_copy(update={"jwt_secret": SecretStr(signing)}))
token = jwt.encode({"sub": "ann", "roles": ["viewer"], "exp": time.time() + 300}, signing, algorithm="HS256")
WELCOME = {"to": "user@example.com", "subject": "Welcome!", "template": "welcome", "data": {"name": "John"}}


async def main() -> None:
    async with app, httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://api") as client:
        await add_job(email_queue, "welcome-email", WELCOME)
        answer = await client.get("/api/jobs", headers={"Authorization": f"Bearer {token}"})
        print(answer.json()["metrics"][0]["counts"])
        # -> {'waiting': 1, 'active': 0, 'completed': 0, 'failed': 0, 'delayed': 0, 'paused': 0}
        print((await client.get("/api/jobs")).status_code)
        # -> 401


asyncio.run(main())
