"""The platform on a fresh store of each engine, with a database of its own and mails that stay here."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import jwt
import pytest

from corral.handlers.email import EmailSettings
from examples.bizinsights.api import make_api
from examples.bizinsights.build import Platform, make_platform
from examples.bizinsights.settings import Settings

SECRET = "a-secret-of-the-tests-with-more-than-32-bytes"  # of nothing
#: Makes a platform; arguments are its operators' addresses, keywords those of `make_platform`.
Maker = Callable[..., Platform]


@pytest.fixture
def maker(platform_url: str, tmp_path: Path) -> Maker:
    """Makes platforms on the same fresh store."""

    def make(*operators: str, **settings: object) -> Platform:
        email = EmailSettings(
            email_transport="dry-run",
            email_from="BizInsights <noreply@bizinsights.example>",
            mail_dir=tmp_path / "mail",
        )
        own = Settings(url=platform_url, bizinsights_home=tmp_path / "home", jwt_secret=SECRET, operators=operators)
        return make_platform(own, email=email, **settings)  # type: ignore[arg-type]  # the caller's affair

    return make


@pytest.fixture
async def platform(maker: Maker) -> AsyncIterator[Platform]:
    """The platform, with store and database open."""
    made = maker()
    async with made.opened():
        yield made


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Wait for something that no event tells of."""
    async with asyncio.timeout(60):
        while not await true():  # noqa: ASYNC110  # as it says
            await asyncio.sleep(0.02)


def token(*roles: str, sub: str = "ana") -> dict[str, str]:
    """The header of somebody with these roles."""
    claims = {"sub": sub, "roles": list(roles), "exp": int(time.time()) + 600}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"}


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who asks the API, as an admin unless the request says otherwise."""
    transport = httpx.ASGITransport(app=make_api(platform.app, platform.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://biz.example", headers=token("ADMIN")) as asking:
        yield asking


@pytest.fixture
def mails(tmp_path: Path) -> Callable[[], list[str]]:
    """The mails that were written, as text."""
    return lambda: [path.read_text() for path in sorted((tmp_path / "mail").glob("*.eml"))]
