"""The AI backend's endpoints, for the people whose tokens the application has signed."""

import asyncio
import time

import httpx
import jwt
from pydantic import SecretStr

from examples.aibackend.api import make_api
from examples.aibackend.app import app, settings

signing = "what the platform signs with: 32 bytes or more"
api = make_api(app, settings.model_copy(update={"jwt_secret": SecretStr(signing)}))
token = jwt.encode({"sub": "user-1", "roles": ["USER"], "exp": time.time() + 300}, signing, algorithm="HS256")
headers = {"Authorization": f"Bearer {token}"}


async def main() -> None:
    transport = httpx.ASGITransport(app=api)
    async with api.router.lifespan_context(api), httpx.AsyncClient(transport=transport, base_url="http://ai") as client:
        message = {"conversationId": "conversation-1", "message": "Hello"}
        print((await client.post("/ai/queue", json=message, headers=headers)).json())
        # -> {'jobId': '1', 'status': 'queued'}
        print((await client.get("/ai/jobs/1", headers=headers)).json()["state"])
        # -> waiting
        print((await client.delete("/ai/jobs/1", headers=headers)).json())
        # -> {'message': 'Job cancelled'}
        print([(await client.get(path, headers=headers)).status_code for path in ("/ai/jobs/2", "/admin/queues/")])
        # -> [404, 403]


asyncio.run(main())
