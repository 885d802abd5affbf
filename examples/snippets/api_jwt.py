"""Tokens of an identity provider: a signature, an audience, and a claim that says what somebody is."""

import asyncio
import time

import httpx
import jwt

from corral.http import ApiSettings, create_app

signing = "what the provider signs with: 32 bytes or more"
settings = ApiSettings(
    jwt_secret=signing, jwt_audience="queues", jwt_role_claim="realm_access.roles", role_map={"queue-staff": "operator"}
)
api = create_app("sqlite:///jobs.db", settings=settings)
claims = {"sub": "dan", "aud": "queues", "exp": time.time() + 300, "realm_access": {"roles": ["queue-staff"]}}


async def main() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=api), base_url="http://api") as client:
        for said in (claims, {**claims, "aud": "another application"}, {**claims, "exp": time.time() - 300}):
            token = jwt.encode(said, signing, algorithm="HS256")
            answer = (await client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})).json()
            print(answer.get("roles") or answer["detail"])
        # -> ['operator']
        # -> The token is not valid: it was made for somebody else.
        # -> The token has expired; get a new one.


asyncio.run(main())
